//! Linear SVM with the squared hinge loss, one class against the rest.

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::platt::{N_FOLDS, Sigmoid, stratified_folds};
use crate::classifiers::design::Design;
use crate::classifiers::planes::Planes;
use crate::classifiers::training::{Classes, Training, argmax};
use crate::classifiers::{ClassWeight, Classifier};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`LinearSvm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearSvmParams {
    /// Weight of the loss against the L2 penalty, as scikit-learn's `C`. Default 0.01: standardised genes are many.
    pub c: f64,
    /// How much the cells of each class count. With three classes or more the weight of a class applies to the plane
    /// between it and the rest, and the rest count 1, as in LIBLINEAR. Default uniform.
    pub class_weight: ClassWeight,
    /// Whether to fit probabilities as well: each plane five times more, on four fifths of the cells. Predicted classes
    /// stay the same. Default false.
    pub probability: bool,
    /// Most passes over the cells. Default 1,000.
    pub max_iter: usize,
    /// Stop when the projected gradients of the dual lie within this range of each other. Default 1e-3.
    pub tolerance: f64,
    /// Seed of the order in which a pass visits the cells. Default 42.
    pub seed: u64,
}

impl Default for LinearSvmParams {
    fn default() -> Self {
        Self {
            c: 0.01,
            class_weight: ClassWeight::Uniform,
            probability: false,
            max_iter: 1000,
            tolerance: 1e-3,
            seed: 42,
        }
    }
}

/// A fitted linear SVM: the class with the largest `x · w + intercept`.
///
/// Minimises the objective of scikit-learn's `LinearSVC` (L2 penalty, squared hinge, the intercept a penalised weight
/// of a constant feature) by dual coordinate descent (Hsieh et al., ICML 2008).
///
/// Its probabilities, if asked for, are those of scikit-learn's `CalibratedClassifierCV(LinearSVC(), ensemble=False)`: a
/// sigmoid per plane, fitted to decision values of cells that were held out (five stratified parts, not shuffled), then
/// scaled to sum 1. The most probable class may differ from the predicted one, which is still that of the plain SVM.
/// If all training cells are of one class, it is predicted for everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearSvm {
    pub(crate) classes: Classes,
    planes: Planes,
    /// One per plane, or none.
    sigmoids: Vec<Sigmoid>,
    n_iter: usize,
    converged: bool,
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
        let training = Training::new(x, y, n_classes)?;
        let class_weights = self.class_weight.of_present(&training)?;
        let Training { codes, classes } = training;
        let problem = Problem::new(Design::new(x));
        let n_planes = n_planes(&classes);
        let positive =
            |plane: usize| if n_planes == 1 { classes.n_present() as u32 - 1 } else { plane as u32 };
        let fit = |plane: usize, stream: usize, cells: Vec<u32>| {
            let positive = positive(plane);
            let costs = Costs {
                positive: self.c * class_weights[positive as usize],
                negative: self.c * if classes.n_present() == 2 { class_weights[0] } else { 1.0 },
            };
            problem.solve(self, stream as u64, cells, costs, |i| codes[i] == positive)
        };
        let all: Vec<u32> = (0..codes.len() as u32).collect();
        let fitted: Vec<Plane> =
            (0..n_planes).into_par_iter().map(|plane| fit(plane, plane, all.clone())).collect();
        let sigmoids = match self.probability && classes.n_present() > 1 {
            false => Vec::new(),
            true => {
                let fold_of_cell = stratified_folds(&codes, classes.n_present());
                let cells_of = |fold: usize, held_out: bool| -> Vec<u32> {
                    all.iter().copied().filter(|&i| (fold_of_cell[i as usize] == fold) == held_out).collect()
                };
                let decisions: Vec<Vec<(u32, f64)>> = (0..n_planes * N_FOLDS)
                    .into_par_iter()
                    .map(|task| {
                        let (plane, fold) = (task / N_FOLDS, task % N_FOLDS);
                        let fitted = fit(plane, n_planes + task, cells_of(fold, false));
                        let decide = |i: u32| (i, problem.decision(&fitted, i as usize));
                        cells_of(fold, true).into_iter().map(decide).collect()
                    })
                    .collect();
                let calibrate = |(plane, folds): (usize, &[Vec<(u32, f64)>])| {
                    let (cells, values): (Vec<u32>, Vec<f64>) = folds.iter().flatten().copied().unzip();
                    let truth: Vec<bool> =
                        cells.iter().map(|&i| codes[i as usize] == positive(plane)).collect();
                    Sigmoid::fit(&values, &truth)
                };
                decisions.chunks_exact(N_FOLDS).enumerate().map(calibrate).collect()
            }
        };
        let n_iter = fitted.iter().map(|plane| plane.n_iter).max().unwrap_or_default();
        let converged = fitted.iter().all(|plane| plane.converged);
        let intercepts = fitted.iter().map(|plane| plane.intercept).collect();
        let weights: Vec<Vec<f64>> = fitted.into_iter().map(|plane| plane.weights).collect();
        let planes = Planes::from_vectors(&weights, intercepts);
        Ok(LinearSvm { classes, planes, sigmoids, n_iter, converged })
    }
}

/// Two classes share one plane; its sign tells them apart.
fn n_planes(classes: &Classes) -> usize {
    if classes.n_present() == 2 { 1 } else { classes.n_present() }
}

/// Weight of the loss of a cell on either side.
struct Costs {
    positive: f64,
    negative: f64,
}

struct Plane {
    weights: Vec<f64>,
    intercept: f64,
    n_iter: usize,
    converged: bool,
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

    /// The value of a plane for row `i`.
    fn decision(&self, plane: &Plane, i: usize) -> f64 {
        let (js, ds) = self.design.row(i);
        let common = plane.weights.iter().zip(&self.design.background).map(|(w, b)| w * b).sum::<f64>();
        let own = js.iter().zip(ds).map(|(&j, &d)| plane.weights[j as usize] * f64::from(d)).sum::<f64>();
        common + own + plane.intercept
    }

    /// Dual coordinate descent for one plane, on the rows `order`.
    ///
    /// The weights are `u + shared · (background, 1)`: a step along a row changes only the genes that the row writes
    /// out, plus two numbers.
    fn solve(
        &self,
        params: &LinearSvmParams,
        stream: u64,
        mut order: Vec<u32>,
        costs: Costs,
        positive: impl Fn(usize) -> bool,
    ) -> Plane {
        let n = order.len();
        let side = |i| if positive(i) { (1.0, 0.5 / costs.positive) } else { (-1.0, 0.5 / costs.negative) };
        let sides: Vec<(f64, f64)> = (0..self.design.n_rows).map(side).collect();
        let mut alpha = vec![0.0f64; self.design.n_rows];
        let mut u = vec![0.0f64; self.design.n_cols];
        let (mut shared, mut u_background) = (0.0f64, 0.0f64);
        let mut active = n;
        let mut upper = f64::INFINITY;
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        rng.set_stream(stream);
        let (mut n_iter, mut converged) = (0, false);
        while n_iter < params.max_iter && !converged {
            n_iter += 1;
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
                let (sign, ridge) = sides[i];
                let gradient = sign * score - 1.0 + ridge * alpha[i];
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
                    let step = (alpha[i] - old) * sign;
                    for (&j, &d) in js.iter().zip(ds) {
                        u[j as usize] += step * f64::from(d);
                    }
                    u_background += step * self.row_background[i];
                    shared += step;
                }
            }
            if largest - smallest <= params.tolerance {
                converged = active == n;
                // Everybody is looked at once more before the end is believed.
                active = n;
                upper = f64::INFINITY;
                continue;
            }
            upper = if largest > 0.0 { largest } else { f64::INFINITY };
        }
        let weights = u.iter().zip(&self.design.background).map(|(u, b)| u + shared * b).collect();
        Plane { weights, intercept: shared, n_iter, converged }
    }
}

/// Fisher-Yates, by 64-bit draws reduced by multiplication.
pub(super) fn shuffle(order: &mut [u32], rng: &mut ChaCha8Rng) {
    for at in (1..order.len()).rev() {
        let other = ((u128::from(rng.next_u64()) * (at as u128 + 1)) >> 64) as usize;
        order.swap(at, other);
    }
}

impl LinearSvm {
    /// The weights, planes × features, as scikit-learn's `coef_`: a row for each class that occurs in training, in order of
    /// its index; one row, that of the second class, for two classes.
    pub fn coefficients(&self) -> Array2<f64> {
        self.planes.coefficients()
    }

    /// One intercept per row of [`LinearSvm::coefficients`].
    pub fn intercepts(&self) -> &[f64] {
        self.planes.intercepts()
    }

    /// Passes over the cells that the slowest plane took.
    pub fn n_iter(&self) -> usize {
        self.n_iter
    }

    /// Whether every plane reached the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        self.planes.check(self.classes.n_features(), n_planes(&self.classes))?;
        let n = self.sigmoids.len();
        if n != 0 && (n != self.planes.n_outputs() || self.classes.n_present() == 1) {
            return Err(format!("there are {n} sigmoids for {} planes", self.planes.n_outputs()));
        }
        self.sigmoids.iter().try_for_each(Sigmoid::check)
    }

    /// Probabilities of the present classes from the decision values of one cell.
    fn calibrate(&self, z: &[f64], probabilities: &mut Vec<f64>) {
        if let ([z], [sigmoid]) = (z, self.sigmoids.as_slice()) {
            let second = sigmoid.probability(*z);
            probabilities.extend([1.0 - second, second]);
            return;
        }
        let alone: Vec<f64> = z.iter().zip(&self.sigmoids).map(|(&z, s)| s.probability(z)).collect();
        let sum: f64 = alone.iter().sum();
        // Where no plane claims the cell at all, nothing is known of it.
        let nothing = 1.0 / alone.len() as f64;
        probabilities.extend(alone.into_iter().map(|p| if sum > 0.0 { p / sum } else { nothing }));
    }
}

impl Classifier for LinearSvm {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let scores = self.planes.scores(x);
        let n_planes = self.planes.n_outputs();
        let codes = scores.chunks_exact(n_planes).map(|z| {
            if n_planes == 1 && self.classes.n_present() == 2 { usize::from(z[0] > 0.0) } else { argmax(z) }
        });
        let prediction = self.classes.with_codes(codes);
        if self.sigmoids.is_empty() {
            return Ok(prediction);
        }
        let mut probabilities = Vec::with_capacity(x.n_rows() * self.classes.n_present());
        scores.chunks_exact(n_planes).for_each(|z| self.calibrate(z, &mut probabilities));
        Ok(Prediction { codes: prediction.codes, ..self.classes.with_probabilities(&probabilities) })
    }
}
