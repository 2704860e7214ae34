//! SVM with a radial basis kernel, one class against one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::linear::shuffle;
use super::platt::{EDGE, N_FOLDS, Sigmoid, couple};
use super::smo::{self, Bounds, KernelRows};
use crate::classifiers::design::Design;
use crate::classifiers::planes::all_finite;
use crate::classifiers::training::{Classes, ROW_CHUNK, Training};
use crate::classifiers::{ClassWeight, Classifier};
use crate::features::Lines;
use crate::{Error, Features, Prediction, Result};

/// How to fit an [`RbfSvm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RbfSvmParams {
    /// Largest weight of one cell, as scikit-learn's `C`. Default 1.
    pub c: f64,
    /// Width of the kernel `exp(-gamma · ‖a - b‖²)`; `None` is scikit-learn's `"scale"`: one over the number of
    /// features times the variance of all values. Default `None`.
    pub gamma: Option<f64>,
    /// How much the cells of each class count: their `c` is multiplied by it. Default uniform.
    pub class_weight: ClassWeight,
    /// Whether to fit probabilities as well: each pair of classes five times more, on four fifths of its cells. Predicted
    /// classes stay the same. Default false.
    pub probability: bool,
    /// Stop when no pair of cells violates the optimum by more. Default 1e-3.
    pub tolerance: f64,
    /// Most bytes of kernel values to keep; beyond them rows are computed again when needed. Default 1 GiB.
    pub cache_bytes: usize,
    /// Seed of the parts that are held out for probabilities. Default 42.
    pub seed: u64,
}

impl Default for RbfSvmParams {
    fn default() -> Self {
        Self {
            c: 1.0,
            gamma: None,
            class_weight: ClassWeight::Uniform,
            probability: false,
            tolerance: 1e-3,
            cache_bytes: 1 << 30,
            seed: 42,
        }
    }
}

/// A fitted kernel SVM: every pair of classes votes, and the lower class index wins a tie.
///
/// The model of scikit-learn's `SVC()` (LIBSVM's C-SVC). Its probabilities, if asked for, are LIBSVM's: a sigmoid per
/// pair, fitted to decision values of cells that were held out (five random parts of the pair's cells), and coupled over
/// all pairs, here to convergence. The most probable class may differ from the predicted one, which is still that of the
/// votes. If all training cells are of one class, it is predicted for everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RbfSvm {
    pub(crate) classes: Classes,
    gamma: f64,
    /// What the training cells' deltas are relative to; those of the cells to predict must be, too.
    background: Vec<f64>,
    /// The training cells that support a plane.
    support: Cells,
    /// One per pair of classes, in order.
    planes: Vec<Plane>,
    converged: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plane {
    first: usize,
    second: usize,
    rho: f64,
    /// Position among the support cells, coefficient.
    terms: Vec<(u32, f64)>,
    sigmoid: Option<Sigmoid>,
}

impl RbfSvmParams {
    /// The given `gamma`, or the one of `"scale"` for these cells.
    pub(crate) fn gamma_for(&self, design: &Design) -> f64 {
        self.gamma.unwrap_or_else(|| {
            let (_, variance) = design.mean_and_variance();
            // Features that are all the same tell nothing apart; any width does.
            if variance > 0.0 { 1.0 / (design.n_cols as f64 * variance) } else { 1.0 }
        })
    }

    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<RbfSvm> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::Parameter { name: "c", value: self.c.to_string(), expected: "above 0" });
        }
        if let Some(gamma) = self.gamma.filter(|gamma| !(*gamma > 0.0 && gamma.is_finite())) {
            return Err(Error::Parameter { name: "gamma", value: gamma.to_string(), expected: "above 0" });
        }
        let training = Training::new(x, y, n_classes)?;
        let class_weights = self.class_weight.of_present(&training)?;
        let Training { codes, classes } = training;
        let design = Design::new(x);
        let gamma = self.gamma_for(&design);
        let background = design.background.clone();
        let kernel = Kernel::new(Cells::new(design.n_cols, design.rows), gamma, self.cache_bytes);
        let solved: Vec<SolvedPair> = pairs(classes.n_present())
            .collect::<Vec<_>>()
            .par_iter()
            .enumerate()
            .map(|(at, &(first, second))| {
                let belongs = |&i: &u32| {
                    let code = codes[i as usize] as usize;
                    code == first || code == second
                };
                let bounds = Bounds {
                    positive: self.c * class_weights[first],
                    negative: self.c * class_weights[second],
                };
                let pair = Pair { kernel: &kernel, codes: &codes, first, bounds, tolerance: self.tolerance };
                let rows: Vec<u32> = (0..codes.len() as u32).filter(belongs).collect();
                let solution = pair.solve(&rows);
                let sigmoid = self.probability.then(|| pair.calibrate(&rows, self.seed, at as u64));
                SolvedPair { first, second, rows, solution, sigmoid }
            })
            .collect();
        let mut supports = vec![false; codes.len()];
        for SolvedPair { rows, solution, .. } in &solved {
            for (&i, &coefficient) in rows.iter().zip(&solution.coefficients) {
                supports[i as usize] |= coefficient != 0.0;
            }
        }
        let kept: Vec<usize> = (0..codes.len()).filter(|&i| supports[i]).collect();
        let mut position = vec![0u32; codes.len()];
        for (new, &old) in kept.iter().enumerate() {
            position[old] = new as u32;
        }
        let converged = solved.iter().all(|pair| pair.solution.converged);
        let plane = |SolvedPair { first, second, rows, solution, sigmoid }: SolvedPair| {
            let terms = rows
                .iter()
                .zip(&solution.coefficients)
                .filter(|(_, coefficient)| **coefficient != 0.0)
                .map(|(&i, &coefficient)| (position[i as usize], coefficient))
                .collect();
            Plane { first, second, rho: solution.rho, terms, sigmoid }
        };
        let planes = solved.into_iter().map(plane).collect();
        let support = kernel.cells.select(&kept);
        Ok(RbfSvm { classes, gamma, background, support, planes, converged })
    }
}

/// The pairs of `k` classes, in LIBSVM's order.
fn pairs(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(move |a| (a + 1..k).map(move |b| (a, b)))
}

/// A pair of classes once its plane is found.
struct SolvedPair {
    first: usize,
    second: usize,
    /// Training cells of the two classes.
    rows: Vec<u32>,
    solution: smo::Solution,
    sigmoid: Option<Sigmoid>,
}

/// The problem of telling class `first` from another one.
struct Pair<'a> {
    kernel: &'a Kernel,
    codes: &'a [u32],
    first: usize,
    bounds: Bounds,
    tolerance: f64,
}

impl Pair<'_> {
    fn is_first(&self, i: u32) -> bool {
        self.codes[i as usize] as usize == self.first
    }

    fn solve(&self, rows: &[u32]) -> smo::Solution {
        let sign: Vec<f64> = rows.iter().map(|&i| if self.is_first(i) { 1.0 } else { -1.0 }).collect();
        let max_iter = 10_000_000usize.max(rows.len().saturating_mul(100));
        smo::solve(&Subset { kernel: self.kernel, rows }, &sign, self.bounds, self.tolerance, max_iter)
    }

    /// A sigmoid for decision values, fitted to those of cells that were held out.
    fn calibrate(&self, rows: &[u32], seed: u64, stream: u64) -> Sigmoid {
        let mut order = rows.to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        shuffle(&mut order, &mut rng);
        let mut decisions = Vec::with_capacity(order.len());
        for fold in 0..N_FOLDS {
            let bounds = [fold, fold + 1].map(|f| f * order.len() / N_FOLDS);
            let (before, rest) = order.split_at(bounds[0]);
            let (held_out, after) = rest.split_at(bounds[1] - bounds[0]);
            let mut training = [before, after].concat();
            training.sort_unstable();
            decisions.extend(self.decide(&training, held_out));
        }
        let truth: Vec<bool> = order.iter().map(|&i| self.is_first(i)).collect();
        Sigmoid::fit(&decisions, &truth)
    }

    /// Decision values of `held_out` by a plane fitted on `training`. As in LIBSVM, they are 1 or -1 if one class alone is
    /// left to train on, and 0 if there is nothing.
    fn decide(&self, training: &[u32], held_out: &[u32]) -> Vec<f64> {
        let n_first = training.iter().filter(|&&i| self.is_first(i)).count();
        let alone = match (n_first > 0, n_first < training.len()) {
            (true, true) => None,
            (true, false) => Some(1.0),
            (false, true) => Some(-1.0),
            (false, false) => Some(0.0),
        };
        if let Some(value) = alone {
            return vec![value; held_out.len()];
        }
        let solution = self.solve(training);
        let mut values = vec![-solution.rho; held_out.len()];
        for (&i, &coefficient) in training.iter().zip(&solution.coefficients) {
            if coefficient != 0.0 {
                self.kernel.with_row(i as usize, |row| {
                    for (value, &j) in values.iter_mut().zip(held_out) {
                        *value += coefficient * f64::from(row[j as usize]);
                    }
                });
            }
        }
        values
    }
}

/// Sparse rows and their squared lengths. A background common to all cells cancels in differences, so it is not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cells {
    n_cols: usize,
    rows: Lines,
    squares: Vec<f64>,
}

impl Cells {
    fn new(n_cols: usize, rows: Lines) -> Self {
        let square = |i| rows.line(i).1.iter().map(|&d| f64::from(d) * f64::from(d)).sum();
        let squares = (0..rows.len()).map(square).collect();
        Self { n_cols, rows, squares }
    }

    fn len(&self) -> usize {
        self.squares.len()
    }

    fn select(&self, kept: &[usize]) -> Self {
        Self::new(self.n_cols, self.rows.select(kept))
    }

    /// `exp(-gamma · ‖own - cell‖²)` for every cell, for a row written out in `full` of squared length `square`.
    fn kernel_row(&self, full: &[f32], square: f64, gamma: f64, out: &mut [f32]) {
        for ((i, other), out) in self.squares.iter().enumerate().zip(out) {
            let (js, ds) = self.rows.line(i);
            let distance = square + other - 2.0 * sparse_dot(js, ds, full);
            *out = libm::exp(-gamma * distance.max(0.0)) as f32;
        }
    }
}

/// Inner product of a sparse and a written-out row, in four fixed partial sums.
fn sparse_dot(index: &[u32], delta: &[f32], full: &[f32]) -> f64 {
    let mut sums = [0.0f32; 4];
    let (js, ds) = (index.chunks_exact(4), delta.chunks_exact(4));
    let mut rest = 0.0f32;
    for (&j, &d) in js.remainder().iter().zip(ds.remainder()) {
        rest += d * full[j as usize];
    }
    for (j, d) in js.zip(ds) {
        for lane in 0..4 {
            sums[lane] += d[lane] * full[j[lane] as usize];
        }
    }
    sums.iter().map(|&s| f64::from(s)).sum::<f64>() + f64::from(rest)
}

/// Kernel rows, computed when first asked for and kept as long as there is room.
struct Kernel {
    cells: Cells,
    gamma: f64,
    cached: Vec<OnceLock<Vec<f32>>>,
    room: AtomicUsize,
}

impl Kernel {
    fn new(cells: Cells, gamma: f64, cache_bytes: usize) -> Self {
        let n = cells.len();
        let room = AtomicUsize::new(cache_bytes / (4 * n.max(1)));
        Self { cells, gamma, cached: (0..n).map(|_| OnceLock::new()).collect(), room }
    }

    fn compute(&self, i: usize) -> Vec<f32> {
        let (js, ds) = self.cells.rows.line(i);
        let mut full = vec![0f32; self.cells.n_cols];
        for (&j, &d) in js.iter().zip(ds) {
            full[j as usize] = d;
        }
        let mut row = vec![0f32; self.cells.len()];
        self.cells.kernel_row(&full, self.cells.squares[i], self.gamma, &mut row);
        row[i] = 1.0;
        row
    }

    fn with_row<T>(&self, i: usize, read: impl FnOnce(&[f32]) -> T) -> T {
        if let Some(row) = self.cached[i].get() {
            return read(row);
        }
        let granted =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        if granted.is_ok() {
            read(self.cached[i].get_or_init(|| self.compute(i)))
        } else {
            read(&self.compute(i))
        }
    }
}

/// The kernel among the cells of two classes.
struct Subset<'a> {
    kernel: &'a Kernel,
    rows: &'a [u32],
}

impl KernelRows for Subset<'_> {
    fn row(&self, i: usize, out: &mut [f32]) {
        self.kernel.with_row(self.rows[i] as usize, |row| {
            for (out, &j) in out.iter_mut().zip(self.rows) {
                *out = row[j as usize];
            }
        });
    }
}

impl RbfSvm {
    /// Number of training cells that support a plane.
    pub fn n_support(&self) -> usize {
        self.support.len()
    }

    /// Whether every pair of classes reached the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let n_features = self.classes.n_features();
        let [background, columns] = [self.background.len(), self.support.n_cols];
        if background != n_features || columns != n_features {
            return Err(format!(
                "there are {background} background values and {columns} columns for {n_features} features"
            ));
        }
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return Err(format!("gamma is {}", self.gamma));
        }
        all_finite("background", &self.background)?;
        self.support.rows.check(n_features)?;
        let [rows, squares] = [self.support.rows.len(), self.support.len()];
        if rows != squares {
            return Err(format!("there are {squares} squared lengths for {rows} support cells"));
        }
        all_finite("squared lengths", &self.support.squares)?;
        let expected = pairs(self.classes.n_present());
        if !self.planes.iter().map(|plane| (plane.first, plane.second)).eq(expected) {
            return Err(format!(
                "the planes are not those of all pairs of {} classes",
                self.classes.n_present()
            ));
        }
        let with_sigmoid = self.planes.iter().filter(|plane| plane.sigmoid.is_some()).count();
        if with_sigmoid != 0 && with_sigmoid != self.planes.len() {
            return Err(format!("{with_sigmoid} of {} planes have a sigmoid", self.planes.len()));
        }
        for plane in &self.planes {
            plane.sigmoid.iter().try_for_each(Sigmoid::check)?;
            let fits = |&(at, coefficient): &(u32, f64)| (at as usize) < rows && coefficient.is_finite();
            if !plane.rho.is_finite() || !plane.terms.iter().all(fits) {
                let (first, second) = (plane.first, plane.second);
                return Err(format!(
                    "the plane between classes {first} and {second} has terms out of bounds"
                ));
            }
        }
        Ok(())
    }

    /// The decision value of every plane from the kernel between a cell and the support cells.
    fn decide(&self, kernel: &[f32], values: &mut [f64]) {
        for (plane, value) in self.planes.iter().zip(values) {
            *value = -plane.rho;
            for &(at, coefficient) in &plane.terms {
                *value += coefficient * f64::from(kernel[at as usize]);
            }
        }
    }

    fn vote(&self, values: &[f64]) -> usize {
        let mut votes = vec![0usize; self.classes.n_present()];
        for (plane, &value) in self.planes.iter().zip(values) {
            votes[if value > 0.0 { plane.first } else { plane.second }] += 1;
        }
        // `max_by_key` keeps the last of equals; reversed, that is the lowest index.
        votes.iter().enumerate().rev().max_by_key(|(_, votes)| **votes).map_or(0, |(class, _)| class)
    }

    /// Probabilities of the present classes; `None` if the model was fitted without.
    fn probabilities(&self, values: &[f64], out: &mut [f64]) -> Option<()> {
        let k = self.classes.n_present();
        let mut of_pairs = vec![0.0; k * k];
        for (plane, &value) in self.planes.iter().zip(values) {
            let p = plane.sigmoid?.probability(value).clamp(EDGE, 1.0 - EDGE);
            of_pairs[plane.first * k + plane.second] = p;
            of_pairs[plane.second * k + plane.first] = 1.0 - p;
        }
        couple(&of_pairs, out);
        Some(())
    }
}

impl Classifier for RbfSvm {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let design = Design::over(x, &self.background);
        let k = self.classes.n_present();
        let has_sigmoids = self.planes.first().is_some_and(|plane| plane.sigmoid.is_some());
        let mut votes = vec![0usize; design.n_rows];
        let mut probabilities = vec![0.0; if has_sigmoids { design.n_rows * k } else { 0 }];
        // Without probabilities every chunk of rows gets an empty slice of them.
        let mut parts: Vec<&mut [f64]> = probabilities.chunks_mut(ROW_CHUNK * k).collect();
        parts.resize_with(design.n_rows.div_ceil(ROW_CHUNK), Default::default);
        votes.par_chunks_mut(ROW_CHUNK).zip(parts).enumerate().for_each(|(chunk, (votes, part))| {
            let mut full = vec![0f32; design.n_cols];
            let mut kernel = vec![0f32; self.support.len()];
            let mut values = vec![0.0; self.planes.len()];
            for (offset, vote) in votes.iter_mut().enumerate() {
                let (js, ds) = design.row(chunk * ROW_CHUNK + offset);
                let mut square = 0.0;
                for (&j, &d) in js.iter().zip(ds) {
                    full[j as usize] = d;
                    square += f64::from(d) * f64::from(d);
                }
                self.support.kernel_row(&full, square, self.gamma, &mut kernel);
                js.iter().for_each(|&j| full[j as usize] = 0.0);
                self.decide(&kernel, &mut values);
                *vote = self.vote(&values);
                if let Some(out) = part.get_mut(offset * k..(offset + 1) * k) {
                    self.probabilities(&values, out);
                }
            }
        });
        let prediction = self.classes.with_codes(votes.into_iter());
        if !has_sigmoids {
            return Ok(prediction);
        }
        Ok(Prediction { codes: prediction.codes, ..self.classes.with_probabilities(&probabilities) })
    }
}
