//! From a matrix of counts to what a model takes in.
//!
//! Every tokeniser goes the same way: [`GeneIds`] finds what names the columns, the tokeniser of the model lays its
//! genes over them (and refuses a matrix that it hardly knows), then one sparse pass in parallel makes [`Tokens`]: the
//! cells one after another without padding, the rows they come from, and a [`Report`] of all that was left out.
//! The result has the same bits for any number of threads and any chunking of the rows.

pub mod bins;
pub mod rank;
pub mod scfoundation;
pub mod scgpt;
pub mod vocabulary;

#[cfg(feature = "arrow")]
pub mod dataset;

mod cells;
mod coverage;
mod draws;
mod error;
mod gene_ids;
mod report;
mod rows;
mod species;
mod tokens;

pub use cells::Cells;
pub use coverage::Coverage;
pub use error::Error;
pub use gene_ids::{GeneIds, IdSource};
pub use report::{CellTally, GeneReport, Report, Totals};
pub use rows::EmptyCells;
pub use tokens::Tokens;

/// A result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;
