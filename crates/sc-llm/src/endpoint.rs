//! Cell types from a model behind an OpenAI-compatible endpoint: a provider's, or vLLM, llama-server, Ollama and the like.
//!
//! A base address and the name of a model are enough. What the server understands is found out first; whatever it
//! promises, an answer counts only if it is one of the labels.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use sc_llm::endpoint::{Client, EndpointParams, Event, Lexicon, Message, Request, Role, Secret, write_json_lines};
//!
//! let mut params = EndpointParams::new("https://api.example.org/v1", "some-model");
//! params.cache = Some("answers".into());
//! params.max_tokens_spent = Some(200_000);
//! let client = Client::new(params, Some(Secret::from_env(&["SC_LLM_API_KEY"])?))?;
//!
//! let lexicon = Lexicon::new(&["B cell", "T cell", "NK cell"])?;
//! let prompt = "Which of the cell types \"B cell\", \"T cell\", \"NK cell\" has the markers CD3D, CD3E, IL7R?";
//! let requests = [Request { id: "cluster 0".into(), messages: vec![Message::new(Role::User, prompt)] }];
//! let done = client.annotate_all(&requests, &lexicon, &mut |event| {
//!     if let Event::Done(record) = event {
//!         eprintln!("{}: {:?}", record.id, record.label);
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! write_json_lines(&done.records, std::fs::File::create("records.jsonl")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What leaves this machine
//! The messages of each request, with a sentence about the form of the answer; the labels, in a schema or, if an answer was
//! none of them, in a second question; the name of the model, the seed, the limits and [`EndpointParams::extra`]. Ids of
//! requests stay here, so an id may name a cell; a message should not. [`Client::preview`] shows a request as it would be
//! sent. The key goes to the server of the base and to no other: no redirect is followed, no proxy is used, also if
//! variables such as `HTTPS_PROXY` name one, and no connection is made to an address that the name of the server should not
//! stand for. Over HTTPS nothing is sent before the server has shown a certificate that is trusted
//! ([`EndpointParams::root_certificates`]).
//!
//! # How fast requests go
//! One goes first, so that the server has the common start of all prompts when many follow; requests whose first messages
//! are the same go after each other. At most [`EndpointParams::concurrency`] are under way; half as many after each refusal
//! for their number, and one more after each eight answers. What headers say about limits of requests and tokens
//! (`x-ratelimit-*`, `ratelimit-*`, `anthropic-ratelimit-*`) is counted along, and a request that would exceed them waits for
//! the reset, if that is at most [`RetryParams::max_wait`] away, and until half of its own time ([`Timeouts::total`]) is
//! over. A prompt counts with its tokens, and an answer with all that it may have.
//!
//! # What is kept
//! With [`EndpointParams::cache`], each answer with a few of its headers in a file of its own, under the SHA-256 of
//! everything that it depends on: base, model, messages, sampling, schema. Neither the key nor the way in which answers are
//! read is part of it. To go on with a
//! run, run it again; to replay it without a server, use [`Mode::Offline`]. Errors are not kept.
//!
//! # What is the same in each run
//! Requests, and the labels read from the same answers, are the same for any concurrency. Answers are the server's: only
//! kept answers are certain to be the same again. Records hold what a server says of itself ([`Record::model`],
//! [`Record::fingerprint`]) and when.

mod address;
mod annotate;
mod budget;
mod cache;
mod confidence;
mod date;
mod error;
mod gate;
mod http;
mod lexicon;
mod limits;
mod prices;
mod probe;
mod record;
mod reply;
mod retry;
mod run;
mod secret;
mod structure;

pub use budget::Usage;
pub use error::Error;
pub use lexicon::{Lexicon, Match};
pub use prices::{Price, Prices};
pub use probe::{Probe, Tried, Verdict};
pub use record::{ConfidenceFrom, FirstToken, LabelGroup, Outcome, Record, write_json_lines};
pub use run::{Event, Watch};
pub use secret::Secret;
pub use structure::Structure;

pub use crate::chat::{Message, Role};

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, Value};

use address::Base;
use budget::Ledger;
use cache::Cache;
use http::Http;
use limits::Limits;
use structure::{Coding, Dialect, Listing, Sampling};

/// What functions of this module return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A question about one cell or cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name in records. It is not sent.
    pub id: String,
    /// What is sent; the last message is of the user, and some message lists the labels.
    pub messages: Vec<Message>,
}

/// Where answers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Kept answers, and the server for all others.
    #[default]
    Online,
    /// Kept answers only. One that is missing is an error.
    Offline,
    /// The server. What it answers replaces what was kept.
    Refresh,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To look the name up, and to connect. Default 10 s each.
    pub connect: Duration,
    /// From the request to the head of the answer: a model may have to be loaded. Default 300 s.
    pub first_byte: Duration,
    /// Between parts of an answer; empty lines and comments that keep a connection alive are parts. Default 60 s.
    pub idle: Duration,
    /// For one request with all its attempts, pauses and repairs. Default 900 s.
    pub total: Duration,
}

/// When and how often a request is sent again. Tried again are failed connections, time-outs, answers that break off, and
/// the statuses 408, 409, 425, 429 and 5xx, except where the quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryParams {
    /// Attempts in all. Default 6; at least 1.
    pub attempts: u32,
    /// Longest pause before the second attempt; doubled for each further one. Pauses are uniform up to that, or as long as
    /// the server asks. Default 1 s.
    pub backoff: Duration,
    /// Longest pause. A server that asks for more is given up. Default 60 s. Also the longest that is waited, before
    /// anything is sent, for the reset that a server announces in headers on its limits of requests or tokens.
    pub max_wait: Duration,
    /// Seed of the pauses. Default 0.
    pub seed: u64,
}

impl Default for RetryParams {
    fn default() -> Self {
        Self { attempts: 6, backoff: Duration::from_secs(1), max_wait: Duration::from_secs(60), seed: 0 }
    }
}

/// Which model is asked, and how. [`EndpointParams::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct EndpointParams {
    /// Where the server is: `https://api.example.org/v1`, `http://localhost:8000/v1`.
    pub base: String,
    /// The model, as the server names it.
    pub model: String,
    /// Further fields of each request, such as `top_p`, or the `provider` of a router. They do not replace those of this
    /// crate. vLLM takes what is not sent from the model's own `generation_config.json`.
    pub extra: Map<String, Value>,
    /// The way in which labels are asked for. Default none: as [`Client::probe`] finds out.
    pub structure: Option<Structure>,
    /// Temperature of a single answer. Default 0.
    pub temperature: f64,
    /// Seed that is sent; samples count up from it. Default 0.
    pub seed: u64,
    /// Most tokens of an answer. Default 512; a model that reasons needs thousands.
    pub max_tokens: u32,
    /// Ask for probabilities of tokens, where the server has them. Default true.
    pub logprobs: bool,
    /// So many of the most probable tokens are asked for in the place of each, with `logprobs`: what the label could have
    /// begun with, see [`Record::first_token`]. Fewer if the lists of `max_tokens` tokens could take more than 4 MiB. Default
    /// 20, which is the most; 0 asks for none.
    pub top_logprobs: u8,
    /// Answers per request where there are no probabilities of tokens; their agreement is the confidence. Default 1: no
    /// confidence then.
    pub samples: u32,
    /// Temperature of several answers. Default 0.7.
    pub sample_temperature: f64,
    /// Ask a second time where an answer is no label. Default true.
    pub repair: bool,
    /// Let the answer come in parts, which keeps long answers from timing out. Default false.
    pub stream: bool,
    /// Most requests under way at once. Default 4.
    pub concurrency: usize,
    /// Largest answer in bytes. Default 8 MiB.
    pub max_reply_bytes: u64,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// When and how often a request is sent again.
    pub retry: RetryParams,
    /// The folder of kept answers. Default none.
    pub cache: Option<PathBuf>,
    /// Where answers come from. Default [`Mode::Online`].
    pub mode: Mode,
    /// Prices, by model. Default none.
    pub prices: Prices,
    /// Most money that this client spends. Default none. The request that could exceed it is not sent.
    pub max_cost: Option<f64>,
    /// Most tokens that this client spends. Default none. The request that could exceed it is not sent.
    pub max_tokens_spent: Option<u64>,
    /// Send a key over plain HTTP to another machine. Default false.
    pub allow_http: bool,
    /// Connect to private, link-local and other special addresses. Default false. This machine, called by its name, needs
    /// no leave.
    pub allow_private: bool,
    /// A PEM file with root certificates that are trusted instead of Mozilla's: of a network whose proxy looks into
    /// connections, or of a server of one's own, whose certificate may also be its own root. Default none.
    pub root_certificates: Option<PathBuf>,
}

impl EndpointParams {
    /// The defaults for a server and a model.
    pub fn new(base: &str, model: &str) -> Self {
        Self {
            base: base.to_owned(),
            model: model.to_owned(),
            extra: Map::new(),
            structure: None,
            temperature: 0.0,
            seed: 0,
            max_tokens: 512,
            logprobs: true,
            top_logprobs: structure::MAX_TOP,
            samples: 1,
            sample_temperature: 0.7,
            repair: true,
            stream: false,
            concurrency: 4,
            max_reply_bytes: 8 << 20,
            timeouts: Timeouts::default(),
            retry: RetryParams::default(),
            cache: None,
            mode: Mode::Online,
            prices: Prices::default(),
            max_cost: None,
            max_tokens_spent: None,
            allow_http: false,
            allow_private: false,
            root_certificates: None,
        }
    }

    fn validate(&self) -> Result<()> {
        let bad = |field, found: String, expected| Err(Error::BadParams { field, found, expected });
        let own = ["model", "messages", "stream", "n"];
        if self.model.is_empty() {
            return bad("model", "empty".to_owned(), "a name");
        }
        if let Some(name) = own.into_iter().find(|name| self.extra.contains_key(*name)) {
            return bad(
                "extra",
                format!("a value for {name:?}"),
                "other fields than model, messages, stream and n",
            );
        }
        for (field, value) in
            [("temperature", self.temperature), ("sample_temperature", self.sample_temperature)]
        {
            if !(0.0..=2.0).contains(&value) {
                return bad(field, value.to_string(), "a number from 0 to 2");
            }
        }
        for (field, value) in [
            ("max_tokens", u64::from(self.max_tokens)),
            ("samples", self.samples.into()),
            ("concurrency", self.concurrency as u64),
            ("retry.attempts", self.retry.attempts.into()),
            ("max_reply_bytes", self.max_reply_bytes),
        ] {
            if value == 0 {
                return bad(field, "0".to_owned(), "at least 1");
            }
        }
        if self.top_logprobs > structure::MAX_TOP {
            return bad("top_logprobs", self.top_logprobs.to_string(), "at most 20");
        }
        if self.concurrency > 256 {
            return bad("concurrency", self.concurrency.to_string(), "at most 256");
        }
        if let Some(cost) = self.max_cost.filter(|cost| !cost.is_finite() || *cost < 0.0) {
            return bad("max_cost", cost.to_string(), "a number from 0");
        }
        if self.mode != Mode::Online && self.cache.is_none() {
            return bad("cache", "not given".to_owned(), "a folder, in the modes that need one");
        }
        let Timeouts { connect, first_byte, idle, total } = self.timeouts;
        if [connect, first_byte, idle, total].iter().any(Duration::is_zero) {
            return bad("timeouts", "0 s".to_owned(), "more than 0 s each");
        }
        // Longer than any run, and safe to add to any clock.
        if [total, self.retry.max_wait].iter().any(|time| *time > Duration::from_secs(30 * 86_400)) {
            return bad("timeouts", "more than 30 days".to_owned(), "at most 30 days");
        }
        Ok(())
    }
}

/// What became of a run.
#[derive(Debug)]
pub struct Annotation {
    /// One record for each request, in their order.
    pub records: Vec<Record>,
    /// What ended the run before all requests were done, if anything did.
    pub stopped: Option<Error>,
    /// What the run spent: the probe and failed attempts included, kept answers not.
    pub spent: Spent,
}

/// What was spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Tokens. Attempts that broke off count with all that they could have used.
    pub tokens: u64,
    /// Money, if there is a price.
    pub cost: Option<f64>,
}

/// What a run would need at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Requests that would be sent.
    pub requests: u64,
    /// Tokens of their prompts.
    pub input: u64,
    /// Tokens of their answers, at most.
    pub output: u64,
    /// Money, at most, if there is a price.
    pub cost: Option<f64>,
}

/// Counts the tokens of a text.
type Counter = Box<dyn Fn(&str) -> usize + Send + Sync>;

/// A model on a server.
pub struct Client {
    params: EndpointParams,
    base: Base,
    http: Http,
    cache: Option<Cache>,
    ledger: Ledger,
    limits: Mutex<Limits>,
    counter: Option<Counter>,
    probed: Mutex<Option<Probe>>,
    /// How schemas list many labels, by the key of the question that tells; none if not at all.
    listings: Mutex<BTreeMap<String, Option<Listing>>>,
}

impl Client {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BadParams`]; [`Error::Refused`] for an address that is not connected to; [`Error::NoPrice`] for a limit on
    /// cost without a price; [`Error::Io`] if the folder of answers cannot be made or the root certificates cannot be read;
    /// [`Error::BadCertificates`].
    pub fn new(params: EndpointParams, key: Option<Secret>) -> Result<Self> {
        params.validate()?;
        let base = Base::new(&params, key.is_some())?;
        let cache = params.cache.as_deref().map(|folder| Cache::new(folder, params.mode)).transpose()?;
        let price = params.prices.get(&params.model).copied();
        let ledger = Ledger::new(&params.model, price, params.max_cost, params.max_tokens_spent)?;
        let http = Http::new(&params, &base, key)?;
        let limits = Mutex::new(Limits::new(params.retry.max_wait));
        let (probed, listings) = (Mutex::new(None), Mutex::default());
        Ok(Self { params, base, http, cache, ledger, limits, counter: None, probed, listings })
    }

    /// Counts tokens with the model's own tokeniser. Without one a token is taken to have three bytes, and counts are
    /// raised as soon as the server counts more.
    #[must_use]
    pub fn with_counter(mut self, count: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        self.counter = Some(Box::new(count));
        self
    }

    /// The body of a request, as it would be sent by a way of asking. The header adds the key, and nothing else of yours.
    pub fn preview(&self, request: &Request, lexicon: &Lexicon, structure: Structure) -> Value {
        let coding = Coding::new(structure, lexicon.labels());
        let messages = structure::instructed(&request.messages, structure, &coding);
        let sampling = Sampling { temperature: self.params.temperature, seed: self.params.seed };
        structure::body(&self.params, &Dialect::new(structure, &self.params), &coding, &messages, sampling)
    }
}

/// The key shows as `***`.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("params", &self.params)
            .field("http", &self.http)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
