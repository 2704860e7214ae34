//! What can go wrong with files of R.

use std::path::PathBuf;

/// An error of this module. What is wrong inside an object, such as a matrix whose offsets decrease, is
/// [`crate::Error::Element`], with the slot written as R writes it: `assays$RNA@counts`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not one that R writes.
    #[error("{}: not an R data file; its first bytes are {first_bytes}", path.display())]
    NotR {
        /// The file.
        path: PathBuf,
        /// The bytes it starts with, after decompression, printable ones as text.
        first_bytes: String,
    },
    /// The stream of objects cannot be read.
    #[error("{}: cannot read the objects at byte {offset} of the decompressed stream", path.display())]
    Stream {
        /// The file.
        path: PathBuf,
        /// Bytes read before.
        offset: u64,
        /// What is wrong.
        source: Damage,
    },
    /// A workspace without the object that was asked for, or with several that could be meant.
    #[error("{}: {}; there {}", path.display(), unclear(wanted), crate::error::list(found))]
    NoObject {
        /// The file.
        path: PathBuf,
        /// The object that was asked for.
        wanted: Option<String>,
        /// The objects that are there, with their classes.
        found: Vec<String>,
    },
    /// An object that is no single-cell data.
    #[error("{}: {object} is {class}, expected a Seurat object (version 3 or later), a SummarizedExperiment, a matrix or a data.frame", path.display())]
    Class {
        /// The file.
        path: PathBuf,
        /// The object, by its name where it has one.
        object: String,
        /// Its class.
        class: String,
    },
    /// An assay that was asked for is not there.
    #[error("{}: no assay {assay:?}; there {}", path.display(), crate::error::list(found))]
    NoAssay {
        /// The file.
        path: PathBuf,
        /// The assay that was asked for.
        assay: String,
        /// The assays that are there.
        found: Vec<String>,
    },
    /// A layer that was asked for is not there.
    #[error("{}: assay {assay:?} has no layer {layer:?}; there {}", path.display(), crate::error::list(found))]
    NoLayer {
        /// The file.
        path: PathBuf,
        /// The assay.
        assay: String,
        /// The layer that was asked for.
        layer: String,
        /// The layers of all assays, as `assay/layer`.
        found: Vec<String>,
    },
}

fn unclear(wanted: &Option<String>) -> String {
    match wanted {
        Some(name) => format!("no object {name:?}"),
        None => "it does not say which object is meant".to_owned(),
    }
}

impl Error {
    /// What can be done about it, where there is something to say.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotR { .. } => {
                Some("write the object with saveRDS or save; qs and other formats are not read")
            }
            Self::Stream { source, .. } => source.help(),
            Self::NoObject { .. } => Some("name the object of the workspace that is to be read"),
            Self::Class { .. } => Some(
                "in R, convert the object first: UpdateSeuratObject for one of Seurat 2, or take the counts out as a matrix",
            ),
            Self::NoAssay { .. } => Some("choose one of the assays that are there"),
            Self::NoLayer { .. } => Some("choose the layer that X is to hold, and the assay that has it"),
        }
    }
}

/// Why a stream of objects cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The bytes behind it end or are damaged.
    #[error("the bytes cannot be read or decompressed")]
    Bytes(#[source] std::io::Error),
    /// Another version of the format.
    #[error("it is of format version {found}, expected 2 or 3")]
    Version {
        /// The version.
        found: i32,
    },
    /// A code that is not in the format.
    #[error("an item has type code {code}, which is not in the format")]
    Type {
        /// The code.
        code: u32,
    },
    /// Something that the format has and that is not read here.
    #[error("it holds {what}, which is not read here")]
    Refused {
        /// What it is.
        what: String,
    },
    /// A part contradicts the format.
    #[error("{what} is {found}, expected {expected}")]
    Value {
        /// Which part.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Objects lie in each other too deep.
    #[error("objects lie in each other deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The objects ask for more memory than a file of this size can mean honestly.
    #[error("its objects take over {limit} bytes in memory, which is refused for a file of {file} bytes")]
    TooLarge {
        /// Bytes that are allowed.
        limit: u64,
        /// Size of the file.
        file: u64,
    },
}

impl Damage {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Bytes(_) => Some("the download or copy was probably cut short; fetch the file again"),
            Self::TooLarge { .. } => {
                Some("if the file is honest, allow a larger expansion, or save it again without compression")
            }
            Self::Refused { .. } => {
                Some("in R, read the matrices into memory as dgCMatrix, and save the object again")
            }
            _ => None,
        }
    }
}
