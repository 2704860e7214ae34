//! Released checkpoints as data: what they consist of, how to recognise it, and what their licence allows.
//!
//! Nothing is fetched here. A program hands [`ReleasedFile`]s to whatever downloads, and a user who has the files already
//! asks [`identify`] what they are.
//!
//! ```
//! use sc_fm::registry::{self, Role};
//!
//! let release = registry::release("Geneformer-V2-104M")?;
//! assert_eq!((release.config.n_layers, release.config.vocab_size), (12, 20_275));
//! let tokens = release.file(Role::Tokens).expect("every Geneformer has a token dictionary");
//! assert_eq!(tokens.path, "geneformer/token_dictionary_gc104M.pkl");
//! assert!(tokens.sha256.and_then(|hash| hash.full()).is_some());
//!
//! let error = release.check_tokens(25_426).unwrap_err();
//! assert!(error.to_string().contains("expected 20275"));
//! # Ok::<(), registry::Error>(())
//! ```

mod error;
mod releases;

pub use error::Error;
pub use releases::RELEASES;

use std::path::Path;

use sc_io::nearest::nearest;

use crate::checkpoint;

/// A checkpoint with all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its name, unique among the [`RELEASES`].
    pub name: &'static str,
    /// Where its files are.
    pub source: Origin,
    /// Its files.
    pub files: &'static [ReleasedFile],
    /// The shape of the model.
    pub config: ConfigSummary,
    /// On what terms its weights are released.
    pub licence: Licence,
}

/// Where the files of a release are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A repository of the model hub, such as `ctheodoris/Geneformer`, at a branch or commit.
    Hub {
        /// Owner and name.
        repository: &'static str,
        /// Branch or commit. What a branch holds may change; the hashes say whether it did.
        revision: &'static str,
    },
    /// No address that a program could use; where a person finds the files.
    ByHand(&'static str),
}

/// A file of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleasedFile {
    /// What it is for.
    pub role: Role,
    /// Its path in the repository, or its name.
    pub path: &'static str,
    /// Its length in bytes, where it is known.
    pub size: Option<u64>,
    /// What is known of its SHA-256.
    pub sha256: Option<Sha256>,
}

/// What a file of a release is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The tensors.
    Weights,
    /// The shape of the model.
    Config,
    /// Gene to token: [`dictionary::tokens`](crate::checkpoint::dictionary::tokens).
    Tokens,
    /// Gene to median: [`dictionary::numbers`](crate::checkpoint::dictionary::numbers).
    Medians,
    /// Any id or symbol to Ensembl id: [`dictionary::texts`](crate::checkpoint::dictionary::texts).
    Mapping,
    /// Symbol to Ensembl id, for names in reports: [`dictionary::texts`](crate::checkpoint::dictionary::texts).
    Symbols,
    /// The list of genes, one a line.
    Genes,
}

/// SHA-256 of a file: all 64 digits, or the first and last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256 {
    starts: &'static str,
    ends: &'static str,
}

impl Sha256 {
    /// The whole hash, if it is known, in lower-case hexadecimal.
    pub fn full(&self) -> Option<&'static str> {
        (self.starts.len() == 64).then_some(self.starts)
    }

    /// Whether a hash in lower-case hexadecimal agrees with all that is known.
    pub fn matches(&self, hash: &str) -> bool {
        hash.len() == 64 && hash.starts_with(self.starts) && hash.ends_with(self.ends)
    }
}

impl std::fmt::Display for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.full() {
            Some(hash) => f.write_str(hash),
            None => write!(f, "{}…{}", self.starts, self.ends),
        }
    }
}

/// The shape of a model, for comparison with a configuration, a dictionary or weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigSummary {
    /// Layers of the encoder.
    pub n_layers: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Heads of attention.
    pub n_heads: usize,
    /// Width between the two linear layers of a feed-forward block.
    pub intermediate_size: usize,
    /// Tokens, special ones included.
    pub vocab_size: usize,
    /// Tokens of the longest input.
    pub max_positions: usize,
}

/// The terms of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Licence {
    /// Its name.
    pub name: &'static str,
    /// What it allows and what it does not, in a sentence. The licence itself decides.
    pub allows: &'static str,
}

impl Release {
    /// The file for a purpose.
    pub fn file(&self, role: Role) -> Option<&'static ReleasedFile> {
        self.files.iter().find(|file| file.role == role)
    }

    /// Says that a dictionary of `n_tokens` tokens, special ones included, is the one of this model.
    ///
    /// # Errors
    /// [`Error::Tokens`].
    pub fn check_tokens(&self, n_tokens: usize) -> Result<(), Error> {
        match n_tokens == self.config.vocab_size {
            true => Ok(()),
            false => {
                Err(Error::Tokens { release: self.name, found: n_tokens, expected: self.config.vocab_size })
            }
        }
    }
}

impl ReleasedFile {
    /// Compares a file on disk with what is known of this one, which is everything for a full hash, and may be nothing.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Hash`], [`Error::Checkpoint`] if it cannot be read.
    pub fn verify(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        if let Some(expected) = self.size {
            let found = checkpoint::size(path)?;
            if found != expected {
                return Err(Error::Size { path: path.to_owned(), found, expected });
            }
        }
        if let Some(expected) = self.sha256 {
            let found = checkpoint::sha256(path)?;
            if !expected.matches(&found) {
                return Err(Error::Hash { path: path.to_owned(), found, expected: expected.to_string() });
            }
        }
        Ok(())
    }
}

/// The release of a name.
///
/// # Errors
/// [`Error::Unknown`], with the nearest name.
pub fn release(name: &str) -> Result<&'static Release, Error> {
    let unknown = || Error::Unknown {
        name: name.to_owned(),
        nearest: nearest(name, RELEASES.iter().map(|release| release.name), name.len() / 2)
            .map(str::to_owned),
    };
    RELEASES.iter().find(|release| release.name.eq_ignore_ascii_case(name)).ok_or_else(unknown)
}

/// What a file is, by size and hash: the releases that it belongs to and the file that it is in each. Empty for a file of no
/// release, and for those of which no hash is known. A folder is identified by the weights in it.
///
/// The file is read, for its hash, if its size is that of a released one.
///
/// # Errors
/// [`Error::Checkpoint`] if it cannot be read, or the folder holds no checkpoint.
pub fn identify(path: impl AsRef<Path>) -> Result<Vec<(&'static Release, &'static ReleasedFile)>, Error> {
    let path = checkpoint::find(path.as_ref())?.file;
    let size = checkpoint::size(&path)?;
    let files = RELEASES.iter().flat_map(|release| release.files.iter().map(move |file| (release, file)));
    let mut candidates: Vec<_> =
        files.filter(|(_, file)| file.size == Some(size) && file.sha256.is_some()).collect();
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let hash = checkpoint::sha256(&path)?;
    candidates.retain(|(_, file)| file.sha256.is_some_and(|known| known.matches(&hash)));
    Ok(candidates)
}

#[cfg(test)]
mod tests;
