//! One logistic regression per class, all of them in one minimisation.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Features;
use crate::classifiers::design::{Design, LANES, accumulate};
use crate::classifiers::logistic::lbfgs::{Lbfgs, Minimum, dot};
use crate::classifiers::training::ROW_CHUNK;
use crate::features::Lines;

/// Weights and intercept of each class against the rest; with two classes only of the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneVsRest {
    /// Features × width, row-major.
    weights: Vec<f64>,
    /// One per output, filled up to a multiple of [`LANES`]: the width.
    intercepts: Vec<f64>,
    n_outputs: usize,
}

pub(super) struct Fit {
    /// Factor of `‖w‖² / 2` beside the mean loss of each class.
    pub(super) penalty: f64,
    pub(super) max_iter: usize,
    pub(super) tolerance: f64,
}

/// Two classes share one output.
fn n_outputs(n_classes: usize) -> usize {
    if n_classes == 2 { 1 } else { n_classes }
}

impl Fit {
    /// * `codes`: class of each row, `0..n_classes`.
    pub(super) fn run(&self, x: &Features, codes: &[u32], n_classes: usize) -> (OneVsRest, Minimum) {
        let n_outputs = n_outputs(n_classes);
        let width = n_outputs.next_multiple_of(LANES);
        let design = Design::new(x);
        let mut loss = Loss {
            columns: design.columns(),
            residuals: vec![0.0; design.n_rows * width],
            design: &design,
            codes,
            first: u32::from(n_classes == 2),
            penalty: self.penalty,
            n_outputs,
            width,
        };
        let lbfgs = Lbfgs { max_iter: self.max_iter, gradient_tolerance: self.tolerance };
        let start = vec![0.0; (design.n_cols + 1) * width];
        let mut minimum = lbfgs.minimise(start, |w, gradient| loss.evaluate(w, gradient));
        let mut weights = std::mem::take(&mut minimum.x);
        let intercepts = weights.split_off(design.n_cols * width);
        (OneVsRest { weights, intercepts, n_outputs }, minimum)
    }
}

struct Loss<'a> {
    design: &'a Design,
    columns: Lines,
    codes: &'a [u32],
    /// Class of the first output.
    first: u32,
    penalty: f64,
    /// Scores, then probability minus truth: rows × width.
    residuals: Vec<f64>,
    n_outputs: usize,
    width: usize,
}

impl Loss<'_> {
    /// The objectives of all classes at `w` (weights, then intercepts), added up, and their gradient.
    fn evaluate(&mut self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let (width, n_outputs, first, codes) = (self.width, self.n_outputs, self.first, self.codes);
        let n = self.design.n_rows as f64;
        let (weights, intercepts) = w.split_at(self.design.n_cols * width);
        self.design.times(width, weights, &mut self.residuals);
        let chunks: Vec<(f64, Vec<f64>)> = self
            .residuals
            .par_chunks_mut(ROW_CHUNK * width)
            .zip(codes.par_chunks(ROW_CHUNK))
            .map(|(rows, codes)| {
                let (mut loss, mut sums) = (0.0, vec![0.0; width]);
                for (row, &code) in rows.chunks_exact_mut(width).zip(codes) {
                    for (output, z) in row[..n_outputs].iter_mut().enumerate() {
                        *z += intercepts[output];
                        let truth = code == output as u32 + first;
                        // One exponential serves both the loss and the probability.
                        let small = libm::exp(-z.abs());
                        let wrong = if truth { (-*z).max(0.0) } else { z.max(0.0) };
                        loss += wrong + libm::log1p(small);
                        let probability = if *z >= 0.0 { 1.0 } else { small } / (1.0 + small);
                        *z = probability - f64::from(u8::from(truth));
                        sums[output] += *z;
                    }
                    row[n_outputs..].fill(0.0);
                }
                (loss, sums)
            })
            .collect();
        let (mut loss, mut sums) = (0.0, vec![0.0; width]);
        for (chunk_loss, chunk_sums) in chunks {
            loss += chunk_loss;
            sums.iter_mut().zip(chunk_sums).for_each(|(sum, s)| *sum += s);
        }
        let (by_weight, by_intercept) = gradient.split_at_mut(weights.len());
        for (row, &b) in by_weight.chunks_exact_mut(width).zip(&self.design.background) {
            row.iter_mut().zip(&sums).for_each(|(g, sum)| *g = b * sum);
        }
        accumulate(&self.columns, width, &self.residuals, by_weight);
        for (g, w) in by_weight.iter_mut().zip(weights) {
            *g = *g / n + self.penalty * w;
        }
        by_intercept.iter_mut().zip(&sums).for_each(|(g, sum)| *g = sum / n);
        loss / n + 0.5 * self.penalty * dot(weights, weights)
    }
}

impl OneVsRest {
    fn width(&self) -> usize {
        self.intercepts.len()
    }

    /// Features × outputs.
    pub(super) fn coefficients(&self) -> Array2<f64> {
        let n_features = self.weights.len() / self.width();
        Array2::from_shape_fn((n_features, self.n_outputs), |(j, k)| self.weights[j * self.width() + k])
    }

    /// The features with the `n` largest absolute weights of each output, ascending; of equal weights the earlier ones.
    pub(super) fn top_features(&self, n: usize) -> Vec<usize> {
        let coefficients = self.coefficients();
        let mut chosen = vec![false; coefficients.nrows()];
        for weights in coefficients.columns() {
            let mut order: Vec<usize> = (0..weights.len()).collect();
            order.sort_by(|&a, &b| weights[b].abs().total_cmp(&weights[a].abs()));
            order.into_iter().take(n).for_each(|feature| chosen[feature] = true);
        }
        (0..chosen.len()).filter(|&feature| chosen[feature]).collect()
    }

    /// Rows × outputs.
    pub(super) fn scores(&self, x: &Features) -> Vec<f64> {
        let mut padded = vec![0.0; x.n_rows() * self.width()];
        Design::new(x).times(self.width(), &self.weights, &mut padded);
        let rows = padded.chunks_exact(self.width());
        rows.flat_map(|row| row.iter().zip(&self.intercepts).take(self.n_outputs).map(|(z, b)| z + b))
            .collect()
    }

    /// Proves what the other methods rely on, for a value that was read from a file.
    pub(super) fn check(&self, n_features: usize, n_classes: usize) -> Result<(), String> {
        let width = self.width();
        let fits = self.n_outputs == n_outputs(n_classes)
            && width == self.n_outputs.next_multiple_of(LANES)
            && Some(self.weights.len()) == n_features.checked_mul(width);
        if !fits {
            let (weights, outputs) = (self.weights.len(), self.n_outputs);
            return Err(format!(
                "{weights} weights and {width} intercepts for {n_features} features and {outputs} outputs"
            ));
        }
        match self.weights.iter().chain(&self.intercepts).all(|w| w.is_finite()) {
            true => Ok(()),
            false => Err("a weight is not finite".to_owned()),
        }
    }
}
