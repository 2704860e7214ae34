//! A classifier as the loop trains it, and how well it does.

use candle_core::Tensor;
use ndarray::{Array2, ArrayView1};

use super::body::{Body, Recipe};
use super::data::Split;
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Cost, ids};
use crate::nn::TrainingStep;
use crate::tokenize::Tokens;
use crate::train::{At, Gradients, Scores, Task, Variables, backward, checkpointed, loss};

/// The cells of a split, through a model that is trained.
pub(super) struct Classification<'t> {
    pub(super) recipe: &'t Recipe<'t>,
    /// Built of the variables.
    pub(super) body: Body,
    pub(super) tokens: &'t Tokens,
    pub(super) split: &'t Split,
    pub(super) class_weights: Option<Vec<f32>>,
    pub(super) cost: Cost,
    /// Bytes for hidden values of an evaluation.
    pub(super) memory: usize,
    /// Whether layers of a Geneformer keep their inputs alone.
    pub(super) checkpointing: bool,
}

impl Classification<'_> {
    fn labels(&self, items: &[usize]) -> Vec<Option<u32>> {
        items.iter().map(|&item| Some(self.split.train.classes[item])).collect()
    }

    /// The cells of items, and what is random about them.
    fn step(&self, items: &[usize], at: At) -> (Vec<usize>, TrainingStep) {
        let cells = items.iter().map(|&item| self.split.train.cells[item]).collect();
        let rows: Vec<u64> = items.iter().map(|&item| self.split.train.rows[item] as u64).collect();
        (cells, TrainingStep::new(at.seed, at.step as u64, rows))
    }
}

impl Task for Classification<'_> {
    fn weight(&mut self, items: &[usize], _: At) -> Result<f64> {
        Ok(loss::label_weight(&self.labels(items), self.class_weights.as_deref()))
    }

    fn loss(&mut self, items: &[usize], at: At) -> Result<Tensor> {
        let (cells, step) = self.step(items, at);
        let logits = self.body.as_ref().logits(self.tokens, &cells, Some(&step))?;
        Ok(loss::cross_entropy(&logits, &self.labels(items), self.class_weights.as_deref())?)
    }

    fn gradients(
        &mut self,
        variables: &Variables,
        items: &[usize],
        factor: f64,
        at: At,
    ) -> Result<(f64, Gradients)> {
        let (Body::Geneformer(model), true) = (&self.body, self.checkpointing) else {
            return backward(&self.loss(items, at)?, variables, factor);
        };
        let (cells, step) = self.step(items, at);
        let labels = self.labels(items);
        checkpointed(model, &ids(self.tokens, &cells), &step, variables, factor, |last| {
            let logits = model.cell_logits_with(last, Some(&step))?;
            Ok(loss::cross_entropy(&logits, &labels, self.class_weights.as_deref())?)
        })
    }

    fn evaluate(&mut self, variables: &Variables) -> Result<Option<Scores>> {
        let validation = &self.split.validation;
        if validation.cells.is_empty() {
            return Ok(None);
        }
        // Of constants: products are packed once for all cells, and no graph is kept.
        let body = self.recipe.build(&mut constants(variables))?;
        let n_classes = self.split.names.len();
        let logits =
            body.as_ref().all_logits(self.tokens, &validation.cells, n_classes, self.cost, self.memory)?;
        Ok(Some(scores(&logits, &validation.classes, self.class_weights.as_deref())))
    }

    fn row(&self, item: usize) -> usize {
        self.split.train.rows[item]
    }
}

/// All tensors of a model as they are now, none of them trained.
pub(super) fn constants(variables: &Variables) -> Weights {
    Weights::new(variables.all().map(|(name, tensor)| (name.to_owned(), tensor.detach())))
}

/// How well logits fit the true classes. Sums run in f64, in the order of the cells.
pub(super) fn scores(logits: &Array2<f32>, classes: &[u32], weights: Option<&[f32]>) -> Scores {
    let (mut sum, mut total, mut pairs) = (0.0, 0.0, Vec::with_capacity(classes.len()));
    for (row, &class) in logits.rows().into_iter().zip(classes) {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[class as usize]));
        sum -= weight * libm::log(softmax(row)[class as usize].max(f64::MIN_POSITIVE));
        total += weight;
        pairs.push((class, largest(row) as u32));
    }
    Scores::of_classes(sum / total, &pairs, logits.ncols())
}

/// Probabilities of classes, in f64.
pub(super) fn softmax(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let highest = f64::from(logits.fold(f32::NEG_INFINITY, |a, &b| a.max(b)));
    let weights: Vec<f64> = logits.iter().map(|&x| libm::exp(f64::from(x) - highest)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The place of the largest value; of several, the first.
pub(super) fn largest(values: ArrayView1<'_, f32>) -> usize {
    let mut best = 0;
    for (place, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = place;
        }
    }
    best
}
