//! Embeddings of cells and of genes.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use ndarray::Array2;

use super::{Geneformer, InputFormat};
use crate::Result;
use crate::models::batch::TokenBatch;
use crate::models::{CellEncoder, Error, ExactSum, Hidden, Layer, pooling};

/// What stands for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over the genes, without `<cls>` and `<eos>`.
    Cell,
    /// The state of `<cls>`; V2 alone.
    Cls,
}

/// A model with the choice of a pooling and a layer; see [`Geneformer::encoder`].
#[derive(Clone, Copy, Debug)]
pub struct GeneformerEncoder<'m> {
    model: &'m Geneformer,
    pooling: Pooling,
    layer: Layer,
}

impl Geneformer {
    /// The embedding of cells by `pooling` of the states after `layer`. The reference's default is
    /// [`Layer::SecondToLast`], with [`Pooling::Cls`] for V2 and [`Pooling::Cell`] for V1.
    ///
    /// # Errors
    /// [`Error::NoCls`] for [`Pooling::Cls`] of a V1 model, [`Error::Layer`].
    pub fn encoder(&self, pooling: Pooling, layer: Layer) -> Result<GeneformerEncoder<'_>> {
        if (pooling, self.format) == (Pooling::Cls, InputFormat::V1) {
            return Err(Error::NoCls.into());
        }
        layer.depth(self.config.num_hidden_layers)?;
        Ok(GeneformerEncoder { model: self, pooling, layer })
    }

    /// [`Geneformer::forward`], for cells that stand as the tokeniser leaves them.
    ///
    /// # Errors
    /// Those of [`Geneformer::forward`]; for V2 [`Error::Special`] if a cell does not begin with `<cls>` and end with
    /// `<eos>`, [`Error::EmptyCell`] if nothing is between them.
    pub fn forward_checked(&self, batch: &TokenBatch, layer: Layer) -> Result<Hidden> {
        self.check(batch)?;
        self.forward(batch, layer)
    }

    pub(crate) fn check(&self, batch: &TokenBatch) -> Result<(), Error> {
        let config = self.config();
        batch.check(config.max_position_embeddings, config.vocab_size, Some(config.pad_token_id))?;
        let InputFormat::V2 { cls, eos } = self.format else { return Ok(()) };
        for (cell, ids) in batch.cells().enumerate() {
            let ends = [(ids[0], cls, "<cls>"), (ids[ids.len() - 1], eos, "<eos>")];
            if let Some(&(found, expected, name)) = ends.iter().find(|(found, expected, _)| found != expected)
            {
                return Err(Error::Special { cell, found, expected, name });
            }
            if ids.len() < 3 {
                return Err(Error::EmptyCell { cell });
            }
        }
        Ok(())
    }

    /// The rows of each cell that are genes.
    fn gene_rows(&self, hidden: &Hidden) -> impl Iterator<Item = std::ops::Range<usize>> {
        let ends = usize::from(self.format != InputFormat::V1);
        hidden.packing.iter().map(move |rows| rows.start + ends..rows.end - ends)
    }
}

impl CellEncoder for GeneformerEncoder<'_> {
    type Cell<'c> = &'c [u32];

    fn width(&self) -> usize {
        self.model.config.hidden_size
    }

    fn n_tokens(&self, cell: &[u32]) -> usize {
        cell.len()
    }

    fn check(&self, cells: &[&[u32]]) -> Result<()> {
        Ok(self.model.check(&TokenBatch::new(cells))?)
    }

    fn encode(&self, cells: &[&[u32]]) -> Result<Tensor> {
        let hidden = self.model.forward_checked(&TokenBatch::new(cells), self.layer)?;
        let embeddings = match self.pooling {
            Pooling::Cell => {
                let states = hidden.states.to_dtype(DType::F32)?;
                pooling::mean(&states, self.model.gene_rows(&hidden))?
            }
            Pooling::Cls => pooling::select(&hidden.states, hidden.packing.iter().map(|rows| rows.start))?,
        };
        Ok(embeddings.to_dtype(DType::F32)?)
    }
}

/// Means of the states of each token over all cells that have it: an embedding for each gene, special tokens included.
///
/// The sums are exact: neither the order in which cells are added nor their batches change a bit of the means.
#[derive(Clone, Debug, Default)]
pub struct GeneMeans {
    sums: BTreeMap<u32, (u64, Vec<ExactSum>)>,
}

impl GeneMeans {
    /// Adds the states of cells.
    ///
    /// # Errors
    /// What the tensor library reports, a `batch` that is not the one of `hidden` above all.
    pub fn add(&mut self, batch: &TokenBatch, hidden: &Hidden) -> Result<()> {
        let (n_rows, width) = hidden.states.dims2()?;
        if n_rows != batch.ids().len() {
            let message = format!("{n_rows} rows of states for {} tokens", batch.ids().len());
            return Err(candle_core::Error::Msg(message).into());
        }
        let states = hidden.states.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for (&token, row) in batch.ids().iter().zip(&states) {
            let (n, sums) = self.sums.entry(token).or_insert_with(|| (0, vec![ExactSum::default(); width]));
            *n += 1;
            sums.iter_mut().zip(row).for_each(|(sum, &value)| sum.add(value));
        }
        Ok(())
    }

    /// How often each token was seen, by ascending token.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.sums.values().map(|(n, _)| *n)
    }

    /// The tokens seen, ascending, and their means: `tokens × hidden_size`.
    pub fn finish(self) -> (Vec<u32>, Array2<f32>) {
        let width = self.sums.values().next().map_or(0, |(_, sums)| sums.len());
        let mut means = Array2::zeros((self.sums.len(), width));
        for (mut row, (n, sums)) in means.rows_mut().into_iter().zip(self.sums.values()) {
            row.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum.mean(*n));
        }
        (self.sums.into_keys().collect(), means)
    }
}
