//! First centres: the greedy k-means++.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use super::Points;
use super::assign::squared_distance;
use crate::chunks::chunks;

/// Centres at cells that lie far from each other.
///
/// Each further centre is the best of `2 + ln k` cells, drawn with probability proportional to their squared distance
/// from the nearest centre so far; the best leaves the smallest sum of such distances.
pub(super) fn first_centers(points: &Points, n_clusters: usize, seed: u64, run: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(run as u64);
    let n_candidates = 2 + libm::log(n_clusters as f64) as usize;
    let first = ((uniform(&mut rng) * points.len() as f64) as usize).min(points.len() - 1);
    let mut centers = center(points, first);
    let (mut nearest, mut potential) = with_candidate(points, None, &centers);
    for _ in 1..n_clusters {
        let mut best: Option<(Vec<f64>, f64, Vec<f64>)> = None;
        for target in (0..n_candidates).map(|_| uniform(&mut rng) * potential).collect::<Vec<_>>() {
            let candidate = center(points, at_sum(&nearest, target));
            let (distances, sum) = with_candidate(points, Some(&nearest), &candidate);
            if best.as_ref().is_none_or(|best| sum < best.1) {
                best = Some((distances, sum, candidate));
            }
        }
        let (distances, sum, candidate) = best.expect("there are at least two candidates");
        (nearest, potential) = (distances, sum);
        centers.extend(candidate);
    }
    centers
}

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn center(points: &Points, cell: usize) -> Vec<f64> {
    points.row(cell).iter().map(|&v| f64::from(v)).collect()
}

/// The cell at which the running sum of `weights` passes `target`.
fn at_sum(weights: &[f64], target: f64) -> usize {
    let mut sum = 0.0;
    let passes = |weight: &f64| {
        sum += weight;
        sum > target
    };
    weights.iter().position(passes).unwrap_or(weights.len() - 1)
}

/// Squared distance of each cell to the nearest centre if `candidate` were one, and their sum.
fn with_candidate(points: &Points, nearest: Option<&[f64]>, candidate: &[f64]) -> (Vec<f64>, f64) {
    let pieces: Vec<Vec<f64>> = chunks(points.len(), 512)
        .map(|rows| {
            let limit = |i: usize| nearest.map_or(f64::INFINITY, |nearest| nearest[i]);
            rows.map(|i| squared_distance(points.row(i), candidate).min(limit(i))).collect()
        })
        .collect();
    let sum = pieces.iter().map(|piece| piece.iter().sum::<f64>()).sum();
    (pieces.concat(), sum)
}
