//! What was loaded, for the record of a run.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Error;
use super::source::Source;

/// A file that weights were read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRecord {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal, once it was asked for.
    pub sha256: Option<String>,
}

impl FileRecord {
    pub(crate) fn new(path: &Path, size: u64) -> Self {
        Self { path: path.to_owned(), size, sha256: None }
    }
}

/// What became of the tensors of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The files read; none for weights that were made in memory.
    pub files: Vec<FileRecord>,
    /// The commit of the repository, where the files lie in a cache that says so.
    pub revision: Option<String>,
    /// Tensors that the model has taken.
    pub n_taken: usize,
    /// Numbers in them.
    pub n_parameters: usize,
    /// Tensors under another name than in the file.
    pub renamed: Vec<Renamed>,
    /// Tensors that were left out on purpose.
    pub ignored: Vec<Ignored>,
}

/// A tensor under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Its name in the file.
    pub from: String,
    /// Its name for the model.
    pub to: String,
}

/// A tensor that no part of the model needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Its name.
    pub name: String,
    /// Why it is not needed.
    pub reason: &'static str,
}

impl Report {
    /// The same, with the SHA-256 of every file, which are read once more for it.
    ///
    /// # Errors
    /// [`Error::Changed`] if a file has another length by now, [`Error::Io`].
    pub fn hashed(mut self) -> Result<Self, Error> {
        for file in &mut self.files {
            let source = Source::open(&file.path)?;
            if source.length() != file.size {
                return Err(Error::Changed {
                    path: file.path.clone(),
                    before: file.size,
                    found: source.length(),
                });
            }
            file.sha256 = Some(sha256_of(&source)?);
        }
        Ok(self)
    }
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`], [`Error::NoFile`].
pub fn sha256(path: impl AsRef<Path>) -> Result<String, Error> {
    sha256_of(&Source::open(path.as_ref())?)
}

/// Length of a file in bytes.
pub(crate) fn size(path: &Path) -> Result<u64, Error> {
    Ok(Source::open(path)?.length())
}

fn sha256_of(source: &Source) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    source.pieces(0, source.length(), |piece| hasher.update(piece))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
