//! Classifiers of cells on top of a model: fine-tuned, with adapters, or as a probe.
//!
//! | [`Method`] | what changes | models |
//! |---|---|---|
//! | `Full` | the model, but for [`freeze_layers`](FineTuneParams::freeze_layers), and a new head | Geneformer, scGPT |
//! | `Lora` | adapters of low rank and a new head | Geneformer, scGPT |
//! | `LinearProbe` | a linear layer on embeddings that are computed once | all |
//!
//! [`fine_tune`] trains on some rows of a data set, chooses an epoch by other rows, and gives a [`FineTuned`]: it predicts
//! probabilities, embeds, and can be written and opened again. [`fine_tune_tokens`] does it on tokens, for many seeds or
//! splits of one data set.
//!
//! Classes are the labels of the training rows, sorted: their numbers do not change from run to run. The same data, labels,
//! parameters and seed give the same bits, on any number of threads, however often a training was interrupted: with a
//! folder for its state it goes on where it was.

mod body;
mod data;
mod error;
mod files;
mod fine_tune;
mod fine_tuned;
mod params;
mod probe;
mod task;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use fine_tune::{fine_tune, fine_tune_tokens};
pub use fine_tuned::{FineTuned, Prediction};
pub use params::{FineTuneParams, Method};

pub use crate::models::LoraParams;
