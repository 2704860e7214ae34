//! The files of a model folder, read within limits.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;

/// The largest published `tokenizer.json` has about 35 MB.
const MAX_FILE_BYTES: u64 = 64 << 20;

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => Ok(Self(folder.into())),
            Ok(_) => Err(Error::Read { path: folder.into(), source: ErrorKind::NotADirectory.into() }),
            Err(source) => Err(Error::Read { path: folder.into(), source }),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// The bytes of a file; `None` if it is not there.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(name);
        let failed = |source| Error::Read { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.len() as u64 > MAX_FILE_BYTES {
            true => Err(Error::FileTooLarge { path, limit: MAX_FILE_BYTES }),
            false => Ok(Some(bytes)),
        }
    }

    pub(crate) fn json(&self, name: &str) -> Result<Option<Value>, Error> {
        self.bytes(name)?.map(|bytes| parse(&self.path(name), &bytes)).transpose()
    }
}

pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(text).map_err(|source| Error::Json { path: path.into(), source })
}

pub(crate) fn write(folder: &Path, name: &str, json: &Value) -> Result<(), Error> {
    let path = folder.join(name);
    // Keys are written in order, whatever order a map keeps in this build.
    let mut json = json.clone();
    json.sort_all_objects();
    let text = serde_json::to_string_pretty(&json).expect("a JSON value can always be written");
    sc_io::atomic::write_aside(&path, true, |file| file.write_all(text.as_bytes()))
        .map_err(|source| Error::Write { path, source })
}
