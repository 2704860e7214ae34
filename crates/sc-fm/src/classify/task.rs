//! A model with a head as the loop trains it, and what its logits are measured by.

use candle_core::Tensor;
use ndarray::{ArrayView1, ArrayView2};
use sha2::{Digest, Sha256};

use super::body::{Asked, Body, Recipe};
use super::data::{Cells, Classes, Sets, hash_classes, hash_names, hash_rows};
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Cost, ids};
use crate::nn::TrainingStep;
use crate::tokenize::Tokens;
use crate::train::{At, Gradients, Scores, Task, Variables, backward, checkpointed, hex, loss};

/// What a head is trained for: the loss of its logits.
pub(super) trait Objective {
    /// Its name among those of a fingerprint.
    fn name(&self) -> &'static str;

    /// SHA-256 of cells and labels.
    fn hash(&self) -> String;

    /// The cells that are trained on: items are places among them.
    fn train(&self) -> &Cells;

    /// The cells that are validated with.
    fn validation(&self) -> &Cells;

    /// Logits of a batch of so many cells and tokens.
    fn n_logits(&self, n_cells: usize, n_tokens: usize) -> usize;

    /// Hears of all items of a step.
    fn begin(&mut self, _items: &[usize]) {}

    /// What the loss of some items counts for beside that of others.
    fn weight(&self, items: &[usize]) -> f64;

    /// The loss of the logits of some items.
    fn loss(&self, logits: &Tensor, items: &[usize]) -> Result<Tensor>;

    /// How a model does on the validation cells, of which there are some.
    fn scores(&self, asked: Asked<'_>) -> Result<Scores>;
}

/// A model that is trained with its head.
pub(super) struct Tuning<'t> {
    pub(super) objective: &'t mut dyn Objective,
    pub(super) recipe: &'t Recipe<'t>,
    /// Built of the variables.
    pub(super) body: Body,
    pub(super) tokens: &'t Tokens,
    pub(super) cost: Cost,
    /// Bytes for hidden values of an evaluation.
    pub(super) memory: usize,
    /// Whether layers of a Geneformer keep their inputs alone.
    pub(super) checkpointing: bool,
}

impl Tuning<'_> {
    /// The cells of items, and what is random about them.
    fn step(&self, items: &[usize], at: At) -> (Vec<usize>, TrainingStep) {
        let train = self.objective.train();
        let cells = items.iter().map(|&item| train.cells[item]).collect();
        let rows: Vec<u64> = items.iter().map(|&item| train.rows[item] as u64).collect();
        (cells, TrainingStep::new(at.seed, at.step as u64, rows))
    }
}

impl Task for Tuning<'_> {
    fn begin(&mut self, items: &[usize]) {
        self.objective.begin(items);
    }

    fn weight(&mut self, items: &[usize], _: At) -> Result<f64> {
        Ok(self.objective.weight(items))
    }

    fn loss(&mut self, items: &[usize], at: At) -> Result<Tensor> {
        let (cells, step) = self.step(items, at);
        let logits = self.body.as_ref().logits(self.tokens, &cells, Some(&step))?;
        self.objective.loss(&logits, items)
    }

    fn gradients(
        &mut self,
        variables: &Variables,
        items: &[usize],
        factor: f64,
        at: At,
    ) -> Result<(f64, Gradients)> {
        let body = self.body.as_ref();
        let (Some(model), true) = (body.geneformer(), self.checkpointing) else {
            return backward(&self.loss(items, at)?, variables, factor);
        };
        let (cells, step) = self.step(items, at);
        checkpointed(model, &ids(self.tokens, &cells), &step, variables, factor, |last| {
            self.objective.loss(&body.of_last(last, Some(&step))?, items)
        })
    }

    fn evaluate(&mut self, variables: &Variables) -> Result<Option<Scores>> {
        if self.objective.validation().cells.is_empty() {
            return Ok(None);
        }
        // Of constants: products are packed once for all cells, and no graph is kept.
        let body = self.recipe.build(&mut constants(variables))?;
        let (tokens, cost, memory) = (self.tokens, self.cost, self.memory);
        self.objective.scores(Asked { body: body.as_ref(), tokens, cost, memory }).map(Some)
    }

    fn row(&self, item: usize) -> usize {
        self.objective.train().rows[item]
    }
}

/// One class for each cell.
pub(super) struct CellClasses {
    pub(super) sets: Sets,
    pub(super) classes: Classes,
    pub(super) class_weights: Option<Vec<f32>>,
}

impl CellClasses {
    /// * `is_weighted`: whether every class counts alike.
    pub(super) fn new(sets: Sets, classes: Classes, is_weighted: bool) -> Self {
        let class_weights = is_weighted.then(|| loss::balanced_weights(&classes.train, classes.names.len()));
        Self { sets, classes, class_weights }
    }

    pub(super) fn labels(&self, items: &[usize]) -> Vec<Option<u32>> {
        items.iter().map(|&item| self.classes.train[item]).collect()
    }

    /// How well logits of the validation cells fit.
    pub(super) fn fit(&self, logits: ArrayView2<'_, f32>) -> Scores {
        scores(logits, &self.classes.validation, self.class_weights.as_deref())
    }
}

impl Objective for CellClasses {
    fn name(&self) -> &'static str {
        "classification of cells"
    }

    fn hash(&self) -> String {
        let mut sha = Sha256::new();
        hash_names(&mut sha, &self.classes.names);
        let sets =
            [(&self.sets.train, &self.classes.train), (&self.sets.validation, &self.classes.validation)];
        for (cells, classes) in sets {
            hash_rows(&mut sha, cells);
            hash_classes(&mut sha, classes);
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
        n_cells * self.classes.names.len()
    }

    fn weight(&self, items: &[usize]) -> f64 {
        loss::label_weight(&self.labels(items), self.class_weights.as_deref())
    }

    fn loss(&self, logits: &Tensor, items: &[usize]) -> Result<Tensor> {
        Ok(loss::cross_entropy(logits, &self.labels(items), self.class_weights.as_deref())?)
    }

    fn scores(&self, asked: Asked<'_>) -> Result<Scores> {
        Ok(self.fit(asked.cells(&self.sets.validation.cells, self.classes.names.len())?.view()))
    }
}

/// All tensors of a model as they are now, none of them trained.
pub(super) fn constants(variables: &Variables) -> Weights {
    Weights::new(variables.all().map(|(name, tensor)| (name.to_owned(), tensor.detach())))
}

/// Sums of losses over rows, in f64 and in the order of the rows.
#[derive(Default)]
pub(super) struct Fit {
    sum: f64,
    total: f64,
    /// True and most probable class of each row.
    pairs: Vec<(u32, u32)>,
}

impl Fit {
    /// Rows without a class have no say.
    pub(super) fn add(
        &mut self,
        logits: ArrayView2<'_, f32>,
        classes: &[Option<u32>],
        weights: Option<&[f32]>,
    ) {
        for (row, class) in logits.rows().into_iter().zip(classes) {
            let Some(class) = *class else { continue };
            let weight = weights.map_or(1.0, |weights| f64::from(weights[class as usize]));
            self.sum -= weight * libm::log(softmax(row)[class as usize].max(f64::MIN_POSITIVE));
            self.total += weight;
            self.pairs.push((class, largest(row) as u32));
        }
    }

    pub(super) fn scores(&self, n_classes: usize) -> Scores {
        Scores::of_classes(self.sum / self.total, &self.pairs, n_classes)
    }
}

/// How well logits fit the true classes.
pub(super) fn scores(
    logits: ArrayView2<'_, f32>,
    classes: &[Option<u32>],
    weights: Option<&[f32]>,
) -> Scores {
    let mut fit = Fit::default();
    fit.add(logits, classes, weights);
    fit.scores(logits.ncols())
}

/// Probabilities of classes, in f64.
pub(super) fn softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let highest = f64::from(logits.fold(f32::NEG_INFINITY, |a, &b| a.max(b)));
    let weights: Vec<f64> = logits.iter().map(|&x| libm::exp(f64::from(x) - highest)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The place of the largest value; of several, the first.
fn largest(values: ArrayView1<'_, f32>) -> usize {
    let mut best = 0;
    for (place, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = place;
        }
    }
    best
}
