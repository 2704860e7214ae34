//! Language models.

mod compute;
mod decoders;
mod gguf;
mod gradients;
mod labels;
mod lora;
mod sft;
mod t5;
