use std::path::PathBuf;

use crate::embed::Kind;

/// A pretraining that cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] sc_io::Error),
    /// A model without a masked language model.
    #[error("{kind} cannot be pretrained here")]
    Unsupported {
        /// The model.
        kind: Kind,
    },
    /// A dictionary without the token that hides others.
    #[error("the dictionary has no <mask>")]
    NoMask,
    /// A parameter outside its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Param {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Too little to train on.
    #[error(
        "{train} cells to train on and {validation} to validate with, expected at least 1 of each that is asked for"
    )]
    NoCells {
        /// Cells to train on.
        train: usize,
        /// Cells to validate with.
        validation: usize,
    },
    /// No validation cells, by which an epoch is to be chosen.
    #[error("no cell is left out for validation, by which `select` chooses an epoch")]
    NoValidation,
    /// A file that is given more than once.
    #[error("{}: the file is given more than once", path.display())]
    FileTwice {
        /// The file.
        path: PathBuf,
    },
    /// A file that has changed while it was being trained on.
    #[error("{}: the cells are others than when the training began", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io(error) => error.help(),
            Self::Unsupported { .. } => Some("take a Geneformer"),
            Self::NoMask => Some("take the dictionary of a release"),
            Self::NoCells { .. } => Some("give more cells, or another `validation` share"),
            Self::NoValidation => {
                Some("set the `validation` share, or keep the last epoch with `Select::Last`")
            }
            _ => None,
        }
    }
}
