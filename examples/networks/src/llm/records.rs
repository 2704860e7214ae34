//! Answers on disk, a line of JSON each, written as they come.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::lines::Lines;

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) task: String,
    pub(super) method: String,
    pub(super) decoding: String,
    pub(super) id: String,
    pub(super) truth: String,
    /// The label; absent for an answer that is none.
    pub(super) label: Option<String>,
    /// How the label was written, or why the answer is none.
    pub(super) outcome: String,
    /// What the model said.
    pub(super) text: String,
    /// Whether the model ended its text by itself.
    pub(super) ended: bool,
    /// Probability of the label, where probabilities were asked for.
    pub(super) probability: Option<f64>,
    pub(super) n_prompt: usize,
    pub(super) n_shared: usize,
    pub(super) n_generated: usize,
    pub(super) seconds: f64,
    /// Money, where there is a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<f64>,
}

/// Which question a line answers: task, method, decoding, item.
type Key = [String; 4];

/// The lines so far, and the file that takes more.
pub(super) struct Records {
    lines: BTreeMap<Key, Line>,
    file: Lines,
}

fn key(parts: [&str; 4]) -> Key {
    parts.map(str::to_owned)
}

impl Records {
    /// Opens the file, empty or with the lines of the run that is gone on with.
    pub(super) fn open(path: &Path, resume: bool) -> Result<Self> {
        let (file, found) = Lines::open::<Line>(path, None, !resume)?;
        let key = |line: &Line| key([&line.task, &line.method, &line.decoding, &line.id]);
        let lines = found.into_iter().map(|line| (key(&line), line)).collect();
        Ok(Self { lines, file })
    }

    /// The answer to a question, if it is there.
    pub(super) fn get(&self, task: &str, method: &str, decoding: &str, id: &str) -> Option<&Line> {
        self.lines.get(&key([task, method, decoding, id]))
    }

    /// Keeps an answer.
    pub(super) fn add(&mut self, line: Line) -> Result<()> {
        self.file.push(&line)?;
        self.lines.insert(key([&line.task, &line.method, &line.decoding, &line.id]), line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_behind_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.jsonl");
        let line = |id: &str| Line {
            task: "markers".into(),
            method: "m".into(),
            decoding: "free".into(),
            id: id.into(),
            truth: "B cell".into(),
            label: None,
            outcome: "empty".into(),
            text: "\n".into(),
            ended: true,
            probability: None,
            n_prompt: 3,
            n_shared: 1,
            n_generated: 1,
            seconds: 0.5,
            cost: None,
        };
        let mut records = Records::open(&path, false).unwrap();
        records.add(line("a")).unwrap();
        records.add(line("b")).unwrap();
        drop(records);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut records = Records::open(&path, true).unwrap();
        assert!(records.get("markers", "m", "free", "a").is_some());
        assert!(records.get("markers", "m", "free", "b").is_none());
        records.add(line("b")).unwrap();
        drop(records);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(Records::open(&path, false).unwrap().get("markers", "m", "free", "a").is_none());
    }
}
