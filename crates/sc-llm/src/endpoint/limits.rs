//! How much a server says that it still takes, and how long to wait until it takes more.
//!
//! One bucket for each kind of header: what is left falls by what each request could need, follows what the server says,
//! and is the limit again at the time of its reset. Servers count in two ways, of which headers do not tell which: in
//! windows of time, at whose end all comes back at once, and in buckets that fill all the time, of which the reset is the
//! moment when they are full. Waiting for the reset is right for both, and no slower in the long run. A server that counts
//! otherwise refuses now and then, and is asked again after the pause that it asks for.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

use super::retry;

/// Names of headers around `limit`, `remaining` and `reset`, and what they count.
const NAMES: [(&str, &str, Unit); 14] = [
    ("x-ratelimit-", "-requests", Unit::Requests),
    ("x-ratelimit-", "-tokens", Unit::Tokens),
    ("x-ratelimit-", "", Unit::Requests),
    ("ratelimit-", "", Unit::Requests),
    ("x-ratelimit-", "-requests-minute", Unit::Requests),
    ("x-ratelimit-", "-requests-hour", Unit::Requests),
    ("x-ratelimit-", "-requests-day", Unit::Requests),
    ("x-ratelimit-", "-tokens-minute", Unit::Tokens),
    ("x-ratelimit-", "-tokens-hour", Unit::Tokens),
    ("x-ratelimit-", "-tokens-day", Unit::Tokens),
    ("anthropic-ratelimit-requests-", "", Unit::Requests),
    ("anthropic-ratelimit-tokens-", "", Unit::Tokens),
    ("anthropic-ratelimit-input-tokens-", "", Unit::Input),
    ("anthropic-ratelimit-output-tokens-", "", Unit::Output),
];

/// What a server counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Requests,
    Tokens,
    Input,
    Output,
}

/// Requests, and tokens of prompts and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    requests: u64,
    input: u64,
    output: u64,
}

impl Amount {
    /// What one request could need.
    pub(super) fn one(input: u64, output: u64) -> Self {
        Self { requests: 1, input, output }
    }

    fn of(self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => self.requests,
            Unit::Tokens => self.input.saturating_add(self.output),
            Unit::Input => self.input,
            Unit::Output => self.output,
        }
    }

    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            requests: with(self.requests, other.requests),
            input: with(self.input, other.input),
            output: with(self.output, other.output),
        }
    }
}

/// What is known of the limits of one server.
#[derive(Debug)]
pub(super) struct Limits {
    /// Resets that are further away are not waited for: a server that means them refuses, and says for how long.
    longest: Duration,
    buckets: [Option<Bucket>; NAMES.len()],
    /// What all requests together took, and what those took that are under way.
    taken: Amount,
    under_way: Amount,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Option<u64>,
    /// What is certainly left, as long as nobody else uses the account.
    left: u64,
    reset: Instant,
    /// No answer has told the reset yet.
    is_guess: bool,
}

/// What a request took that is under way.
#[derive(Debug)]
pub(super) struct Ticket {
    need: Amount,
    /// What others that were under way had taken when this one went.
    others: Amount,
    /// What was taken until this one had gone.
    until: Amount,
}

impl Limits {
    /// * `longest`: resets that are further away are not waited for.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, buckets: Default::default(), taken: Amount::default(), under_way: Amount::default() }
    }

    /// Takes what a request could need. A request that needs more than a limit goes when nothing of that was used.
    ///
    /// # Errors
    /// How long to wait before it is worth another try.
    pub(super) fn take(&mut self, need: Amount, now: Instant) -> Result<Ticket, Duration> {
        let mut wait = Duration::ZERO;
        for (slot, (_, _, unit)) in self.buckets.iter_mut().zip(NAMES) {
            let Some(bucket) = slot else { continue };
            if bucket.reset <= now {
                let Some(limit) = bucket.limit else {
                    *slot = None;
                    continue;
                };
                // Those under way may have come before the reset or after it. Until an answer tells when the next one is,
                // it is as far away as it can be.
                *bucket = Bucket {
                    limit: Some(limit),
                    left: limit.saturating_sub(self.under_way.of(unit)),
                    reset: now + self.longest,
                    is_guess: true,
                };
            }
            let away = bucket.reset.saturating_duration_since(now);
            let enough = bucket.limit.map_or(need.of(unit), |limit| need.of(unit).min(limit)) <= bucket.left;
            if !enough && away <= self.longest {
                wait = wait.max(away);
            }
        }
        if wait.is_zero() { Ok(self.take_anyway(need)) } else { Err(wait) }
    }

    /// Takes it, whether it is there or not.
    pub(super) fn take_anyway(&mut self, need: Amount) -> Ticket {
        let others = self.under_way;
        self.taken = self.taken.zip(need, u64::saturating_add);
        self.under_way = self.under_way.zip(need, u64::saturating_add);
        for (bucket, (_, _, unit)) in self.buckets.iter_mut().zip(NAMES) {
            if let Some(bucket) = bucket {
                bucket.left = bucket.left.saturating_sub(need.of(unit));
            }
        }
        Ticket { need, others, until: self.taken }
    }

    /// The request is no longer under way.
    pub(super) fn give_back(&mut self, ticket: &Ticket) {
        self.under_way = self.under_way.zip(ticket.need, u64::saturating_sub);
    }

    /// Takes in what an answer says about limits. Whatever is no number from 0 is not said.
    ///
    /// * `now`, `clock`: the same moment; the second one is for headers that name a date.
    pub(super) fn learn<'h>(
        &mut self,
        ticket: &Ticket,
        header: impl Fn(&str) -> Option<&'h str>,
        (now, clock): (Instant, SystemTime),
    ) {
        // Dates are those of the server, whose clock may be another.
        let clock = header("date").and_then(super::date::from_http).unwrap_or(clock);
        for (slot, (before, after, unit)) in self.buckets.iter_mut().zip(NAMES) {
            let field = |word: &str| header(&format!("{before}{word}{after}")).map(str::trim);
            let Some(said) = field("remaining").and_then(count) else { continue };
            let away = match field("reset") {
                // Less than a second.
                Some("0") => Some(Duration::from_secs(1)),
                text => text.and_then(|text| retry::span(text, clock)),
            };
            let away = away.unwrap_or(self.longest);
            let mut reset = now.checked_add(away).unwrap_or(now + 2 * self.longest);
            let known = slot.filter(|old| old.reset > now);
            if let Some(old) = known
                && !old.is_guess
                && old.reset <= now + self.longest
                && away <= self.longest
            {
                // A reset does not come nearer.
                reset = reset.max(old.reset);
            }
            // The server may or may not have counted those that were under way at any time together with this one.
            let since = self.taken.zip(ticket.until, u64::saturating_sub);
            let certain = said.saturating_sub(ticket.others.of(unit).saturating_add(since.of(unit)));
            let limit = field("limit").and_then(count).or(slot.and_then(|old| old.limit));
            *slot = Some(Bucket {
                limit: limit.filter(|&limit| limit > 0 && limit >= said),
                // What was counted here is as certain.
                left: known.map_or(certain, |old| said.min(old.left.max(certain))),
                reset,
                is_guess: false,
            });
        }
    }
}

/// A number from 0; of several with a comma or semicolon between them, the first.
fn count(text: &str) -> Option<u64> {
    let value: f64 = text.split([',', ';']).next()?.trim().parse().ok()?;
    // A conversion of floats stops at the largest integer.
    (value.is_finite() && value >= 0.0).then_some(value as u64)
}
