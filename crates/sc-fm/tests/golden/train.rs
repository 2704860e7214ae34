//! Losses, gradients and steps of training beside the reference implementations.

mod geneformer;
mod lora;
mod multi_task;
mod scgpt;
mod steps;
