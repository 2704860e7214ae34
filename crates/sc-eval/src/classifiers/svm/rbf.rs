//! SVM with a radial basis kernel, one class against one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::smo::{self, KernelRows};
use crate::classifiers::Classifier;
use crate::classifiers::design::Design;
use crate::classifiers::training::{Classes, ROW_CHUNK, Training};
use crate::features::Lines;
use crate::{Error, Features, Prediction, Result};

/// How to fit an [`RbfSvm`].
#[derive(Clone, Debug, PartialEq)]
pub struct RbfSvmParams {
    /// Largest weight of one cell, as scikit-learn's `C`. Default 1.
    pub c: f64,
    /// Width of the kernel `exp(-gamma · ‖a - b‖²)`; `None` is scikit-learn's `"scale"`: one over the number of
    /// features times the variance of all values. Default `None`.
    pub gamma: Option<f64>,
    /// Stop when no pair of cells violates the optimum by more. Default 1e-3.
    pub tolerance: f64,
    /// Most bytes of kernel values to keep; beyond them rows are computed again when needed. Default 1 GiB.
    pub cache_bytes: usize,
}

impl Default for RbfSvmParams {
    fn default() -> Self {
        Self { c: 1.0, gamma: None, tolerance: 1e-3, cache_bytes: 1 << 30 }
    }
}

/// A fitted kernel SVM: every pair of classes votes, and the lower class index wins a tie.
///
/// The model of scikit-learn's `SVC()` (LIBSVM's C-SVC). It has no probabilities.
pub struct RbfSvm {
    classes: Classes,
    gamma: f64,
    /// What the training cells' deltas are relative to; those of the cells to predict must be, too.
    background: Vec<f64>,
    /// The training cells that support a plane.
    support: Cells,
    planes: Vec<Plane>,
}

struct Plane {
    first: usize,
    second: usize,
    rho: f64,
    /// Position among the support cells, coefficient.
    terms: Vec<(u32, f64)>,
}

impl RbfSvmParams {
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
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let design = Design::new(x);
        let gamma = self.gamma.unwrap_or_else(|| {
            let (_, variance) = design.mean_and_variance();
            // Features that are all the same tell nothing apart; any width does.
            if variance > 0.0 { 1.0 / (design.n_cols as f64 * variance) } else { 1.0 }
        });
        let background = design.background.clone();
        let kernel = Kernel::new(Cells::new(design.n_cols, design.rows), gamma, self.cache_bytes);
        let k = classes.n_present();
        let pairs: Vec<(usize, usize)> = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b))).collect();
        let solved: Vec<(Vec<u32>, smo::Solution)> = pairs
            .par_iter()
            .map(|&(first, second)| {
                let belongs = |&i: &u32| {
                    let code = codes[i as usize] as usize;
                    code == first || code == second
                };
                let rows: Vec<u32> = (0..codes.len() as u32).filter(belongs).collect();
                let sign: Vec<f64> = rows
                    .iter()
                    .map(|&i| if codes[i as usize] as usize == first { 1.0 } else { -1.0 })
                    .collect();
                let subset = Subset { kernel: &kernel, rows: &rows };
                let max_iter = 10_000_000usize.max(rows.len().saturating_mul(100));
                let solution = smo::solve(&subset, &sign, self.c, self.tolerance, max_iter);
                (rows, solution)
            })
            .collect();
        let mut supports = vec![false; codes.len()];
        for (rows, solution) in &solved {
            for (&i, &coefficient) in rows.iter().zip(&solution.coefficients) {
                supports[i as usize] |= coefficient != 0.0;
            }
        }
        let kept: Vec<usize> = (0..codes.len()).filter(|&i| supports[i]).collect();
        let mut position = vec![0u32; codes.len()];
        for (new, &old) in kept.iter().enumerate() {
            position[old] = new as u32;
        }
        let planes = pairs
            .into_iter()
            .zip(solved)
            .map(|((first, second), (rows, solution))| {
                let terms = rows
                    .iter()
                    .zip(&solution.coefficients)
                    .filter(|(_, coefficient)| **coefficient != 0.0)
                    .map(|(&i, &coefficient)| (position[i as usize], coefficient))
                    .collect();
                Plane { first, second, rho: solution.rho, terms }
            })
            .collect();
        let support = kernel.cells.select(&kept);
        Ok(RbfSvm { classes, gamma, background, support, planes })
    }
}

/// Sparse rows and their squared lengths. A background common to all cells cancels in differences, so it is not here.
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

    fn vote(&self, kernel: &[f32]) -> usize {
        let mut votes = vec![0usize; self.classes.n_present()];
        for plane in &self.planes {
            let mut value = -plane.rho;
            for &(at, coefficient) in &plane.terms {
                value += coefficient * f64::from(kernel[at as usize]);
            }
            votes[if value > 0.0 { plane.first } else { plane.second }] += 1;
        }
        // `max_by_key` keeps the last of equals; reversed, that is the lowest index.
        votes.iter().enumerate().rev().max_by_key(|(_, votes)| **votes).map_or(0, |(class, _)| class)
    }
}

impl Classifier for RbfSvm {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let design = Design::over(x, &self.background);
        let codes: Vec<Vec<usize>> = (0..design.n_rows)
            .collect::<Vec<_>>()
            .par_chunks(ROW_CHUNK)
            .map(|rows| {
                let mut full = vec![0f32; design.n_cols];
                let mut kernel = vec![0f32; self.support.len()];
                rows.iter()
                    .map(|&i| {
                        let (js, ds) = design.row(i);
                        let mut square = 0.0;
                        for (&j, &d) in js.iter().zip(ds) {
                            full[j as usize] = d;
                            square += f64::from(d) * f64::from(d);
                        }
                        self.support.kernel_row(&full, square, self.gamma, &mut kernel);
                        js.iter().for_each(|&j| full[j as usize] = 0.0);
                        self.vote(&kernel)
                    })
                    .collect()
            })
            .collect();
        Ok(self.classes.with_codes(codes.into_iter().flatten()))
    }
}
