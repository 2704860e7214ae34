//! What scFoundation sees of cells.

use candle_core::{Device, Tensor};

use super::ScfoundationConfig;
use crate::models::Error;
use crate::models::batch::TokenBatch;
use crate::nn::Packing;

/// The expressed genes of a cell and their values, and behind them the two totals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'c> {
    /// Positions in the gene list, rising; the last two are those of T (the total that the cell should have) and S (the
    /// total that it has).
    pub genes: &'c [u32],
    /// `ln(1 + count / total · 1e4)` of each gene, and the decimal logarithms of the totals; all above 0.
    pub values: &'c [f32],
}

/// Packed cells with their values.
#[derive(Clone, Debug, PartialEq)]
pub struct ScfoundationBatch {
    tokens: TokenBatch,
    values: Vec<f32>,
}

impl ScfoundationBatch {
    /// Packs the cells in the order given, each without padding.
    ///
    /// # Errors
    /// [`Error::Values`] unless there is one value for each gene.
    pub fn new(cells: &[Cell<'_>]) -> Result<Self, Error> {
        for (cell, Cell { genes, values }) in cells.iter().enumerate() {
            if genes.len() != values.len() {
                return Err(Error::Values { cell, genes: genes.len(), values: values.len() });
            }
        }
        let genes: Vec<&[u32]> = cells.iter().map(|cell| cell.genes).collect();
        let values = cells.iter().flat_map(|cell| cell.values).copied().collect();
        Ok(Self { tokens: TokenBatch::new(&genes), values })
    }

    /// The positions.
    pub fn tokens(&self) -> &TokenBatch {
        &self.tokens
    }

    /// Where each cell begins.
    pub fn packing(&self) -> &Packing {
        self.tokens.packing()
    }

    /// The values as a tensor of `rows`.
    pub(super) fn tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.values, self.values.len(), device)
    }

    /// Refuses cells that are not as [`Cell`] says.
    pub(super) fn check(&self, config: &ScfoundationConfig) -> Result<(), Error> {
        self.tokens.check(usize::MAX, config.seq_len, None)?;
        let totals = [(config.seq_len - 2, "T"), (config.seq_len - 1, "S")];
        for (cell, rows) in self.packing().iter().enumerate() {
            let (genes, values) = (&self.tokens.ids()[rows.clone()], &self.values[rows]);
            if let Some(position) = (1..genes.len()).find(|&i| genes[i] <= genes[i - 1]) {
                return Err(Error::Order { cell, position });
            }
            for ((expected, name), found) in totals.iter().rev().zip(genes.iter().rev()) {
                if *found as usize != *expected {
                    let expected = *expected as u32;
                    return Err(Error::Special { cell, found: *found, expected, name });
                }
            }
            if genes.len() < 3 {
                return Err(Error::EmptyCell { cell });
            }
            let reserved = [config.mask_token_id, config.pad_token_id];
            let is_known = |value: f32| value.is_finite() && value > 0.0 && !reserved.contains(&value);
            if let Some(position) = values.iter().position(|&value| !is_known(value)) {
                let expected =
                    format!("a finite number above 0, other than {} and {}", reserved[0], reserved[1]);
                return Err(Error::Value { cell, position, value: values[position], expected });
            }
        }
        Ok(())
    }
}
