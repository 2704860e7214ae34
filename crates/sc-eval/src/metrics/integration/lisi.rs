//! Local inverse Simpson's index: how many labels there are around a cell.

use super::Neighbors;
use super::codes::Codes;
use crate::metrics::compute::{Arithmetic, Kernel, dispatch, map_blocks};
use crate::metrics::math::{exp_negative, ln};
use crate::{Error, Result};

/// How to compute [`lisi`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LisiParams {
    /// Effective number of neighbours, above 1; `None` is a third of their number, rounded down. Default `None`.
    pub perplexity: Option<f64>,
}

/// Cells that one task takes.
const BLOCK: usize = 64;
/// Neighbours that are processed side by side, whatever the SIMD width of the machine.
const LANES: usize = 8;
// Steps of the search for the width of a cell's kernel, and how near its entropy must come.
const MAX_STEPS: usize = 50;
const TOLERANCE: f64 = 1e-5;

/// Local inverse Simpson's index of each cell: the effective number of labels among its neighbours, from 1 to the
/// number of labels (Korsunsky et al. 2019).
///
/// * `labels`: label or batch of each cell, any integers.
///
/// A neighbour at distance `d` weighs `exp(-β d)`, where `β` is found by bisection so that the weights' entropy is the
/// logarithm of the perplexity; the index is one over the sum of squared shares of the labels. The cell itself weighs
/// nothing. The steps and the tolerance are those of scib-metrics' `lisi_knn` and harmonypy's `compute_lisi`; a cell
/// without weights (all its neighbours are itself, or too far away) has -1 as there.
///
/// # Errors
/// [`Error::Length`] unless there is a label for each cell; [`Error::Parameter`] if the perplexity is not above 1.
pub fn lisi(neighbors: Neighbors<'_>, labels: &[u32], params: &LisiParams) -> Result<Vec<f64>> {
    let n = neighbors.n_cells();
    let labels = Codes::new("labels", labels, n)?;
    let perplexity = params.perplexity.unwrap_or((neighbors.n_neighbors() / 3) as f64);
    if !(perplexity > 1.0 && perplexity.is_finite()) {
        let expected = "above 1: at least 6 neighbours, or a perplexity of its own";
        return Err(Error::Parameter { name: "perplexity", value: perplexity.to_string(), expected });
    }
    let blocks = map_blocks(n.div_ceil(BLOCK), |block| {
        let cells = block * BLOCK..((block + 1) * BLOCK).min(n);
        dispatch(Lisi { neighbors: &neighbors, labels: &labels, target: ln(perplexity), cells })
    });
    Ok(blocks.concat())
}

/// Mixing of batches: the median [`lisi`] of the batches, scaled so that 0 is one batch around each cell and 1 all of
/// them alike. Equals scib-metrics' `ilisi_knn`.
///
/// # Errors
/// Those of [`lisi`]; [`Error::Parameter`] below two batches.
#[doc(alias = "ilisi_knn")]
pub fn ilisi(neighbors: Neighbors<'_>, batches: &[u32], params: &LisiParams) -> Result<f64> {
    let n_batches =
        Codes::new("batches", batches, neighbors.n_cells())?.at_least_two("the number of batches")?.len();
    Ok((median(lisi(neighbors, batches, params)?) - 1.0) / (n_batches - 1) as f64)
}

/// Purity of neighbourhoods: the median [`lisi`] of the labels, scaled so that 1 is one label around each cell and 0
/// all of them alike. Equals scib-metrics' `clisi_knn`.
///
/// # Errors
/// Those of [`lisi`]; [`Error::Parameter`] below two labels.
#[doc(alias = "clisi_knn")]
pub fn clisi(neighbors: Neighbors<'_>, labels: &[u32], params: &LisiParams) -> Result<f64> {
    let n_labels =
        Codes::new("labels", labels, neighbors.n_cells())?.at_least_two("the number of labels")?.len();
    Ok((n_labels as f64 - median(lisi(neighbors, labels, params)?)) / (n_labels - 1) as f64)
}

/// The middle value, or the mean of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

struct Lisi<'a, 'n> {
    neighbors: &'a Neighbors<'n>,
    labels: &'a Codes,
    target: f64,
    cells: std::ops::Range<usize>,
}

impl Kernel for Lisi<'_, '_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<M: Arithmetic>(self) -> Vec<f64> {
        let Self { neighbors, labels, target, cells } = self;
        let width = neighbors.n_neighbors().next_multiple_of(LANES);
        let (mut distances, mut mask) = (vec![0.0; width], vec![0.0; width]);
        let mut weights = vec![0.0; width];
        let mut shares = vec![0.0; labels.len()];
        let mut indices = Vec::with_capacity(cells.len());
        for cell in cells {
            for (place, (other, distance)) in neighbors.of(cell).enumerate() {
                distances[place] = f64::from(distance);
                mask[place] = if other as usize == cell { 0.0 } else { 1.0 };
            }
            let (entropy, sum) = search(&distances, &mask, &mut weights, target);
            if entropy == 0.0 {
                indices.push(-1.0);
                continue;
            }
            shares.fill(0.0);
            for (other, weight) in neighbors.indices(cell).zip(&weights) {
                shares[labels.codes[other] as usize] += weight;
            }
            let simpson: f64 = shares.iter().map(|share| (share / sum) * (share / sum)).sum();
            indices.push(1.0 / simpson);
        }
        indices
    }
}

/// Finds the width of the kernel. Returns the entropy of the weights and their sum.
#[inline(always)]
fn search(distances: &[f64], mask: &[f64], weights: &mut [f64], target: f64) -> (f64, f64) {
    let (mut beta, mut low, mut high) = (1.0, f64::NEG_INFINITY, f64::INFINITY);
    let mut state = entropy(distances, mask, weights, beta);
    for _ in 0..MAX_STEPS {
        let difference = state.0 - target;
        if difference.abs() < TOLERANCE {
            break;
        }
        if difference > 0.0 {
            low = beta;
            beta = if high == f64::INFINITY { beta * 2.0 } else { (beta + high) / 2.0 };
        } else {
            high = beta;
            beta = if low == f64::NEG_INFINITY { beta / 2.0 } else { (beta + low) / 2.0 };
        }
        state = entropy(distances, mask, weights, beta);
    }
    state
}

/// Weights `exp(-β d)` without the cell itself; returns their entropy, 0 if they vanish, and their sum.
#[inline(always)]
fn entropy(distances: &[f64], mask: &[f64], weights: &mut [f64], beta: f64) -> (f64, f64) {
    let (mut sums, mut moments) = ([0.0; LANES], [0.0; LANES]);
    let chunks =
        distances.chunks_exact(LANES).zip(mask.chunks_exact(LANES)).zip(weights.chunks_exact_mut(LANES));
    for ((distances, mask), weights) in chunks {
        for lane in 0..LANES {
            let weight = exp_negative(distances[lane] * -beta) * mask[lane];
            weights[lane] = weight;
            sums[lane] += weight;
            moments[lane] += distances[lane] * weight;
        }
    }
    let (sum, moment): (f64, f64) = (sums.iter().sum(), moments.iter().sum());
    if sum > 0.0 { (ln(sum) + beta * moment / sum, sum) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Cells on a ring: everyone has the same neighbourhood.
    fn ring(n: usize, k: usize) -> (Array2<u32>, Array2<f32>) {
        let step = |place: usize| if place % 2 == 1 { place.div_ceil(2) } else { n - place / 2 };
        let indices = Array2::from_shape_fn((n, k), |(i, place)| ((i + step(place)) % n) as u32);
        let distances = Array2::from_shape_fn((n, k), |(_, place)| place.div_ceil(2) as f32);
        (indices, distances)
    }

    #[test]
    fn one_label_around_a_cell_is_one_and_alternating_labels_are_two() {
        let (indices, distances) = ring(60, 31);
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let one = lisi(neighbors, &[7; 60], &LisiParams::default()).unwrap();
        assert!(one.iter().all(|v| (v - 1.0).abs() < 1e-12));
        let batches: Vec<u32> = (0..60).map(|i| i % 2 * 9).collect();
        let mixed = ilisi(neighbors, &batches, &LisiParams::default()).unwrap();
        assert!(mixed > 0.8 && mixed <= 1.0, "{mixed}");
        let pure = clisi(neighbors, &batches, &LisiParams::default()).unwrap();
        assert!((mixed + pure - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_cell_with_no_neighbour_but_itself_is_marked() {
        let indices = Array2::from_shape_fn((3, 6), |(i, _)| i as u32);
        let distances = Array2::zeros((3, 6));
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        assert_eq!(lisi(neighbors, &[0, 1, 2], &LisiParams::default()).unwrap(), [-1.0; 3]);
    }

    #[test]
    fn too_few_neighbours_and_single_batches_are_refused() {
        let (indices, distances) = ring(10, 5);
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        let few = message(ilisi(neighbors, &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1], &LisiParams::default()));
        assert_eq!(
            few,
            "`perplexity` is 1, expected above 1: at least 6 neighbours, or a perplexity of its own"
        );
        let one = message(ilisi(neighbors, &[4; 10], &LisiParams::default()));
        assert_eq!(one, "`the number of batches` is 1, expected at least 2");
        let length = message(clisi(neighbors, &[4; 9], &LisiParams::default()));
        assert_eq!(length, "labels has 9 entries, expected 10");
    }
}
