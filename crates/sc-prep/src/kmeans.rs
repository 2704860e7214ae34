//! k-means: clusters around centres.

mod assign;
mod seed;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use self::assign::{Assignment, assign};
use crate::chunks::chunks;
use crate::neighbors::check_coordinates;
use crate::{Error, Result};

/// How to run k-means. Defaults are scikit-learn's.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansParams {
    /// Number of clusters, 1 to the number of cells. Default 8.
    pub n_clusters: usize,
    /// Runs from different first centres; the one of lowest inertia is returned. Default 1, at least 1.
    pub n_init: usize,
    /// Most rounds of one run. Default 300, at least 1.
    pub max_iter: usize,
    /// A run ends when all centres together moved less than this, as a squared distance relative to the mean variance
    /// of the dimensions; or when no cell changes its cluster. Default 1e-4, at least 0.
    pub tol: f64,
    /// Seed; each run has a stream of its own. Default 0.
    pub seed: u64,
}

impl Default for KMeansParams {
    fn default() -> Self {
        Self { n_clusters: 8, n_init: 1, max_iter: 300, tol: 1e-4, seed: 0 }
    }
}

impl KMeansParams {
    /// So many clusters, the best of ten runs.
    pub fn clusters(n_clusters: usize) -> Self {
        Self { n_clusters, n_init: 10, ..Self::default() }
    }

    fn validate(&self, n_obs: usize) -> Result<()> {
        let parameter = |name, value: String, expected| Err(Error::Parameter { name, value, expected });
        if self.n_clusters == 0 {
            return parameter("n_clusters", "0".into(), "at least 1");
        }
        if self.n_clusters > n_obs {
            return parameter("n_clusters", self.n_clusters.to_string(), "at most the number of cells");
        }
        if self.n_init == 0 || self.max_iter == 0 {
            let name = if self.n_init == 0 { "n_init" } else { "max_iter" };
            return parameter(name, "0".into(), "at least 1");
        }
        if !(self.tol >= 0.0 && self.tol.is_finite()) {
            return parameter("tol", self.tol.to_string(), "a finite number, 0 or more");
        }
        Ok(())
    }
}

/// Clusters around centres.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// Cluster of each cell, from 0; the order of clusters means nothing.
    pub labels: Vec<u32>,
    /// Centre of each cluster: `n_clusters × n_dims`.
    pub centers: Array2<f64>,
    /// Sum over cells of the squared distance to their centre.
    pub inertia: f64,
    /// Rounds of the run that is returned.
    pub n_iter: usize,
    /// Whether that run ended before `max_iter`.
    pub converged: bool,
}

/// Clusters the rows of `x` by Lloyd's algorithm from centres of the greedy k-means++ (Arthur and Vassilvitskii 2007).
///
/// * `x`: an embedding, `n_obs × n_dims`, such as principal components.
///
/// The steps are those of scikit-learn's `KMeans(init="k-means++")`: the candidates for each first centre number
/// `2 + ln k`, an emptied cluster gets the cell furthest from its centre, and the rule for stopping is the same. The random
/// numbers differ, so clusters agree only as two seeds of scikit-learn do. Cells are assigned by scores in f32 (centred,
/// scaled); centres and inertia are sums in f64, in an order that does not depend on the number of threads.
///
/// # Errors
/// [`Error::Empty`] without rows or columns, [`Error::Coordinate`] for a value that is NaN, infinite or beyond 1e18,
/// [`Error::Parameter`] for parameters out of range.
///
/// ```
/// use ndarray::array;
/// use sc_prep::{KMeansParams, kmeans};
///
/// let x = array![[0.0f32, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]];
/// let found = kmeans(x.view(), &KMeansParams::clusters(2))?;
/// assert_eq!(found.labels[0], found.labels[1]);
/// assert_ne!(found.labels[0], found.labels[2]);
/// assert_eq!(found.inertia, 1.0);
/// # Ok::<(), sc_prep::Error>(())
/// ```
pub fn kmeans(x: ArrayView2<'_, f32>, params: &KMeansParams) -> Result<KMeans> {
    check_coordinates("the embedding", x)?;
    params.validate(x.nrows())?;
    let points = Points::new(x);
    let tolerance = params.tol * points.mean_variance();
    let mut best: Option<Run> = None;
    for run in 0..params.n_init {
        let run = lloyd(
            &points,
            seed::first_centers(&points, params.n_clusters, params.seed, run),
            params,
            tolerance,
        );
        if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
            best = Some(run);
        }
    }
    let Run { labels, centers, inertia, n_iter, converged } = best.expect("n_init is at least 1");
    let centers = Array2::from_shape_fn((params.n_clusters, points.n_dims), |(cluster, dim)| {
        centers[cluster * points.n_dims + dim] / points.scale + points.origin[dim]
    });
    Ok(KMeans { labels, centers, inertia: inertia / (points.scale * points.scale), n_iter, converged })
}

/// The rows of an embedding, centred, and scaled by a power of two so that no square overflows.
struct Points {
    n_dims: usize,
    /// Row by row.
    values: Vec<f32>,
    origin: Vec<f64>,
    scale: f64,
}

impl Points {
    fn new(x: ArrayView2<'_, f32>) -> Self {
        let (n_obs, n_dims) = x.dim();
        let mut origin = vec![0f64; n_dims];
        for row in x.rows() {
            origin.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        origin.iter_mut().for_each(|sum| *sum /= n_obs as f64);
        let away = |row: ndarray::ArrayView1<'_, f32>| {
            row.iter().zip(&origin).map(|(&v, o)| (f64::from(v) - o).abs()).fold(0.0, f64::max)
        };
        let largest = x.rows().into_iter().map(away).fold(0.0, f64::max);
        let scale = if largest == 0.0 { 1.0 } else { libm::ldexp(1.0, -libm::frexp(largest).1) };
        let place = |(i, &v): (usize, &f32)| ((f64::from(v) - origin[i % n_dims]) * scale) as f32;
        let values = x.iter().enumerate().map(place).collect();
        Self { n_dims, values, origin, scale }
    }

    fn len(&self) -> usize {
        self.values.len() / self.n_dims
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.n_dims..(i + 1) * self.n_dims]
    }

    /// Mean over the dimensions of the variance over the rows, which are centred.
    fn mean_variance(&self) -> f64 {
        let squares = chunks(self.len(), 512).map(|rows| {
            rows.map(|i| self.row(i).iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>()).sum()
        });
        let squares: Vec<f64> = squares.collect();
        squares.iter().sum::<f64>() / self.values.len() as f64
    }
}

/// One run, in the coordinates of [`Points`].
struct Run {
    labels: Vec<u32>,
    centers: Vec<f64>,
    inertia: f64,
    n_iter: usize,
    converged: bool,
}

/// Lloyd's rounds: assign the cells, move the centres.
fn lloyd(points: &Points, mut centers: Vec<f64>, params: &KMeansParams, tolerance: f64) -> Run {
    let mut before: Vec<u32> = Vec::new();
    for n_iter in 1..=params.max_iter {
        let assignment = assign(points, &centers);
        if assignment.labels == before {
            return finished(assignment, centers, n_iter, true);
        }
        let moved = move_centers(points, &assignment, &centers);
        let shift: f64 = moved.iter().zip(&centers).map(|(a, b)| (a - b) * (a - b)).sum();
        centers = moved;
        let converged = shift <= tolerance;
        if converged || n_iter == params.max_iter {
            // The cells are assigned once more, to the centres that are returned.
            return finished(assign(points, &centers), centers, n_iter, converged);
        }
        before = assignment.labels;
    }
    unreachable!("max_iter is at least 1, and its last round returns")
}

fn finished(assignment: Assignment, centers: Vec<f64>, n_iter: usize, converged: bool) -> Run {
    let inertia = assignment.inertia();
    Run { labels: assignment.labels, centers, inertia, n_iter, converged }
}

/// The mean of each cluster's cells; an empty cluster takes the cell furthest from its centre away from its own.
fn move_centers(points: &Points, assignment: &Assignment, centers: &[f64]) -> Vec<f64> {
    let (n_dims, n_clusters) = (points.n_dims, centers.len() / points.n_dims);
    let partials: Vec<(Vec<f64>, Vec<usize>)> = chunks(points.len(), 512)
        .map(|rows| {
            let (mut sums, mut sizes) = (vec![0f64; centers.len()], vec![0usize; n_clusters]);
            for i in rows {
                let cluster = assignment.labels[i] as usize;
                sizes[cluster] += 1;
                let sum = &mut sums[cluster * n_dims..][..n_dims];
                sum.iter_mut().zip(points.row(i)).for_each(|(sum, &v)| *sum += f64::from(v));
            }
            (sums, sizes)
        })
        .collect();
    let (mut sums, mut sizes) = (vec![0f64; centers.len()], vec![0usize; n_clusters]);
    for (part, part_sizes) in partials {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        sizes.iter_mut().zip(part_sizes).for_each(|(size, part)| *size += part);
    }
    let empty: Vec<usize> = (0..n_clusters).filter(|&cluster| sizes[cluster] == 0).collect();
    if !empty.is_empty() {
        let mut furthest: Vec<usize> = (0..points.len()).collect();
        let squared = &assignment.squared;
        furthest.sort_unstable_by(|&a, &b| squared[b].total_cmp(&squared[a]).then(a.cmp(&b)));
        for (cluster, cell) in empty.into_iter().zip(furthest) {
            let from = assignment.labels[cell] as usize;
            for (dim, &v) in points.row(cell).iter().enumerate() {
                sums[from * n_dims + dim] -= f64::from(v);
                sums[cluster * n_dims + dim] = f64::from(v);
            }
            sizes[from] -= 1;
            sizes[cluster] = 1;
        }
    }
    for (cluster, (sum, &size)) in sums.chunks_exact_mut(n_dims).zip(&sizes).enumerate() {
        match size {
            // Whoever gave its last cell away stays where it was.
            0 => sum.copy_from_slice(&centers[cluster * n_dims..][..n_dims]),
            _ => sum.iter_mut().for_each(|sum| *sum /= size as f64),
        }
    }
    sums
}

#[cfg(test)]
mod tests;
