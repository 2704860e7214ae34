//! The files of CellReasoner (Cao et al. 2025): from counts to prompts, and from answers to a score.
//!
//! | step | in | out |
//! |---|---|---|
//! | [`open`], [`Prepared::new`] | `.h5ad`, or `.rds` with the feature `rds` | `NAME.h5`, `NAME.meta.csv` |
//! | [`Dataset::build`] | these two | `NAME_for_CellReasoner.json` |
//! | the caller's model | the records | `NAME_CellReasoner_result.csv` |
//! | [`PairScores`], [`Evaluation`] | that, and a table of scored pairs | the mean score |
//!
//! The layouts are those of the published scripts, so that steps of both can be mixed. A cell is described by the genes
//! that are not zero, **in the fixed order of a list**, the first 1,000: how much of a gene there is never enters.
//!
//! The scripts lose cells in silence: those whose name the table of cells spells differently, those without a label, and,
//! in the mean, all answers that the table of pairs does not have. Here each is an error or is counted.

mod dataset;
mod error;
mod evaluate;
mod genes;
mod pairs;
mod prepare;
mod results;

pub use dataset::{Dataset, DatasetOptions, Mode, OnLoss, Record, read_records, write_records};
pub use error::Error;
pub use evaluate::{Evaluation, OnMissing, PublishedScore};
pub use genes::GeneList;
pub use pairs::PairScores;
pub use prepare::{LAYOUT, Prepared, open, read_matrix};
pub use results::{CellResult, parse_response, read_results, write_results};

/// Genes of a cell that are kept, unless told otherwise.
pub const N_GENES: usize = 1000;

/// The name of a data set's file without its folder and its ending: `pbmc` of `data/pbmc.h5ad`.
pub fn stem(path: &std::path::Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
