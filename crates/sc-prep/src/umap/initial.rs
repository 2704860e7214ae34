//! Where the layout starts.

use super::components::{components, places};
use super::graph::KeptEdges;
use super::random::{Purpose, stream, symmetric};
use super::spectral::smoothest;
use super::{UmapInit, UmapParams};
use crate::error::Error;

/// Side of the box that holds the start, as in umap-learn.
const SIDE: f64 = 10.0;

/// Noise on a spectral start, in units of the layout: symmetric graphs would otherwise stay stuck in their symmetry.
const NOISE: f64 = 1e-4;

/// Checks a start that the caller gave.
pub(super) fn check(params: &UmapParams, n_obs: usize) -> Result<(), Error> {
    let UmapInit::Given(given) = &params.init else { return Ok(()) };
    if given.nrows() != n_obs {
        return Err(Error::Length { what: "the given start", found: given.nrows(), expected: n_obs });
    }
    if given.ncols() != params.n_components {
        let (found, expected) = (given.ncols(), params.n_components);
        return Err(Error::Length { what: "a row of the given start", found, expected });
    }
    match given.indexed_iter().find(|(_, v)| !(-1e18..=1e18).contains(*v)) {
        Some(((row, column), &value)) => {
            Err(Error::Coordinate { matrix: "the given start", row, column, value })
        }
        None => Ok(()),
    }
}

/// The start, each dimension stretched to 0 to 10.
pub(super) fn points<const D: usize>(edges: &KeptEdges, params: &UmapParams) -> Vec<[f32; D]> {
    let n = edges.n();
    let mut rng = stream(params.seed, Purpose::Start);
    let mut points: Vec<[f64; D]> = match &params.init {
        UmapInit::Given(given) => (0..n).map(|i| std::array::from_fn(|d| f64::from(given[[i, d]]))).collect(),
        UmapInit::Random => (0..n).map(|_| std::array::from_fn(|_| symmetric(&mut rng))).collect(),
        UmapInit::Spectral => {
            let mut points = spectral(edges, params.seed);
            stretch(&mut points);
            for point in &mut points {
                // Uniform noise of standard deviation `NOISE`.
                point.iter_mut().for_each(|v| *v += NOISE * 3f64.sqrt() * symmetric(&mut rng));
            }
            points
        }
    };
    stretch(&mut points);
    points.iter().map(|point| point.map(|v| v as f32)).collect()
}

fn stretch<const D: usize>(points: &mut [[f64; D]]) {
    for d in 0..D {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for point in points.iter() {
            low = low.min(point[d]);
            high = high.max(point[d]);
        }
        let scale = if high > low { SIDE / (high - low) } else { 0.0 };
        points.iter_mut().for_each(|point| point[d] = (point[d] - low) * scale);
    }
}

/// Every component by its eigenvectors, or at random where it is too small for them, in its own disc.
fn spectral<const D: usize>(edges: &KeptEdges, seed: u64) -> Vec<[f64; D]> {
    let mut rng = stream(seed, Purpose::Eigenvectors);
    let components = components(edges);
    let sizes: Vec<usize> = components.iter().map(Vec::len).collect();
    if sizes.len() > 1 {
        tracing::debug!("the graph has {} connected components", sizes.len());
    }
    let mut points = vec![[0f64; D]; edges.n()];
    for (cells, (center, radius)) in components.iter().zip(places(&sizes)) {
        let vectors = smoothest::<D>(edges, cells, &mut rng)
            .unwrap_or_else(|| cells.iter().map(|_| std::array::from_fn(|_| symmetric(&mut rng))).collect());
        let largest = vectors.iter().flatten().fold(0f64, |l, v| l.max(v.abs()));
        let scale = if largest > 0.0 { radius / largest } else { 0.0 };
        for (&cell, vector) in cells.iter().zip(&vectors) {
            points[cell as usize] =
                std::array::from_fn(|d| scale * vector[d] + if d < 2 { center[d] } else { 0.0 });
        }
    }
    points
}
