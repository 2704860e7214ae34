//! Dictionaries that a model was trained with: Geneformer's pickles (`token_dictionary_gc104M.pkl`, ...), the same as
//! JSON, and scGPT's `vocab.json`.

use std::path::Path;

use super::pickle::{self, Value};
use super::source::Source;
use super::{Error, file_kind, json};

/// Gene (or special token) to token: Geneformer's token dictionary, scGPT's vocabulary. In the order of the file; each key
/// is there once.
///
/// # Errors
/// [`Error::Entry`] for a value that is no whole number from 0 to 2³² − 1; what [`read`] reports.
pub fn tokens(path: impl AsRef<Path>) -> Result<Vec<(String, u32)>, Error> {
    entries(path.as_ref(), "a whole number from 0 to 4294967295", |value| {
        value.as_i64().and_then(|token| u32::try_from(token).ok())
    })
}

/// Gene to a number: Geneformer's median dictionary. In the order of the file; each key is there once.
///
/// # Errors
/// [`Error::Entry`] for a value that is no number; what [`read`] reports.
pub fn numbers(path: impl AsRef<Path>) -> Result<Vec<(String, f64)>, Error> {
    entries(path.as_ref(), "a number", Value::as_f64)
}

/// Text to text: Geneformer's mapping from symbols and older ids to Ensembl ids. In the order of the file; each key is
/// there once.
///
/// # Errors
/// [`Error::Entry`] for a value that is no text; what [`read`] reports.
pub fn texts(path: impl AsRef<Path>) -> Result<Vec<(String, String)>, Error> {
    entries(path.as_ref(), "text", |value| value.as_str().map(str::to_owned))
}

/// A pickle or a JSON file, whichever it is by its first byte.
///
/// # Errors
/// [`Error::Pickle`], [`Error::Json`], [`Error::Format`] for another kind of file, [`Error::Io`].
pub fn read(path: impl AsRef<Path>) -> Result<Value, Error> {
    let source = Source::open(path.as_ref())?;
    let bytes = source.read_all(pickle::MAX_BYTES)?;
    match bytes.trim_ascii_start().first() {
        Some(0x80) => pickle::from_bytes(&bytes, source.path()),
        Some(b'{') => json::from_bytes(&bytes, source.path()),
        _ => Err(source.format(0, file_kind(&bytes), "a pickle or a JSON object")),
    }
}

fn entries<T>(
    path: &Path,
    expected: &'static str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(String, T)>, Error> {
    let Value::Dict(entries) = read(path)? else {
        return Err(Error::Entry {
            path: path.to_owned(),
            key: String::new(),
            found: "no dictionary",
            expected: "a dictionary",
        });
    };
    let convert = |(key, value): (Value, Value)| match (key, convert(&value)) {
        (Value::Str(key), Some(value)) => Ok((key, value)),
        (Value::Str(key), None) => {
            Err(Error::Entry { path: path.to_owned(), key, found: value.kind(), expected })
        }
        (key, _) => Err(Error::Entry {
            path: path.to_owned(),
            key: format!("{key:?}"),
            found: "a key that is no text",
            expected: "text",
        }),
    };
    entries.into_iter().map(convert).collect()
}
