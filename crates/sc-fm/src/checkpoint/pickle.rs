//! Python pickles as data: a small machine with short lists of what it knows.
//!
//! A pickle is a program. Python's own reader imports and calls whatever that program names; this one knows the
//! instructions that build numbers, text, lists, tuples and dictionaries, and a dozen named constructors of plain data
//! (`collections.OrderedDict`, NumPy's scalars, PyTorch's tensors), which it builds itself. Any other instruction or
//! name ends the reading with an error that names it. Nothing is imported, called or run.
//!
//! Lengths in the file are compared with what is left of it before anything is allocated; nesting, number of values and
//! the size of what is built are limited.

mod build;
mod global;
mod machine;
mod numpy;
mod opcode;
mod problem;
mod value;

#[cfg(test)]
mod tests;

pub use problem::Problem;
pub use value::Value;

pub(crate) use machine::{Failure, Tensors, parse};

use std::path::Path;

use super::source::Source;
use super::{Error, file_kind};

/// A dictionary is a few megabytes, the description of a large model's tensors less than one.
pub(crate) const MAX_BYTES: u64 = 1 << 26;

/// Reads a pickle of protocol 2 to 5 that holds plain data.
///
/// # Errors
/// [`Error::Pickle`] with the byte at which the pickle is not plain data, [`Error::Format`] for another kind of file,
/// [`Error::Io`].
pub fn read(path: impl AsRef<Path>) -> Result<Value, Error> {
    let source = Source::open(path.as_ref())?;
    let bytes = source.read_all(MAX_BYTES)?;
    from_bytes(&bytes, source.path())
}

/// The value in the bytes of a whole file.
pub(crate) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Value, Error> {
    if bytes.first() != Some(&0x80) {
        let found = file_kind(bytes);
        return Err(Error::Format {
            path: path.to_owned(),
            offset: 0,
            found,
            expected: "a pickle of protocol 2 to 5",
        });
    }
    let refused = |failure: Failure| failure.in_file(path, 0);
    let parsed = parse(bytes, Tensors::Refused).map_err(refused)?;
    if parsed.used < bytes.len() {
        return Err(refused(Failure {
            offset: parsed.used,
            problem: Problem::Trailing { bytes: bytes.len() - parsed.used },
        }));
    }
    Ok(parsed.value)
}
