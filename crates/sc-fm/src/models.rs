//! The networks: built from a configuration and [`Weights`](crate::checkpoint::Weights), on the layers of
//! [`nn`](crate::nn).
//!
//! | model | input of a cell | cell embedding |
//! |---|---|---|
//! | [`Geneformer`] | token ids, by rank | mean over the genes, or `<cls>` |
//! | [`Scgpt`] | gene ids with binned values | `<cls>`, length 1 |
//! | [`Scfoundation`] | genes with logarithms of counts, two totals | both totals, maximum and mean over the genes |
//!
//! Cells are packed one after another without padding, so no result depends on the batch that a cell is in: the same
//! cell gives the same bits alone, in company, first or last. [`embed`] does it for any number of cells.
//!
//! A model whose tensors are variables of the tensor library can be trained.

mod batch;
mod checkpointing;
mod embed;
mod error;
mod exact_sum;
pub mod geneformer;
mod layer;
mod load;
mod lora;
pub(crate) mod normal;
mod parts;
pub(crate) mod pooling;
pub mod scfoundation;
pub mod scgpt;
mod source;

pub use batch::TokenBatch;
pub use embed::{CellEncoder, embed};
pub use error::Error;
pub(crate) use exact_sum::ExactSum;
pub use geneformer::{Geneformer, GeneformerConfig};
pub use layer::{Hidden, Layer};
pub use load::LoadOptions;
pub(crate) use load::write_json;
pub use lora::{LoraAdapter, LoraParams};
pub use scfoundation::{Scfoundation, ScfoundationConfig};
pub use scgpt::{Scgpt, ScgptConfig};
