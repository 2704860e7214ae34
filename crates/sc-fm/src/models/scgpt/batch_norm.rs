//! Batch normalisation with the statistics of training (Ioffe and Szegedy 2015), <https://arxiv.org/abs/1502.03167>.

use candle_core::{DType, Tensor};

use super::ScgptBatch;
use crate::Result;
use crate::checkpoint::Weights;
use crate::models::batch::cell_of_rows;
use crate::nn::embedding;

/// Added to the variances.
const EPS: f64 = 6.1e-5;

/// Statistics of each domain: a batch label each, or one for all.
///
/// In training the reference takes mean and variance over all positions of a padded batch, padding among them, and the
/// domain of the first cell for the whole batch. With stored statistics neither is of consequence: here each cell has
/// the statistics of its own label.
#[derive(Clone, Debug)]
pub(super) struct BatchNorm {
    /// `domains × width`: what values are multiplied by, `weight / √(variance + eps)`.
    scale: Tensor,
    /// `domains × width`: what is added then, `bias − mean · scale`.
    shift: Tensor,
    per_label: bool,
}

impl BatchNorm {
    /// `dsbn.bns.0`, `dsbn.bns.1`, …, or `bn`; none without either.
    pub(super) fn take(width: usize, weights: &mut Weights) -> Result<Option<Self>> {
        let domain = |k: usize| format!("dsbn.bns.{k}");
        let holds = |weights: &Weights, name: &str| weights.contains(&format!("{name}.running_mean"));
        let per_label = holds(weights, &domain(0));
        let names: Vec<String> = match per_label {
            true => (0..).map(domain).take_while(|name| holds(weights, name)).collect(),
            false if holds(weights, "bn") => vec!["bn".to_owned()],
            false => return Ok(None),
        };
        let (mut scales, mut shifts) = (vec![], vec![]);
        for name in names {
            let mut take = |part: &str| weights.take(&format!("{name}.{part}"), &[width]);
            let (mean, variance) = (take("running_mean")?, take("running_var")?);
            let deviation = (variance.to_dtype(DType::F32)? + EPS)?.sqrt()?;
            let mut scale = deviation.recip()?;
            let mut shift = (mean.to_dtype(DType::F32)?.neg()? * &scale)?;
            if weights.contains(&format!("{name}.weight")) {
                let weight = weights.take(&format!("{name}.weight"), &[width])?.to_dtype(DType::F32)?;
                let bias = weights.take(&format!("{name}.bias"), &[width])?.to_dtype(DType::F32)?;
                scale = (scale * &weight)?;
                shift = ((shift * &weight)? + bias)?;
            }
            weights.ignore(&format!("{name}.num_batches_tracked"), "a count of training steps");
            scales.push(scale);
            shifts.push(shift);
        }
        Ok(Some(Self { scale: Tensor::stack(&scales, 0)?, shift: Tensor::stack(&shifts, 0)?, per_label }))
    }

    /// Number of batch labels that there are statistics of; `None` if they are for all cells.
    pub(super) fn n_labels(&self) -> Option<usize> {
        self.per_label.then(|| self.scale.dims()[0])
    }

    /// For `x`: `rows × width`.
    pub(super) fn forward(&self, x: &Tensor, batch: &ScgptBatch) -> Result<Tensor> {
        let (scale, shift) = (self.scale.to_dtype(x.dtype())?, self.shift.to_dtype(x.dtype())?);
        let Some(n_labels) = self.n_labels() else {
            return Ok(x.broadcast_mul(&scale)?.broadcast_add(&shift)?);
        };
        let labels = batch.labels(n_labels)?;
        let rows: Vec<u32> =
            cell_of_rows(batch.packing()).into_iter().map(|cell| labels[cell as usize]).collect();
        Ok(((x * embedding(&scale, &rows)?)? + embedding(&shift, &rows)?)?)
    }
}
