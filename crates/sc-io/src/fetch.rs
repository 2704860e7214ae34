//! Files from the network: fetched when somebody asks for it, checked, resumed, and put in place whole.
//!
//! No other function of these crates opens a connection. What is fetched is an [`Artifact`], plain data: where the file is,
//! how large it is, what its SHA-256 is. Where it is kept is a folder that the caller names.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use sc_io::fetch::{FetchOptions, Hub, fetch};
//!
//! let commit = "0123456789abcdef0123456789abcdef01234567";
//! let config = Hub::default().artifact("some-lab/some-model", commit, "model.safetensors")?;
//! let file = fetch(&config, "models", &FetchOptions::default(), &mut |progress| {
//!     eprintln!("{} of {:?} bytes", progress.bytes, progress.total);
//!     ControlFlow::Continue(())
//! })?;
//! println!("{} (SHA-256 {}, {})", file.path.display(), file.sha256, if file.verified { "as stated" } else { "not stated" });
//! # Ok::<(), sc_io::fetch::Error>(())
//! ```
//!
//! * **Whole or not there.** Bytes go to a hidden `.part` file beside the target, are hashed as they come, and are renamed
//!   when size and hash are right. Two processes that want the same file take turns on a lock (a hidden file that stays); the second finds the file.
//! * **Resumed.** A cut connection is taken up where it broke off, with `Range` and, where the server named the version of
//!   the file, `If-Range`; a server that cannot do that sends everything again. What an earlier process left is taken up
//!   only if the artifact states its SHA-256, and is hashed again.
//! * **Careful about addresses.** HTTPS, except to this machine; at most a few redirects, never from HTTPS to HTTP; no
//!   connection to private, link-local or metadata addresses, which is decided on the address that is connected to and not
//!   on its name. [`FetchOptions`] relaxes each of these. Proxies, and the environment, are not looked at.
//! * **Patient, not stubborn.** Connections that stall, are cut, or are answered with 408, 429 or 5xx are tried again, as
//!   `Retry-After` asks; then the next address of the artifact is.

mod address;
mod archive;
mod cache;
mod error;
mod hub;
mod retry;
mod transfer;

pub use archive::unpack_tar_gz;
pub use error::Error;
pub use hub::Hub;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cache::Slot;

/// What functions of this module return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name below the folder of the caller: one name, or several with `/` between them.
    pub file: String,
    /// Where it is, tried in this order.
    pub urls: Vec<String>,
    /// Its size in bytes, if it is known.
    pub size: Option<u64>,
    /// Its SHA-256 in hexadecimal digits, if it is known. Without one, whatever the server sends is accepted.
    pub sha256: Option<String>,
}

/// How a file is fetched.
#[derive(Clone)]
pub struct FetchOptions {
    /// Take the file from the folder, and fail if it is not there. Default false.
    pub offline: bool,
    /// Replace a file in the folder that is not the artifact. Default false: it is an error.
    pub replace: bool,
    /// A larger file is refused. Default 64 GiB.
    pub max_bytes: u64,
    /// How often an address is tried again without a single new byte in between. Default 4.
    pub retries: u32,
    /// How long to wait before the first retry; doubled before each further one. Default 1 s.
    pub backoff: Duration,
    /// The longest wait before a retry; a server that asks for more is given up. Default 2 min.
    pub max_wait: Duration,
    /// How long a name may take to be looked up, and a connection to be made. Default 30 s.
    pub connect_timeout: Duration,
    /// How long a connection may be silent. Default 60 s.
    pub idle_timeout: Duration,
    /// How many redirects are followed. Default 5.
    pub max_redirects: u32,
    /// Allow plain HTTP to other machines. Default false.
    pub allow_http: bool,
    /// Allow connections to private, link-local and other special addresses. Default false.
    pub allow_private: bool,
    /// A token for the host of the artifact, sent as `Authorization: Bearer`, and to no host that it redirects to.
    pub token: Option<String>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            offline: false,
            replace: false,
            max_bytes: 64 << 30,
            retries: 4,
            backoff: Duration::from_secs(1),
            max_wait: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            max_redirects: 5,
            allow_http: false,
            allow_private: false,
            token: None,
        }
    }
}

/// Everything but the token.
impl std::fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchOptions")
            .field("offline", &self.offline)
            .field("replace", &self.replace)
            .field("max_bytes", &self.max_bytes)
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .field("max_wait", &self.max_wait)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_redirects", &self.max_redirects)
            .field("allow_http", &self.allow_http)
            .field("allow_private", &self.allow_private)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .finish()
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there, those of earlier attempts included.
    pub bytes: u64,
    /// Bytes of the whole file, where they are known.
    pub total: Option<u64>,
}

/// Is told about progress, and asked whether to go on. It is called at least every 50 ms while something is waited for, except
/// for an answer from the network; that wait ends by its time-out.
pub type Report<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A file that is in the folder now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, as computed from the file.
    pub sha256: String,
    /// Whether the artifact states that SHA-256.
    pub verified: bool,
    /// Whether anything was downloaded for it.
    pub downloaded: bool,
}

/// Fetches an artifact into a folder, unless it is there already.
///
/// A file that is there is hashed; if size and hash are those that the artifact states, nothing is downloaded. One that is
/// not the artifact is an error, or replaced if that was asked for.
///
/// # Errors
/// See [`Error`]; each says what can be done next ([`Error::help`]). After an error the folder holds no file that was not
/// checked; what was downloaded is kept for the next attempt, unless it is known to be wrong.
pub fn fetch(
    artifact: &Artifact,
    folder: impl AsRef<Path>,
    options: &FetchOptions,
    report: Report<'_>,
) -> Result<Fetched> {
    let slot = Slot::new(folder.as_ref(), artifact)?;
    if options.offline {
        let there = slot.existing(artifact, report)?;
        return there.ok_or_else(|| Error::Offline {
            path: slot.path().to_owned(),
            url: artifact.urls.first().map(|url| address::shown(url)).unwrap_or_default(),
        });
    }
    slot.make_folder()?;
    let _lock = slot.lock(report)?;
    match slot.existing(artifact, report) {
        Ok(Some(there)) => return Ok(there),
        Ok(None) => {}
        Err(Error::WrongFile { .. }) if options.replace => {}
        Err(e) => return Err(e),
    }
    let mut failure = Error::BadArtifact { file: artifact.file.clone(), why: "it has no address".to_owned() };
    for url in &artifact.urls {
        match retry::download(artifact, url, &slot, options, report) {
            Ok(fetched) => {
                tracing::info!("fetched {} ({} bytes)", fetched.path.display(), fetched.bytes);
                return Ok(fetched);
            }
            Err(e) if e.is_of_one_address() => {
                tracing::warn!("{e}");
                failure = e;
            }
            Err(e) => return Err(e),
        }
    }
    Err(failure)
}
