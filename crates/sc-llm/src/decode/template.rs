//! Templates: text of ours with holes for the model.
//!
//! The text between the holes is read by the model and never generated, all tokens of it at once; a hole takes what its kind
//! allows and nothing else. So what a template becomes is right by construction, whatever the model: JSON that parses, with
//! a label of the closed set. Where the vocabulary lacks characters of the text (a brace, for T5), the model is shown the
//! text without them, and the result has them all the same.
//!
//! | hole | takes |
//! |---|---|
//! | [`Hole::Labels`], [`Hole::OneOf`] | one of some texts |
//! | [`Hole::Number`] | 0 to 1 with some decimals |
//! | [`Hole::Text`] | free text as a string of JSON, with a budget of tokens |
//! | [`Hole::Thoughts`] | free text up to a word or the end of the budget |
//!
//! ```
//! use sc_llm::decode::generate::GenerateParams;
//! use sc_llm::decode::template::{self, Hole, Part, Template};
//! use sc_llm::tokenizer::Tokenizer;
//!
//! let tokenizer = Tokenizer::of_words(&["Answer: {\"cell_type\": \"T cell\"}"], 1000)?;
//! let labels = Hole::labels(&["T cell", "γδ T cell"]);
//! let mut parts = vec![Part::Text(" ".into())];
//! parts.extend(template::json(&[("cell_type", labels), ("confidence", Hole::Number { decimals: 2 })])?);
//! let template = Template::new(&tokenizer, "Answer:", &parts)?;
//! // A model to whom all tokens are alike.
//! let model = |_: &[u32]| Ok::<_, sc_llm::Error>(vec![0.0; tokenizer.n_tokens()]);
//! let filled = template.fill(&GenerateParams::default(), 0, model)?;
//! assert_eq!(filled.text, r#" {"cell_type": "T cell", "confidence": 0.00}"#);
//! # Ok::<(), sc_llm::Error>(())
//! ```

mod error;
mod fill;
mod spell;
mod text;

pub use error::Error;
pub use fill::{Filled, Value};

pub(crate) use fill::Filling;

use crate::prompt::json_inside;
use crate::tokenizer::Tokenizer;
use spell::Choice;
use text::Free;

/// Decimals of a number at most.
pub const MAX_DECIMALS: u32 = 4;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// A hole.
    Hole(Hole),
    /// A hole as a string of JSON: quotation marks around it, its texts escaped.
    Quoted(Hole),
}

/// What the model may say in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// One of the labels, each with the texts that mean it, its name first. Once in a template at most.
    Labels(Vec<Vec<String>>),
    /// One of some texts.
    OneOf(Vec<String>),
    /// A number from 0 to 1 with so many decimals, [`MAX_DECIMALS`] at most.
    Number {
        /// Digits behind the point; 0 for `0` and `1` alone.
        decimals: u32,
    },
    /// Free text, only as [`Part::Quoted`]. It ends with the quotation mark, where the model ends its text, or at the end of
    /// the budget.
    Text {
        /// Tokens at most.
        max_tokens: usize,
    },
    /// Free text that is read by nobody but the model, only as [`Part::Hole`]. It ends before a stop text, where the model
    /// ends its text, or at the end of the budget; then the template goes on as if the model had come to it by itself.
    Thoughts {
        /// Texts that end it, such as `</think>`: the beginning of the text behind the hole, as a rule.
        stop: Vec<String>,
        /// Tokens at most.
        max_tokens: usize,
    },
}

impl Hole {
    /// Labels with one text each.
    pub fn labels<S: AsRef<str>>(labels: &[S]) -> Self {
        Self::Labels(labels.iter().map(|label| vec![label.as_ref().to_owned()]).collect())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Labels(_) => "labels",
            Self::OneOf(_) => "some texts",
            Self::Number { .. } => "a number",
            Self::Text { .. } => "free text",
            Self::Thoughts { .. } => "thoughts",
        }
    }
}

/// The parts of a JSON object with these fields, in this order: `{"cell_type": "…", "confidence": …}`. All but numbers are
/// quoted.
///
/// # Errors
/// [`Error::SameKey`]; [`Error::NotQuoted`] for thoughts, which are no value.
pub fn json(fields: &[(&str, Hole)]) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for (place, (key, hole)) in fields.iter().enumerate() {
        if fields[..place].iter().any(|(other, _)| other == key) {
            return Err(Error::SameKey { key: (*key).to_owned() });
        }
        let before = if place == 0 { "{" } else { ", " };
        parts.push(Part::Text(format!("{before}\"{}\": ", json_inside(key))));
        parts.push(match hole {
            Hole::Number { .. } => Part::Hole(hole.clone()),
            _ => Part::Quoted(hole.clone()),
        });
    }
    parts.push(Part::Text(if fields.is_empty() { "{}" } else { "}" }.to_owned()));
    Ok(parts)
}

/// A template in the tokens of a model, behind a prompt.
#[derive(Debug)]
pub struct Template {
    /// The tokens before the template, and how many of them stay when the template follows.
    prefix: Vec<u32>,
    kept: usize,
    /// The tokens between those and the first hole.
    start: Vec<u32>,
    /// The text before each hole, and behind the last.
    texts: Vec<String>,
    slots: Vec<Slot>,
    labels: Option<Labels>,
    n_tokens: usize,
    eos: Vec<u32>,
    /// The bytes of every token, where there is free text; `None` for those that are no text.
    bytes: Vec<Option<Vec<u8>>>,
}

/// The hole of the labels.
#[derive(Clone, Debug)]
struct Labels {
    slot: usize,
    names: Vec<Vec<String>>,
    /// The label of each text.
    label_of: Vec<usize>,
}

/// A hole in tokens.
#[derive(Debug)]
enum Slot {
    Choice(Choice),
    Free(Free),
}

/// A hole before it has tokens.
enum Plan {
    /// Texts, as they stand in the template.
    Choice(Vec<String>),
    Text {
        max_tokens: usize,
    },
    Thoughts {
        stop: Vec<String>,
        max_tokens: usize,
    },
}

impl Template {
    /// A template behind a prompt.
    ///
    /// * `prefix`: the text before it, as for [`LabelTokens::new`](crate::tokenizer::LabelTokens::new).
    ///
    /// # Errors
    /// [`Error`] names the hole, counted from 0.
    pub fn new(tokenizer: &Tokenizer, prefix: &str, parts: &[Part]) -> Result<Self, Error> {
        let mut texts = vec![String::new()];
        let (mut plans, mut labels): (Vec<Plan>, _) = (Vec::new(), None);
        for part in parts {
            let (hole, is_quoted) = match part {
                Part::Text(text) => {
                    texts.last_mut().expect("there is one at least").push_str(text);
                    continue;
                }
                Part::Hole(hole) => (hole, false),
                Part::Quoted(hole) => (hole, true),
            };
            let place = plans.len();
            let before = texts.last_mut().expect("there is one at least");
            if is_quoted {
                before.push('"');
            }
            if before.is_empty() && place > 0 {
                return Err(Error::NoText { hole: place });
            }
            let escaped = |text: &String| if is_quoted { json_inside(text) } else { text.clone() };
            plans.push(match hole {
                Hole::Text { max_tokens } if is_quoted => Plan::Text { max_tokens: *max_tokens },
                Hole::Thoughts { stop, max_tokens } if !is_quoted => {
                    if stop.iter().any(String::is_empty) {
                        return Err(Error::EmptyText { hole: place, text: 0 });
                    }
                    Plan::Thoughts { stop: stop.clone(), max_tokens: *max_tokens }
                }
                Hole::Text { .. } | Hole::Thoughts { .. } => {
                    return Err(Error::NotQuoted { hole: place, kind: hole.name(), is_quoted });
                }
                Hole::Number { decimals } => Plan::Choice(numbers(place, *decimals)?),
                Hole::OneOf(texts) => Plan::Choice(texts.iter().map(escaped).collect()),
                Hole::Labels(names) => {
                    if labels.is_some() {
                        return Err(Error::SecondLabels { hole: place });
                    }
                    if let Some(label) = names.iter().position(Vec::is_empty) {
                        return Err(Error::NoName { label });
                    }
                    let of = |(label, texts): (usize, &Vec<String>)| vec![label; texts.len()];
                    let label_of = names.iter().enumerate().flat_map(of).collect();
                    labels = Some(Labels { slot: place, names: names.clone(), label_of });
                    Plan::Choice(names.iter().flatten().map(escaped).collect())
                }
            });
            texts.push(if is_quoted { "\"" } else { "" }.to_owned());
        }
        if plans.is_empty() {
            return Err(Error::NoHole);
        }
        spell::template(tokenizer, prefix, texts, plans, labels)
    }

    /// The part of a prompt's tokens behind which the template starts.
    ///
    /// # Errors
    /// [`crate::tokenizer::Error::OtherPrefix`] if the prompt does not end in the tokens of the prefix.
    pub fn start_of<'a>(&self, prompt: &'a [u32]) -> Result<&'a [u32], crate::tokenizer::Error> {
        if !prompt.ends_with(&self.prefix) {
            let found = prompt[prompt.len().saturating_sub(self.prefix.len())..].to_vec();
            return Err(crate::tokenizer::Error::OtherPrefix { found, expected: self.prefix.clone() });
        }
        Ok(&prompt[..prompt.len() - (self.prefix.len() - self.kept)])
    }

    /// The labels, each with the texts that mean it; `None` without a hole for them.
    pub fn labels(&self) -> Option<&[Vec<String>]> {
        self.labels.as_ref().map(|labels| labels.names.as_slice())
    }

    /// Tokens that it takes at most.
    pub fn max_tokens(&self) -> usize {
        let slots = self.slots.iter().map(|slot| match slot {
            Slot::Choice(choice) => choice.max_tokens(),
            Slot::Free(free) => free.most_tokens(),
        });
        self.start.len() + slots.sum::<usize>()
    }
}

/// All numbers from 0 to 1 with some decimals.
fn numbers(hole: usize, decimals: u32) -> Result<Vec<String>, Error> {
    if decimals > MAX_DECIMALS {
        return Err(Error::Decimals { hole, found: decimals });
    }
    let one = 10_u32.pow(decimals);
    let width = decimals as usize;
    let number = |i: u32| match decimals {
        0 => i.to_string(),
        _ => format!("{}.{:0width$}", i / one, i % one),
    };
    Ok((0..=one).map(number).collect())
}

#[cfg(test)]
mod tests;
