//! UMAP: a layout of the neighbourhood graph in two or three dimensions.
//!
//! Part of the flow: neighbours ► **lay out** ► report.
//!
//! The layout minimises the same cross entropy as scanpy's `tl.umap` (umap-learn's `simplicial_set_embedding`), with the
//! same curve, edge schedule, negative sampling, learning rate and clipping. Layouts have no right or wrong coordinates;
//! what is promised is quality: on the same graph, neighbours stay neighbours as well as in umap-learn's layouts
//! (trustworthiness), and the cross entropy is about the same (`tests/golden/graph`). Differences:
//!
//! * Within an epoch a cell moves relative to where the others were when the epoch began. umap-learn moves one edge after
//!   the other, and in parallel lets threads race. Here cells are independent, so any number of threads gives the same
//!   bits; the two ends of an edge move for themselves, each reckoning with the other's step.
//! * An edge's negative samples all push from the place where the cell was before them.
//! * The forces are read from a table of straight pieces (relative error below 3e-4 at the defaults) instead of taking powers.
//! * Several connected components are laid out each for itself and placed side by side, the largest first; umap-learn
//!   arranges them by the data, which this function does not see.
//! * Where the eigenvectors of the spectral start converge slowly, the best found is taken; umap-learn starts at random.
//! * The graph that is passed in stays as it is; scanpy 1.11 zeroes its smallest connectivities.

mod components;
mod curve;
mod forces;
mod graph;
mod initial;
mod jacobi;
mod optimize;
mod random;
mod schedule;
mod spectral;

use ndarray::Array2;
use sc_io::Csr;

use crate::error::Error;

pub use curve::find_ab_params;

/// Where the layout starts.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum UmapInit {
    /// The eigenvectors of the normalised graph Laplacian behind the constant one, with a little noise.
    #[default]
    Spectral,
    /// Uniformly at random.
    Random,
    /// Coordinates of the caller, `n_obs × n_components`, finite; taken as they are, as umap-learn takes an array.
    Given(Array2<f32>),
}

/// Parameters of [`umap`]. The defaults are those of scanpy's `tl.umap`.
#[derive(Clone, Debug, PartialEq)]
pub struct UmapParams {
    /// How close cells may come, in units of the layout; 0 to `spread`. Default 0.5.
    pub min_dist: f64,
    /// Scale of the layout. Default 1.
    pub spread: f64,
    /// Dimensions of the layout, 2 or 3. Default 2.
    pub n_components: usize,
    /// Rounds of optimisation (scanpy's `maxiter`). Default: 500 up to 10,000 cells, else 200.
    pub n_epochs: Option<usize>,
    /// The learning rate at the start (scanpy's `alpha`); falls linearly to 0. Default 1.
    pub alpha: f64,
    /// Weight of repulsion. Default 1.
    pub gamma: f64,
    /// Repelling cells drawn for each attracting edge. Default 5.
    pub negative_sample_rate: u32,
    /// Where the layout starts. Default: spectral.
    pub init: UmapInit,
    /// Seed of everything random. Same seed, same layout, on any number of threads. Default 0.
    pub seed: u64,
}

impl Default for UmapParams {
    fn default() -> Self {
        Self {
            min_dist: 0.5,
            spread: 1.0,
            n_components: 2,
            n_epochs: None,
            alpha: 1.0,
            gamma: 1.0,
            negative_sample_rate: 5,
            init: UmapInit::Spectral,
            seed: 0,
        }
    }
}

impl UmapParams {
    /// Checks the ranges that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first one outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |name, value: String, expected| Err(Error::Parameter { name, value, expected });
        curve::check(self.spread, self.min_dist)?;
        if !(2..=3).contains(&self.n_components) {
            return refuse("n_components", self.n_components.to_string(), "2 or 3");
        }
        if !(self.alpha > 0.0 && self.alpha <= 100.0) {
            return refuse("alpha", self.alpha.to_string(), "above 0, at most 100");
        }
        if !(0.0..=1e6).contains(&self.gamma) {
            return refuse("gamma", self.gamma.to_string(), "0 to 1e6");
        }
        if self.n_epochs.is_some_and(|n| n > 1_000_000) {
            return refuse("n_epochs", format!("{:?}", self.n_epochs), "at most 1,000,000");
        }
        if self.negative_sample_rate > 1000 {
            return refuse("negative_sample_rate", self.negative_sample_rate.to_string(), "at most 1000");
        }
        Ok(())
    }

    /// The number of epochs for `n_obs` cells.
    fn epochs(&self, n_obs: usize) -> usize {
        self.n_epochs.unwrap_or(if n_obs <= 10_000 { 500 } else { 200 })
    }
}

/// A layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Umap {
    /// Coordinates, `n_obs × n_components`: `obsm["X_umap"]`.
    pub embedding: Array2<f32>,
    /// The curve's first parameter.
    pub a: f64,
    /// The curve's second parameter.
    pub b: f64,
    /// What made this layout.
    pub params: UmapParams,
}

/// Lays out a neighbourhood graph: scanpy's `tl.umap`.
///
/// * `connectivities`: symmetric, `n_obs × n_obs`, weights ≥ 0, as made by [`neighbors`](crate::neighbors::neighbors).
///   The diagonal is not looked at.
///
/// Same graph and seed, same bits, on any machine and any number of threads.
///
/// # Errors
/// * [`Error::Parameter`]: a parameter is outside its range.
/// * [`Error::Empty`]: no cell.
/// * [`Error::NotSquare`], [`Error::EdgeWeight`], [`Error::NotSymmetric`]: what was passed is no such graph.
/// * [`Error::Length`], [`Error::Coordinate`]: the given start does not fit, or is not finite.
pub fn umap(connectivities: &Csr, params: &UmapParams) -> Result<Umap, Error> {
    umap_with_progress(connectivities, params, |_, _| {})
}

/// [`umap`], telling `progress` after each epoch how many of how many are done.
///
/// # Errors
/// As [`umap`].
pub fn umap_with_progress(
    connectivities: &Csr,
    params: &UmapParams,
    mut progress: impl FnMut(usize, usize),
) -> Result<Umap, Error> {
    params.validate()?;
    crate::graph::check_undirected(connectivities)?;
    let n_obs = connectivities.n_rows();
    if n_obs == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    initial::check(params, n_obs)?;
    let (a, b) = find_ab_params(params.spread, params.min_dist)?;
    let embedding = match params.n_components {
        2 => layout::<2>(connectivities, params, (a, b), &mut progress),
        _ => layout::<3>(connectivities, params, (a, b), &mut progress),
    };
    tracing::info!("laid out {n_obs} cells in {} epochs", params.epochs(n_obs));
    Ok(Umap { embedding, a, b, params: params.clone() })
}

fn layout<const D: usize>(
    connectivities: &Csr,
    params: &UmapParams,
    (a, b): (f64, f64),
    progress: &mut dyn FnMut(usize, usize),
) -> Array2<f32> {
    let n_obs = connectivities.n_rows();
    let n_epochs = params.epochs(n_obs);
    let kept = graph::KeptEdges::new(connectivities, n_epochs);
    let mut points = initial::points::<D>(&kept, params);
    let forces = forces::Forces::new(a, b, params.gamma);
    optimize::optimize(&mut points, &kept, &forces, params, n_epochs, progress);
    Array2::from_shape_fn((n_obs, D), |(i, d)| points[i][d])
}

#[cfg(test)]
mod tests;
