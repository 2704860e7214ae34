//! What scGPT sees of cells.

use candle_core::{Device, Tensor};

use super::InputEmbStyle;
use crate::models::Error;
use crate::models::batch::TokenBatch;
use crate::nn::Packing;

/// The tokens of a cell and their values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'c> {
    /// Ids of `<cls>` and the genes.
    pub genes: &'c [u32],
    /// The value of each, binned.
    pub values: &'c [f32],
    /// The batch of the experiment, for models that were trained with batch labels.
    pub batch_label: Option<u32>,
}

/// Packed cells with their values.
#[derive(Clone, Debug, PartialEq)]
pub struct ScgptBatch {
    tokens: TokenBatch,
    values: Vec<f32>,
    labels: Vec<Option<u32>>,
}

impl ScgptBatch {
    /// Packs the cells in the order given, each without padding.
    ///
    /// # Errors
    /// [`Error::Values`] unless there is one value for each gene.
    pub fn new(cells: &[Cell<'_>]) -> Result<Self, Error> {
        for (cell, Cell { genes, values, .. }) in cells.iter().enumerate() {
            if genes.len() != values.len() {
                return Err(Error::Values { cell, genes: genes.len(), values: values.len() });
            }
        }
        let genes: Vec<&[u32]> = cells.iter().map(|cell| cell.genes).collect();
        Ok(Self {
            tokens: TokenBatch::new(&genes),
            values: cells.iter().flat_map(|cell| cell.values).copied().collect(),
            labels: cells.iter().map(|cell| cell.batch_label).collect(),
        })
    }

    /// The token ids.
    pub fn tokens(&self) -> &TokenBatch {
        &self.tokens
    }

    /// The values of all cells, one after another.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Where each cell begins.
    pub fn packing(&self) -> &Packing {
        self.tokens.packing()
    }

    /// Refuses values that the model does not know: numbers that are not finite, categories that it does not have.
    pub(super) fn check_values(&self, style: InputEmbStyle, n_categories: usize) -> Result<(), Error> {
        let is_known = |value: f32| match style {
            InputEmbStyle::Category => {
                value.fract() == 0.0 && value >= 0.0 && (value as usize) < n_categories
            }
            _ => value.is_finite(),
        };
        for (cell, rows) in self.packing().iter().enumerate() {
            let values = &self.values[rows];
            if let Some(position) = values.iter().position(|&value| !is_known(value)) {
                let expected = match style {
                    InputEmbStyle::Category => format!("a category below {n_categories}"),
                    _ => "a finite number".to_owned(),
                };
                return Err(Error::Value { cell, position, value: values[position], expected });
            }
        }
        Ok(())
    }

    /// The batch label of each cell.
    ///
    /// # Errors
    /// [`Error::BatchLabels`] if a cell has none, [`Error::BatchLabel`] if it is not below `n_labels`.
    pub(super) fn labels(&self, n_labels: usize) -> Result<Vec<u32>, Error> {
        let found: Vec<u32> = self.labels.iter().copied().flatten().collect();
        if found.len() != self.labels.len() {
            return Err(Error::BatchLabels { found: found.len(), expected: self.labels.len() });
        }
        match found.iter().position(|&label| label as usize >= n_labels) {
            Some(cell) => Err(Error::BatchLabel { cell, label: found[cell], n_labels }),
            None => Ok(found),
        }
    }

    /// The values as a tensor of `rows`.
    pub(super) fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.values, self.values.len(), device)
    }
}
