//! What can go wrong here, in words that name the place.

use crate::{checkpoint, tokenize};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// Input that no tokeniser takes.
    #[error(transparent)]
    Tokenize(#[from] tokenize::Error),
    /// The tensor library refused.
    #[error("the tensor library reports an error")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Tokenize(error) => error.help(),
            _ => None,
        }
    }
}
