//! One file of the folder: what is there, what is there in part, and whose turn it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Artifact, Error, Fetched, Progress, Report, Result};

/// How often somebody who waits is asked whether to go on.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Bytes read at a time.
const BLOCK: usize = 1 << 18;

/// The place of one artifact in the folder.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    folder: PathBuf,
    name: String,
    /// The SHA-256 stated, in lower case.
    sha256: Option<String>,
}

impl Slot {
    pub(super) fn new(folder: &Path, artifact: &Artifact) -> Result<Self> {
        let bad = |why: String| Error::BadArtifact { file: artifact.file.clone(), why };
        let parts: Vec<&str> = artifact.file.split('/').collect();
        let plain = |part: &&str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.contains(['\\', ':', '\0'])
                && !part.ends_with(['.', ' '])
        };
        let Some((name, folders)) = parts.split_last().filter(|_| parts.iter().all(plain)) else {
            return Err(bad("its name must stay inside the folder and not be hidden".to_owned()));
        };
        let sha256 = artifact.sha256.as_ref().map(|digits| digits.to_ascii_lowercase());
        if let Some(digits) = &sha256
            && (digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(bad(format!("{digits:?} is no SHA-256: 64 hexadecimal digits")));
        }
        let folder = folders.iter().fold(folder.to_owned(), |path, part| path.join(part));
        Ok(Self { path: folder.join(name), folder, name: (*name).to_owned(), sha256 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    fn hidden(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!(".{}.{suffix}", self.name))
    }

    pub(super) fn make_folder(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, "create the folder", e))
    }

    pub(super) fn cancelled(&self) -> Error {
        Error::Cancelled { path: self.path.clone() }
    }

    /// Waits until nobody else fetches this file. The lock ends with the process that holds it.
    pub(super) fn lock(&self, report: Report<'_>) -> Result<File> {
        let path = self.hidden("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| failed(&path, "open the lock", e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(failed(&path, "take the lock", e)),
            }
            let bytes = std::fs::metadata(self.hidden("part")).map_or(0, |meta| meta.len());
            if report(Progress { bytes, total: None }).is_break() {
                return Err(self.cancelled());
            }
            std::thread::sleep(TICK);
        }
    }

    /// The file, if it is there and is the artifact.
    pub(super) fn existing(&self, artifact: &Artifact, report: Report<'_>) -> Result<Option<Fetched>> {
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&self.path, "look at the file", e)),
        };
        if !meta.is_file() {
            let why = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
            return Err(failed(&self.path, "use what is there", why));
        }
        let wrong =
            |what, found, expected| Error::WrongFile { path: self.path.clone(), what, found, expected };
        if let Some(expected) = artifact.size
            && meta.len() != expected
        {
            return Err(wrong("size", meta.len().to_string(), expected.to_string()));
        }
        let mut file = File::open(&self.path).map_err(|e| failed(&self.path, "read the file", e))?;
        let mut hash = Sha256::new();
        let bytes = self.hashed(&mut file, &mut hash, Some(meta.len()), report)?;
        let sha256 = hex(hash);
        if let Some(expected) = self.sha256()
            && sha256 != expected
        {
            return Err(wrong("SHA-256", sha256, expected.to_owned()));
        }
        let verified = self.sha256.is_some();
        Ok(Some(Fetched { path: self.path.clone(), bytes, sha256, verified, downloaded: false }))
    }

    /// Adds the rest of a file to a hash; gives its bytes.
    fn hashed(
        &self,
        file: &mut File,
        hash: &mut Sha256,
        total: Option<u64>,
        report: Report<'_>,
    ) -> Result<u64> {
        let mut block = vec![0; BLOCK];
        let mut bytes = 0;
        loop {
            let n = match file.read(&mut block) {
                Ok(0) => return Ok(bytes),
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(&self.path, "read the file", e)),
            };
            hash.update(&block[..n]);
            bytes += n as u64;
            if report(Progress { bytes, total }).is_break() {
                return Err(self.cancelled());
            }
        }
    }

    /// What an earlier attempt left, or nothing. `keep` says whether it may be taken up.
    pub(super) fn part(&self, keep: bool, report: Report<'_>) -> Result<Part<'_>> {
        let path = self.hidden("part");
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.map_err(|e| failed(&path, "open the file", e))?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut version = None;
        if keep {
            version = std::fs::read_to_string(self.hidden("part.etag")).ok();
            bytes = self.hashed(&mut file, &mut hash, None, report)?;
        }
        let mut part = Part { slot: self, path, file, hash, bytes, version };
        if !keep {
            part.restart(None)?;
        }
        Ok(part)
    }
}

/// The hidden file in which a download grows.
pub(super) struct Part<'s> {
    slot: &'s Slot,
    path: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    version: Option<String>,
}

impl Part<'_> {
    /// Bytes that are there.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The version (`ETag`) of the file that the bytes are of, where the server named one.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Starts from nothing, with a file of this version.
    pub(super) fn restart(&mut self, version: Option<String>) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|e| failed(&self.path, "empty the file", e))?;
        self.hash = Sha256::new();
        self.bytes = 0;
        // The name of a version is put down before the first of its bytes.
        let path = self.slot.hidden("part.etag");
        let noted = match &version {
            Some(version) => std::fs::write(&path, version),
            None => std::fs::remove_file(&path),
        };
        match noted {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(&path, "write the file", e));
            }
            _ => {}
        }
        self.version = version;
        Ok(())
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| failed(&self.path, "write the file", e))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// SHA-256 of the bytes that are there.
    pub(super) fn sha256(&self) -> String {
        hex(self.hash.clone())
    }

    /// Puts the file in place.
    pub(super) fn place(self) -> Result<Fetched> {
        let slot = self.slot;
        self.file.sync_all().map_err(|e| failed(&self.path, "write the file", e))?;
        let sha256 = self.sha256();
        let Self { path, file, bytes, .. } = self;
        drop(file);
        std::fs::rename(&path, &slot.path).map_err(|e| failed(&slot.path, "put the file in place", e))?;
        crate::atomic::sync_folder(&slot.folder).map_err(|e| failed(&slot.folder, "write the folder", e))?;
        // Nothing depends on this one: without a part it is not looked at.
        let _ = std::fs::remove_file(slot.hidden("part.etag"));
        let verified = slot.sha256.is_some();
        Ok(Fetched { path: slot.path.clone(), bytes, sha256, verified, downloaded: true })
    }
}

/// Waits, and asks every now and then whether to go on.
pub(super) fn wait(slot: &Slot, time: Duration, progress: Progress, report: Report<'_>) -> Result<()> {
    let mut left = time;
    loop {
        if let ControlFlow::Break(()) = report(progress) {
            return Err(slot.cancelled());
        }
        if left.is_zero() {
            return Ok(());
        }
        let nap = left.min(TICK);
        std::thread::sleep(nap);
        left -= nap;
    }
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn failed(path: &Path, doing: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), doing, source }
}
