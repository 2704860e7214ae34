//! One exchange with the server: a request goes out, an answer comes back or does not.

mod patience;
mod roots;

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use sc_io::address::shown;
use ureq::Agent;
use ureq::http::HeaderMap;
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use super::address::{Base, Guard};
use super::{EndpointParams, Error, Mode, Result, Secret, Timeouts};

/// Bytes taken from the connection at a time.
const BLOCK: usize = 1 << 14;
/// Bytes of an answer that an error shows.
const SHOWN: usize = 300;

/// Headers that are kept with an answer: what a provider asks for when it looks into one.
const KEPT: [&str; 5] = ["openai-processing-ms", "openai-version", "request-id", "server", "x-request-id"];

/// The way to one server.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    guard: Guard,
    /// Where requests go.
    pub(super) url: String,
    key: Option<Secret>,
    timeouts: Timeouts,
    max_bytes: u64,
}

/// What came back, without the key.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// From the first byte sent to the last byte received.
    pub(super) seconds: f64,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Http {
    /// # Errors
    /// [`Error::Io`] and [`Error::BadCertificates`] for root certificates that cannot be used.
    pub(super) fn new(params: &EndpointParams, base: &Base, key: Option<Secret>) -> Result<Self> {
        let guard = Guard::new(base);
        let Timeouts { connect, first_byte, idle, .. } = params.timeouts;
        let tls = match &params.root_certificates {
            // A replay needs none.
            Some(path) if params.mode != Mode::Offline => {
                TlsConfig::builder().root_certs(roots::read(path)?).build()
            }
            _ => TlsConfig::default(),
        };
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("sc-llm/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_idle_connections_per_host(params.concurrency)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(first_byte))
            .timeout_per_read(Some(idle))
            .timeout_per_write(Some(idle))
            .build();
        let connector = DefaultConnector::default().chain(patience::Patience);
        let agent = Agent::with_parts(config, connector, guard.clone());
        let url = format!("{}/chat/completions", base.url);
        Ok(Self { agent, guard, url, key, timeouts: params.timeouts, max_bytes: params.max_reply_bytes })
    }

    /// Sends a request and reads the whole answer, whatever its status is.
    pub(super) fn post(&self, body: &str, deadline: Instant) -> Result<Answer> {
        let started = Instant::now();
        let left = deadline.saturating_duration_since(started);
        if left.is_zero() {
            return Err(self.timed_out(ureq::Timeout::Global));
        }
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("Authorization", key.header());
        }
        let request = request.config().timeout_global(Some(left)).build();
        let mut answer = request.send(body).map_err(|e| self.unanswered(e))?;
        let status = answer.status().as_u16();
        if (300..400).contains(&status) {
            let to = answer.headers().get("location").map(|to| String::from_utf8_lossy(to.as_bytes()));
            let to = shown(&self.blot_out(to.unwrap_or_default().into_owned()));
            return Err(Error::Redirect { url: self.url.clone(), status, to });
        }
        let headers = answer.headers().clone();
        let mut bytes = Vec::new();
        let mut reader = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut block = [0; BLOCK];
        loop {
            match reader.read(&mut block) {
                Ok(0) => break,
                Ok(n) if (bytes.len() + n) as u64 > self.max_bytes => {
                    return Err(Error::TooLarge { url: self.url.clone(), limit: self.max_bytes });
                }
                Ok(n) => bytes.extend_from_slice(&block[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken_off(&e, bytes.len() as u64)),
            }
        }
        let body = match String::from_utf8(bytes) {
            Ok(body) => self.blot_out(body),
            Err(e) => {
                let start = self.start(&String::from_utf8_lossy(e.as_bytes()));
                return Err(Error::Garbled { url: self.url.clone(), what: "the answer is not UTF-8", start });
            }
        };
        Ok(Answer { status, headers, body, seconds: started.elapsed().as_secs_f64() })
    }

    /// The headers that are kept.
    pub(super) fn kept(&self, answer: &Answer) -> BTreeMap<String, String> {
        let value = |name: &&str| Some(((*name).to_owned(), self.start(answer.header(name)?)));
        KEPT.iter().filter_map(value).collect()
    }

    /// What a server said, as an error may show it.
    pub(super) fn start(&self, text: &str) -> String {
        let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
        // Cut after the key was looked for, so that no part of it is left.
        let text = self.blot_out(clean.collect());
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    }

    fn blot_out(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.blot_out(text),
            None => text,
        }
    }

    fn timed_out(&self, timeout: ureq::Timeout) -> Error {
        let Timeouts { connect, first_byte, idle, total } = self.timeouts;
        let (what, time) = match timeout {
            ureq::Timeout::Resolve => ("looking the name up", connect),
            ureq::Timeout::Connect => ("connecting", connect),
            ureq::Timeout::RecvResponse => ("the start of the answer", first_byte),
            ureq::Timeout::PerRead => ("the next part of the answer", idle),
            ureq::Timeout::PerWrite => ("taking the request", idle),
            _ => ("the request with all its attempts", total),
        };
        Error::TimedOut { url: self.url.clone(), what, seconds: time.as_secs_f64() }
    }

    fn unanswered(&self, error: ureq::Error) -> Error {
        let url = self.url.clone();
        match (error, self.guard.refusal()) {
            (ureq::Error::HostNotFound, Some(why)) => Error::Refused { url, why },
            (ureq::Error::Timeout(timeout), _) => self.timed_out(timeout),
            (other, _) if is_of_certificate(&other) => Error::Certificate { url, source: Box::new(other) },
            (other, _) => Error::Connect { url, source: Box::new(other) },
        }
    }

    fn broken_off(&self, error: &std::io::Error, found: u64) -> Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
        match inner {
            Some(&ureq::Error::Timeout(timeout)) => self.timed_out(timeout),
            _ if error.kind() == std::io::ErrorKind::TimedOut => self.timed_out(ureq::Timeout::PerRead),
            _ => Error::Cut { url: self.url.clone(), found },
        }
    }
}

/// Whether the server could not show that it is the one that its address names.
fn is_of_certificate(error: &ureq::Error) -> bool {
    let error = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    matches!(error, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(300),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}
