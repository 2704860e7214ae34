//! What answers cost, and the point at which no more are asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// Largest price table.
const MAX_BYTES: u64 = 1 << 20;
/// Money is counted in whole parts of this size, so that sums do not depend on their order.
const NANO: f64 = 1e-9;

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

/// Prices of one model, per million tokens, in whatever currency the table is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the part of the prompt that the server still had. The price of the prompt if it is left out.
    #[serde(default)]
    pub cached_input: Option<f64>,
    /// Of the answer.
    pub output: f64,
    /// Of reasoning. The price of the answer if it is left out.
    #[serde(default)]
    pub reasoning: Option<f64>,
}

impl Price {
    /// What these tokens cost.
    pub fn of(&self, usage: Usage) -> f64 {
        self.nano(usage) as f64 * NANO
    }

    fn nano(&self, usage: Usage) -> u64 {
        let cached = usage.cached_input.min(usage.input);
        let reasoning = usage.reasoning.min(usage.output);
        let parts = [
            ((usage.input - cached) as f64, self.input),
            (cached as f64, self.cached_input.unwrap_or(self.input)),
            ((usage.output - reasoning) as f64, self.output),
            (reasoning as f64, self.reasoning.unwrap_or(self.output)),
        ];
        // Per million tokens, in parts of 10^-9. A conversion of floats stops at the largest integer.
        let nano: f64 = parts.iter().map(|(tokens, price)| tokens * price * 1e3).sum();
        nano.ceil() as u64
    }

    /// At most this, whichever part of the prompt is cached and whatever part of the answer is reasoning.
    fn at_most(&self, input: u64, output: u64) -> u64 {
        let dearest = Self {
            input: self.cached_input.map_or(self.input, |cached| cached.max(self.input)),
            output: self.reasoning.map_or(self.output, |reasoning| reasoning.max(self.output)),
            cached_input: None,
            reasoning: None,
        };
        dearest.nano(Usage { input, output, ..Usage::default() })
    }
}

/// Prices by the name of the model, as it is given to the client.
///
/// ```
/// use sc_llm::endpoint::{Prices, Usage};
///
/// let prices = Prices::from_yaml("some-model: {input: 0.15, cached_input: 0.075, output: 0.6}")?;
/// let usage = Usage { input: 1_000_000, cached_input: 500_000, output: 1_000_000, reasoning: 0 };
/// assert_eq!(prices.get("some-model").unwrap().of(usage), 0.7125);
/// # Ok::<(), sc_llm::endpoint::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// Reads a table in YAML (JSON is YAML too): a mapping of models to their prices.
    ///
    /// # Errors
    /// [`Error::BadPrices`] for text that is none, unknown words, and prices that are negative or not finite.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: 10_000, max_depth: 8, max_aliases: 100 },
            with_snippet: false,
        };
        let table = serde_saphyr::from_str_with_options(text, options);
        let table: BTreeMap<String, Price> = table
            .map_err(|e| Error::BadPrices { place: "the price table".to_owned(), why: e.to_string() })?;
        for (model, price) in &table {
            let Price { input, cached_input, output, reasoning } = *price;
            let all = [Some(input), cached_input, Some(output), reasoning];
            if let Some(bad) = all.into_iter().flatten().find(|price| !price.is_finite() || *price < 0.0) {
                let why = format!("a price is {bad}, expected a number from 0");
                return Err(Error::BadPrices { place: format!("model {model:?}"), why });
            }
        }
        Ok(Self(table))
    }

    /// Reads a table from a file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Io`], and as [`Prices::from_yaml`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        use std::io::Read;
        let path = path.as_ref();
        let failed = |source| Error::Io { path: path.to_owned(), doing: "read the prices", source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_BYTES {
            let why = format!("the file has more than {MAX_BYTES} bytes");
            return Err(Error::BadPrices { place: path.display().to_string(), why });
        }
        Self::from_yaml(&text).map_err(|e| match e {
            Error::BadPrices { place, why } => {
                Error::BadPrices { place: format!("{}: {place}", path.display()), why }
            }
            other => other,
        })
    }

    /// The prices of a model.
    pub fn get(&self, model: &str) -> Option<&Price> {
        self.0.get(model)
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
                return Ok(Hold { ledger: self, nano, tokens, counted: input });
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
}

impl Hold<'_> {
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

    const PRICE: Price = Price { input: 1.0, cached_input: Some(0.5), output: 4.0, reasoning: Some(8.0) };

    #[test]
    fn every_kind_of_token_has_its_price_and_the_estimate_is_above_all() {
        let usage = Usage { input: 1000, cached_input: 400, output: 100, reasoning: 50 };
        assert!((PRICE.of(usage) - (600.0 + 200.0 + 200.0 + 400.0) * 1e-6).abs() < 1e-12);
        assert!(PRICE.at_most(1000, 100) >= PRICE.nano(usage));
        let lying = Usage { input: 1, cached_input: u64::MAX, output: 0, reasoning: u64::MAX };
        assert_eq!(PRICE.nano(lying), 500);
    }

    #[test]
    fn tables_with_nonsense_are_refused_by_name() {
        for (text, word) in [
            ("m: {input: -1, output: 1}", "-1"),
            ("m: {input: .inf, output: 1}", "inf"),
            ("m: {input: 1}", "output"),
            ("m: {input: 1, output: 2, ouput: 3}", "ouput"),
            ("[1, 2]", "price table"),
        ] {
            let e = Prices::from_yaml(text).unwrap_err().to_string();
            assert!(e.contains(word), "{text}: {e}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.yaml");
        std::fs::write(&path, "\"a/b:free\":\n  input: 0\n  output: 0\n").unwrap();
        assert_eq!(Prices::from_file(&path).unwrap().get("a/b:free").unwrap().of(Usage::default()), 0.0);
        std::fs::write(&path, "#".repeat(MAX_BYTES as usize + 1)).unwrap();
        assert!(Prices::from_file(&path).unwrap_err().to_string().contains("prices.yaml"));
    }

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
