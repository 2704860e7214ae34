//! Files that are there whole or not at all, and one writer at a time.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The folder in which files are written before they are renamed.
const ASIDE: &str = ".aside";
/// The file that the one run at work holds locked. It stays: a file that is removed could be locked twice.
const LOCK: &str = ".lock";
/// What precedes the digest at the end of a sealed document, and what follows.
const SEAL: (&str, &str) = (",\"sha256\":\"", "\"}\n");

/// SHA-256 as 64 lowercase hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// The right to write into a folder; the system takes it back when the process ends, however it ends.
pub(super) struct Writer<'a> {
    dir: &'a Path,
    _lock: File,
}

impl<'a> Writer<'a> {
    /// Makes the folder if there is none, and removes what a killed run left half written.
    pub(super) fn new(dir: &'a Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(at("create", dir))?;
        let path = dir.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(at("create", &path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::Locked { path: dir.to_owned() },
            TryLockError::Error(source) => at("lock", &path)(source),
        })?;
        let aside = dir.join(ASIDE);
        match fs::remove_dir_all(&aside) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(at("remove", &aside)(source));
            }
            _ => fs::create_dir(&aside).map_err(at("create", &aside))?,
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Writes a file aside, flushes it to disk, and renames it; folders are made as needed.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let folder = path.parent().unwrap_or(self.dir);
        fs::create_dir_all(folder).map_err(at("create", folder))?;
        let mut file = new_file(&self.dir.join(ASIDE)).map_err(at("write into", self.dir))?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(at("write", path))?;
        file.persist(path).map_err(|error| at("replace", path)(error.error))?;
        // The name is on disk once the folder is; not every system can open a folder, and none needs to.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// A document with line breaks, for people too.
    pub(super) fn json(&self, path: &Path, document: &impl Serialize) -> Result<()> {
        self.write(path, &pretty(document))
    }

    /// A document that carries the digest of itself.
    pub(super) fn sealed(&self, path: &Path, document: &impl Serialize) -> Result<()> {
        self.write(path, &seal(document))
    }

    /// Removes the files of a folder that are named so, and the folder if nothing is left in it.
    pub(super) fn remove_from(&self, folder: &Path, named: fn(&str) -> bool) -> Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(at("read", folder)(source)),
        };
        for entry in entries {
            let entry = entry.map_err(at("read", folder))?;
            if entry.file_name().to_str().is_some_and(named) {
                self.remove(&entry.path())?;
            }
        }
        // A folder with somebody's files in it stays.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(at("remove", path)(source)),
            _ => Ok(()),
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // What stays behind is removed by the next run.
        let _ = fs::remove_dir_all(self.dir.join(ASIDE));
    }
}

fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // The mask of the process takes away from these what it takes away from any new file.
        let new = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        builder.permissions(new);
    }
    builder.tempfile_in(folder)
}

pub(super) fn pretty(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("strings and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

/// The document as one line, whose last field is the SHA-256 of the document without it.
fn seal(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(document).expect("strings and numbers are JSON");
    let digest = sha256(&bytes);
    assert_eq!(bytes.pop(), Some(b'}'), "a document is an object");
    bytes.extend([SEAL.0, &digest, SEAL.1].concat().bytes());
    bytes
}

/// A sealed document from its file; `None` if there is no file.
///
/// # Errors
/// [`Error::Damaged`] if it is not what was written; [`Error::Io`].
pub(super) fn unseal<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(at("read", path)(source)),
    };
    let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let end = SEAL.0.len() + 64 + SEAL.1.len();
    let Some((body, tail)) = bytes.split_at_checked(bytes.len().saturating_sub(end)) else {
        return Err(damaged("it is cut short"));
    };
    let body = [body, b"}"].concat();
    if tail != [SEAL.0, &sha256(&body), SEAL.1].concat().as_bytes() {
        return Err(damaged("its SHA-256 is not the one at its end"));
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| damaged(&error.to_string()))
}

/// A document from its file; `None` if there is no file.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::Damaged { path: path.to_owned(), reason: error.to_string() }),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at("read", path)(source)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_sealed_document_is_json_and_every_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, document) = (dir.path().join("a.json"), json!({"p": [0.1f32, 0.25], "name": "B"}));
        let writer = Writer::new(dir.path()).unwrap();
        writer.sealed(&path, &document).unwrap();
        assert_eq!(unseal::<Value>(&path).unwrap(), Some(document));
        let bytes = fs::read(&path).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["name"], "B");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(matches!(unseal::<Value>(&path), Err(Error::Damaged { .. })), "byte {place}");
        }
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(unseal::<Value>(&path), Err(Error::Damaged { .. })), "length {length}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(unseal::<Value>(&path).unwrap(), None);
    }

    #[test]
    fn a_folder_has_one_writer_and_nothing_half_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Writer::new(dir.path()).unwrap();
        fs::write(dir.path().join(ASIDE).join("half"), "half of a c").unwrap();
        let second = Writer::new(dir.path()).err().unwrap();
        assert_eq!(second.to_string(), format!("another run is at work in `{}`", dir.path().display()));
        assert!(second.help().is_some());
        drop(first);
        fs::create_dir(dir.path().join(ASIDE)).unwrap();
        fs::write(dir.path().join(ASIDE).join("half"), "of a killed run").unwrap();
        drop(Writer::new(dir.path()).unwrap());
        assert!(!dir.path().join(ASIDE).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Writer::new(&file.join("results")).err().unwrap().to_string();
        assert!(error.starts_with("cannot create `") && error.contains("results"), "{error}");
    }
}
