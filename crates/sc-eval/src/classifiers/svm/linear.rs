//! Linear SVM with the squared hinge loss, one class against the rest.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::classifiers::Classifier;
use crate::classifiers::design::{Design, LANES};
use crate::classifiers::training::{Classes, Training, argmax};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`LinearSvm`].
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSvmParams {
    /// Weight of the loss against the L2 penalty, as scikit-learn's `C`. Default 0.01: standardised genes are many.
    pub c: f64,
    /// Most passes over the cells. Default 1,000.
    pub max_iter: usize,
    /// Stop when the projected gradients of the dual lie within this range of each other. Default 1e-3.
    pub tolerance: f64,
    /// Seed of the order in which a pass visits the cells. Default 42.
    pub seed: u64,
}

impl Default for LinearSvmParams {
    fn default() -> Self {
        Self { c: 0.01, max_iter: 1000, tolerance: 1e-3, seed: 42 }
    }
}

/// A fitted linear SVM: the class with the largest `x · w + intercept`.
///
/// Minimises the objective of scikit-learn's `LinearSVC` (L2 penalty, squared hinge, the intercept a penalised weight
/// of a constant feature) by dual coordinate descent (Hsieh et al., ICML 2008). It has no probabilities.
#[derive(Clone, Debug)]
pub struct LinearSvm {
    classes: Classes,
    /// `n_features × width`, row-major.
    weights: Vec<f64>,
    intercepts: Vec<f64>,
    width: usize,
}

impl LinearSvmParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<LinearSvm> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::Parameter { name: "c", value: self.c.to_string(), expected: "above 0" });
        }
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let problem = Problem::new(Design::new(x));
        // Two classes share one plane; its sign tells them apart.
        let planes = if classes.n_present() == 2 { 1 } else { classes.n_present() };
        let fitted: Vec<Plane> = (0..planes)
            .into_par_iter()
            .map(|plane| {
                let positive = if planes == 1 { 1 } else { plane as u32 };
                problem.solve(self, plane as u64, |i| codes[i] == positive)
            })
            .collect();
        let width = planes.next_multiple_of(LANES);
        let mut weights = vec![0.0; problem.design.n_cols * width];
        for (at, plane) in fitted.iter().enumerate() {
            for (row, &w) in weights.chunks_exact_mut(width).zip(&plane.weights) {
                row[at] = w;
            }
        }
        let intercepts = fitted.iter().map(|plane| plane.intercept).collect();
        Ok(LinearSvm { classes, weights, intercepts, width })
    }
}

struct Plane {
    weights: Vec<f64>,
    intercept: f64,
}

struct Problem {
    design: Design,
    /// Delta of each row times the background.
    row_background: Vec<f64>,
    /// Squared length of the background, the constant feature included.
    background_square: f64,
    /// Squared length of each row, the constant feature included.
    row_square: Vec<f64>,
}

impl Problem {
    fn new(design: Design) -> Self {
        let background_square = 1.0 + design.background.iter().map(|b| b * b).sum::<f64>();
        let (mut row_background, mut row_square) = (Vec::new(), Vec::new());
        for i in 0..design.n_rows {
            let (js, ds) = design.row(i);
            let (mut cross, mut square) = (0.0, 0.0);
            for (&j, &d) in js.iter().zip(ds) {
                cross += f64::from(d) * design.background[j as usize];
                square += f64::from(d) * f64::from(d);
            }
            row_background.push(cross);
            row_square.push(square + 2.0 * cross + background_square);
        }
        Self { design, row_background, background_square, row_square }
    }

    /// Dual coordinate descent for one plane.
    ///
    /// The weights are `u + shared · (background, 1)`: a step along a row changes only the genes that the row writes
    /// out, plus two numbers.
    fn solve(&self, params: &LinearSvmParams, stream: u64, positive: impl Fn(usize) -> bool) -> Plane {
        let n = self.design.n_rows;
        let sign: Vec<f64> = (0..n).map(|i| if positive(i) { 1.0 } else { -1.0 }).collect();
        let ridge = 0.5 / params.c;
        let mut alpha = vec![0.0f64; n];
        let mut u = vec![0.0f64; self.design.n_cols];
        let (mut shared, mut u_background) = (0.0f64, 0.0f64);
        let mut order: Vec<u32> = (0..n as u32).collect();
        let mut active = n;
        let mut upper = f64::INFINITY;
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        rng.set_stream(stream);
        for _ in 0..params.max_iter {
            shuffle(&mut order[..active], &mut rng);
            let (mut largest, mut smallest) = (f64::NEG_INFINITY, f64::INFINITY);
            let mut at = 0;
            while at < active {
                let i = order[at] as usize;
                let (js, ds) = self.design.row(i);
                let mut score = u_background + shared * (self.row_background[i] + self.background_square);
                for (&j, &d) in js.iter().zip(ds) {
                    score += u[j as usize] * f64::from(d);
                }
                let gradient = sign[i] * score - 1.0 + ridge * alpha[i];
                // A cell that sits at zero and is pushed further down is set aside until the end.
                if alpha[i] == 0.0 && gradient > upper {
                    active -= 1;
                    order.swap(at, active);
                    continue;
                }
                at += 1;
                let projected = if alpha[i] == 0.0 { gradient.min(0.0) } else { gradient };
                largest = largest.max(projected);
                smallest = smallest.min(projected);
                if projected.abs() > 1e-12 {
                    let old = alpha[i];
                    alpha[i] = (old - gradient / (self.row_square[i] + ridge)).max(0.0);
                    let step = (alpha[i] - old) * sign[i];
                    for (&j, &d) in js.iter().zip(ds) {
                        u[j as usize] += step * f64::from(d);
                    }
                    u_background += step * self.row_background[i];
                    shared += step;
                }
            }
            if largest - smallest <= params.tolerance {
                if active == n {
                    break;
                }
                // Everybody is looked at once more before the end is believed.
                active = n;
                upper = f64::INFINITY;
                continue;
            }
            upper = if largest > 0.0 { largest } else { f64::INFINITY };
        }
        let weights = u.iter().zip(&self.design.background).map(|(u, b)| u + shared * b).collect();
        Plane { weights, intercept: shared }
    }
}

/// Fisher-Yates, by 64-bit draws reduced by multiplication.
fn shuffle(order: &mut [u32], rng: &mut ChaCha8Rng) {
    for at in (1..order.len()).rev() {
        let other = ((u128::from(rng.next_u64()) * (at as u128 + 1)) >> 64) as usize;
        order.swap(at, other);
    }
}

impl Classifier for LinearSvm {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let mut scores = vec![0.0; x.n_rows() * self.width];
        Design::new(x).times(self.width, &self.weights, &mut scores);
        let n_planes = self.intercepts.len();
        let codes = scores.chunks_exact_mut(self.width).map(|row| {
            let z = &mut row[..n_planes];
            z.iter_mut().zip(&self.intercepts).for_each(|(z, b)| *z += b);
            if n_planes == 1 && self.classes.n_present() == 2 { usize::from(z[0] > 0.0) } else { argmax(z) }
        });
        Ok(self.classes.with_codes(codes))
    }
}
