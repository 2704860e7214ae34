//! What can be wrong with a checkpoint.

use std::path::PathBuf;

use super::pickle;

/// An error in a checkpoint: which file, which tensor, what was found, what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done: `open`, `read`, ...
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A path that is no file.
    #[error("{}: expected a file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// A file that is longer than any of its kind.
    #[error("{}: the file has {found} bytes, expected at most {limit}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Bytes that are not what the format has there.
    #[error("{}: at byte {offset} is {found}, expected {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A pickle that is more than plain data, or damaged.
    #[error("{}: at byte {offset}: {problem}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The byte of the instruction that was refused.
        offset: u64,
        /// Why.
        problem: pickle::Problem,
    },
    /// A file that is not JSON, or says something twice.
    #[error("{}: not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An entry of another kind than the file should have.
    #[error("{}: {key:?} is {found}, expected {expected}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The key; empty for the whole file.
        key: String,
        /// What its value is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The model needs a tensor that the checkpoint lacks.
    #[error("the checkpoint has no tensor {name:?}, expected {expected:?}")]
    Missing {
        /// The tensor's name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
    },
    /// A tensor of another shape than the model's.
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the checkpoint.
        found: Vec<usize>,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// Tensors that no part of the model took.
    #[error("the checkpoint holds {} tensors that the model does not use: {}", names.len(), names.join(", "))]
    Unused {
        /// Their names, sorted.
        names: Vec<String>,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Pickle { problem, .. } => problem.help(),
            Self::Format { found, .. } if found == "a pointer of Git LFS" => Some(
                "this is a pointer to the file, not the file: run `git lfs pull`, or fetch the file itself",
            ),
            Self::Format { .. } => {
                Some("the file was probably cut short or damaged; fetch it again and compare its SHA-256")
            }
            _ => None,
        }
    }
}
