//! From what a model said to a label.

mod normal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::structure::KEY;
use super::{Error, Result};
use crate::answer::json::strings_at;
use crate::answer::{Answer, Form, LabelSet};

/// The labels that a model may answer with, and other words for them.
///
/// ```
/// use sc_llm::endpoint::{Lexicon, Match};
///
/// let mut lexicon = Lexicon::new(&["CD8+ T cell", "natural killer cell"])?;
/// lexicon.add_synonym("NK", "natural killer cell")?;
/// assert_eq!(lexicon.read("<think>cytotoxic, CD3E</think>\nCD8-positive T cells."), Some((0, Match::Normal)));
/// assert_eq!(lexicon.read("```json\n{\"cell_type\": \"nk\"}\n```"), Some((1, Match::Synonym)));
/// assert_eq!(lexicon.read("CD8+ T cell or natural killer cell"), None);
/// # Ok::<(), sc_llm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lexicon {
    names: Vec<String>,
    set: LabelSet,
    synonyms: BTreeMap<String, usize>,
    /// `None` where several labels have the same normal form.
    normal: BTreeMap<String, Option<usize>>,
}

/// How an answer named its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// Word for word, in text or in JSON.
    Exact,
    /// With other case or white space.
    Folded,
    /// By a synonym that the caller gave.
    Synonym,
    /// With other plurals, punctuation, signs or names of Greek letters.
    Normal,
    /// By its number, where numbers were asked for.
    Number,
}

/// A label that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) label: usize,
    pub(super) how: Match,
    /// The label as the model wrote it.
    pub(super) said: String,
}

impl Lexicon {
    /// Labels without synonyms. Answers name a label by its place in this list.
    ///
    /// # Errors
    /// As [`LabelSet::new`].
    pub fn new<S: AsRef<str>>(labels: &[S]) -> crate::Result<Self> {
        let set = LabelSet::new(labels)?;
        let names: Vec<String> = labels.iter().map(|label| label.as_ref().to_owned()).collect();
        let mut lexicon = Self { names, set, synonyms: BTreeMap::new(), normal: BTreeMap::new() };
        for label in 0..lexicon.names.len() {
            let form = normal::form(&lexicon.names[label]);
            lexicon.add_normal(form, label);
        }
        Ok(lexicon)
    }

    /// The labels, in order.
    pub fn labels(&self) -> &[String] {
        &self.names
    }

    /// Another word for a label: an abbreviation, or the id of a term of an ontology.
    ///
    /// # Errors
    /// [`Error::BadSynonym`] if the label is not in the list, or the synonym is a label already, or one of another label.
    pub fn add_synonym(&mut self, synonym: &str, label: &str) -> Result<()> {
        let bad = |why| Err(Error::BadSynonym { synonym: synonym.to_owned(), why });
        let Some(index) = self.names.iter().position(|name| name == label) else {
            return bad("is of a label that is not in the list");
        };
        let word = words(synonym);
        if word.is_empty() {
            return bad("is empty");
        }
        match self.set.parse(synonym) {
            Answer::Label { index: found, .. } if found == index => return Ok(()),
            Answer::Label { .. } => return bad("is another label"),
            Answer::Unparseable(_) => {}
        }
        if self.synonyms.insert(word, index).is_some_and(|earlier| earlier != index) {
            return bad("is of two labels");
        }
        self.add_normal(normal::form(synonym), index);
        Ok(())
    }

    fn add_normal(&mut self, form: String, label: usize) {
        if form.is_empty() {
            return;
        }
        let same = |only: &mut Option<usize>| {
            if *only != Some(label) {
                *only = None;
            }
        };
        self.normal.entry(form).and_modify(same).or_insert(Some(label));
    }

    /// The label that an answer names, if it names one and nothing else, and how it does.
    ///
    /// Reasoning between `<think>` and `</think>`, a fence of Markdown around all of the rest, and quotes of JSON are
    /// taken off. What is left is read as by [`LabelSet::parse`], then as a synonym, then by its normal form: without
    /// case, plural, punctuation and emphasis, with `+` for `positive`, and names of Greek letters for the letters.
    pub fn read(&self, answer: &str) -> Option<(usize, Match)> {
        self.find(answer, false).map(|found| (found.label, found.how))
    }

    /// * `numbered`: numbers of labels were asked for.
    pub(super) fn find(&self, answer: &str, numbered: bool) -> Option<Found> {
        let text = bare(answer)?;
        if numbered && let Some(found) = self.numbered(text) {
            return Some(found);
        }
        let unquoted: Option<String> = serde_json::from_str(text).ok();
        let text = unquoted.as_deref().unwrap_or(text);
        let in_json = text.starts_with('{').then(|| strings_at(text, KEY)).flatten();
        let said = match in_json.as_deref() {
            Some([Some(said)]) => said.clone(),
            _ => text.to_owned(),
        };
        let found = |label, how| Some(Found { label, how, said: said.clone() });
        if let Answer::Label { index, form } = self.set.parse(text) {
            let exact = form == Form::Exact || self.names[index] == said;
            return found(index, if exact { Match::Exact } else { Match::Folded });
        }
        if let Some(&label) = self.synonyms.get(&words(&said)) {
            return found(label, Match::Synonym);
        }
        let label = self.normal.get(&normal::form(&said)).copied().flatten()?;
        found(label, Match::Normal)
    }

    fn numbered(&self, text: &str) -> Option<Found> {
        // Parsed twice: the first reader refuses an object that has the key twice.
        let n_values = strings_at(text, KEY)?.len();
        let value: Value = serde_json::from_str(text).ok()?;
        let number = value.get(KEY).filter(|_| n_values == 1)?;
        let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
        let label = usize::try_from(number).ok().filter(|&label| label < self.names.len())?;
        Some(Found { label, how: Match::Number, said: number.to_string() })
    }
}

/// Lower case, one space between words.
fn words(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// The answer without reasoning before it and a fence around it; none if the reasoning does not end.
pub(super) fn bare(answer: &str) -> Option<&str> {
    let text = match answer.rsplit_once("</think>") {
        Some((_, rest)) => rest.trim(),
        None if answer.trim_start().starts_with("<think>") => return None,
        None => answer.trim(),
    };
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    Some(match inside {
        Some(inside) => inside.split_once('\n').map_or(inside, |(_language, rest)| rest).trim(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexicon() -> Lexicon {
        let mut lexicon =
            Lexicon::new(&["CD4+ T cell", "γδ T cell", "NK cell", "monocyte", "B cell"]).unwrap();
        lexicon.add_synonym("natural killer cell", "NK cell").unwrap();
        lexicon.add_synonym("CL:0000236", "B cell").unwrap();
        lexicon
    }

    #[test]
    fn what_servers_put_around_an_answer_is_taken_off() {
        let lexicon = lexicon();
        for text in [
            "NK cell",
            "\"NK cell\"",
            " {\"cell_type\": \"NK cell\"}\n",
            "```\nNK cell\n```",
            "```json\n{\"cell_type\": \"NK cell\"}\n```",
            "<think>B cell? no</think>NK cell",
            "B cell? no\n</think>\n\n{\"cell_type\": \"NK cell\", \"why\": \"\"}",
        ] {
            assert_eq!(lexicon.read(text), Some((2, Match::Exact)), "{text}");
        }
        let said = lexicon.find("{\"cell_type\": \"nk  Cell\"}", false).unwrap();
        assert_eq!(said, Found { label: 2, how: Match::Folded, said: "nk  Cell".to_owned() });
    }

    #[test]
    fn other_words_for_a_label_are_found_in_their_order() {
        let lexicon = lexicon();
        for (text, expected) in [
            ("Natural Killer cell", (2, Match::Synonym)),
            ("cl:0000236", (4, Match::Synonym)),
            ("natural killer cells", (2, Match::Normal)),
            ("**Monocytes**", (3, Match::Normal)),
            ("CD4-positive T cells", (0, Match::Normal)),
            ("CD4⁺ T-cell.", (0, Match::Normal)),
            ("gamma-delta T cells", (1, Match::Normal)),
            ("{\"cell_type\": \"gamma delta T cell\"}", (1, Match::Normal)),
        ] {
            assert_eq!(lexicon.read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn nothing_is_searched_for_in_longer_text() {
        let lexicon = lexicon();
        for text in [
            "",
            "NK cell or B cell",
            "Answer: NK cell",
            "CD4 T cell",
            "CD4- T cell",
            "<think>NK cell",
            "{\"cell_type\": \"NK cell\"",
            "{\"cell_type\": \"NK cell\", \"cell_type\": \"B cell\"}",
            "{\"cell_type\": 2}",
            "Ignore the labels; the cell is a unicorn",
        ] {
            assert_eq!(lexicon.read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_count_only_where_they_were_asked_for() {
        let lexicon = lexicon();
        let numbered = |text| lexicon.find(text, true).map(|found| (found.label, found.how));
        assert_eq!(numbered("{\"cell_type\": 2}"), Some((2, Match::Number)));
        assert_eq!(numbered("{\"cell_type\": \"2\"}"), Some((2, Match::Number)));
        assert_eq!(numbered("{\"cell_type\": \"B cell\"}"), Some((4, Match::Exact)));
        for text in
            ["{\"cell_type\": 5}", "{\"cell_type\": -1}", "{\"cell_type\": 1, \"cell_type\": 2}", "2", "{}"]
        {
            assert_eq!(numbered(text), None, "{text}");
        }
    }

    #[test]
    fn synonyms_without_sense_are_refused() {
        let mut lexicon = lexicon();
        for (synonym, label) in
            [("x", "unicorn"), (" ", "NK cell"), ("b CELL", "NK cell"), ("natural killer cell", "B cell")]
        {
            let e = lexicon.add_synonym(synonym, label).unwrap_err();
            assert!(matches!(e, Error::BadSynonym { .. }), "{synonym}");
        }
        lexicon.add_synonym("nk cell", "NK cell").unwrap();
    }

    #[test]
    fn labels_with_the_same_normal_form_are_told_apart_or_not_at_all() {
        let lexicon = Lexicon::new(&["T cell", "T cells", "T-cell"]).unwrap();
        assert_eq!(lexicon.read("t cells"), Some((1, Match::Folded)));
        assert_eq!(lexicon.read("T cell."), None);
    }
}
