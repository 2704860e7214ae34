//! Embeddings of whole data sets, with any of the models.
//!
//! [`FoundationModel::open`] finds out which model a folder holds and loads it with its dictionary;
//! [`FoundationModel::embed`] takes a data set in memory, [`FoundationModel::embed_file`] one on disk, some rows at a
//! time, and goes on where an earlier run was cut off.
//!
//! | model | `Mode::Cell` | `Mode::Cls` | default layer |
//! |---|---|---|---|
//! | Geneformer V1 | mean over the genes (default) | none | second to last |
//! | Geneformer V2 | mean over the genes | state of `<cls>` (default) | second to last |
//! | scGPT | mean over the genes | state of `<cls>`, length 1 (default) | last |
//! | scFoundation | none, but [`Mode::All`] (default) and [`Mode::Max`] | none | last |
//!
//! Rows come back in the order of the data set, whatever order they are computed in; a cell without a gene of the model
//! has a row of NaN, or none ([`MissingCells`]). No bit of a result depends on the memory given, the other cells, their
//! order, the number of threads or the size of the parts that a file is read in.
//!
//! Cells are packed without padding, longest first. Memory holds the weights, the part of the data set that is being
//! embedded, and at most [`EmbedParams::memory`] bytes of hidden values, but one cell at least.

mod choice;
mod cost;
mod embedding;
mod encode;
mod error;
mod genes;
mod input;
mod model;
mod open;
mod params;
mod plan;
mod progress;
mod random;
mod report;
mod save;
mod states;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use choice::{Choice, Mode};
pub(crate) use cost::Cost;
pub use embedding::Embedding;
pub(crate) use encode::{ids, scgpt_cells};
pub use error::Error;
pub use genes::GeneEmbedding;
pub(crate) use input::Input;
pub use model::FoundationModel;
pub(crate) use model::Network;
pub use open::{Kind, OpenParams};
pub use params::{EmbedParams, MatrixChoice, MissingCells};
pub(crate) use plan::Run;
pub use progress::Progress;
pub use report::{Hashes, LoadReport};
pub use states::{StateEmbedding, Summary};
pub(crate) use stream::matrix as matrix_of_file;
pub use stream::{EmbeddedFile, FileParams, Output, unwatched};
