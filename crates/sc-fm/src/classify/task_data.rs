//! Several labels of each cell, checked, and the weighted sum of their losses.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use ndarray::s;
use sha2::{Digest, Sha256};

use super::body::Asked;
use super::data::{Cells, Classes, Sets, hash_classes, hash_names, hash_rows};
use super::task::{Objective, scores};
use super::{CellTask, Error};
use crate::Result;
use crate::tokenize::Tokens;
use crate::train::{Scores, hex, loss};

/// Classes of cells for each of several tasks.
#[derive(Clone, Debug)]
pub(super) struct TaskClasses {
    sets: Sets,
    tasks: Vec<Weighted>,
    /// What a fingerprint tells of the head.
    head: String,
    /// Training cells of the step that is under way.
    step: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Weighted {
    name: String,
    classes: Classes,
    weight: f64,
}

impl TaskClasses {
    pub(super) fn new(
        tokens: &Tokens,
        n_rows: usize,
        tasks: &[CellTask],
        (train, validation): (&[usize], &[usize]),
        head: String,
    ) -> Result<Self, Error> {
        let names: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        if tasks.is_empty() || names.len() < tasks.len() {
            return Err(Error::Tasks { found: tasks.iter().map(|task| task.name.clone()).collect() });
        }
        for task in tasks {
            let weight = task.weight;
            if !(weight.is_finite() && weight > 0.0) {
                let expected = "a finite number above 0".to_owned();
                return Err(of(task)(Error::Param { field: "weight", found: weight.to_string(), expected }));
            }
            if task.labels.len() != n_rows {
                return Err(of(task)(Error::Labels { found: task.labels.len(), expected: n_rows }));
            }
        }
        let sets = Sets::new(tokens, n_rows, train, validation)?;
        sets.check_labelled(|row| tasks.iter().any(|task| task.labels[row].is_some()))?;
        let weighted = |task: &CellTask| {
            let classes = Classes::new(&sets, &task.labels)?;
            match !validation.is_empty() && classes.validation.iter().all(Option::is_none) {
                true => Err(Error::NoValidation),
                false => Ok(Weighted { name: task.name.clone(), classes, weight: task.weight }),
            }
        };
        let tasks = tasks.iter().map(|task| weighted(task).map_err(of(task))).collect::<Result<_, _>>()?;
        Ok(Self { sets, tasks, head, step: vec![] })
    }

    /// Classes of each task.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.tasks.iter().map(|task| (task.name.as_str(), task.classes.names.as_slice()))
    }

    pub(super) fn sizes(&self) -> Vec<usize> {
        self.tasks.iter().map(|task| task.classes.names.len()).collect()
    }
}

/// Puts the name of a task before what is wrong with it.
fn of(task: &CellTask) -> impl Fn(Error) -> Error {
    move |source| Error::Task { task: task.name.clone(), source: Box::new(source) }
}

impl Weighted {
    fn labels(&self, items: &[usize]) -> Vec<Option<u32>> {
        items.iter().map(|&item| self.classes.train[item]).collect()
    }
}

impl Objective for TaskClasses {
    fn name(&self) -> &'static str {
        "several tasks"
    }

    fn hash(&self) -> String {
        let mut sha = Sha256::new();
        sha.update(&self.head);
        hash_rows(&mut sha, &self.sets.train);
        hash_rows(&mut sha, &self.sets.validation);
        for task in &self.tasks {
            sha.update(task.weight.to_le_bytes());
            hash_names(&mut sha, std::slice::from_ref(&task.name));
            hash_names(&mut sha, &task.classes.names);
            hash_classes(&mut sha, &task.classes.train);
            hash_classes(&mut sha, &task.classes.validation);
        }
        hex(sha)
    }

    fn train(&self) -> &Cells {
        &self.sets.train
    }

    fn validation(&self) -> &Cells {
        &self.sets.validation
    }

    fn n_logits(&self, n_cells: usize, _: usize) -> usize {
        n_cells * self.sizes().iter().sum::<usize>()
    }

    fn begin(&mut self, items: &[usize]) {
        self.step = items.to_vec();
    }

    fn weight(&self, items: &[usize]) -> f64 {
        items.len() as f64
    }

    /// Of all items of a step it is `Σ weight · mean loss of the cells with a label in the task`. A part of them has its
    /// share of each mean, so that parts weighted by their cells make up the loss of the step.
    fn loss(&self, logits: &Tensor, items: &[usize]) -> Result<Tensor> {
        let share_of_cells = items.len() as f64 / self.step.len().max(1) as f64;
        let n = |labels: &[Option<u32>]| labels.iter().flatten().count() as f64;
        let (mut sum, mut first) = (Tensor::zeros((), DType::F32, &Device::Cpu)?, 0);
        for task in &self.tasks {
            let n_classes = task.classes.names.len();
            let labels = task.labels(items);
            let share = n(&labels) / n(&task.labels(&self.step)).max(1.0);
            let logits = logits.narrow(1, first, n_classes)?.contiguous()?;
            let factor = task.weight * share / share_of_cells;
            sum = (sum + (loss::cross_entropy(&logits, &labels, None)? * factor)?)?;
            first += n_classes;
        }
        Ok(sum)
    }

    fn scores(&self, asked: Asked<'_>) -> Result<Scores> {
        let logits = asked.cells(&self.sets.validation.cells, self.sizes().iter().sum())?;
        let (mut first, mut of_tasks) = (0, vec![]);
        for task in &self.tasks {
            let columns = first..first + task.classes.names.len();
            first = columns.end;
            let scores = scores(logits.slice(s![.., columns]), &task.classes.validation, None);
            of_tasks.push((task.weight, scores));
        }
        let n = of_tasks.len() as f64;
        Ok(Scores {
            loss: of_tasks.iter().map(|(weight, scores)| weight * scores.loss).sum(),
            accuracy: of_tasks.iter().map(|(_, scores)| scores.accuracy).sum::<f64>() / n,
            macro_f1: of_tasks
                .iter()
                .map(|(_, scores)| scores.macro_f1)
                .sum::<Option<f64>>()
                .map(|sum| sum / n),
        })
    }
}
