//! What can go wrong between this program and a model on a server.

use std::path::PathBuf;

/// Why a server was not asked, or did not answer. No error holds a key: addresses are shown without users and without
/// what follows `?`, and what a server said is searched for the key, cut short, and freed of control characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter that makes no sense.
    #[error("`{field}` is {found}, expected {expected}")]
    BadParams {
        /// The parameter.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A request that cannot be sent.
    #[error("request {id:?} {why}")]
    BadRequest {
        /// Its id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A synonym of no label, or of several.
    #[error("synonym {synonym:?} {why}")]
    BadSynonym {
        /// The synonym.
        synonym: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A key that cannot be sent.
    #[error("the key {why}")]
    BadKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No variable holds a key.
    #[error("none of {names:?} holds a key")]
    NoKey {
        /// The variables that were looked at.
        names: Vec<String>,
    },
    /// A file of a key that others can read.
    #[error("{}: others may read this key (mode {mode:o})", path.display())]
    OpenKeyFile {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
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
    /// A reply could not be kept.
    #[error("a reply could not be kept")]
    Keep(#[source] sc_io::Error),
    /// A price table that cannot be read.
    #[error("{place}: {why}")]
    BadPrices {
        /// The file, or the model.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A limit on cost without a price.
    #[error("the cost is limited, and the price table has no model {model:?}")]
    NoPrice {
        /// The model.
        model: String,
    },
    /// A file of root certificates that cannot be used.
    #[error("{}: {why}", path.display())]
    BadCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An address that is not connected to.
    #[error("{url}: {why}")]
    Refused {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// A redirect; none is followed.
    #[error("{url}: the server answered {status} and redirects to {to}")]
    Redirect {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// Where to.
        to: String,
    },
    /// A server that could not show that it is the one of this address. Nothing was sent.
    #[error("{url}: the certificate of the server is not trusted")]
    Certificate {
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No connection, or none that lasted until an answer.
    #[error("{url}: no answer")]
    Connect {
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something took too long.
    #[error("{url}: {what} took more than {seconds} s")]
    TimedOut {
        /// The address.
        url: String,
        /// What took too long.
        what: &'static str,
        /// How long was waited.
        seconds: f64,
    },
    /// The answer broke off.
    #[error("{url}: the answer broke off after {found} bytes")]
    Cut {
        /// The address.
        url: String,
        /// Bytes received.
        found: u64,
    },
    /// The answer is larger than allowed.
    #[error("{url}: the answer has more than {limit} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The server refused the request.
    #[error("{url}: the server answered {status}: {message}")]
    Status {
        /// The address.
        url: String,
        /// The status of HTTP, or of the error that came with status 200.
        status: u16,
        /// What the server said about it.
        message: String,
        /// Its word for it, if it has one.
        code: Option<String>,
        /// The field of the request that it names, if it names one.
        field: Option<String>,
    },
    /// The key is not accepted.
    #[error("{url}: the server answered 401: {message}")]
    Unauthorized {
        /// The address.
        url: String,
        /// What the server said about it.
        message: String,
    },
    /// The account is empty.
    #[error("{url}: the quota of this account is used up: {message}")]
    NoQuota {
        /// The address.
        url: String,
        /// What the server said about it.
        message: String,
    },
    /// The server asks for a longer pause than is allowed.
    #[error("{url}: the server asks to wait {seconds} s, at most {limit} s are allowed")]
    TooLong {
        /// The address.
        url: String,
        /// What it asks for.
        seconds: f64,
        /// The limit.
        limit: f64,
    },
    /// The answer is not of the protocol.
    #[error("{url}: {what}: {start:?}")]
    Garbled {
        /// The address.
        url: String,
        /// What it lacks.
        what: &'static str,
        /// How the answer starts.
        start: String,
    },
    /// Nothing may be sent, and the answer is not kept.
    #[error("{}: request {id:?} has no kept answer ({key}), and nothing may be sent", folder.display())]
    NotKept {
        /// The folder of answers.
        folder: PathBuf,
        /// The request, or `probe`.
        id: String,
        /// The key of the answer.
        key: String,
    },
    /// A kept answer that is not what it should be.
    #[error("{}: this is not the kept answer of request {id:?}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The request, or `probe`.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The next request could cost more than is allowed.
    #[error("request {id:?} could need {needed} {unit}; {spent} of {limit} are spent")]
    Budget {
        /// The request, or `probe`.
        id: String,
        /// What it could need.
        needed: f64,
        /// What is spent.
        spent: f64,
        /// The limit.
        limit: f64,
        /// `tokens`, or `of money`.
        unit: &'static str,
    },
    /// The caller did not want to go on.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// What can be done about it, where there is something to say.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadRequest { .. } => {
                "give each request its own id, and messages with text, the last of them of the user"
            }
            Self::NoKey { .. } => "set one of these variables, or keep the key in a file of mode 0600",
            Self::OpenKeyFile { .. } => {
                "take the permissions of others away (chmod 600), and replace the key"
            }
            Self::BadPrices { .. } => {
                "give each model its `input` and `output` per million tokens, and names with a dot in TOML quotes"
            }
            Self::NoPrice { .. } => "add the model to the price table, or limit tokens instead of cost",
            Self::Refused { .. } => {
                "if this server is meant, allow it in the parameters; otherwise somebody may be listening in"
            }
            Self::Redirect { .. } => {
                "if you trust it, give that address as the base; no redirect is followed"
            }
            Self::BadCertificates { .. } => {
                "give a PEM file, which has lines BEGIN CERTIFICATE; ask who keeps your network for it"
            }
            Self::Certificate { .. } => {
                "if your network looks into connections, or this is a server of your own, give its root certificate \
                 (root_certificates); otherwise somebody may be listening in"
            }
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Cut { .. } => {
                "see whether the server runs and is reached; run again: answers that are kept are not asked for again"
            }
            Self::TooLarge { .. } => "allow fewer tokens in an answer, or larger answers",
            Self::Status { status: 404, .. } => {
                "look at the base, which often ends in /v1, and at the name of the model"
            }
            Self::Unauthorized { .. } => "give the key of this server; nothing else was asked after this",
            Self::NoQuota { .. } => "look at the account at this provider; nothing else was asked after this",
            Self::TooLong { .. } => "run again later, or allow longer pauses",
            Self::Garbled { .. } => "look at the base: this does not look like an OpenAI-compatible server",
            Self::NotKept { .. } => {
                "allow requests, or replay with the parameters and prompts of the first run"
            }
            Self::Damaged { .. } => "remove the file, or ask again with Mode::Refresh",
            Self::Budget { .. } => {
                "raise the limit and run again: answers that are kept are not paid for again"
            }
            _ => return None,
        })
    }

    /// Whether the same request may do better a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::TimedOut { .. } | Self::Cut { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Whether every other request would fail in the same way, so that none should be sent.
    pub(super) fn ends_the_run(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. }
                | Self::NoQuota { .. }
                | Self::Refused { .. }
                | Self::Redirect { .. }
                | Self::Certificate { .. }
                | Self::NotKept { .. }
                | Self::Damaged { .. }
                | Self::Keep(_)
                | Self::Budget { .. }
                | Self::Stopped
        )
    }

    /// Whether the server may have worked for this request, and want to be paid.
    pub(super) fn may_be_billed(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. } | Self::Cut { .. } | Self::TooLarge { .. } | Self::Garbled { .. }
        )
    }
}
