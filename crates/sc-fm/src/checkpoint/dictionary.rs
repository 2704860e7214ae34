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
    let entries = match read(path)? {
        Value::Dict(entries) => entries,
        other => {
            let (path, found) = (path.to_owned(), other.kind().to_owned());
            return Err(Error::Format { path, offset: 0, found, expected: "a dictionary" });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dictionary");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn refused(bytes: &[u8]) -> String {
        let (_folder, path) = file(bytes);
        tokens(path).unwrap_err().to_string().split_once("dictionary: ").unwrap().1.to_owned()
    }

    #[test]
    fn json_and_pickles_give_the_same_dictionary() {
        let expected = [("<pad>".to_owned(), 0), ("ENSG1".to_owned(), 7)];
        for bytes in
            [b" {\"<pad>\": 0, \"ENSG1\": 7}".as_slice(), b"\x80\x04}(\x8c\x05<pad>K\0\x8c\x05ENSG1K\x07u."]
        {
            let (_folder, path) = file(bytes);
            assert_eq!(tokens(&path).unwrap(), expected);
            assert_eq!(numbers(&path).unwrap()[1], ("ENSG1".to_owned(), 7.0), "whole numbers are numbers");
            assert!(texts(&path).is_err());
        }
    }

    #[test]
    fn what_is_no_dictionary_of_tokens_is_refused() {
        for (bytes, expected) in [
            (
                b"{\"A\": -1}".as_slice(),
                "\"A\" is a whole number, expected a whole number from 0 to 4294967295",
            ),
            (b"{\"A\": 4294967296}", "\"A\" is a whole number, expected a whole number from 0 to 4294967295"),
            (
                b"{\"A\": 1.0}",
                "\"A\" is a floating point number, expected a whole number from 0 to 4294967295",
            ),
            (b"{\"A\": {}}", "\"A\" is a dictionary, expected a whole number from 0 to 4294967295"),
            (b"\x80\x02}K\x01K\x02s.", "\"Int(1)\" is a key that is no text, expected text"),
            (b"\x80\x02].", "at byte 0 is a list, expected a dictionary"),
            (b"[1]", "at byte 0 is JSON, expected a pickle or a JSON object"),
            (b"", "at byte 0 is the end of the file, expected a pickle or a JSON object"),
            (b"gene,token", "at byte 0 is the byte 0x67, expected a pickle or a JSON object"),
            (b"{\"A\": 1, \"A\": 1}", "not valid JSON"),
        ] {
            assert_eq!(refused(bytes), expected);
        }
    }
}
