//! Whether a benchmark can be fooled: tests of a whole pipeline for information that leaks from test cells.
//!
//! Four tests, each of which sees what the others cannot:
//!
//! | test | what it finds | what it needs |
//! |---|---|---|
//! | [`label_shuffle`] | labels of test cells that reach the model, as in a gene selection before the split | the pipeline, run about ten times |
//! | [`poison`] | values of test cells that reach the model, as in scaling or PCA of all cells | the pipeline, run four times |
//! | [`duplicates`] | test cells that are, or nearly are, training cells | the matrix |
//! | [`declared_steps`] | a step that was fitted on test cells, by its name | what each step was fitted on |
//!
//! A test that passes has found no leak of its kind; it does not prove that there is none.

mod cell_rows;
mod duplicates;
mod finding;
mod label_shuffle;
mod poison;
mod projection;
mod steps;

pub use cell_rows::CellRows;
pub use duplicates::{DuplicatePair, DuplicateParams, Duplicates, duplicates};
pub use finding::{Finding, LeakReport, Severity};
pub use label_shuffle::{LabelShuffleParams, label_shuffle};
pub use poison::poison;
pub use steps::{Step, declared_steps};

#[cfg(test)]
mod tests;
