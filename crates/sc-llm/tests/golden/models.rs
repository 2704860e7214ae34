//! Language models.

mod decoders;
mod gradients;
mod labels;
mod t5;
