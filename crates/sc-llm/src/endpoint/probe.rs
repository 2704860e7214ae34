//! What a server really does with what it accepts.

mod listing;

use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cache::{Kept, Question};
use super::lexicon::bare;
use super::reply::{Reply, Token};
use super::run::{Ask, Run};
use super::structure::{self, Coding, Dialect, MAX_TOP, Sampling};
use super::{Client, Error, Lexicon, Message, Result, Role, Structure, date};

/// The id under which errors name the probe.
const ID: &str = "probe";
/// Labels of the probe. What is asked for is neither.
const LABELS: [&str; 2] = ["north", "south"];
const QUESTION: &str = "Reply with the word east and with nothing else.";

/// What one model on one server understands. Found out once by asking for a word that a schema of two others does not
/// allow: a server that enforces the schema cannot answer with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The way in which answers are asked for.
    pub structure: Structure,
    /// What became of each way that was tried, in order.
    pub tried: Vec<Tried>,
    /// The server sends probabilities of tokens.
    pub logprobs: bool,
    /// So many tokens are asked for in the place of each; 0 if the server sends none.
    #[serde(default)]
    pub top_logprobs: u8,
    /// The server accepts a temperature. Where it does not, the model samples, and answers may differ between runs.
    pub temperature: bool,
    /// The server accepts a seed.
    pub seed: bool,
    /// The model as the server names it.
    pub model: Option<String>,
    /// The state of the server, as it names it.
    pub fingerprint: Option<String>,
    /// When this was found out (UTC).
    pub date: String,
    #[serde(flatten)]
    pub(super) fields: Fields,
}

/// Names of fields that differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fields {
    newer_limit: bool,
    stream_usage: bool,
}

/// One way and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The way.
    pub structure: Structure,
    /// What became of it.
    pub verdict: Verdict,
}

/// What a server does with a way to ask for labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The answer was of the form that was asked for.
    Enforced,
    /// The request was accepted, and the answer was of another form: the server only pretends.
    Ignored,
    /// The request was refused.
    Refused(String),
}

impl Probe {
    pub(super) fn dialect(&self) -> Dialect {
        Dialect {
            structure: self.structure,
            newer_limit: self.fields.newer_limit,
            temperature: self.temperature,
            seed: self.seed,
            logprobs: self.logprobs,
            top_logprobs: self.top_logprobs,
            stream_usage: self.fields.stream_usage,
        }
    }
}

impl Client {
    /// What this model on this server understands: as known already, as kept, or found out with a few small requests.
    ///
    /// The ways of [`Structure`] are tried in their order until the server enforces one. Fields that the server complains
    /// about are left out, or named otherwise, from then on. [`EndpointParams::structure`](super::EndpointParams::structure)
    /// limits this to one way, which is then used even if it is not enforced.
    ///
    /// # Errors
    /// See [`Error`]. A server that refuses all ways is an error; one that enforces none is asked for plain text.
    pub fn probe(&self) -> Result<Probe> {
        let mut known = self.probed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(probe) = &*known {
            return Ok(probe.clone());
        }
        let params = &self.params;
        let mut body = json!({
            "model": params.model, "extra": params.extra, "structure": params.structure, "stream": params.stream,
            "logprobs": params.logprobs, "max_tokens": params.max_tokens, "question": QUESTION, "labels": LABELS,
        });
        // What was found out before there was such a field is still known.
        if params.top_logprobs != MAX_TOP {
            body["top_logprobs"] = params.top_logprobs.into();
        }
        let question = Question::new("probe", &self.base.url, &body, 0);
        if let Some(cache) = &self.cache
            && let Some(kept) = cache.find(ID, &question)?
            && let Ok(probe) = serde_json::from_str::<Probe>(&kept.body)
        {
            return Ok(known.insert(probe).clone());
        }
        let started = Instant::now();
        let probe = self.find_out()?;
        if let Some(cache) = &self.cache {
            let body = serde_json::to_string(&probe).expect("a plain struct makes JSON");
            let (date, seconds) = (probe.date.clone(), started.elapsed().as_secs_f64());
            let kept = Kept { body, date, seconds, ..Kept::default() };
            cache.keep(&question, &kept)?;
        }
        Ok(known.insert(probe).clone())
    }

    fn find_out(&self) -> Result<Probe> {
        let ways: &[Structure] = match &self.params.structure {
            Some(only) => std::slice::from_ref(only),
            None => &Structure::ALL,
        };
        // The receiver is dropped: nobody watches a probe.
        let (run, _) = Run::new(1, &self.limits);
        let mut dialect = Dialect::new(ways[0], &self.params);
        let mut tried = Vec::new();
        let mut last = None;
        let mut failure = None;
        for &structure in ways {
            // Text needs no trial, except to see whether the server answers at all.
            let known_to_answer = last.is_some();
            if structure == Structure::Plain && known_to_answer && ways.len() > 1 {
                dialect.structure = structure;
                break;
            }
            dialect.structure = structure;
            let verdict = match self.try_way(&run, &mut dialect) {
                Ok(reply) => {
                    let verdict =
                        if is_of_form(structure, &reply.text) { Verdict::Enforced } else { Verdict::Ignored };
                    last = Some(reply);
                    verdict
                }
                Err(Error::Status { url, status, message, code, field }) if refuses(status) => {
                    let verdict = Verdict::Refused(format!("{status}: {message}"));
                    failure = Some(Error::Status { url, status, message, code, field });
                    verdict
                }
                Err(e) => return Err(e),
            };
            let enforced = verdict == Verdict::Enforced;
            tried.push(Tried { structure, verdict });
            if enforced {
                break;
            }
        }
        let Some(reply) = last else {
            return Err(failure.unwrap_or(Error::Stopped));
        };
        let lists = |tokens: &Vec<Token>| tokens.iter().any(|token| !token.top.is_empty());
        Ok(Probe {
            structure: dialect.structure,
            tried,
            top_logprobs: if reply.logprobs.as_ref().is_some_and(lists) { dialect.top_logprobs } else { 0 },
            logprobs: dialect.logprobs && reply.logprobs.is_some(),
            temperature: dialect.temperature,
            seed: dialect.seed,
            model: reply.model,
            fingerprint: reply.fingerprint,
            date: date::rfc3339(SystemTime::now()),
            fields: Fields { newer_limit: dialect.newer_limit, stream_usage: dialect.stream_usage },
        })
    }

    fn ask_of_probe(&self) -> Ask<'static> {
        Ask { id: ID, stream: u64::MAX, deadline: Instant::now() + self.params.timeouts.total }
    }

    /// Asks in one way, giving in to complaints about fields that are not essential.
    fn try_way(&self, run: &Run<'_>, dialect: &mut Dialect) -> Result<Reply> {
        let labels = LABELS.map(str::to_owned);
        let ask = self.ask_of_probe();
        loop {
            let coding = Coding::new(dialect.structure, &labels);
            let messages =
                structure::instructed(&[Message::new(Role::User, QUESTION)], dialect.structure, &coding);
            let sampling = Sampling { temperature: 0.0, seed: self.params.seed };
            let body = structure::body(&self.params, dialect, &coding, &messages, sampling);
            match self.send(run, ask, &body.to_string()) {
                Ok((reply, _)) => return Ok(reply),
                Err(Error::Status { status: 400 | 422, message, field, .. })
                    if dialect.give_in(field.as_deref(), &message) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Whether a status says that a request is not understood. Some servers fail over what they do not know.
fn refuses(status: u16) -> bool {
    !matches!(status, 404 | 408 | 425 | 429)
}

fn is_of_form(structure: Structure, text: &str) -> bool {
    match structure {
        Structure::Plain => !text.trim().is_empty(),
        Structure::JsonObject => bare(text)
            .and_then(|text| serde_json::from_str(text).ok())
            .is_some_and(|value: Value| value.is_object()),
        _ => Lexicon::new(&LABELS).is_ok_and(|labels| labels.find(text, false).is_some()),
    }
}
