//! Language models.

mod compute;
mod decoders;
mod gguf;
mod gradients;
mod hostile;
mod labels;
mod lora;
mod sft;
mod t5;
