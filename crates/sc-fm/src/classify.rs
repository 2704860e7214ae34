//! Classifiers of cells, and of genes, on top of a model: fine-tuned, with adapters, or as a probe.
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
//! [`fine_tune_genes`] trains a Geneformer to tell classes of genes, such as sensitive to their dosage or not, in the same
//! ways but for the probe; [`fine_tune_tasks`] trains it to classify cells by several things at once.
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
mod fine_tuned_genes;
mod fine_tuned_tasks;
mod gene_data;
mod genes;
mod params;
mod probe;
mod session;
mod task;
mod task_data;
mod tasks;
#[cfg(test)]
mod tests;
mod trained;

pub use error::Error;
pub use fine_tune::{fine_tune, fine_tune_tokens};
pub use fine_tuned::{FineTuned, Prediction};
pub use fine_tuned_genes::{FineTunedGenes, GenePrediction};
pub use fine_tuned_tasks::FineTunedTasks;
pub use gene_data::GeneReport;
pub use genes::{GeneSplit, fine_tune_genes, fine_tune_genes_tokens};
pub use params::{FineTuneParams, Method};
pub use tasks::{CellTask, TaskParams, fine_tune_tasks, fine_tune_tasks_tokens};
pub use trained::Training;

pub use crate::models::LoraParams;
