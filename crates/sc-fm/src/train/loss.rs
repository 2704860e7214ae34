//! What is minimised. Each is a single number, differentiable, 0 where nothing has a say (PyTorch: NaN), so that such a
//! batch changes nothing.

use candle_core::{Device, Result, Tensor, bail};

use crate::models::pooling::unit_length;
use crate::nn::gemm::Precision;
use crate::nn::{self, Activation, Linear};

/// The mean of `−log softmax(logits)[label]` over the rows that have a label; with weights of the classes the weighted
/// mean, `Σ wᵧ · loss / Σ wᵧ`, as PyTorch's `CrossEntropyLoss`.
///
/// * `logits`: `rows × classes`; `labels`: one for each row, `None` where the row has no say (−100 in PyTorch).
///
/// # Errors
/// Labels or weights that do not fit the logits, and what the tensor library reports.
pub fn cross_entropy(logits: &Tensor, labels: &[Option<u32>], weights: Option<&[f32]>) -> Result<Tensor> {
    match weights {
        Some(weights) => nn::weighted_cross_entropy(logits, labels, weights),
        None => nn::cross_entropy(logits, labels),
    }
}

/// What the mean of [`cross_entropy`] divides by: rows with a label, or the sum of their weights. Losses of parts of a
/// batch are means over the whole batch if each counts by this.
///
/// A label without a weight counts nothing: [`cross_entropy`] refuses it.
pub fn label_weight(labels: &[Option<u32>], weights: Option<&[f32]>) -> f64 {
    let weight =
        |label: u32| weights.map_or(1.0, |all| all.get(label as usize).map_or(0.0, |&w| f64::from(w)));
    labels.iter().flatten().map(|&label| weight(label)).sum()
}

/// Weights of classes by which each class counts alike: `rows / (classes with rows · rows of the class)`, as
/// scikit-learn's `balanced`; 0 for a class without rows.
///
/// Labels that are no class are passed over.
pub fn balanced_weights(labels: &[Option<u32>], n_classes: usize) -> Vec<f32> {
    let mut counts = vec![0usize; n_classes];
    for &label in labels.iter().flatten() {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    let (rows, present) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&count| count > 0).count());
    let weight = |count: usize| if count == 0 { 0.0 } else { rows as f64 / (present * count) as f64 };
    counts.into_iter().map(|count| weight(count) as f32).collect()
}

/// The mean of `(predicted − target)²` over the masked places.
///
/// * `predicted`: `rows`; `target`, `mask`: one for each row.
///
/// # Errors
/// Targets or a mask of another length, and what the tensor library reports.
pub fn masked_mse(predicted: &Tensor, target: &[f32], mask: &[bool]) -> Result<Tensor> {
    let (factors, n) = factors(predicted, target, mask)?;
    let target = Tensor::from_slice(target, target.len(), &Device::Cpu)?;
    ((predicted - target)? * factors)?.sqr()?.sum_all()? / n
}

/// The mean of `−log p` over the masked places whose target is above 0, and of `−log (1 − p)` over the others: scGPT's
/// loss of which values are zero.
///
/// * `probabilities`: `rows`, of a value that is not zero; they count as at least 2⁻²³ away from 0 and 1, as in PyTorch.
///
/// # Errors
/// As [`masked_mse`].
pub fn zero_nll(probabilities: &Tensor, target: &[f32], mask: &[bool]) -> Result<Tensor> {
    let (factors, n) = factors(probabilities, target, mask)?;
    let positive: Vec<f32> = target.iter().map(|&x| f32::from(u8::from(x > 0.0))).collect();
    let positive = Tensor::from_vec(positive, target.len(), &Device::Cpu)?;
    let eps = f64::from(f32::EPSILON);
    let p = probabilities.clamp(eps, 1.0 - eps)?;
    let of_others = (p.neg()? + 1.0)?.log()? * (positive.neg()? + 1.0)?;
    let log = ((p.log()? * positive)? + of_others?)?;
    (log * factors)?.sum_all()? / -n
}

/// scGPT's loss of elastic similarity: with `s` the cosine between two cells, 0 where negative and of a cell with
/// itself, the mean of `1 − (s − threshold)²` over all pairs. The tutorials weight it by 10.
///
/// * `cells`: `cells × width`.
///
/// # Errors
/// What the tensor library reports.
pub fn elastic_similarity(cells: &Tensor, threshold: f64) -> Result<Tensor> {
    let (n, _) = cells.dims2()?;
    if n == 0 {
        return Tensor::zeros((), cells.dtype(), cells.device());
    }
    let cells = unit_length(cells)?;
    let cosines =
        Linear::with_precision(cells.clone(), None, Precision::F32).forward(&cells, Activation::Relu)?;
    let others: Vec<f32> = (0..n * n).map(|i| f32::from(u8::from(i / n != i % n))).collect();
    let cosines = (cosines * Tensor::from_vec(others, (n, n), &Device::Cpu)?)?;
    ((cosines - threshold)?.sqr()?.neg()? + 1.0)?.mean_all()
}

/// The mask as numbers, and how many places it has, 1 at least.
fn factors(x: &Tensor, target: &[f32], mask: &[bool]) -> Result<(Tensor, f64)> {
    let rows = x.dims1()?;
    if target.len() != rows || mask.len() != rows {
        bail!("{} targets and a mask of {} places for {rows} values", target.len(), mask.len());
    }
    let n = mask.iter().filter(|&&is_masked| is_masked).count();
    let factors: Vec<f32> = mask.iter().map(|&is_masked| f32::from(u8::from(is_masked))).collect();
    Ok((Tensor::from_vec(factors, rows, &Device::Cpu)?, n.max(1) as f64))
}

#[cfg(test)]
mod tests;
