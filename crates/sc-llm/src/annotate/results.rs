//! What became of the items.

use crate::answer::{Answer, Tally};
use crate::decode::template::Filled;
use crate::decode::trie::Posterior;

/// The answer of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Its place in the list given.
    pub item: usize,
    /// Its name.
    pub id: String,
    /// The label, or why there is none.
    pub answer: Answer,
    /// What the model said, up to the end of the answer; the label's name where it could only choose; the whole text of a
    /// template.
    pub text: String,
    /// What the model thinks of every label, where that was asked.
    pub posterior: Option<Posterior>,
    /// Whether the model ended its text by itself, and not at the end of its budget; true where it could only choose. A free
    /// answer that is a label, in no other case or white space, is one for [`Decoding::Strict`](super::Decoding::Strict) too
    /// if this is true, so one run gives both.
    pub ended: bool,
    /// What is in the holes of the template, where there is one: a reason, thoughts, a confidence.
    pub filled: Option<Filled>,
    /// Tokens of the prompt.
    pub n_prompt: usize,
    /// Those of them that were read once for all items.
    pub n_shared: usize,
    /// Tokens of the answer; of a posterior without a template, those of all labels that were read.
    pub n_generated: usize,
    /// Its share of its batch's time, by tokens. The only number here that no other run repeats.
    pub seconds: f64,
}

impl Annotation {
    /// The label, if there is one.
    pub fn label(&self) -> Option<usize> {
        self.answer.label()
    }
}

/// The answers of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// In the order of the items.
    pub items: Vec<Annotation>,
    /// Tokens that were read once for all.
    pub n_shared: usize,
    /// Seconds from the first token to the last.
    pub seconds: f64,
    /// Whether every item has an answer; not if the callback stopped the run.
    pub is_complete: bool,
}

impl Annotations {
    /// How many answers were what.
    pub fn tally(&self) -> Tally {
        self.items.iter().map(|item| item.answer).collect()
    }

    /// Share of the answers that are a label; 0 without answers.
    pub fn compliance(&self) -> f64 {
        let labels = self.items.iter().filter(|item| item.label().is_some()).count();
        labels as f64 / self.items.len().max(1) as f64
    }

    /// Tokens that went through the model: of prompts, the shared beginning once, and of answers.
    pub fn n_tokens(&self) -> usize {
        let own = |item: &Annotation| item.n_prompt - item.n_shared + item.n_generated;
        self.n_shared + self.items.iter().map(own).sum::<usize>()
    }

    /// Tokens that went through the model in a second.
    pub fn tokens_per_second(&self) -> f64 {
        self.n_tokens() as f64 / self.seconds.max(1e-9)
    }
}
