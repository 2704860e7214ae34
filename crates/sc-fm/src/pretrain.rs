//! Pretraining of a Geneformer: a masked language model over the genes of cells, in order of rank (Theodoris et al. 2023),
//! <https://doi.org/10.1038/s41586-023-06139-9>.
//!
//! [`pretrain`] trains on tokens in memory, [`pretrain_files`] on `.h5ad` files that are read some rows at a time. The
//! model to begin with has random weights ([`FoundationModel::random`]) or is one that was trained before. What comes out
//! is a [`Pretrained`]: a model to embed with, and a folder that Hugging Face's transformers and
//! [`FoundationModel::open`] read.
//!
//! Of the tokens of a cell, each is chosen with the probability [`mask_share`](PretrainParams::mask_share); of the chosen,
//! 80 % become `<mask>`, 10 % another token at random, 10 % stay. The loss is the mean over the chosen tokens. As in the
//! reference, `<cls>` and `<eos>` can be chosen; the random token is any but `<pad>`, which the reference allows. The
//! choice belongs to seed, epoch and cell, not to the batch.
//!
//! [`FoundationModel::open`]: crate::embed::FoundationModel::open
//! [`FoundationModel::random`]: crate::embed::FoundationModel::random

mod corpus;
mod error;
mod masking;
mod params;
mod run;
mod task;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use params::PretrainParams;
pub use run::{Pretrained, pretrain, pretrain_files};
