//! A step of training of models with a batch norm.

use candle_core::Tensor;

use super::batch_norm::{NormStatistics, Observed};
use super::{Cell, Encoded, Scgpt, ScgptBatch};
use crate::Result;
use crate::models::{Hidden, Layer};
use crate::nn::{TrainingStep, embedding};

impl Scgpt {
    /// [`encode_with`](Self::encode_with), with a say in what statistics a batch norm applies. A model without one does
    /// the same for any of them.
    ///
    /// [`update_statistics`](Self::update_statistics) makes what this batch showed part of the model.
    ///
    /// # Errors
    /// Those of [`encode_with`](Self::encode_with); for [`NormStatistics::Padded`] of a model whose values are categories
    /// [`Error::Value`](crate::models::Error::Value) if the value of padding is none of them.
    pub fn encode_observing(
        &self,
        batch: &ScgptBatch,
        layer: Layer,
        training: Option<&TrainingStep>,
        statistics: NormStatistics,
    ) -> Result<Encoded> {
        let depth = layer.depth(self.layers.len())?;
        let genes = self.gene_embeddings(batch)?;
        let total = self.add_values(&genes, batch, training)?;
        let (normed, observed) = self.normed_by(total, batch, statistics)?;
        let states = self.layers(normed, batch, depth, training)?;
        Ok(Encoded { genes, hidden: Hidden { states, packing: batch.packing().clone() }, observed })
    }

    /// Moves the stored statistics of the batch norm by a tenth towards those that were taken of a batch, as PyTorch
    /// does in each step of training; they lie in the memory of the tensors that the model was built of. Without such
    /// statistics nothing changes.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn update_statistics(&self, encoded: &Encoded) -> Result<()> {
        match &self.norm {
            Some(norm) => norm.update(&encoded.observed),
            None => Ok(()),
        }
    }

    fn normed_by(
        &self,
        total: Tensor,
        batch: &ScgptBatch,
        statistics: NormStatistics,
    ) -> Result<(Tensor, Vec<Observed>)> {
        let Some(norm) = &self.norm else { return Ok((total, vec![])) };
        match statistics {
            NormStatistics::Stored => Ok((norm.forward(&total, batch)?, vec![])),
            NormStatistics::Tokens => norm.forward_observing(&total, batch, None),
            NormStatistics::Padded { pad_value } => {
                let padding = self.padding(pad_value)?;
                norm.forward_observing(&total, batch, Some(&padding))
            }
        }
    }

    /// What a position of padding brings to the batch norm, `1 × embsize`. Its entry in the table of genes is never
    /// trained.
    fn padding(&self, pad_value: f32) -> Result<Tensor> {
        let pad = self.specials.pad;
        let cell = Cell { genes: &[pad], values: &[pad_value], batch_label: None };
        let gene = self.genes.norm.forward(&embedding(&self.genes.entries.detach(), &[pad])?)?;
        self.add_values(&gene, &ScgptBatch::new(&[cell])?, None)
    }
}
