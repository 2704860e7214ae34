//! How good answers are. One that is no label is wrong, never left out.

use std::collections::BTreeMap;

use anyhow::Result;
use sc_eval::statistics::{Interval, wilson};

use super::records::Line;
use super::tasks::Task;

/// A method on a task.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) task: &'static str,
    pub(super) method: String,
    /// How answers were found; empty for a baseline.
    pub(super) decoding: String,
    pub(super) answers: Vec<Option<usize>>,
    /// What a language model said about each item; empty for a baseline.
    pub(super) lines: Vec<Line>,
    /// A model that sees other names of genes than those of the data.
    pub(super) is_disguised: bool,
    pub(super) n_tokens: usize,
    pub(super) seconds: f64,
    /// Money, where there is a price.
    pub(super) cost: Option<f64>,
}

/// Figures of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    pub(super) n: usize,
    pub(super) n_right: usize,
    pub(super) accuracy: f64,
    pub(super) interval: Interval,
    /// Of the cells of all items, the share whose own type is the answer: what a cluster's answer is worth cell by cell.
    pub(super) cells: f64,
    /// Mean over the labels that are true or given at least once, as are the next two.
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) f1: f64,
    /// Share of the answers that are a label.
    pub(super) compliance: f64,
}

/// Figures of a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfLabel {
    /// Items of this label.
    pub(super) n: usize,
    /// Times that it was the answer.
    pub(super) given: usize,
    /// Items of this label that were called so.
    pub(super) both: usize,
}

impl Row {
    /// A baseline.
    pub(super) fn new(task: &Task, method: &str, answers: Vec<Option<usize>>) -> Self {
        Self {
            task: task.name.word(),
            method: method.to_owned(),
            decoding: String::new(),
            answers,
            lines: Vec::new(),
            is_disguised: false,
            n_tokens: 0,
            seconds: 0.0,
            cost: None,
        }
    }

    /// A language model, asked in one way; a line for each test item, in their order.
    pub(super) fn of_lines(task: &Task, method: &str, way: &str, lines: Vec<Line>) -> Self {
        let places: BTreeMap<&str, usize> = task.labels.iter().map(String::as_str).zip(0..).collect();
        let answers = lines.iter().map(|line| places.get(line.label.as_deref()?).copied()).collect();
        // What all prompts begin with is read once.
        let n_shared = lines.iter().map(|line| line.n_shared).max().unwrap_or(0);
        let own = |line: &Line| line.n_prompt - line.n_shared.min(line.n_prompt) + line.n_generated;
        Self {
            decoding: way.to_owned(),
            n_tokens: n_shared + lines.iter().map(own).sum::<usize>(),
            seconds: lines.iter().map(|line| line.seconds).sum(),
            cost: lines.iter().filter_map(|line| line.cost).reduce(|a, b| a + b),
            lines,
            ..Self::new(task, method, answers)
        }
    }

    pub(super) fn took(self, seconds: f64) -> Self {
        Self { seconds, ..self }
    }

    /// The figures of each label.
    pub(super) fn of_labels(&self, task: &Task) -> Vec<OfLabel> {
        let mut all = vec![OfLabel { n: 0, given: 0, both: 0 }; task.labels.len()];
        for (asked, &answer) in task.test.iter().zip(&self.answers) {
            all[asked.truth].n += 1;
            if let Some(label) = answer {
                all[label].given += 1;
                all[label].both += usize::from(label == asked.truth);
            }
        }
        all
    }

    pub(super) fn scores(&self, task: &Task) -> Result<Scores> {
        let n = task.test.len();
        let (mut precision, mut recall, mut f1, mut n_classes, mut n_right) = (0.0, 0.0, 0.0, 0usize, 0);
        for of in self.of_labels(task).iter().filter(|of| of.n + of.given > 0) {
            n_classes += 1;
            n_right += of.both;
            precision += of.precision();
            recall += of.recall();
            f1 += of.f1();
        }
        let mean = |sum: f64| sum / n_classes.max(1) as f64;
        let (mut n_cells, mut right_cells) = (0usize, 0usize);
        for (asked, &answer) in task.test.iter().zip(&self.answers) {
            n_cells += asked.cells.len();
            right_cells += asked.cells.iter().filter(|&&cell| Some(task.of_cells[cell]) == answer).count();
        }
        Ok(Scores {
            n,
            n_right,
            accuracy: n_right as f64 / n.max(1) as f64,
            interval: wilson(n_right as u64, n as u64, 0.95)?,
            cells: right_cells as f64 / n_cells.max(1) as f64,
            precision: mean(precision),
            recall: mean(recall),
            f1: mean(f1),
            compliance: self.answers.iter().flatten().count() as f64 / n.max(1) as f64,
        })
    }

    /// Whether a language model answered.
    pub(super) fn is_model(&self) -> bool {
        !self.decoding.is_empty()
    }

    /// Method and way in a few words.
    pub(super) fn name(&self) -> String {
        match self.is_model() {
            true => format!("{}, {}", self.method, self.decoding),
            false => self.method.clone(),
        }
    }
}

impl OfLabel {
    pub(super) fn precision(&self) -> f64 {
        self.both as f64 / self.given.max(1) as f64
    }

    pub(super) fn recall(&self) -> f64 {
        self.both as f64 / self.n.max(1) as f64
    }

    pub(super) fn f1(&self) -> f64 {
        2.0 * self.both as f64 / (self.n + self.given).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use sc_llm::evidence::barcode;

    use super::super::args::TaskName;
    use super::super::tasks::Asked;
    use super::*;

    /// Clusters of these cells, whose labels are given cell by cell.
    fn task(clusters: &[(usize, &[usize])], of_cells: &[usize]) -> Task {
        let asked = |&(truth, cells): &(usize, &[usize])| Asked {
            id: format!("{cells:?}"),
            evidence: barcode("A"),
            truth,
            cells: cells.to_vec(),
        };
        Task {
            name: TaskName::Markers,
            labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
            train: Vec::new(),
            test: clusters.iter().map(asked).collect(),
            of_cells: of_cells.to_vec(),
            markers: Vec::new(),
            n_small: 0,
        }
    }

    #[test]
    fn an_answer_that_is_no_label_is_wrong() {
        let task = task(&[(0, &[0]), (0, &[1]), (1, &[2]), (1, &[3])], &[0, 0, 1, 1]);
        let scores = Row::new(&task, "", vec![Some(0), None, Some(1), Some(0)]).scores(&task).unwrap();
        assert_eq!((scores.n, scores.n_right, scores.accuracy, scores.compliance), (4, 2, 0.5, 0.75));
        // Label 0: 1 of 2 given, 1 of 2 true; label 1: 1 of 1, 1 of 2; label 2 does not occur.
        assert_eq!((scores.precision, scores.recall, scores.cells), (0.75, 0.5, 0.5));
        assert!((scores.f1 - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_answer_for_a_cluster_is_that_of_each_of_its_cells() {
        // Six cells of which two are in the cluster of another type.
        let task = task(&[(0, &[0, 1, 2, 3]), (1, &[4, 5])], &[0, 0, 0, 1, 1, 2]);
        assert_eq!([0, 1].map(|at| task.purity(&task.test[at])), [0.75, 0.5]);
        let right = Row::new(&task, "", vec![Some(0), Some(1)]).scores(&task).unwrap();
        assert_eq!((right.accuracy, right.cells), (1.0, 4.0 / 6.0));
        // A wrong answer for a mixed cluster is right for some of its cells.
        let mixed = Row::new(&task, "", vec![Some(1), None]).scores(&task).unwrap();
        assert_eq!((mixed.accuracy, mixed.cells), (0.0, 1.0 / 6.0));
    }
}
