//! What can go wrong in fetching, and what to do about it.

use std::path::PathBuf;

/// Why a file was not fetched. Addresses are shown without passwords and without what follows `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The artifact itself is at fault.
    #[error("cannot fetch {file:?}: {why}")]
    BadArtifact {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing may be downloaded, and the file is not there.
    #[error("{}: not in the folder, and nothing may be downloaded", path.display())]
    Offline {
        /// Where the file should be.
        path: PathBuf,
        /// Where it could be downloaded.
        url: String,
    },
    /// There is a file of that name which is not the artifact.
    #[error("{}: the file has {what} {found}, expected {expected}", path.display())]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// `size` or `SHA-256`.
        what: &'static str,
        /// What it has.
        found: String,
        /// What the artifact states.
        expected: String,
    },
    /// An address that is not connected to.
    #[error("{url}: {why}")]
    Refused {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("{url} redirects to {to}: {why}")]
    Redirect {
        /// The address that redirects.
        url: String,
        /// Where to.
        to: String,
        /// Why it is not followed.
        why: String,
    },
    /// No connection, or no answer on it.
    #[error("{url}: no answer")]
    Connect {
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not the file.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// How many seconds the server asks to wait.
        retry_after: Option<u64>,
    },
    /// The server sent a part of the file that was not asked for.
    #[error("{url}: asked for the bytes from {asked} on, the server sent {found}")]
    Range {
        /// The address.
        url: String,
        /// The first byte asked for.
        asked: u64,
        /// What the server says that it sent.
        found: String,
    },
    /// The file comes in another form than it has.
    #[error("{url}: the server sent the file as {encoding:?}, although it was asked for it as it is")]
    Encoded {
        /// The address.
        url: String,
        /// The form.
        encoding: String,
    },
    /// The connection ended before the file did.
    #[error("{url}: the connection ended after {found} bytes of {}", expected.map_or("an unknown number".to_owned(), |n| n.to_string()))]
    Cut {
        /// The address.
        url: String,
        /// Bytes received.
        found: u64,
        /// Bytes of the whole file.
        expected: Option<u64>,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing came for {seconds} s, after {found} bytes")]
    Stalled {
        /// The address.
        url: String,
        /// How long was waited.
        seconds: u64,
        /// Bytes received.
        found: u64,
    },
    /// The file is larger than allowed.
    #[error("{url}: the file has {found} bytes or more; at most {limit} are allowed")]
    TooLarge {
        /// The address.
        url: String,
        /// Its size, or the bytes received.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The file has not the size that the artifact states.
    #[error("{url}: the file has {found} bytes, expected {expected}")]
    WrongSize {
        /// The address.
        url: String,
        /// Its size.
        found: u64,
        /// The size stated.
        expected: u64,
    },
    /// The file has not the SHA-256 that the artifact states.
    #[error("{url}: the file has SHA-256 {found}, expected {expected}")]
    WrongHash {
        /// The address.
        url: String,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 stated.
        expected: String,
    },
    /// The caller did not want to go on.
    #[error("{}: cancelled", path.display())]
    Cancelled {
        /// The file that was fetched.
        path: PathBuf,
    },
    /// An archive has an entry that is not unpacked.
    #[error("{}: entry {entry:?} {why}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// Why it is refused.
        why: String,
    },
    /// The operating system refused something.
    #[error("{}: cannot {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// What can be done about it, where there is something to say.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Offline { path, url } => {
                format!("download {url} elsewhere and put it at {}, or allow downloads", path.display())
            }
            Self::WrongFile { path, .. } => {
                format!("if {} is not yours to keep, remove it or ask for it to be replaced", path.display())
            }
            Self::Refused { .. } | Self::Redirect { .. } => {
                "if this address is meant, allow it in the options; otherwise somebody may be listening in".to_owned()
            }
            Self::Connect { .. } | Self::Stalled { .. } | Self::Cut { .. } => {
                "look at the connection and start again: what has arrived is taken up where its SHA-256 is known".to_owned()
            }
            Self::Status { status: 401 | 403, .. } => {
                "the server wants to know who asks: accept its terms there, and give a token".to_owned()
            }
            Self::Status { status: 404 | 410, .. } => {
                "the file has moved; look for it where its publisher keeps it now".to_owned()
            }
            Self::Status { .. } => "the server is busy or broken; try again later".to_owned(),
            Self::WrongSize { .. } | Self::WrongHash { .. } => {
                "the publisher changed the file, or it was changed on its way; do not use it unless you know which"
                    .to_owned()
            }
            Self::TooLarge { .. } => "if the file is meant to be that large, raise the limit".to_owned(),
            Self::Encoded { .. } => "fetch the file by other means and put it in the folder".to_owned(),
            _ => return None,
        })
    }

    /// Whether the same address may do better a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Cut { .. } | Self::Stalled { .. } | Self::Range { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether another address may do better.
    pub(super) fn is_of_one_address(&self) -> bool {
        !matches!(
            self,
            Self::Cancelled { .. } | Self::Io { .. } | Self::BadArtifact { .. } | Self::WrongFile { .. }
        )
    }
}
