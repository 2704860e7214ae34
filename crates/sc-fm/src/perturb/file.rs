//! A file that grows block by block, over any number of interrupted runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;

/// What counts of the file so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Journal {
    /// SHA-256 of all that the result depends on.
    key: String,
    n_perturbations: usize,
    done: usize,
    /// Bytes that the perturbations done take up, with the header.
    bytes: u64,
    written_by: String,
}

pub(super) struct RunFile {
    path: PathBuf,
    part: PathBuf,
    journal_path: PathBuf,
    journal: Journal,
    file: File,
}

impl RunFile {
    /// Begins a file or goes on with it; none if it is finished.
    pub(super) fn open(path: &Path, key: &str, n: usize, header: &str) -> Result<Option<Self>, Error> {
        let (part, journal_path) = (behind(path, ".part"), behind(path, ".run.json"));
        if is_finished(path, &journal_path, key)? {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).truncate(false).write(true).open(&part).map_err(at(&part, "write"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { path: part }),
            // Some file systems have no locks; there the caller sees to it that one run writes a file.
            Err(TryLockError::Error(_)) => {}
        }
        let journal = match read(&journal_path)? {
            Some(journal) => {
                let found = file.metadata().map_err(at(&part, "read"))?.len();
                if found < journal.bytes {
                    return Err(Error::Short { path: part, found, expected: journal.bytes });
                }
                journal
            }
            None => {
                file.set_len(0)
                    .and_then(|()| file.write_all(header.as_bytes()))
                    .map_err(at(&part, "write"))?;
                let written_by = concat!("sc-fm ", env!("CARGO_PKG_VERSION")).to_owned();
                let bytes = header.len() as u64;
                Journal { key: key.to_owned(), n_perturbations: n, done: 0, bytes, written_by }
            }
        };
        // What is behind belongs to a block that was not finished.
        file.set_len(journal.bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(at(&part, "write"))?;
        Ok(Some(Self { path: path.to_owned(), part, journal_path, journal, file }))
    }

    /// Perturbations that need not be computed again.
    pub(super) fn done(&self) -> usize {
        self.journal.done
    }

    /// Adds rows, after which `done` perturbations are finished. They are on disk before the journal counts them.
    pub(super) fn append(&mut self, rows: &[u8], done: usize) -> Result<(), Error> {
        self.file.write_all(rows).and_then(|()| self.file.sync_data()).map_err(at(&self.part, "write"))?;
        self.journal.bytes += rows.len() as u64;
        self.journal.done = done;
        let text = serde_json::to_string_pretty(&self.journal).expect("a journal is plain data") + "\n";
        sc_io::atomic::write_aside(&self.journal_path, true, |file| file.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.path.exists() {
            return Err(Error::Exists { path: self.path });
        }
        self.file.sync_all().map_err(at(&self.part, "write"))?;
        fs::rename(&self.part, &self.path).map_err(at(&self.path, "write"))
    }
}

/// Whether the file is there, by this very run. Files of others are errors.
fn is_finished(path: &Path, journal_path: &Path, key: &str) -> Result<bool, Error> {
    let exists = |path: &Path| Err(Error::Exists { path: path.to_owned() });
    match (read(journal_path)?, path.exists()) {
        (None, false) => Ok(false),
        (None, true) => exists(path),
        (Some(journal), _) if journal.key != key => exists(journal_path),
        (Some(_), false) => Ok(false),
        (Some(journal), true) => {
            let found = fs::metadata(path).map_err(at(path, "read"))?.len();
            match journal.done == journal.n_perturbations && found == journal.bytes {
                true => Ok(true),
                false => exists(path),
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<Journal>, Error> {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(journal) => Ok(Some(journal)),
            Err(_) => Err(Error::Exists { path: path.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, "read")(error)),
    }
}

fn behind(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn at(path: &Path, doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| sc_io::Error::Io { path: path.to_owned(), doing, source }.into()
}
