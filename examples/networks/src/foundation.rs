//! Frozen foundation models beside plain baselines: which models, their embeddings, what is fitted on them, the report.

mod args;
mod choice;
mod embeddings;
mod maps;
mod methods;
mod models;
mod own_genes;
mod prepared;
mod published;
mod sections;
mod sources;
mod study;
mod tuned;
mod tuning;

pub use args::{FoundationArgs, Protocol, Settings};
pub use study::run;
