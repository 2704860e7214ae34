//! What does not agree with a release.

use std::path::PathBuf;

use crate::checkpoint;

/// A file, a dictionary or a name that is not the one of a release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No release has this name.
    #[error("no release is named {name:?}{}", nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default())]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The name nearest to it.
        nearest: Option<String>,
    },
    /// A dictionary of another model.
    #[error("the dictionary has {found} tokens, expected {expected} for {release}")]
    Tokens {
        /// The release.
        release: &'static str,
        /// Tokens in the dictionary.
        found: usize,
        /// Tokens of the model.
        expected: usize,
    },
    /// A file of another length than the released one.
    #[error("{}: the file has {found} bytes, expected {expected}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length of the released file.
        expected: u64,
    },
    /// A file with other contents than the released one.
    #[error("{}: the file's SHA-256 is {found}, expected {expected}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The hash of the released file, or its first and last digits.
        expected: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Tokens { .. } => Some("take the dictionaries of the same release as the weights"),
            Self::Size { .. } | Self::Hash { .. } => {
                Some("the file is incomplete, changed, or of another release; fetch it again")
            }
            Self::Checkpoint(error) => error.help(),
            Self::Unknown { .. } => None,
        }
    }
}
