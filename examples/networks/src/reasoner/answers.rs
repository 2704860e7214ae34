//! Answers on disk while a run is at work.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sc_llm::cellreasoner::Record;
use serde::{Deserialize, Serialize};

use crate::lines::{Lines, fingerprint};

#[derive(Serialize, Deserialize)]
struct Line {
    /// Place of the record, from 0.
    record: usize,
    response: String,
}

/// The answers so far.
pub(super) struct Answers {
    lines: Lines,
    /// For each record the answer, if there is one.
    pub(super) responses: Vec<Option<String>>,
}

impl Answers {
    /// The answers of a run that was cut off, or none.
    ///
    /// * `asked`: model and parameters, in words.
    ///
    /// # Errors
    /// As [`Lines::open`].
    pub(super) fn open(path: &Path, records: &[Record], asked: &str, force: bool) -> Result<Self> {
        let run = fingerprint([asked].into_iter().chain(records.iter().flat_map(|record| {
            [record.cell_name.as_str(), record.instruction.as_str(), record.input.as_str()]
        })));
        let (lines, found) = Lines::open::<Line>(path, Some(run), force)?;
        let mut responses = vec![None; records.len()];
        for Line { record, response } in found {
            if let Some(place) = responses.get_mut(record) {
                *place = Some(response);
            }
        }
        Ok(Self { lines, responses })
    }

    /// Number of answers.
    pub(super) fn n_done(&self) -> usize {
        self.responses.iter().flatten().count()
    }

    /// Adds an answer.
    pub(super) fn push(&mut self, record: usize, response: String) -> Result<()> {
        let line = Line { record, response };
        self.lines.push(&line)?;
        self.responses[record] = Some(line.response);
        Ok(())
    }

    /// Removes the file, when the result is written.
    pub(super) fn finish(self) -> Result<()> {
        self.lines.remove()
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
        let open = |asked, force| Answers::open(&path, &records(), asked, force);
        let mut answers = open("model", false).unwrap();
        answers.push(2, "T cell\n\"quoted\"".to_owned()).unwrap();
        drop(answers);
        let answers = open("model", false).unwrap();
        assert_eq!(answers.responses, [None, None, Some("T cell\n\"quoted\"".to_owned())]);
        drop(answers);
        assert!(open("another model", false).is_err());
        let other =
            [records()[..2].to_vec(), vec![Record { input: "CD3E".to_owned(), ..records()[2].clone() }]];
        assert!(Answers::open(&path, &other.concat(), "model", false).is_err());
        assert_eq!(open("another model", true).unwrap().n_done(), 0);
    }
}
