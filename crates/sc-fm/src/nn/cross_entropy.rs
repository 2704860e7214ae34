//! The loss of classifiers and of masked tokens.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{self, Matrix};
use super::softmax::{rows_of_a_task, weights};

/// The mean of `−log softmax(logits)[label]` over the rows that have a label; differentiable.
///
/// * `logits`: `rows × classes`, f32 on a processor or whatever the tensor library can convert to that.
/// * `labels`: one for each row; `None` where the row has no say, as −100 in PyTorch.
/// * returns: a single number; 0 where no row has a label (PyTorch: NaN), so that such a batch changes nothing.
///
/// # Errors
/// A number of labels other than that of the rows, a label that is no class, and what the tensor library reports.
pub fn cross_entropy(logits: &Tensor, labels: &[Option<u32>]) -> Result<Tensor> {
    of(logits, labels, None)
}

/// The weighted mean of `−log softmax(logits)[label]`, `Σ w[label] · loss / Σ w[label]`, over the rows that have a label.
///
/// As [`cross_entropy`], with `weights`: one for each class, finite and not negative; 0 is returned where they add up to
/// nothing.
///
/// # Errors
/// Those of [`cross_entropy`], and weights that are none.
pub fn weighted_cross_entropy(logits: &Tensor, labels: &[Option<u32>], weights: &[f32]) -> Result<Tensor> {
    let (_, classes) = logits.dims2()?;
    if weights.len() != classes {
        bail!("cross entropy: {} weights for {classes} classes", weights.len());
    }
    if let Some(class) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        bail!("cross entropy: the weight of class {class} is {}, expected 0 or more", weights[class]);
    }
    of(logits, labels, Some(weights.to_vec()))
}

fn of(logits: &Tensor, labels: &[Option<u32>], weights: Option<Vec<f32>>) -> Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    check(labels, rows, classes)?;
    let logits = logits.to_device(&candle_core::Device::Cpu)?.to_dtype(candle_core::DType::F32)?;
    let op = CrossEntropy { labels: labels.to_vec(), weights, arch: Arch::new() };
    cpu::contiguous_rows(&logits)?.apply_op1(op)
}

/// Refuses another number of labels than that of the rows, and labels that are no class.
pub(super) fn check(labels: &[Option<u32>], rows: usize, classes: usize) -> Result<()> {
    if labels.len() != rows {
        bail!("cross entropy: {} labels for {rows} rows", labels.len());
    }
    for (row, label) in labels.iter().enumerate() {
        if let Some(label) = label.filter(|&label| label as usize >= classes) {
            bail!("cross entropy: the label of row {row} is {label}, expected less than {classes}");
        }
    }
    Ok(())
}

struct CrossEntropy {
    labels: Vec<Option<u32>>,
    /// One for each class; without any each label counts 1.
    weights: Option<Vec<f32>>,
    arch: Arch,
}

impl CrossEntropy {
    fn weight(&self, label: u32) -> f32 {
        self.weights.as_ref().map_or(1.0, |weights| weights[label as usize])
    }

    /// What the mean divides by.
    fn divisor(&self) -> f64 {
        let sum: f64 = self.labels.iter().flatten().map(|&label| f64::from(self.weight(label))).sum();
        if sum > 0.0 { sum } else { 1.0 }
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = cpu::matrix(logits, layout)?;
        let mut losses = vec![0.0; logits.n_rows];
        let rows = rows_of_a_task(logits.n_cols);
        losses.par_chunks_mut(rows).zip(self.labels.par_chunks(rows)).enumerate().for_each(
            |(task, (losses, labels))| {
                self.arch.dispatch(Forward { logits, labels, first: task * rows, losses });
            },
        );
        if self.weights.is_some() {
            for (loss, label) in losses.iter_mut().zip(&self.labels) {
                *loss *= label.map_or(0.0, |label| f64::from(self.weight(label)));
            }
        }
        let mean = losses.iter().sum::<f64>() / self.divisor();
        Ok(cpu::result(vec![mean as f32], ()))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let factor = gradient.to_scalar::<f32>()? / self.divisor() as f32;
        let (storage, layout) = logits.storage_and_layout();
        let matrix = cpu::matrix(cpu::storage(&storage)?, layout)?;
        let width = matrix.n_cols;
        let mut out = vec![0.0; matrix.n_rows * width];
        if width > 0 {
            let rows = rows_of_a_task(width);
            out.par_chunks_mut(rows * width).zip(self.labels.par_chunks(rows)).enumerate().for_each(
                |(task, (out, labels))| {
                    self.arch.dispatch(Backward { logits: matrix, labels, first: task * rows, factor, out });
                },
            );
            if self.weights.is_some() {
                for (out, label) in out.chunks_exact_mut(width).zip(&self.labels) {
                    let weight = label.map_or(0.0, |label| self.weight(label));
                    out.iter_mut().for_each(|x| *x *= weight);
                }
            }
        }
        Ok(Some(Tensor::from_vec(out, logits.shape(), logits.device())?))
    }
}

/// `log Σ exp(x) − x[label]` of each row with a label.
struct Forward<'a> {
    logits: Matrix<'a>,
    labels: &'a [Option<u32>],
    first: usize,
    losses: &'a mut [f64],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut scratch = vec![0.0; self.logits.n_cols];
        for (i, (loss, label)) in self.losses.iter_mut().zip(self.labels).enumerate() {
            if let Some(label) = label {
                let row = self.logits.row(self.first + i);
                let (highest, sum) = weights(simd, row, &mut scratch);
                let below = f64::from(highest) - f64::from(row[*label as usize]);
                *loss = libm::log(f64::from(sum)) + below;
            }
        }
    }
}

/// `(softmax(x) − [class = label]) · factor` of each row with a label, else 0.
struct Backward<'a> {
    logits: Matrix<'a>,
    labels: &'a [Option<u32>],
    first: usize,
    factor: f32,
    out: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (i, (out, label)) in self.out.chunks_exact_mut(self.logits.n_cols).zip(self.labels).enumerate() {
            if let Some(label) = label {
                let (_, sum) = weights(simd, self.logits.row(self.first + i), out);
                let scale = self.factor / sum;
                out.iter_mut().for_each(|y| *y *= scale);
                out[*label as usize] -= self.factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, DType, Device, Var};

    use super::*;
    use crate::nn::simd::every_arch;
    use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};

    fn values(x: &Tensor) -> Vec<f32> {
        x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn logits(rows: usize, classes: usize) -> Tensor {
        let x = Tensor::from_vec(numbers(1, rows * classes), (rows, classes), &Device::Cpu).unwrap();
        (x * 9.0).unwrap()
    }

    fn labels(rows: usize, classes: usize) -> Vec<Option<u32>> {
        (0..rows).map(|i| (i % 3 != 1).then_some((i * 7 % classes) as u32)).collect()
    }

    /// Loss and gradient of half the loss.
    fn both(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f32> {
        let x = Var::from_tensor(x).unwrap();
        let loss = f(&x).unwrap();
        let gradients = (&loss * 0.5).unwrap().backward().unwrap();
        [values(&loss), values(gradients.get(&x).unwrap())].concat()
    }

    #[test]
    fn loss_and_gradient_equal_the_definition_in_f64() {
        for (rows, classes) in [(1, 1), (1, 5), (50, 4), (9, 1000)] {
            let (x, labels) = (logits(rows, classes), labels(rows, classes));
            let found = both(&x, |x| cross_entropy(x, &labels));
            let expected = both(&x.to_dtype(DType::F64).unwrap(), |x| {
                let log_sum = x.exp()?.sum_keepdim(D::Minus1)?.log()?;
                let hot: Vec<f64> = (0..rows * classes)
                    .map(|i| f64::from(u8::from(labels[i / classes] == Some((i % classes) as u32))))
                    .collect();
                let hot = Tensor::from_vec(hot, (rows, classes), &Device::Cpu)?;
                let n = labels.iter().flatten().count() as f64;
                (log_sum.broadcast_sub(x)? * hot)?.sum_all()? / n
            });
            let (difference, at) = largest_difference(&found, &expected);
            assert!(difference < 1e-6 * expected[0].max(1.0), "{rows} x {classes}: {difference} at {at}");
        }
    }

    #[test]
    fn every_processor_and_number_of_threads_gives_the_same_bits() {
        let (x, labels) = (logits(301, 77), labels(301, 77));
        let run =
            |arch| both(&x, |x| x.apply_op1(CrossEntropy { labels: labels.clone(), weights: None, arch }));
        let first = run(Arch::Scalar);
        for arch in every_arch() {
            for threads in [1, 4] {
                assert!(same_bits(&first, &on_threads(threads, || run(arch))));
            }
        }
    }

    #[test]
    fn a_batch_without_labels_changes_nothing() {
        assert_eq!(both(&logits(2, 3), |x| cross_entropy(x, &[None, None])), [0.0; 7]);
    }

    #[test]
    fn labels_that_do_not_fit_are_named() {
        let message = |labels: &[Option<u32>]| cross_entropy(&logits(2, 3), labels).unwrap_err().to_string();
        assert!(message(&[None]).contains("1 labels for 2 rows"));
        assert!(message(&[None, Some(3)]).contains("the label of row 1 is 3, expected less than 3"));
    }
}
