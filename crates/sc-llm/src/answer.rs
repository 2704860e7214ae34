//! What a model said, as a label or as the reason why it is none.
//!
//! An answer counts if it is a label and nothing else: word for word, up to case and white space, or as the
//! `cell_type` of a JSON object. Nothing is searched for in longer text and nothing is guessed, and an answer that is
//! no label is an outcome of its own, for metrics over the parsed answers alone flatter a model that rarely answers.

pub(crate) mod json;

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The labels that an answer may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    exact: BTreeMap<String, usize>,
    /// `None` where several labels differ in case or white space alone.
    folded: BTreeMap<String, Option<usize>>,
}

/// What an answer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A label.
    Label {
        /// Its place in the label set.
        index: usize,
        /// How it was written.
        form: Form,
    },
    /// No label.
    Unparseable(Reason),
}

/// How a label was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Word for word.
    Exact,
    /// With other case or white space.
    Folded,
    /// As the `cell_type` of a JSON object, exact or folded.
    Json,
}

/// Why an answer is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing but white space.
    Empty,
    /// Text that is no label.
    NotALabel,
    /// Several labels fit, or a JSON object with several `cell_type`s.
    Ambiguous,
    /// It starts like a JSON object and is none, or has text behind it.
    InvalidJson,
    /// A JSON object without a `cell_type` that is a string.
    NoCellType,
}

impl Answer {
    /// The label's place in the label set, if the answer is one.
    pub fn label(self) -> Option<usize> {
        match self {
            Self::Label { index, .. } => Some(index),
            Self::Unparseable(_) => None,
        }
    }
}

impl LabelSet {
    /// A set of labels. Answers name a label by its place in this list.
    ///
    /// # Errors
    /// [`Error::NoLabels`], [`Error::EmptyLabel`] for a label of white space, [`Error::SameLabel`].
    pub fn new<S: AsRef<str>>(labels: &[S]) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let mut set = Self { exact: BTreeMap::new(), folded: BTreeMap::new() };
        for (index, label) in labels.iter().map(AsRef::as_ref).enumerate() {
            let folded = fold(label);
            if folded.is_empty() {
                return Err(Error::EmptyLabel { label: index });
            }
            if let Some(first) = set.exact.insert(label.to_owned(), index) {
                return Err(Error::SameLabel { first, second: index });
            }
            set.folded.entry(folded).and_modify(|only| *only = None).or_insert(Some(index));
        }
        Ok(set)
    }

    /// Parses an answer: a label word for word; else a label up to case and white space, at its ends and between
    /// words; else a JSON object whose `cell_type` is one of these. Other keys of the object may hold anything.
    pub fn parse(&self, answer: &str) -> Answer {
        match self.find(answer) {
            Answer::Unparseable(Reason::NotALabel) if answer.trim_start().starts_with('{') => {
                self.find_in_json(answer)
            }
            found => found,
        }
    }

    fn find(&self, text: &str) -> Answer {
        if let Some(&index) = self.exact.get(text) {
            return Answer::Label { index, form: Form::Exact };
        }
        let folded = fold(text);
        match self.folded.get(&folded) {
            Some(&Some(index)) => Answer::Label { index, form: Form::Folded },
            Some(None) => Answer::Unparseable(Reason::Ambiguous),
            None if folded.is_empty() => Answer::Unparseable(Reason::Empty),
            None => Answer::Unparseable(Reason::NotALabel),
        }
    }

    fn find_in_json(&self, answer: &str) -> Answer {
        match json::strings_at(answer, "cell_type").as_deref() {
            None => Answer::Unparseable(Reason::InvalidJson),
            Some([] | [None]) => Answer::Unparseable(Reason::NoCellType),
            Some([Some(cell_type)]) => match self.find(cell_type) {
                Answer::Label { index, .. } => Answer::Label { index, form: Form::Json },
                unparseable => unparseable,
            },
            Some(_) => Answer::Unparseable(Reason::Ambiguous),
        }
    }
}

/// Lower case, one space for each run of white space, none at the ends. Character by character, so that the same text
/// folds to the same wherever it stands.
fn fold(text: &str) -> String {
    let words: Vec<String> =
        text.split_whitespace().map(|word| word.chars().flat_map(char::to_lowercase).collect()).collect();
    words.join(" ")
}

/// How many answers were what; they add up to all answers.
///
/// ```
/// use sc_llm::answer::{LabelSet, Tally};
///
/// let labels = LabelSet::new(&["B cell", "T cell"])?;
/// let answers = ["T cell", "a T cell, I think", "b cell", ""].map(|answer| labels.parse(answer));
/// let tally: Tally = answers.into_iter().collect();
/// assert_eq!((tally.exact, tally.folded, tally.not_a_label, tally.empty), (1, 1, 1, 1));
/// assert_eq!((tally.n_answers(), tally.n_unparseable()), (4, 2));
/// # Ok::<(), sc_llm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Labels word for word.
    pub exact: usize,
    /// Labels with other case or white space.
    pub folded: usize,
    /// Labels in JSON.
    pub json: usize,
    /// [`Reason::Empty`].
    pub empty: usize,
    /// [`Reason::NotALabel`].
    pub not_a_label: usize,
    /// [`Reason::Ambiguous`].
    pub ambiguous: usize,
    /// [`Reason::InvalidJson`].
    pub invalid_json: usize,
    /// [`Reason::NoCellType`].
    pub no_cell_type: usize,
}

impl Tally {
    /// All answers: the denominator of an accuracy.
    pub fn n_answers(&self) -> usize {
        self.exact + self.folded + self.json + self.n_unparseable()
    }

    /// Answers that are no label.
    pub fn n_unparseable(&self) -> usize {
        self.empty + self.not_a_label + self.ambiguous + self.invalid_json + self.no_cell_type
    }
}

impl FromIterator<Answer> for Tally {
    fn from_iter<I: IntoIterator<Item = Answer>>(answers: I) -> Self {
        let mut tally = Self::default();
        for answer in answers {
            *match answer {
                Answer::Label { form: Form::Exact, .. } => &mut tally.exact,
                Answer::Label { form: Form::Folded, .. } => &mut tally.folded,
                Answer::Label { form: Form::Json, .. } => &mut tally.json,
                Answer::Unparseable(Reason::Empty) => &mut tally.empty,
                Answer::Unparseable(Reason::NotALabel) => &mut tally.not_a_label,
                Answer::Unparseable(Reason::Ambiguous) => &mut tally.ambiguous,
                Answer::Unparseable(Reason::InvalidJson) => &mut tally.invalid_json,
                Answer::Unparseable(Reason::NoCellType) => &mut tally.no_cell_type,
            } += 1;
        }
        tally
    }
}

#[cfg(test)]
mod tests;
