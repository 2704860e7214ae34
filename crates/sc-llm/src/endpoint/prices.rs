//! What tokens cost, as a table says that the user keeps.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::budget::NANO;
use super::{Error, Result, Usage};

/// Largest price table.
const MAX_BYTES: u64 = 1 << 20;

/// Prices of one model, per million tokens, in whatever currency the table is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of the prompt.
    #[serde(deserialize_with = "amount")]
    pub input: f64,
    /// Of the part of the prompt that the server still had. The price of the prompt if it is left out.
    #[serde(default, deserialize_with = "some_amount")]
    pub cached_input: Option<f64>,
    /// Of the answer.
    #[serde(deserialize_with = "amount")]
    pub output: f64,
    /// Of reasoning. The price of the answer if it is left out.
    #[serde(default, deserialize_with = "some_amount")]
    pub reasoning: Option<f64>,
}

impl Price {
    /// What these tokens cost.
    pub fn of(&self, usage: Usage) -> f64 {
        self.nano(usage) as f64 * NANO
    }

    pub(super) fn nano(&self, usage: Usage) -> u64 {
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
    pub(super) fn at_most(&self, input: u64, output: u64) -> u64 {
        let dearest = Self {
            input: self.cached_input.map_or(self.input, |cached| cached.max(self.input)),
            output: self.reasoning.map_or(self.output, |reasoning| reasoning.max(self.output)),
            cached_input: None,
            reasoning: None,
        };
        dearest.nano(Usage { input, output, ..Usage::default() })
    }
}

/// A price as it stands in a table.
fn amount<'de, D: Deserializer<'de>>(table: D) -> Result<f64, D::Error> {
    checked(f64::deserialize(table)?)
}

fn some_amount<'de, D: Deserializer<'de>>(table: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(table)?.map(checked).transpose()
}

fn checked<E: serde::de::Error>(price: f64) -> Result<f64, E> {
    if price.is_finite() && price >= 0.0 {
        Ok(price)
    } else {
        Err(E::custom(format!("a price is {price}, expected a number from 0")))
    }
}

/// Prices by the name of the model, as it is given to the client. In TOML a name with a dot has to have quotes.
///
/// ```
/// use sc_llm::endpoint::{Prices, Usage};
///
/// let prices = Prices::from_toml(
///     r#"
///     ["some-model-4.1"]
///     input = 0.15
///     cached_input = 0.075
///     output = 0.6
///     "#,
/// )?;
/// let usage = Usage { input: 1_000_000, cached_input: 500_000, output: 1_000_000, reasoning: 0 };
/// assert_eq!(prices.get("some-model-4.1").unwrap().of(usage), 0.7125);
/// # Ok::<(), sc_llm::endpoint::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// Reads a table in TOML: a section for each model.
    ///
    /// # Errors
    /// [`Error::BadPrices`] for text that is none, unknown words, and prices that are negative or not finite, with the line.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map(Self).map_err(|e| {
            let why = e.message().to_owned();
            match e.span() {
                Some(span) => {
                    let before = text.get(..span.start).unwrap_or(text);
                    let line = before.matches('\n').count() + 1;
                    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
                    bad("the price table", format!("line {line}, column {column}: {why}"))
                }
                None => bad("the price table", why),
            }
        })
    }

    /// Reads a table in YAML (JSON is YAML too): a mapping of models to their prices, `name: {input: 0.15, output: 0.6}`.
    ///
    /// # Errors
    /// As [`Prices::from_toml`].
    pub fn from_yaml(text: &str) -> Result<Self> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: 10_000, max_depth: 8, max_aliases: 100 },
            with_snippet: false,
        };
        let table = serde_saphyr::from_str_with_options(text, options);
        table.map(Self).map_err(|e| bad("the price table", e.to_string()))
    }

    /// Reads a table from a file of at most 1 MiB: TOML if its name ends in `.toml`, else YAML or JSON.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadPrices`] with the file, as [`Prices::from_toml`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        use std::io::Read;
        let path = path.as_ref();
        let failed = |source| Error::Io { path: path.to_owned(), doing: "read the prices", source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
        let place = path.display().to_string();
        if text.len() as u64 > MAX_BYTES {
            return Err(bad(&place, format!("the file has more than {MAX_BYTES} bytes")));
        }
        let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let table = if is_toml { Self::from_toml(&text) } else { Self::from_yaml(&text) };
        table.map_err(|e| match e {
            Error::BadPrices { why, .. } => bad(&place, why),
            other => other,
        })
    }

    /// The prices of a model.
    pub fn get(&self, model: &str) -> Option<&Price> {
        self.0.get(model)
    }
}

fn bad(place: &str, why: String) -> Error {
    Error::BadPrices { place: place.to_owned(), why }
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
    fn tables_with_nonsense_are_refused_by_name_and_line() {
        for (text, words) in [
            ("m: {input: -1, output: 1}", "-1"),
            ("m: {input: .inf, output: 1}", "inf"),
            ("m:\n  input: 1\n", "output"),
            ("m: {input: 1, output: 2, ouput: 3}", "ouput"),
            ("[1, 2]", "price table"),
            ("m: {input: 1, output: 2}\nn: {input: 1, output: -2}", "line 2"),
        ] {
            let e = Prices::from_yaml(text).unwrap_err();
            assert!(e.to_string().contains(words) && e.help().is_some(), "{text}: {e}");
        }
        for (text, words) in [
            ("[m]\ninput = -1\noutput = 1", ["line 2, column 9", "-1"]),
            ("[m]\ninput = 1\noutput = nan", ["line 3, column 10", "NaN"]),
            ("[m]\ninput = 1\noutput = 2\nreasoning = -inf", ["line 4", "-inf"]),
            ("\n\n[m]\ninput = 1\n", ["line 3, column 1", "output"]),
            ("[m]\ninput = 1\noutput = 2\nouput = 3", ["line 4", "ouput"]),
            // Without quotes a name with a dot is a table in a table.
            ("[gpt-4.1]\ninput = 1\noutput = 2", ["line 1", "1"]),
            ("[m]\ninput = 1\ninput = 2", ["line 3", "duplicate"]),
            ("m = 3", ["line 1", "integer"]),
            ("[m]\ninput = \"γ\"", ["line 2, column 9", "string"]),
            ("[m\n", ["line 1", ""]),
        ] {
            let e = Prices::from_toml(text).unwrap_err();
            assert!(
                words.iter().all(|word| e.to_string().contains(word)) && e.help().is_some(),
                "{text}: {e}"
            );
        }
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(Prices::from_toml(&deep).is_err());
    }

    #[test]
    fn a_table_is_the_same_in_all_its_forms() {
        let folder = tempfile::tempdir().unwrap();
        let expected = Price { input: 0.0, cached_input: None, output: 2.5, reasoning: Some(3.0) };
        for (name, text) in [
            ("prices.toml", "[\"a/b:free\"]\ninput = 0\noutput = 2.5\nreasoning = 3\n"),
            ("prices.TOML", "\"a/b:free\" = { input = 0, output = 2.5, reasoning = 3 }\r\n"),
            ("prices.yaml", "\"a/b:free\":\n  input: 0\n  output: 2.5\n  reasoning: 3\n"),
            ("prices.json", "{\"a/b:free\": {\"input\": 0, \"output\": 2.5, \"reasoning\": 3}}"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(Prices::from_file(&path).unwrap().get("a/b:free"), Some(&expected), "{name}");
            std::fs::write(&path, text.replace("2.5", "-2.5")).unwrap();
            let e = Prices::from_file(&path).unwrap_err().to_string();
            assert!(e.contains(name) && e.contains("line ") && e.contains("-2.5"), "{e}");
            std::fs::write(&path, "#".repeat(MAX_BYTES as usize + 1)).unwrap();
            assert!(Prices::from_file(&path).unwrap_err().to_string().contains(name));
            std::fs::write(&path, b"\xff\xfe").unwrap();
            assert!(matches!(Prices::from_file(&path), Err(Error::Io { .. })));
        }
    }
}
