//! In-silico perturbation with Geneformer (Theodoris et al. 2023): what a cell's embedding would be without a gene, or
//! with a gene at the top of its ranks.
//!
//! [`Perturber`] takes tokenised cells, perturbs each gene in turn, a group of genes together, or each gene together with
//! an anchor ([`Genes`]), and gives for each perturbed cell:
//!
//! * the cosine between perturbed and original cell: of the states of `<cls>` ([`Pooling::Cls`], the default of V2), or
//!   the mean over the remaining genes of the cosine of each gene's state with its state in the original cell
//!   ([`Pooling::Cell`], the default of V1);
//! * with [`GoalStates`], how far the cell moves: cos(perturbed, state) − cos(original, state) for the start state, the goal
//!   and the alternatives, where `cell` is the mean over the genes and `cls` the state of `<cls>`;
//! * if asked for, the cosine of every other gene's state: which genes are affected.
//!
//! Results are a [`Table`] in memory, or a CSV file that is written block by block and continued where a run was cut off
//! ([`Perturber::run_to_file`]). [`stats`] makes of a table what the reference's statistics do.
//!
//! Perturbed cells go through the model in batches by memory, without padding, and no further than the layer asked for.
//! No bit of a result depends on the memory, the batches, the number of threads or the other cells.
//!
//! It differs from the reference on purpose: it runs on any device; cells stay in their order; a list of genes to
//! overexpress is treated cell by cell (the reference fails if the longest cell of a batch lacks one); where inserted genes
//! push others out at the end, the original cell is compared without exactly those; a gene that the model does not know is
//! an error; states with fewer than two cells are refused.
//!
//! [`Pooling::Cls`]: crate::models::geneformer::Pooling::Cls
//! [`Pooling::Cell`]: crate::models::geneformer::Pooling::Cell

mod cells;
mod compare;
mod csv;
mod edit;
mod error;
mod file;
mod items;
mod key;
mod params;
mod perturber;
mod progress;
mod states;
pub mod stats;
mod table;
#[cfg(test)]
mod tests;

pub use cells::{PerturbCells, Selection};
pub use error::Error;
pub use params::{Genes, PerturbParams, Perturbation};
pub use perturber::Perturber;
pub use progress::Progress;
pub use states::GoalStates;
pub use table::{Gene, Row, Table, Value};
