//! One question to the server: kept answer, budget, leave to go, attempts.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::cache::{Kept, Question};
use super::gate::{Gate, Pass};
use super::limits::Limits;
use super::reply::{Complaint, NoReply, Reply};
use super::retry::{self, Pauses};
use super::{Client, Error, Mode, Record, Result, Usage, date};

/// What happens during a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request is done.
    Done(&'a Record),
    /// An attempt failed, and another follows.
    Retry {
        /// The request.
        id: &'a str,
        /// Why the attempt failed.
        error: &'a Error,
        /// The pause before the next attempt.
        pause: Duration,
    },
    /// A request waits, a second or longer, until the server takes more.
    Waiting {
        /// The request.
        id: &'a str,
        /// How long at most, as far as is known.
        pause: Duration,
    },
}

/// Is told what happens, on the thread that started the run, and says whether to go on. After a break no request is sent
/// any more; those under way are waited for.
pub type Watch<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

/// What workers tell the thread that started the run.
pub(super) enum Note {
    Done(usize, Box<Record>),
    Retry {
        id: String,
        error: Error,
        pause: Duration,
    },
    Waiting {
        id: String,
        pause: Duration,
    },
    /// The run ends.
    End(Error),
    /// A worker has gone.
    Left,
}

/// What the workers of one run share.
pub(super) struct Run<'c> {
    pub(super) gate: Gate<'c>,
    stop: AtomicBool,
    pub(super) notes: Sender<Note>,
}

impl<'c> Run<'c> {
    /// * `limits`: what is known of those of the server, which stays known after the run.
    pub(super) fn new(concurrency: usize, limits: &'c Mutex<Limits>) -> (Self, Receiver<Note>) {
        let (notes, receiver) = channel();
        (Self { gate: Gate::new(concurrency, limits), stop: AtomicBool::new(false), notes }, receiver)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.gate.wake();
    }

    pub(super) fn tell(&self, note: Note) {
        // Who does not listen any more does not want to know.
        let _ = self.notes.send(note);
    }
}

/// One request and the circumstances of its attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) id: &'a str,
    /// Number of the request: of its stream of random pauses.
    pub(super) stream: u64,
    pub(super) deadline: Instant,
}

/// An answer and where it is from.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) reply: Reply,
    pub(super) usage: Usage,
    pub(super) cost: Option<f64>,
    pub(super) seconds: f64,
    pub(super) date: String,
    pub(super) from_cache: bool,
    pub(super) prompt_cut: bool,
}

/// Bytes of messages for one token, above which the server cannot have read all of them. Words of one token have fewer.
const MOST_BYTES_A_TOKEN: u64 = 8;
/// So many times as many tokens as the server counts are too many for another way to count.
const MOST_TIMES: u64 = 2;

impl Client {
    /// The answer to a request, kept or asked for. It is kept if there is a place for it.
    pub(super) fn ask(&self, run: &Run<'_>, ask: Ask<'_>, body: &Value, sample: u32) -> Result<Asked> {
        let question = Question::new("answer", &self.base.url, body, sample);
        let text = body.to_string();
        if let Some(cache) = &self.cache
            && let Some(kept) = cache.find(ask.id, &question)?
            // What was kept was read before; if that is no longer so, it is asked for again.
            && let Ok(reply) = Reply::read(&kept.body)
        {
            return Ok(self.asked(reply, &kept, (body, &text), true));
        }
        let (reply, kept) = self.send(run, ask, &text)?;
        if let Some(cache) = &self.cache {
            cache.keep(&question, &kept)?;
        }
        Ok(self.asked(reply, &kept, (body, &text), false))
    }

    /// Sends a request until it is answered, and pays for it.
    pub(super) fn send(&self, run: &Run<'_>, ask: Ask<'_>, body: &str) -> Result<(Reply, Kept)> {
        if self.params.mode == Mode::Offline {
            // What is kept was read before it was kept, and a miss is an error before.
            let (url, start) = (self.http.url.clone(), String::new());
            return Err(Error::Garbled { url, what: "the kept answer is of no known form", start });
        }
        let stopped = || run.is_stopped();
        let waits = |pause| run.tell(Note::Waiting { id: ask.id.to_owned(), pause });
        let mut pauses = Pauses::new(&self.params.retry, ask.stream);
        loop {
            let hold =
                self.ledger.hold(ask.id, self.counted(body), self.params.max_tokens.into(), &stopped)?;
            let pass = run.gate.enter(hold.need(), ask.deadline, &stopped, &waits).ok_or(Error::Stopped)?;
            let (error, asked) = match self.attempt(&pass, body, ask.deadline) {
                Ok((reply, kept)) => {
                    hold.spend(self.usage(&reply, body));
                    pass.answered();
                    return Ok((reply, kept));
                }
                Err(failed) => failed,
            };
            if error.ends_the_run() {
                // Before the next one may go.
                run.stop();
            }
            if error.may_be_billed() {
                hold.spend_all();
            } else {
                drop(hold);
            }
            match error {
                Error::Status { status: 429, .. } => pass.too_many(),
                _ => drop(pass),
            }
            if !error.is_passing() {
                return Err(error);
            }
            let limit = self.params.retry.max_wait;
            if let Some(asked) = asked.filter(|&asked| asked > limit) {
                let (seconds, limit) = (asked.as_secs_f64(), limit.as_secs_f64());
                return Err(Error::TooLong { url: self.http.url.clone(), seconds, limit });
            }
            let Some(pause) = pauses.next(asked) else { return Err(error) };
            if Instant::now() + pause >= ask.deadline {
                return Err(error);
            }
            if let Some(asked) = asked {
                run.gate.pause(asked);
            }
            run.tell(Note::Retry { id: ask.id.to_owned(), error, pause });
            if !run.gate.wait(pause, &stopped) {
                return Err(Error::Stopped);
            }
        }
    }

    /// One attempt; after a failure, also the pause that the server asks for.
    fn attempt(
        &self,
        pass: &Pass<'_>,
        body: &str,
        deadline: Instant,
    ) -> Result<(Reply, Kept), (Error, Option<Duration>)> {
        let answer = self.http.post(body, deadline).map_err(|e| (e, None))?;
        let header = |name: &str| answer.header(name);
        let now = SystemTime::now();
        pass.learn(header, now);
        if !(200..300).contains(&answer.status) {
            let error = self.complaint(answer.status, Complaint::read(&answer.body));
            return Err((error, retry::asked(header, now)));
        }
        let url = || self.http.url.clone();
        match Reply::read(&answer.body) {
            Ok(reply) => {
                let headers = self.http.kept(&answer);
                let kept =
                    Kept { seconds: answer.seconds, date: date::rfc3339(now), headers, body: answer.body };
                Ok((reply, kept))
            }
            Err(NoReply::Cut) => Err((Error::Cut { url: url(), found: answer.body.len() as u64 }, None)),
            Err(NoReply::Other(what)) => {
                Err((Error::Garbled { url: url(), what, start: self.http.start(&answer.body) }, None))
            }
            Err(NoReply::Failed(complaint)) => {
                let status = complaint.status.unwrap_or(answer.status);
                Err((self.complaint(status, complaint), retry::asked(header, now)))
            }
        }
    }

    fn complaint(&self, status: u16, complaint: Complaint) -> Error {
        let (url, message) = (self.http.url.clone(), self.http.start(&complaint.message));
        if status == 401 {
            return Error::Unauthorized { url, message };
        }
        if status == 402 || complaint.is("insufficient_quota") {
            return Error::NoQuota { url, message };
        }
        let clean = |text: Option<String>| text.map(|text| self.http.start(&text));
        Error::Status { url, status, message, code: clean(complaint.code), field: clean(complaint.field) }
    }

    fn asked(&self, reply: Reply, kept: &Kept, (body, text): (&Value, &str), from_cache: bool) -> Asked {
        let usage = self.usage(&reply, text);
        let prompt_cut = reply.usage.is_some_and(|usage| self.is_cut(usage.input, body));
        Asked {
            cost: self.ledger.cost(usage),
            usage,
            seconds: kept.seconds,
            date: kept.date.clone(),
            from_cache,
            prompt_cut,
            reply,
        }
    }

    /// Whether so few tokens cannot be all of the messages.
    fn is_cut(&self, n_tokens: u64, body: &Value) -> bool {
        let messages = body["messages"].as_array().into_iter().flatten();
        let texts = messages.filter_map(|message| message["content"].as_str());
        let (most, count): (u64, u64) = match &self.counter {
            Some(count) => (MOST_TIMES, texts.map(|text| count(text) as u64).sum()),
            None => (MOST_BYTES_A_TOKEN, texts.map(|text| text.len() as u64).sum()),
        };
        n_tokens.saturating_mul(most) < count
    }

    /// What the server says that it used; else what is counted here.
    fn usage(&self, reply: &Reply, body: &str) -> Usage {
        reply.usage.unwrap_or_else(|| {
            let output = self.counted(&reply.text);
            Usage { input: self.counted(body), output, ..Usage::default() }
        })
    }

    /// Tokens of a text: by the counter of the caller, else a third of its bytes.
    pub(super) fn counted(&self, text: &str) -> u64 {
        match &self.counter {
            Some(count) => count(text) as u64,
            None => text.len().div_ceil(3) as u64,
        }
    }
}
