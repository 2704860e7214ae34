//! What can be wrong with a GGUF file, or keep a model from being written as one.

use std::path::PathBuf;

/// An error of a language model in a GGUF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder with more than one file.
    #[error("{}: {} GGUF files: {}", folder.display(), found.len(), found.join(", "))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// Names of the files.
        found: Vec<String>,
    },
    /// A part of a model.
    #[error("{}: one of {parts} parts of a model, expected the whole", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// How many there are.
        parts: u64,
    },
    /// An architecture that is not read.
    #[error("{}: the architecture is {found:?}, expected one of {}", path.display(), known.join(", "))]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// Those known.
        known: Vec<&'static str>,
    },
    /// A value of the metadata that is not there, or another one than a model can have.
    #[error("{}: {key} is {found}, expected {expected}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A tokeniser of a kind that is not read.
    #[error("{}: {key} is {found:?}, expected {expected}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is there.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// A model that llama.cpp would compute in another way, or not at all.
    #[error("{what} is {found}, which llama.cpp does not have: expected {expected}")]
    NotWritten {
        /// A field of the configuration, or a part of the tokeniser.
        what: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A tensor that llama.cpp has no name for.
    #[error("tensor {name:?} has no name in a GGUF file of the architecture {architecture}")]
    NoName {
        /// The tensor.
        name: String,
        /// The architecture.
        architecture: &'static str,
    },
    /// The file itself.
    #[error(transparent)]
    File(#[from] sc_fm::checkpoint::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Several { .. } => Some("name the file itself"),
            Self::Split { .. } => Some("join the parts with `llama-gguf-split --merge`"),
            Self::Architecture { .. } => {
                Some("other models can be served by llama.cpp and asked through an endpoint")
            }
            Self::Tokenizer { .. } => Some("put the model's tokenizer.json beside the file"),
            Self::NotWritten { .. } => Some("save it as a folder (Base::save) instead"),
            Self::File(error) => error.help(),
            _ => None,
        }
    }
}
