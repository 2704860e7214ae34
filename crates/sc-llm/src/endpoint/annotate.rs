//! From requests to records.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::lexicon::{Found, bare};
use super::reply::Reply;
use super::run::{Ask, Asked, Note, Run};
use super::structure::{self, Coding, Dialect, Sampling};
use super::{
    Annotation, Client, ConfidenceFrom, Error, Estimate, Event, Lexicon, Message, Outcome, Record, Request,
    Result, Role, Spent, Watch, confidence,
};

/// Characters of a wrong answer that the model is shown again.
const SHOWN_AGAIN: usize = 500;

/// What all requests of a run have in common.
struct Task<'a> {
    lexicon: &'a Lexicon,
    dialect: &'a Dialect,
    coding: Coding<'a>,
    /// Labels as an answer has them.
    written: Vec<String>,
}

impl<'a> Task<'a> {
    fn new(lexicon: &'a Lexicon, dialect: &'a Dialect, coding: Coding<'a>) -> Self {
        let written = match coding.is_numbered() {
            true => (0..lexicon.labels().len()).map(|number| number.to_string()).collect(),
            false => lexicon.labels().to_vec(),
        };
        Self { lexicon, dialect, coding, written }
    }
}

impl Client {
    /// Asks the model for the label of each request, and gives one record for each, in their order.
    ///
    /// The model is probed first ([`Client::probe`]). A request that fails does not end the run; an error that all others
    /// would meet too does ([`Annotation::stopped`]): a key or an address that is refused, an empty account, a budget that
    /// the next request could exceed, an answer that cannot be kept or, offline, is not. Run again to go on: what is kept is
    /// not asked for again.
    ///
    /// # Errors
    /// Before anything is asked: [`Error::BadRequest`] for an id that is there twice, messages without text, or messages of
    /// which the last is not of the user; and as [`Client::probe`].
    pub fn annotate_all(
        &self,
        requests: &[Request],
        lexicon: &Lexicon,
        watch: Watch<'_>,
    ) -> Result<Annotation> {
        check(requests)?;
        let before = self.ledger.spent();
        let mut dialect = self.probe()?.dialect();
        let listing = self.listing(&mut dialect, lexicon)?;
        let coding = Coding::new(dialect.structure, lexicon.labels()).with(listing);
        let task = Task::new(lexicon, &dialect, coding);
        let (run, notes) = Run::new(self.params.concurrency, &self.limits);
        let (order, next) = (in_order(requests), AtomicUsize::new(0));
        let mut records: Vec<Option<Record>> = vec![None; requests.len()];
        let mut stopped = None;
        let n_workers = self.params.concurrency.min(requests.len());
        std::thread::scope(|scope| {
            for _ in 0..n_workers {
                scope.spawn(|| self.work(&run, requests, (order.as_slice(), &next), &task));
            }
            let mut working = n_workers;
            while working > 0 {
                let Ok(note) = notes.recv() else { break };
                let flow = match note {
                    Note::Done(index, record) => {
                        let flow = watch(Event::Done(&record));
                        records[index] = Some(*record);
                        flow
                    }
                    Note::Retry { id, error, pause } => watch(Event::Retry { id: &id, error: &error, pause }),
                    Note::Waiting { id, pause } => watch(Event::Waiting { id: &id, pause }),
                    Note::End(error) => {
                        // Who was stopped was stopped by the first.
                        if stopped.is_none() && !matches!(error, Error::Stopped) {
                            stopped = Some(error);
                        }
                        run.stop();
                        ControlFlow::Continue(())
                    }
                    Note::Left => {
                        working -= 1;
                        ControlFlow::Continue(())
                    }
                };
                if flow.is_break() && !run.is_stopped() {
                    stopped.get_or_insert(Error::Stopped);
                    run.stop();
                }
            }
        });
        let records = records
            .into_iter()
            .zip(requests)
            .map(|(record, request)| record.unwrap_or_else(|| Record::new(&request.id, Outcome::NotAsked)));
        let records = records.collect();
        let after = self.ledger.spent();
        let cost = after.1.zip(before.1).map(|(after, before)| after - before);
        Ok(Annotation { records, stopped, spent: Spent { tokens: after.0 - before.0, cost } })
    }

    /// What a run would send and cost at most, without sending anything. Answers that are kept already, the probe, repairs
    /// and attempts that fail are not looked at; the form of requests is that of a server that enforces a schema.
    ///
    /// # Errors
    /// [`Error::BadRequest`], as [`Client::annotate_all`].
    pub fn estimate(&self, requests: &[Request], lexicon: &Lexicon) -> Result<Estimate> {
        check(requests)?;
        let structure = self.params.structure.unwrap_or(super::Structure::JsonSchema);
        let dialect = Dialect::new(structure, &self.params);
        let task = Task::new(lexicon, &dialect, Coding::new(structure, lexicon.labels()));
        let samples = u64::from(self.params.samples);
        let mut estimate =
            Estimate { requests: 0, input: 0, output: 0, cost: self.ledger.cost_at_most(0, 0) };
        for request in requests {
            let body = self.body(&task, &self.messages(&task, request), self.params.temperature, 0);
            let (input, output) = (self.counted(&body.to_string()), u64::from(self.params.max_tokens));
            estimate.requests += samples;
            estimate.input += samples * input;
            estimate.output += samples * output;
            let one = self.ledger.cost_at_most(input, output);
            estimate.cost = estimate.cost.zip(one).map(|(sum, one)| sum + samples as f64 * one);
        }
        Ok(estimate)
    }

    fn work(
        &self,
        run: &Run<'_>,
        requests: &[Request],
        (order, next): (&[usize], &AtomicUsize),
        task: &Task<'_>,
    ) {
        while !run.is_stopped() {
            let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match self.annotate(run, index, &requests[index], task) {
                Ok(record) => run.tell(Note::Done(index, Box::new(record))),
                Err(e) => {
                    run.stop();
                    run.tell(Note::End(e));
                }
            }
        }
        run.tell(Note::Left);
    }

    /// The record of one request.
    ///
    /// # Errors
    /// Those that end the run.
    fn annotate(&self, run: &Run<'_>, index: usize, request: &Request, task: &Task<'_>) -> Result<Record> {
        let deadline = Instant::now() + self.params.timeouts.total;
        let ask = Ask { id: &request.id, stream: index as u64, deadline };
        let mut record = Record::new(&request.id, Outcome::Unparsed);
        let messages = self.messages(task, request);
        let answered = if self.params.samples > 1 && !task.dialect.logprobs {
            self.vote(run, ask, task, &messages, &mut record)
        } else {
            self.answer(run, ask, task, messages, &mut record)
        };
        match answered {
            Ok(()) => {}
            Err(e) if e.ends_the_run() => return Err(e),
            Err(e) => {
                let filtered =
                    matches!(&e, Error::Status { code: Some(code), .. } if code == "content_filter");
                record.outcome = if filtered { Outcome::Filtered } else { Outcome::Failed };
                record.why = Some(in_full(&e));
            }
        }
        record.from_cache &= record.answers > 0;
        Ok(record)
    }

    /// One answer, and a second one if the first is no label.
    fn answer(
        &self,
        run: &Run<'_>,
        ask: Ask<'_>,
        task: &Task<'_>,
        mut messages: Vec<Message>,
        record: &mut Record,
    ) -> Result<()> {
        let body = self.body(task, &messages, self.params.temperature, 0);
        let asked = self.ask(run, ask, &body, 0)?;
        let mut found = self.take(task, &asked, record);
        let mut reply = asked.reply;
        if found.is_none() && record.outcome == Outcome::Unparsed && self.params.repair {
            ask_again(&mut messages, &reply.text, task.lexicon);
            let body = self.body(task, &messages, self.params.temperature, 0);
            let asked = self.ask(run, ask, &body, 0)?;
            record.repaired = true;
            found = self.take(task, &asked, record);
            reply = asked.reply;
        }
        if let Some(found) = found
            && let Some(tokens) = reply.logprobs
            && let Some(sure) = confidence::of_label(&tokens, &found.said, (&task.written, found.label))
        {
            record.confidence = Some(sure.value);
            record.confidence_from = Some(sure.from);
            record.first_token = sure.first;
        }
        Ok(())
    }

    /// Several answers, of which the most frequent label counts; of labels that are as frequent, the first of the list.
    fn vote(
        &self,
        run: &Run<'_>,
        ask: Ask<'_>,
        task: &Task<'_>,
        messages: &[Message],
        record: &mut Record,
    ) -> Result<()> {
        let mut votes = vec![0_u32; task.lexicon.labels().len()];
        let mut with_label: Vec<Record> = Vec::new();
        for sample in 0..self.params.samples {
            let body = self.body(task, messages, self.params.sample_temperature, sample);
            let asked = self.ask(run, ask, &body, sample)?;
            let before = record.outcome;
            if let Some(found) = self.take(task, &asked, record) {
                votes[found.label] += 1;
                with_label.push(record.clone());
            } else if sample > 0 && record.outcome != before {
                // Samples that fail in several ways have no common way to fail.
                record.outcome = Outcome::Unparsed;
            }
        }
        let most = votes.iter().copied().max().unwrap_or(0);
        let winner = votes.iter().position(|&n| n == most && n > 0);
        if let Some(label) = winner
            && let Some(first) = with_label.into_iter().find(|one| one.label_index == Some(label))
        {
            record.outcome = Outcome::Label;
            (record.label, record.label_index, record.matched) =
                (first.label, first.label_index, first.matched);
            (record.text, record.why) = (first.text, None);
            record.confidence = Some(f64::from(most) / f64::from(self.params.samples));
            record.confidence_from = Some(ConfidenceFrom::Votes);
        }
        Ok(())
    }

    /// Enters an answer into the record; gives the label, if it is one.
    fn take(&self, task: &Task<'_>, asked: &Asked, record: &mut Record) -> Option<Found> {
        let reply = &asked.reply;
        record.from_cache = asked.from_cache && (record.answers == 0 || record.from_cache);
        record.answers += 1;
        record.tokens += asked.usage;
        record.prompt_cut |= asked.prompt_cut;
        record.cost = match (record.answers, record.cost) {
            (1, _) => asked.cost,
            (_, sum) => sum.zip(asked.cost).map(|(sum, one)| sum + one),
        };
        record.seconds += asked.seconds;
        record.date = Some(asked.date.clone());
        record.model.clone_from(&reply.model);
        record.fingerprint.clone_from(&reply.fingerprint);
        record.text.clone_from(&reply.text);
        let (outcome, why, found) = judge(task, reply);
        record.outcome = outcome;
        record.why = why;
        record.label_index = found.as_ref().map(|found| found.label);
        record.label = found.as_ref().map(|found| task.lexicon.labels()[found.label].clone());
        record.matched = found.as_ref().map(|found| found.how);
        found
    }

    fn messages(&self, task: &Task<'_>, request: &Request) -> Vec<Message> {
        structure::instructed(&request.messages, task.dialect.structure, &task.coding)
    }

    fn body(&self, task: &Task<'_>, messages: &[Message], temperature: f64, sample: u32) -> Value {
        let sampling = Sampling { temperature, seed: self.params.seed.wrapping_add(sample.into()) };
        structure::body(&self.params, task.dialect, &task.coding, messages, sampling)
    }
}

fn judge(task: &Task<'_>, reply: &Reply) -> (Outcome, Option<String>, Option<Found>) {
    if let Some(refusal) = &reply.refusal {
        return (Outcome::Refused, Some(refusal.clone()), None);
    }
    match reply.finish.as_deref() {
        Some("length") => {
            let why = "the answer reached the limit of tokens".to_owned();
            return (Outcome::Length, Some(why), None);
        }
        Some("content_filter") => {
            return (Outcome::Filtered, Some("the provider held the answer back".to_owned()), None);
        }
        _ => {}
    }
    match task.lexicon.find(&reply.text, task.coding.is_numbered()) {
        Some(found) => (Outcome::Label, None, Some(found)),
        None => (Outcome::Unparsed, Some("the answer is no label".to_owned()), None),
    }
}

/// Adds the wrong answer and a word about it.
fn ask_again(messages: &mut Vec<Message>, answer: &str, lexicon: &Lexicon) {
    let labels: Vec<String> =
        lexicon.labels().iter().map(|label| Value::from(label.as_str()).to_string()).collect();
    let again = format!(
        "That is none of the allowed labels. They are: {}. Answer again with one of them, in the same form as before.",
        labels.join(", ")
    );
    // Reasoning is not sent back, and nobody accepts an empty message.
    let answer: String = bare(answer).unwrap_or_default().chars().take(SHOWN_AGAIN).collect();
    match messages.last_mut() {
        Some(last) if answer.is_empty() && last.role == Role::User => {
            last.content = format!("{}\n\nAn empty answer came to this. {again}", last.content);
        }
        _ => messages.extend([Message::new(Role::Assistant, answer), Message::new(Role::User, again)]),
    }
}

/// The order in which requests are sent: those with the same messages before the last one after each other, as servers
/// keep the common start of prompts for a while; of these, and of such groups, the first comes first.
fn in_order(requests: &[Request]) -> Vec<usize> {
    fn start(request: &Request) -> Vec<(&'static str, &str)> {
        let before = &request.messages[..request.messages.len().saturating_sub(1)];
        before.iter().map(|message| (message.role.name(), message.content.as_str())).collect()
    }
    let mut groups = BTreeMap::new();
    let group: Vec<usize> = requests
        .iter()
        .map(|request| {
            let n_groups = groups.len();
            *groups.entry(start(request)).or_insert(n_groups)
        })
        .collect();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&index| group[index]);
    order
}

fn check(requests: &[Request]) -> Result<()> {
    let bad = |request: &Request, why| Err(Error::BadRequest { id: request.id.clone(), why });
    let mut ids = std::collections::BTreeSet::new();
    for request in requests {
        if !ids.insert(&request.id) {
            return bad(request, "is there twice");
        }
        if request.messages.iter().any(|message| message.content.trim().is_empty()) {
            return bad(request, "has a message without text");
        }
        if request.messages.last().is_none_or(|message| message.role != Role::User) {
            return bad(request, "has no last message of the user");
        }
    }
    Ok(())
}

/// An error with all that caused it.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
