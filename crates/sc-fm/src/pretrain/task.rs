//! The masked language model as the loop trains it.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use candle_core::{DType, Tensor};

use super::Error;
use super::corpus::{Contents, Corpus};
use super::masking::{Masked, Masker};
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Cost, Run};
use crate::models::geneformer::{GeneformerConfig, InputFormat};
use crate::models::{Geneformer, Hidden, Layer, TokenBatch, pooling};
use crate::nn::gemm::Precision;
use crate::nn::{Packing, TrainingStep};
use crate::tokenize::Tokens;
use crate::train::{At, Gradients, Scores, Task, Variables, backward, checkpointed};

/// How the model is built of its tensors.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) config: GeneformerConfig,
    pub(super) format: InputFormat,
    pub(super) precision: Precision,
}

impl Recipe {
    pub(super) fn build(&self, weights: &mut Weights) -> Result<Geneformer> {
        Geneformer::from_weights(self.config.clone(), self.format, weights, self.precision)
    }

    /// With the values that the variables have, none of them trained.
    pub(super) fn constant(&self, variables: &Variables) -> Result<Geneformer> {
        let tensors = variables.all().map(|(name, tensor)| (name.to_owned(), tensor.detach()));
        self.build(&mut Weights::new(tensors))
    }
}

/// The number that stands for an epoch in the choice of what is hidden of validation cells.
const VALIDATION: u64 = u64::MAX;

pub(super) struct MaskedTokens<'t> {
    pub(super) recipe: &'t Recipe,
    /// Built of the variables.
    pub(super) model: Geneformer,
    pub(super) corpus: &'t dyn Corpus,
    pub(super) contents: &'t Contents,
    /// The cells that are trained on, rising: items are places in it.
    pub(super) train: &'t [usize],
    /// The cells that are left out, rising.
    pub(super) validation: &'t [usize],
    pub(super) masker: Masker,
    /// The piece in memory.
    pub(super) loaded: Option<(usize, Cow<'t, Tokens>)>,
    pub(super) cost: Cost,
    /// Bytes for hidden values of an evaluation.
    pub(super) memory: usize,
    /// Whether layers keep their inputs alone.
    pub(super) checkpointing: bool,
}

impl<'t> MaskedTokens<'t> {
    /// The piece with a cell, and its tokens.
    fn piece_of(&mut self, cell: usize) -> Result<(Range<usize>, &Tokens)> {
        let piece = self.contents.pieces.partition_point(|cells| cells.end <= cell);
        let cells = self.contents.pieces[piece].clone();
        if self.loaded.as_ref().is_none_or(|(loaded, _)| *loaded != piece) {
            // Out of memory before the next one comes in.
            self.loaded = None;
            let tokens = self.corpus.piece(piece)?;
            if !tokens.lengths().eq(self.contents.lengths[cells.clone()].iter().copied()) {
                let path = self.corpus.path(piece).unwrap_or(std::path::Path::new("")).to_owned();
                return Err(Error::Changed { path }.into());
            }
            self.loaded = Some((piece, tokens));
        }
        Ok((cells, &self.loaded.as_ref().expect("it was loaded just now").1))
    }

    /// Cells of one piece, hidden.
    fn masked(&mut self, cells: &[usize], epoch: u64) -> Result<Vec<Masked>> {
        let masker = self.masker;
        let mut all = Vec::with_capacity(cells.len());
        for &cell in cells {
            let (range, tokens) = self.piece_of(cell)?;
            all.push(masker.mask(tokens.cell(cell - range.start), epoch, cell as u64));
        }
        Ok(all)
    }

    fn cells(&self, items: &[usize]) -> Vec<usize> {
        items.iter().map(|&item| self.train[item]).collect()
    }

    /// Items as the model sees them in a step, and what is random besides.
    fn step(&mut self, items: &[usize], at: At) -> Result<(Vec<Masked>, TrainingStep)> {
        let cells = self.cells(items);
        let numbers: Vec<u64> = cells.iter().map(|&cell| cell as u64).collect();
        Ok((self.masked(&cells, at.epoch as u64)?, TrainingStep::new(at.seed, at.step as u64, numbers)))
    }
}

fn ids(cells: &[Masked]) -> Vec<&[u32]> {
    cells.iter().map(|cell| cell.ids.as_slice()).collect()
}

/// What is to be found out, for each token of each cell.
fn labels(cells: &[Masked]) -> Vec<Option<u32>> {
    let of = |cell: &Masked| {
        let mut labels = vec![None; cell.ids.len()];
        cell.places.iter().zip(&cell.labels).for_each(|(&place, &label)| labels[place] = Some(label));
        labels
    };
    cells.iter().flat_map(of).collect()
}

impl Task for MaskedTokens<'_> {
    fn weight(&mut self, items: &[usize], at: At) -> Result<f64> {
        let cells = self.cells(items);
        Ok(self.masked(&cells, at.epoch as u64)?.iter().map(|cell| cell.places.len()).sum::<usize>() as f64)
    }

    fn loss(&mut self, items: &[usize], at: At) -> Result<Tensor> {
        let (masked, step) = self.step(items, at)?;
        let batch = TokenBatch::new(&ids(&masked));
        let last = self.model.forward_with(&batch, Layer::Last, Some(&step))?;
        self.model.mlm_loss(&last, &labels(&masked))
    }

    fn gradients(
        &mut self,
        variables: &Variables,
        items: &[usize],
        factor: f64,
        at: At,
    ) -> Result<(f64, Gradients)> {
        if !self.checkpointing {
            return backward(&self.loss(items, at)?, variables, factor);
        }
        let (masked, step) = self.step(items, at)?;
        let loss = |last: &Hidden| self.model.mlm_loss(last, &labels(&masked));
        checkpointed(&self.model, &ids(&masked), &step, variables, factor, loss)
    }

    fn evaluate(&mut self, variables: &Variables) -> Result<Option<Scores>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let model = self.recipe.constant(variables)?;
        let (mut sum, mut right, mut n) = (0.0, 0usize, 0usize);
        for piece in self.contents.pieces.clone() {
            let all = self.validation;
            let cells =
                &all[all.partition_point(|&c| c < piece.start)..all.partition_point(|&c| c < piece.end)];
            let masked = self.masked(cells, VALIDATION)?;
            let lengths: Vec<usize> = masked.iter().map(|cell| cell.ids.len()).collect();
            let mut of_cells = vec![(0.0, 0); cells.len()];
            let encode =
                |places: &[usize]| of_each(&model, &places.iter().map(|&i| &masked[i]).collect::<Vec<_>>());
            let take = |places: &[usize], results: Vec<(f64, usize)>| {
                places.iter().zip(results).for_each(|(&place, result)| of_cells[place] = result);
                Ok(())
            };
            let run = Run { lengths: &lengths, cost: self.cost, memory: self.memory };
            run.each(encode, take, |_, _, _| ControlFlow::Continue(()))?;
            // In the order of the cells, whatever the batches were.
            for (loss, hits) in of_cells {
                sum += loss;
                right += hits;
            }
            n += masked.iter().map(|cell| cell.places.len()).sum::<usize>();
        }
        let n = n.max(1) as f64;
        Ok(Some(Scores { loss: sum / n, accuracy: right as f64 / n, macro_f1: None }))
    }

    fn row(&self, item: usize) -> usize {
        self.train[item]
    }
}

/// Sum of the losses and number of right tokens of each cell.
fn of_each(model: &Geneformer, cells: &[&Masked]) -> Result<Vec<(f64, usize)>> {
    let n_places: usize = cells.iter().map(|cell| cell.places.len()).sum();
    if n_places == 0 {
        return Ok(vec![(0.0, 0); cells.len()]);
    }
    let logits = logits(model, cells)?.to_dtype(DType::F32)?;
    let width = logits.dim(1)?;
    let values = logits.flatten_all()?.to_vec1::<f32>()?;
    let mut rows = values.chunks_exact(width);
    let one = |cell: &&Masked| {
        cell.labels.iter().zip(rows.by_ref()).fold((0.0, 0), |(loss, hits), (&label, row)| {
            let highest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let sum: f64 = row.iter().map(|&x| libm::exp(f64::from(x) - f64::from(highest))).sum();
            let own = row[label as usize];
            let below = f64::from(highest) - f64::from(own);
            (loss + libm::log(sum) + below, hits + usize::from(own == highest))
        })
    };
    Ok(cells.iter().map(one).collect())
}

/// Logits of the chosen places alone, `places × tokens`, in the order of the cells.
fn logits(model: &Geneformer, cells: &[&Masked]) -> Result<Tensor> {
    let ids: Vec<&[u32]> = cells.iter().map(|cell| cell.ids.as_slice()).collect();
    let batch = TokenBatch::new(&ids);
    let last = model.forward(&batch, Layer::Last)?;
    let starts = last.packing.iter().map(|rows| rows.start);
    let rows: Vec<usize> = starts
        .zip(cells)
        .flat_map(|(start, cell)| cell.places.iter().map(move |place| start + place))
        .collect();
    let packing = Packing::new([rows.len()]);
    model.mlm_logits(&Hidden { states: pooling::select(&last.states, rows)?, packing })
}
