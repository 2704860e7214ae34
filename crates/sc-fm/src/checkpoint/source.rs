//! A file, read piece by piece at given places.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Error;

/// Bytes read at a time: enough for the disk, and still in the processor's cache when they are converted.
const CHUNK: usize = 1 << 18;

/// An open file of known length. It may be read from several threads at once.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), doing: "open", source };
        if let (Ok(to), Err(reason)) = (std::fs::read_link(path), std::fs::metadata(path))
            && reason.kind() == std::io::ErrorKind::NotFound
        {
            return Err(Error::Dangling { path: path.to_owned(), to });
        }
        // Asked first, because opening a pipe would wait for somebody to write into it.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::NoFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// An error at a place of this file.
    pub(crate) fn format(&self, offset: u64, found: impl Into<String>, expected: &'static str) -> Error {
        Error::Format { path: self.path.clone(), offset, found: found.into(), expected }
    }

    /// The bytes at `offset`, which are allocated only if the file has them.
    pub(crate) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        self.check(offset, length)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| self.too_short(offset))?];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The whole file, if it has at most `limit` bytes.
    pub(crate) fn read_all(&self, limit: u64) -> Result<Vec<u8>, Error> {
        if self.length > limit {
            return Err(Error::TooLong { path: self.path.clone(), found: self.length, limit });
        }
        self.read(0, self.length)
    }

    /// The bytes at `offset`, in pieces of a multiple of eight bytes, one after another.
    pub(crate) fn pieces(&self, offset: u64, length: u64, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
        self.check(offset, length)?;
        let mut piece = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
        let mut done = 0;
        while done < length {
            let size = (length - done).min(CHUNK as u64);
            let piece = &mut piece[..size as usize];
            self.fill(offset + done, piece)?;
            each(piece);
            done += size;
        }
        Ok(())
    }

    fn check(&self, offset: u64, length: u64) -> Result<(), Error> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => Ok(()),
            _ => Err(self.too_short(offset)),
        }
    }

    fn too_short(&self, offset: u64) -> Error {
        self.format(offset, format!("the end of the file at byte {}", self.length), "more bytes")
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.read_exact_at(offset, bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.too_short(offset),
            _ => Error::Io { path: self.path.clone(), doing: "read", source },
        })
    }

    #[cfg(unix)]
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, offset)
    }

    /// A handle of its own for each reading, because the place in a file is shared among the threads here.
    #[cfg(not(unix))]
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}
