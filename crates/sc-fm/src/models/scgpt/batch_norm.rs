//! Batch normalisation (Ioffe and Szegedy 2015), <https://arxiv.org/abs/1502.03167>, with the statistics of training or
//! with those of a batch.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};

use super::ScgptBatch;
use crate::Result;
use crate::checkpoint::Weights;
use crate::models::batch::cell_of_rows;
use crate::nn::embedding;

/// Added to the variances.
const EPS: f64 = 6.1e-5;

/// Weight of a batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Statistics of each domain: a batch label each, or one for all.
///
/// With stored statistics each cell has those of its own label. The reference takes the domain of the first cell for
/// the whole batch, and in training mean and variance over all positions of a padded batch, padding among them.
#[derive(Clone, Debug)]
pub(super) struct BatchNorm {
    domains: Vec<Domain>,
    per_label: bool,
}

#[derive(Clone, Debug)]
struct Domain {
    mean: Tensor,
    variance: Tensor,
    /// Weight and bias.
    affine: Option<(Tensor, Tensor)>,
}

/// Over what a batch norm takes its statistics in a step of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormStatistics {
    /// None: the stored ones are applied, and stay as they are.
    Stored,
    /// The tokens of all cells of a label, or of all cells.
    Tokens,
    /// As in the reference: the batch is padded to its longest cell, with `<pad>` and this value, and all of it is of the
    /// label of its first cell. What a cell gives depends on the batch that it is in.
    Padded {
        /// `pad_value` of the reference.
        pad_value: f32,
    },
}

/// Mean and variance of the rows of one domain.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    domain: usize,
    mean: Tensor,
    /// With `n − 1` in its denominator.
    variance: Tensor,
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
        let mut domains = vec![];
        for name in names {
            let mut take = |part: &str| weights.take(&format!("{name}.{part}"), &[width]);
            let (mean, variance) = (take("running_mean")?, take("running_var")?);
            let affine = match weights.contains(&format!("{name}.weight")) {
                true => {
                    let weight = weights.take(&format!("{name}.weight"), &[width])?;
                    Some((weight, weights.take(&format!("{name}.bias"), &[width])?))
                }
                false => None,
            };
            weights.ignore(&format!("{name}.num_batches_tracked"), "a count of training steps");
            domains.push(Domain { mean, variance, affine });
        }
        Ok(Some(Self { domains, per_label }))
    }

    /// Number of batch labels that there are statistics of; `None` if they are for all cells.
    pub(super) fn n_labels(&self) -> Option<usize> {
        self.per_label.then_some(self.domains.len())
    }

    /// For `x`: `rows × width`, with the stored statistics.
    pub(super) fn forward(&self, x: &Tensor, batch: &ScgptBatch) -> Result<Tensor> {
        let (mut scales, mut shifts) = (vec![], vec![]);
        for domain in &self.domains {
            let (scale, shift) = domain.scale_and_shift()?;
            scales.push(scale);
            shifts.push(shift);
        }
        let (scale, shift) = (Tensor::stack(&scales, 0)?, Tensor::stack(&shifts, 0)?);
        let (scale, shift) = (scale.to_dtype(x.dtype())?, shift.to_dtype(x.dtype())?);
        let Some(n_labels) = self.n_labels() else {
            return Ok(x.broadcast_mul(&scale)?.broadcast_add(&shift)?);
        };
        let labels = batch.labels(n_labels)?;
        let rows: Vec<u32> =
            cell_of_rows(batch.packing()).into_iter().map(|cell| labels[cell as usize]).collect();
        Ok(((x * embedding(&scale, &rows)?)? + embedding(&shift, &rows)?)?)
    }

    /// For `x`: `rows × width`, with the statistics of the rows of each label, which are returned too.
    ///
    /// * `padding`: a row of padding, `1 × width`, with which the batch is filled up to its longest cell; all rows are of
    ///   the label of the first cell then.
    pub(super) fn forward_observing(
        &self,
        x: &Tensor,
        batch: &ScgptBatch,
        padding: Option<&Tensor>,
    ) -> Result<(Tensor, Vec<Observed>)> {
        let packing = batch.packing();
        let mut labels = match self.n_labels() {
            Some(n_labels) => batch.labels(n_labels)?,
            None => vec![0; packing.n_cells()],
        };
        let mut n_padding = 0;
        if padding.is_some() {
            let first = labels.first().copied().unwrap_or(0);
            labels.fill(first);
            n_padding = packing.n_cells() * packing.longest() - packing.n_rows();
        }
        let of_rows: Vec<u32> = cell_of_rows(packing).into_iter().map(|cell| labels[cell as usize]).collect();
        let (mut parts, mut order, mut observed) = (vec![], vec![], vec![]);
        for (label, domain) in self.domains.iter().enumerate() {
            let rows: Vec<u32> =
                (0..).zip(&of_rows).filter(|(_, of)| **of as usize == label).map(|(row, _)| row).collect();
            if rows.is_empty() {
                continue;
            }
            let padding = padding.filter(|_| n_padding > 0).map(|row| (row, n_padding as f64));
            let n = rows.len() as f64 + padding.map_or(0.0, |(_, n)| n);
            // Padding is counted, not computed many times.
            let mean_of = |x: &Tensor, padding: Option<(Tensor, f64)>| -> candle_core::Result<Tensor> {
                let sum = x.sum_keepdim(0)?;
                match padding {
                    Some((row, n)) => sum + (row * n)?,
                    None => Ok(sum),
                }? / n
            };
            let own = embedding(x, &rows)?;
            let mean = mean_of(&own, padding.map(|(row, n)| (row.clone(), n)))?;
            let centred = own.broadcast_sub(&mean)?;
            let of_padding = padding.map(|(row, n)| Ok::<_, candle_core::Error>(((row - &mean)?.sqr()?, n)));
            let variance = mean_of(&centred.sqr()?, of_padding.transpose()?)?;
            let mut normed = centred.broadcast_div(&(&variance + EPS)?.sqrt()?)?;
            if let Some((weight, bias)) = &domain.affine {
                normed = normed.broadcast_mul(weight)?.broadcast_add(bias)?;
            }
            let unbiased = (variance.detach().squeeze(0)? * (n / (n - 1.0).max(1.0)))?;
            observed.push(Observed { domain: label, mean: mean.detach().squeeze(0)?, variance: unbiased });
            parts.push(normed);
            order.extend(rows);
        }
        if parts.is_empty() {
            return Ok((x.clone(), observed));
        }
        let mut places = vec![0; order.len()];
        for (place, row) in (0..).zip(order) {
            places[row as usize] = place;
        }
        Ok((embedding(&Tensor::cat(&parts, 0)?, &places)?, observed))
    }

    /// Moves the stored statistics towards those of a batch, where they lie in memory.
    pub(super) fn update(&self, observed: &[Observed]) -> Result<()> {
        for Observed { domain, mean, variance } in observed {
            let domain = &self.domains[*domain];
            for (stored, found) in [(&domain.mean, mean), (&domain.variance, variance)] {
                stored.inplace_op1(&Towards(found.to_dtype(DType::F32)?.to_vec1()?))?;
            }
        }
        Ok(())
    }
}

impl Domain {
    /// What values are multiplied by, `weight / √(variance + eps)`, and what is added then, `bias − mean · scale`.
    fn scale_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let deviation = (self.variance.to_dtype(DType::F32)? + EPS)?.sqrt()?;
        let mut scale = deviation.recip()?;
        let mut shift = (self.mean.to_dtype(DType::F32)?.neg()? * &scale)?;
        if let Some((weight, bias)) = &self.affine {
            let (weight, bias) = (weight.to_dtype(DType::F32)?, bias.to_dtype(DType::F32)?);
            scale = (scale * &weight)?;
            shift = ((shift * &weight)? + bias)?;
        }
        Ok((scale, shift))
    }
}

/// `x · (1 − momentum) + found · momentum`.
struct Towards(Vec<f32>);

impl InplaceOp1 for Towards {
    fn name(&self) -> &'static str {
        "running-statistics"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("running statistics are not contiguous f32");
        };
        for (x, found) in values[start..end].iter_mut().zip(&self.0) {
            *x = (1.0 - MOMENTUM) as f32 * *x + MOMENTUM as f32 * found;
        }
        Ok(())
    }
}
