//! Answers on disk while a run is at work.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sc_llm::cellreasoner::Record;
use serde::{Deserialize, Serialize};

use crate::lines::{Lines, fingerprint};

#[derive(Serialize, Deserialize)]
struct Line {
    /// Place of the record, from 0; asked about once more, it comes behind all that are asked about once.
    record: usize,
    response: String,
}

/// The answers so far. They are in one file, so that it is there until all results are, and then gone at once.
pub(super) struct Answers {
    lines: Lines,
    responses: Vec<Option<String>>,
    n_records: usize,
}

/// The answers of one time that the records are asked about.
pub(super) struct Part<'a> {
    answers: &'a mut Answers,
    first: usize,
}

impl Answers {
    /// The answers of a run that was cut off, or none.
    ///
    /// * `asked`: model and parameters, in words.
    /// * `n_times`: how often the records are asked about.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub(super) fn open(
        path: &Path,
        records: &[Record],
        asked: &str,
        n_times: usize,
        force: bool,
    ) -> Result<Self> {
        let run = fingerprint([asked].into_iter().chain(records.iter().flat_map(|record| {
            [record.cell_name.as_str(), record.instruction.as_str(), record.input.as_str()]
        })));
        let (lines, found) = Lines::open::<Line>(path, Some(run), force)?;
        let mut responses = vec![None; n_times * records.len()];
        for Line { record, response } in found {
            if let Some(place) = responses.get_mut(record) {
                *place = Some(response);
            }
        }
        Ok(Self { lines, responses, n_records: records.len() })
    }

    /// Whether there is any answer.
    pub(super) fn is_begun(&self) -> bool {
        self.responses.iter().any(Option::is_some)
    }

    /// The answers of one time, from 0.
    pub(super) fn part(&mut self, time: usize) -> Part<'_> {
        Part { first: time * self.n_records, answers: self }
    }

    /// Removes the file, when the result is written.
    pub(super) fn finish(self) -> Result<()> {
        self.lines.remove()
    }
}

impl Part<'_> {
    /// For each record the answer, if there is one.
    pub(super) fn responses(&self) -> &[Option<String>] {
        &self.answers.responses[self.first..self.first + self.answers.n_records]
    }

    /// Places of the records without an answer.
    pub(super) fn left(&self) -> Vec<usize> {
        let is_left = |(place, said): (usize, &Option<String>)| said.is_none().then_some(place);
        self.responses().iter().enumerate().filter_map(is_left).collect()
    }

    /// Adds an answer.
    pub(super) fn push(&mut self, record: usize, response: String) -> Result<()> {
        let line = Line { record: self.first + record, response };
        self.answers.lines.push(&line)?;
        self.answers.responses[self.first + record] = Some(line.response);
        Ok(())
    }
}

/// `NAME_CellReasoner_result.partial.jsonl` of the result's path.
pub(super) fn partial(result: &Path) -> PathBuf {
    result.with_extension("partial.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let one = |name: &str| Record {
            cell_name: name.to_owned(),
            instruction: "say".to_owned(),
            input: "CD3D".to_owned(),
            output: None,
        };
        vec![one("a"), one("b"), one("c")]
    }

    #[test]
    fn answers_are_kept_by_record_and_by_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.partial.jsonl");
        let open = |asked, force| Answers::open(&path, &records(), asked, 2, force);
        let mut answers = open("model", false).unwrap();
        assert!(!answers.is_begun());
        answers.part(0).push(2, "T cell\n\"quoted\"".to_owned()).unwrap();
        answers.part(1).push(0, "once more".to_owned()).unwrap();
        drop(answers);
        let mut answers = open("model", false).unwrap();
        assert!(answers.is_begun());
        assert_eq!(answers.part(0).responses(), [None, None, Some("T cell\n\"quoted\"".to_owned())]);
        assert_eq!(answers.part(1).responses(), [Some("once more".to_owned()), None, None]);
        assert_eq!((answers.part(0).left(), answers.part(1).left()), (vec![0, 1], vec![1, 2]));
        drop(answers);
        // Asked once, what was said the second time does not matter.
        let mut once = Answers::open(&path, &records(), "model", 1, false).unwrap();
        assert_eq!(once.part(0).left(), [0, 1]);
        drop(once);
        assert!(open("another model", false).is_err());
        let other =
            [records()[..2].to_vec(), vec![Record { input: "CD3E".to_owned(), ..records()[2].clone() }]];
        assert!(Answers::open(&path, &other.concat(), "model", 2, false).is_err());
        assert!(!open("another model", true).unwrap().is_begun());
    }
}
