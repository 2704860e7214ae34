//! What can go wrong with a store of rows, and what to do about it.

use std::path::PathBuf;

/// Why a store cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that makes no sense.
    #[error("{why}")]
    BadInput {
        /// What is wrong.
        why: String,
    },
    /// The store belongs to another computation.
    #[error("{}: the rows there are of another run: {what} is {found}, expected {expected}", path.display())]
    OtherRun {
        /// The store.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What it is there.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// There is a file that no store made.
    #[error("{}: there is a file that is not the matrix of this store", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The store is open elsewhere.
    #[error("{}: the store is open in another run", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// Rows were asked for that are not there yet.
    #[error("{}: {missing} of {blocks} blocks are missing among the rows asked for", path.display())]
    Incomplete {
        /// The store.
        path: PathBuf,
        /// Blocks that are missing.
        missing: usize,
        /// Blocks of the whole.
        blocks: usize,
    },
    /// The operating system refused something.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// What can be done about it, where there is something to say.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::OtherRun { .. } => Some(
                "the inputs or parameters changed: name another file, or remove this one and its journal",
            ),
            Self::Foreign { .. } => Some("name another file, or move this one away"),
            Self::Busy { .. } => Some("wait until the other run has ended"),
            Self::Incomplete { .. } => Some("run the computation again: it goes on where it stopped"),
            _ => None,
        }
    }
}
