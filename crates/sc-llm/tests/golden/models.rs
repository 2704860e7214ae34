//! Language models.

mod decoders;
mod gradients;
mod labels;
mod sft;
mod t5;
