//! What can go wrong here, in words that name the place.

use crate::{checkpoint, classify, compute, embed, models, nn, perturb, pretrain, registry, tokenize, train};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// Files or a dictionary that are not those of a release.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A model that cannot be built of what was given, or cells that it cannot take.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// Input that no tokeniser takes.
    #[error(transparent)]
    Tokenize(#[from] tokenize::Error),
    /// A folder that holds no model, or a data set that it cannot embed.
    #[error(transparent)]
    Embed(#[from] embed::Error),
    /// A perturbation that cannot be computed, or results that cannot be kept or read.
    #[error(transparent)]
    Perturb(#[from] perturb::Error),
    /// A training that cannot begin or go on.
    #[error(transparent)]
    Train(#[from] train::Error),
    /// A classifier that cannot be trained on these cells, or is none of this model.
    #[error(transparent)]
    Classify(#[from] classify::Error),
    /// A pretraining that cannot begin.
    #[error(transparent)]
    Pretrain(#[from] pretrain::Error),
    /// Somewhere that a model cannot compute.
    #[error(transparent)]
    Compute(#[from] compute::Error),
    /// A weight that cannot be packed for products.
    #[error(transparent)]
    Gemm(#[from] nn::gemm::Error),
    /// The tensor library refused.
    #[error("the tensor library reports an error")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Checkpoint(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::Model(error) => error.help(),
            Self::Tokenize(error) => error.help(),
            Self::Embed(error) => error.help(),
            Self::Perturb(error) => error.help(),
            Self::Train(error) => error.help(),
            Self::Classify(error) => error.help(),
            Self::Pretrain(error) => error.help(),
            Self::Compute(error) => error.help(),
            Self::Gemm(error) => error.help(),
            _ => None,
        }
    }
}
