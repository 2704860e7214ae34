//! What is wrong with one element of a file.

use crate::{Error, InvalidSparse};

/// What is wrong with one element of a file; [`Error`] says which file and which element.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there.
    #[error("not found; the group holds {}", names(present))]
    Missing {
        /// What is there instead.
        present: Vec<String>,
    },
    /// An attribute is not there.
    #[error("attribute {name:?} not found")]
    MissingAttribute {
        /// The attribute.
        name: String,
    },
    /// It is a group where a dataset belongs, or the other way round.
    #[error("found {found}, expected {expected}")]
    Kind {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Its values have a type that does not belong here.
    #[error("holds values of type {found}, expected {expected}")]
    Dtype {
        /// Their type.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// It has another shape than it should have.
    #[error("has shape {found:?}, expected {expected}")]
    Shape {
        /// Its shape.
        found: Vec<u64>,
        /// What was expected.
        expected: String,
    },
    /// It says of itself that it is something this crate does not know.
    #[error("is encoded as {encoding:?} version {version:?}, expected {expected}")]
    Encoding {
        /// `encoding-type`.
        encoding: String,
        /// `encoding-version`.
        version: String,
        /// What is known here.
        expected: &'static str,
    },
    /// Its arrays are not a sparse matrix.
    #[error(transparent)]
    Sparse(#[from] InvalidSparse),
    /// A number lies outside what it may be.
    #[error("entry {at} is {value}, expected {expected}")]
    Value {
        /// Position of the number.
        at: usize,
        /// The number.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// A number has no exact `f32`.
    #[error("entry {at} is {value}, which single precision cannot hold exactly")]
    NotExact {
        /// Position of the number.
        at: usize,
        /// The number.
        value: String,
    },
    /// Text is not UTF-8.
    #[error("entry {at} is not UTF-8 text")]
    Text {
        /// Position of the text.
        at: usize,
    },
    /// It declares more bytes than a file of this size can mean honestly.
    #[error(
        "declares {declared} bytes of values, but the whole file has {file}; more than {factor} times that is refused"
    )]
    Declared {
        /// Bytes declared, after decompression.
        declared: u64,
        /// Size of the file.
        file: u64,
        /// The factor allowed.
        factor: u64,
    },
    /// It lies in another file, which is never opened.
    #[error("{what} points to another file ({target}), which is not followed")]
    OtherFile {
        /// How: an external link, external storage, a virtual dataset.
        what: &'static str,
        /// Where it points.
        target: String,
    },
    /// Groups are nested too deeply, or inside themselves.
    #[error("groups are nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The file has too many objects.
    #[error("the file has more than {limit} objects")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// It points to bytes that the file does not have.
    #[error("points to {length} bytes at offset {offset}, but the file ends at {end}")]
    Outside {
        /// Where the bytes should start.
        offset: u64,
        /// How many there should be.
        length: u64,
        /// Size of the file.
        end: u64,
    },
    /// A part of HDF5 that this crate does not read.
    #[error("uses {what}, which is not supported here")]
    Unsupported {
        /// Which part.
        what: String,
    },
    /// It is a table of records, as anndata 0.6 wrote it: nothing can be added to one.
    #[error("is a table of records, as anndata 0.6 wrote it, to which nothing can be added")]
    Records,
    /// A part of a file contradicts its format.
    #[error("{0}")]
    Malformed(String),
    /// The HDF5 structures behind it cannot be decoded, or not be written.
    #[error("malformed HDF5 structure")]
    Hdf5(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system refused something.
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    /// An archive cannot be unpacked.
    #[cfg(feature = "fetch")]
    #[error("cannot unpack the archive")]
    Archive(#[source] Box<crate::fetch::Error>),
    /// It was read, but what it holds does not fit together.
    #[error(transparent)]
    Invalid(Box<Error>),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Invalid(Box::new(error))
    }
}

/// At most this many names are listed in one message.
const LISTED: usize = 30;

fn names(present: &[String]) -> String {
    match present.len() {
        0 => "nothing".to_owned(),
        n if n > LISTED => format!("{} and {} more", present[..LISTED].join(", "), n - LISTED),
        _ => present.join(", "),
    }
}
