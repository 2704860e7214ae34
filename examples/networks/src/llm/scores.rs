//! How good answers are. One that is no label is wrong, never left out.

use anyhow::Result;
use sc_eval::statistics::{Interval, wilson};
use serde::Serialize;

use super::tasks::Task;

/// A method on a task.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) task: &'static str,
    pub(super) method: String,
    /// How answers were found; empty for a baseline.
    pub(super) decoding: String,
    pub(super) truth: Vec<usize>,
    pub(super) answers: Vec<Option<usize>>,
    pub(super) n_labels: usize,
    pub(super) n_tokens: usize,
    pub(super) seconds: f64,
}

/// Figures of a row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scores {
    pub(super) n: usize,
    pub(super) accuracy: f64,
    #[serde(skip)]
    pub(super) interval: Interval,
    /// Mean over the labels that are true or given at least once, as are the next two.
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) f1: f64,
    /// Share of the answers that are a label.
    pub(super) compliance: f64,
}

impl Row {
    pub(super) fn new(task: &Task, method: &str, answers: Vec<Option<usize>>) -> Self {
        Self {
            task: task.name.word(),
            method: method.to_owned(),
            decoding: String::new(),
            truth: task.test.iter().map(|asked| asked.truth).collect(),
            answers,
            n_labels: task.labels.len(),
            n_tokens: 0,
            seconds: 0.0,
        }
    }

    pub(super) fn took(self, seconds: f64) -> Self {
        Self { seconds, ..self }
    }

    pub(super) fn scores(&self) -> Result<Scores> {
        let pairs = || self.truth.iter().zip(&self.answers);
        let n = self.truth.len();
        let right = pairs().filter(|(truth, answer)| Some(**truth) == **answer).count();
        let (mut precision, mut recall, mut f1, mut n_classes) = (0.0, 0.0, 0.0, 0usize);
        for label in 0..self.n_labels {
            let truth = self.truth.iter().filter(|&&truth| truth == label).count();
            let given = self.answers.iter().filter(|&&answer| answer == Some(label)).count();
            let both = pairs().filter(|(truth, answer)| **truth == label && **answer == Some(label)).count();
            if truth + given > 0 {
                n_classes += 1;
                precision += both as f64 / given.max(1) as f64;
                recall += both as f64 / truth.max(1) as f64;
                f1 += 2.0 * both as f64 / (truth + given) as f64;
            }
        }
        let mean = |sum: f64| sum / n_classes.max(1) as f64;
        let labels = self.answers.iter().flatten().count();
        Ok(Scores {
            n,
            accuracy: right as f64 / n.max(1) as f64,
            interval: wilson(right as u64, n as u64, 0.95)?,
            precision: mean(precision),
            recall: mean(recall),
            f1: mean(f1),
            compliance: labels as f64 / n.max(1) as f64,
        })
    }

    /// Whether a language model answered.
    pub(super) fn is_model(&self) -> bool {
        !self.decoding.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_label_is_wrong() {
        let row = Row {
            task: "markers",
            method: String::new(),
            decoding: String::new(),
            truth: vec![0, 0, 1, 1],
            answers: vec![Some(0), None, Some(1), Some(0)],
            n_labels: 3,
            n_tokens: 0,
            seconds: 0.0,
        };
        let scores = row.scores().unwrap();
        assert_eq!((scores.n, scores.accuracy, scores.compliance), (4, 0.5, 0.75));
        // Label 0: 1 of 2 given, 1 of 2 true; label 1: 1 of 1, 1 of 2; label 2 does not occur.
        assert_eq!((scores.precision, scores.recall), (0.75, 0.5));
        assert!((scores.f1 - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }
}
