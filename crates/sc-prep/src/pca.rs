//! Principal component analysis of a matrix that is sparse over a background: exact, and never dense.

mod block;
mod centered;
mod eigen;
mod krylov;
mod symmetric;

use ndarray::{Array2, ArrayView2};
use pulp::Arch;

use crate::error::Place;
use crate::scale::Scaled;
use crate::{Error, Result};
use block::{Block, Lane, WIDTH};
use centered::{Centered, Workspace};
use eigen::{Eigenpairs, Problem, Stalled};

/// Knobs of [`Pca::fit`].
#[derive(Clone, Debug, PartialEq)]
pub struct PcaParams {
    /// Number of components; at most the smaller of cells - 1 and genes. Default 50.
    pub n_components: usize,
    /// Residual at which a component counts as found, relative to its variance (or to a thousandth of the first one's,
    /// if that is more). Default 1e-9, far below what `f32` scores can show.
    pub tolerance: f64,
    /// Seed of the vectors that the iteration starts from. It changes the result by rounding errors only. Default 0.
    pub seed: u64,
}

impl Default for PcaParams {
    fn default() -> Self {
        Self { n_components: 50, tolerance: 1e-9, seed: 0 }
    }
}

impl PcaParams {
    /// `n` components, the rest as by default.
    pub fn components(n: usize) -> Self {
        Self { n_components: n, ..Self::default() }
    }

    fn validate(&self, n_obs: usize, n_vars: usize) -> Result<()> {
        if self.n_components == 0 {
            return Err(Error::Parameter { name: "n_components", value: "0".into(), expected: "at least 1" });
        }
        if !(1e-13..=1e-2).contains(&self.tolerance) {
            let value = self.tolerance.to_string();
            return Err(Error::Parameter { name: "tolerance", value, expected: "1e-13 to 1e-2" });
        }
        let available = n_vars.min(n_obs.saturating_sub(1));
        if self.n_components > available {
            let requested = self.n_components;
            return Err(Error::TooManyComponents { requested, available, n_obs, n_vars });
        }
        Ok(())
    }
}

/// Components fitted to some cells, to be applied to any.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Mean of each gene over the cells of the fit; taken from a row before it is projected.
    pub mean: Vec<f64>,
    /// Components × genes, orthonormal rows, by descending variance. The loading of largest magnitude of each is
    /// positive. scanpy's `varm["PCs"]` is the transpose.
    pub components: Array2<f64>,
    /// Variance of the cells along each component, `n - 1` in the denominator.
    pub explained_variance: Vec<f64>,
    /// The same as a fraction of the variance of all genes together; 0 if that is 0.
    pub explained_variance_ratio: Vec<f64>,
    /// Singular values of the centred matrix.
    pub singular_values: Vec<f64>,
    /// The knobs of the fit.
    pub params: PcaParams,
}

impl Pca {
    /// Fits components to all rows of `x`.
    ///
    /// The same components as scanpy's `pp.pca` with `svd_solver="arpack"` and scikit-learn's `PCA` with the full
    /// solver: converged, not randomised; signs by the largest loading. Centring is implicit, work is in `f64`. Same bits
    /// on any number of threads.
    ///
    /// # Errors
    /// [`Error::TooManyComponents`], [`Error::Parameter`] for knobs out of range, [`Error::NotConverged`] if the
    /// iteration does not reach the tolerance.
    pub fn fit(x: &Scaled, params: &PcaParams) -> Result<Self> {
        params.validate(x.n_rows(), x.n_cols())?;
        let centered = Centered::of(x);
        let arch = Arch::new();
        let mut work = Workspace::default();
        let (n_obs, n_vars) = (x.n_rows(), x.n_cols());
        let problem = |dim| Problem {
            dim,
            nnz: centered.nnz(),
            k: params.n_components,
            tolerance: params.tolerance,
            seed: params.seed,
        };
        let stalled = |Stalled { products, residual }| Error::NotConverged {
            products,
            residual,
            tolerance: params.tolerance,
        };
        let pairs = if n_vars <= n_obs {
            problem(n_vars).solve(arch, |q| centered.gram_times(q, &mut work)).map_err(stalled)?
        } else {
            let of_cells = problem(n_obs)
                .solve(arch, |u| centered.times(&centered.transpose_times(u, &mut work)))
                .map_err(stalled)?;
            components_from_cells(arch, &centered, of_cells, params.seed, &mut work)
        };
        Ok(Self::from_pairs(&centered, pairs, params))
    }

    /// Fits components to a dense matrix, cells × features: embeddings, for example.
    ///
    /// # Errors
    /// As [`Pca::fit`]; [`Error::NotFinite`] for NaN and infinities.
    pub fn fit_dense(x: ArrayView2<'_, f32>, params: &PcaParams) -> Result<Self> {
        Self::fit(&checked_dense(x)?, params)
    }

    fn from_pairs(centered: &Centered, pairs: Eigenpairs, params: &PcaParams) -> Self {
        let denominator = (centered.n_rows - 1) as f64;
        let total = centered.sum_of_squares() / denominator;
        let mut components = Array2::zeros((params.n_components, centered.n_cols()));
        for (i, mut row) in components.rows_mut().into_iter().enumerate() {
            let block = &pairs.vectors[i / WIDTH];
            let largest = block
                .iter()
                .map(|lane| lane.0[i % WIDTH])
                .fold(0.0, |most: f64, v| if v.abs() > most.abs() { v } else { most });
            let sign = if largest < 0.0 { -1.0 } else { 1.0 };
            row.iter_mut().zip(block).for_each(|(out, lane)| *out = sign * lane.0[i % WIDTH]);
        }
        // Rounding may leave an eigenvalue that is zero slightly below.
        let values: Vec<f64> = pairs.values.iter().map(|v| v.max(0.0)).collect();
        let explained_variance: Vec<f64> = values.iter().map(|v| v / denominator).collect();
        let ratio = |v: &f64| if total > 0.0 { v / total } else { 0.0 };
        Self {
            mean: centered.mean.clone(),
            components,
            explained_variance_ratio: explained_variance.iter().map(ratio).collect(),
            explained_variance,
            singular_values: values.iter().map(|v| v.sqrt()).collect(),
            params: params.clone(),
        }
    }

    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.components.nrows()
    }

    /// Scores of the rows of `x`: `(x - mean) componentsᵀ`, cells × components. scanpy's `obsm["X_pca"]`.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of genes.
    pub fn transform(&self, x: &Scaled) -> Result<Array2<f32>> {
        if x.n_cols() != self.mean.len() {
            let (found, expected) = (x.n_cols(), self.mean.len());
            return Err(Error::Length { what: "a row of the matrix", found, expected });
        }
        let centered = Centered::around(x, self.mean.clone());
        let k = self.n_components();
        let mut scores = Array2::zeros((x.n_rows(), k));
        for first in (0..k).step_by(WIDTH) {
            let width = WIDTH.min(k - first);
            let lane = |gene: usize| {
                Lane(std::array::from_fn(
                    |l| if l < width { self.components[[first + l, gene]] } else { 0.0 },
                ))
            };
            let block: Block = (0..x.n_cols()).map(lane).collect();
            for (mut row, lane) in scores.rows_mut().into_iter().zip(centered.times(&block)) {
                (0..width).for_each(|l| row[first + l] = lane.0[l] as f32);
            }
        }
        Ok(scores)
    }

    /// [`Pca::transform`] of a dense matrix.
    ///
    /// # Errors
    /// As [`Pca::transform`]; [`Error::NotFinite`] for NaN and infinities.
    pub fn transform_dense(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.transform(&checked_dense(x)?)
    }
}

fn checked_dense(x: ArrayView2<'_, f32>) -> Result<Scaled> {
    match x.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((obs, var), &value)) => {
            Err(Error::NotFinite { obs: Place::new(obs, &[]), var: Place::new(var, &[]), value })
        }
        None => Ok(Centered::dense(x)),
    }
}

/// Turns eigenvectors of `X Xᵀ` into those of `Xᵀ X`.
///
/// A component without variance has no cell to point at; any direction at right angles to the others will do.
fn components_from_cells(
    arch: Arch,
    centered: &Centered,
    of_cells: Eigenpairs,
    seed: u64,
    work: &mut Workspace,
) -> Eigenpairs {
    let mut basis = krylov::Krylov::empty(arch, seed);
    for u in &of_cells.vectors {
        basis.append(centered.transpose_times(u, work));
    }
    Eigenpairs { values: of_cells.values, vectors: basis.into_blocks() }
}

#[cfg(test)]
mod tests;
