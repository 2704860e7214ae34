//! What answers cost, and the point at which no more are asked for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::limits::Amount;
use super::{Error, Price, Result};

/// Money is counted in whole parts of this size, so that sums do not depend on their order.
pub(super) const NANO: f64 = 1e-9;

/// Tokens of a request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Of these, tokens that the server still had from earlier prompts.
    pub cached_input: u64,
    /// Tokens of the answer, those of reasoning included.
    pub output: u64,
    /// Of these, tokens of reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// All tokens.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

/// What is spent, and what may still be.
#[derive(Debug)]
pub(super) struct Ledger {
    price: Option<Price>,
    max_nano: Option<u64>,
    max_tokens: Option<u64>,
    state: Mutex<Spent>,
    settled: Condvar,
}

#[derive(Debug)]
struct Spent {
    nano: u64,
    tokens: u64,
    held_nano: u64,
    held_tokens: u64,
    /// How far counts of prompts were below those of the server, at worst.
    short: f64,
}

impl Ledger {
    /// # Errors
    /// [`Error::NoPrice`] if cost is limited and there is no price.
    pub(super) fn new(
        model: &str,
        price: Option<Price>,
        max_cost: Option<f64>,
        max_tokens: Option<u64>,
    ) -> Result<Self> {
        if max_cost.is_some() && price.is_none() {
            return Err(Error::NoPrice { model: model.to_owned() });
        }
        let max_nano = max_cost.map(|cost| (cost / NANO).floor() as u64);
        let spent = Spent { nano: 0, tokens: 0, held_nano: 0, held_tokens: 0, short: 1.0 };
        Ok(Self { price, max_nano, max_tokens, state: Mutex::new(spent), settled: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cost(&self, usage: Usage) -> Option<f64> {
        self.price.map(|price| price.of(usage))
    }

    /// Tokens and money spent so far.
    pub(super) fn spent(&self) -> (u64, Option<f64>) {
        let spent = self.lock();
        (spent.tokens, self.price.map(|_| spent.nano as f64 * NANO))
    }

    /// What a request may cost at most, if its prompt was counted right.
    pub(super) fn cost_at_most(&self, input: u64, output: u64) -> Option<f64> {
        self.price.map(|price| price.at_most(input, output) as f64 * NANO)
    }

    /// Sets aside what a request may need at most. Waits while only what others have set aside is in the way.
    ///
    /// # Errors
    /// [`Error::Budget`] if the request could exceed what is left; [`Error::Stopped`].
    pub(super) fn hold(
        &self,
        id: &str,
        input: u64,
        output: u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Hold<'_>> {
        let mut spent = self.lock();
        loop {
            if stopped() {
                return Err(Error::Stopped);
            }
            let scaled = (input as f64 * spent.short).ceil() as u64;
            let tokens = scaled.saturating_add(output);
            let nano = self.price.map_or(0, |price| price.at_most(scaled, output));
            let exceeds = |limit: Option<u64>, spent: u64, needed: u64| {
                limit.is_some_and(|limit| spent.saturating_add(needed) > limit)
            };
            let (over, unit) = if exceeds(self.max_tokens, spent.tokens, tokens) {
                (self.max_tokens.map(|limit| (tokens as f64, spent.tokens as f64, limit as f64)), "tokens")
            } else if exceeds(self.max_nano, spent.nano, nano) {
                let money = |nano: u64| nano as f64 * NANO;
                (self.max_nano.map(|limit| (money(nano), money(spent.nano), money(limit))), "of money")
            } else {
                (None, "")
            };
            if let Some((needed, spent, limit)) = over {
                return Err(Error::Budget { id: id.to_owned(), needed, spent, limit, unit });
            }
            let held =
                (spent.nano.saturating_add(spent.held_nano), spent.tokens.saturating_add(spent.held_tokens));
            if !exceeds(self.max_nano, held.0, nano) && !exceeds(self.max_tokens, held.1, tokens) {
                spent.held_nano += nano;
                spent.held_tokens += tokens;
                return Ok(Hold {
                    ledger: self,
                    nano,
                    tokens,
                    counted: input,
                    need: Amount::one(scaled, output),
                });
            }
            let wait = self.settled.wait_timeout(spent, std::time::Duration::from_millis(50));
            spent = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What is set aside for one request. Given back when it goes, unless it is spent.
#[derive(Debug)]
pub(super) struct Hold<'l> {
    ledger: &'l Ledger,
    nano: u64,
    tokens: u64,
    counted: u64,
    need: Amount,
}

impl Hold<'_> {
    /// What the request could need of what servers count.
    pub(super) fn need(&self) -> Amount {
        self.need
    }

    /// The server told what it used.
    pub(super) fn spend(self, usage: Usage) {
        let nano = self.ledger.price.map_or(0, |price| price.nano(usage));
        let mut spent = self.ledger.lock();
        spent.nano = spent.nano.saturating_add(nano);
        spent.tokens = spent.tokens.saturating_add(usage.total());
        if self.counted > 0 {
            spent.short = spent.short.max(usage.input as f64 / self.counted as f64);
        }
    }

    /// Nobody told what was used: all of it counts as spent.
    pub(super) fn spend_all(self) {
        let mut spent = self.ledger.lock();
        spent.nano = spent.nano.saturating_add(self.nano);
        spent.tokens = spent.tokens.saturating_add(self.tokens);
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut spent = self.ledger.lock();
        spent.held_nano -= self.nano;
        spent.held_tokens -= self.tokens;
        drop(spent);
        self.ledger.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In parts of 10^-9 for each token: 1000, 500, 4000, 8000.
    const PRICE: Price = Price { input: 1.0, cached_input: Some(0.5), output: 4.0, reasoning: Some(8.0) };

    #[test]
    fn the_request_that_could_exceed_is_not_made() {
        let ledger = Ledger::new("m", Some(PRICE), Some(0.002), Some(1000)).unwrap();
        let go_on = || false;
        // 100 tokens at 1 and 100 at 8 per million.
        let hold = ledger.hold("a", 100, 100, &go_on).unwrap();
        hold.spend(Usage { input: 150, output: 100, ..Usage::default() });
        // The prompt was half as long again as it was counted, so the next one may be too.
        let e = ledger.hold("b", 500, 10, &go_on).unwrap_err();
        assert!(matches!(&e, Error::Budget { needed: 760.0, spent: 250.0, unit: "tokens", .. }), "{e}");
        let e = ledger.hold("b", 100, 250, &go_on).unwrap_err();
        assert!(matches!(&e, Error::Budget { unit: "of money", .. }) && e.help().is_some(), "{e}");
        ledger.hold("b", 100, 100, &go_on).unwrap().spend_all();
        // What is given back can be held again.
        drop(ledger.hold("c", 100, 10, &go_on).unwrap());
        drop(ledger.hold("c", 100, 10, &go_on).unwrap());
        assert!(matches!(ledger.hold("c", 1, 1, &|| true), Err(Error::Stopped)));
        let e = Ledger::new("m", None, Some(1.0), None).unwrap_err();
        assert!(matches!(e, Error::NoPrice { .. }) && e.help().is_some());
    }

    #[test]
    fn what_others_hold_is_waited_for() {
        let ledger = Ledger::new("m", None, None, Some(300)).unwrap();
        let first = ledger.hold("a", 100, 100, &|| false).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| ledger.hold("b", 100, 100, &|| false).map(drop));
            first.spend(Usage { input: 50, output: 10, ..Usage::default() });
            assert!(second.join().unwrap().is_ok());
        });
    }
}
