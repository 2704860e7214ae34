//! Sums of weighted squared distances from one centre per class, without writing sparse rows out.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::design::{Design, LANES};
use super::training::ROW_CHUNK;
use crate::Features;
use crate::features::Lines;

/// `Σ_j weight[k][j] (x[i][j] - centre[k][j])²` for every row `i` and class `k`, rows × classes.
///
/// * `centres`, `weights`: class after class, a value per feature.
///
/// With `x = background + delta` a class costs all features once, and then each row its deltas alone:
/// `delta (2 weight (background - centre) + weight delta)`.
pub(crate) fn squared_distances(x: &Features, centres: &[f64], weights: &[f64], k: usize) -> Vec<f64> {
    let design = Design::new(x);
    let (n_features, width) = (design.n_cols, k.next_multiple_of(LANES));
    let mut terms = vec![0.0; n_features * width * 2];
    let mut base = vec![0.0; width];
    for (class, base) in base[..k].iter_mut().enumerate() {
        let own = class * n_features..(class + 1) * n_features;
        let (block, lane) = (class / LANES, class % LANES);
        for (j, (&centre, &weight)) in centres[own.clone()].iter().zip(&weights[own]).enumerate() {
            let offset = design.background[j] - centre;
            *base += weight * offset * offset;
            // Both factors of a block of classes lie side by side.
            let at = (j * width + block * LANES) * 2 + lane;
            terms[at] = 2.0 * weight * offset;
            terms[at + LANES] = weight;
        }
    }
    let mut padded = vec![0.0; design.n_rows * width];
    let arch = Arch::new();
    padded.par_chunks_mut(ROW_CHUNK * width).enumerate().for_each(|(chunk, out)| {
        let (rows, first) = (&design.rows, chunk * ROW_CHUNK);
        arch.dispatch(Expand { rows, first, width, terms: &terms, base: &base, out });
    });
    padded.chunks_exact(width).flat_map(|row| &row[..k]).copied().collect()
}

/// A chunk of rows. A struct, because closures are not always inlined into the code for the machine's instructions.
struct Expand<'a> {
    rows: &'a Lines,
    first: usize,
    width: usize,
    terms: &'a [f64],
    base: &'a [f64],
    out: &'a mut [f64],
}

impl NullaryFnOnce for Expand<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, first, width, terms, base, out } = self;
        for (offset, out) in out.chunks_exact_mut(width).enumerate() {
            let (index, delta) = rows.line(first + offset);
            for (block, (out, base)) in out.chunks_exact_mut(LANES).zip(base.chunks_exact(LANES)).enumerate()
            {
                let mut sum: [f64; LANES] = [0.0; LANES];
                sum.copy_from_slice(base);
                for (&j, &d) in index.iter().zip(delta) {
                    let at = (j as usize * width + block * LANES) * 2;
                    let terms = &terms[at..at + 2 * LANES];
                    let d = f64::from(d);
                    for lane in 0..LANES {
                        sum[lane] += d * (terms[lane] + d * terms[LANES + lane]);
                    }
                }
                out.copy_from_slice(&sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_over_a_background_are_those_of_the_full_rows() {
        let x =
            Features::sparse(vec![0, 1, 3], vec![1, 0, 1], vec![4.0, -2.0, 0.5], vec![1.0, -1.0]).unwrap();
        let rows = [[1.0, 4.0], [-2.0, 0.5]];
        let k = LANES + 1;
        let centres: Vec<f64> = (0..2 * k).map(|at| at as f64 * 0.25 - 1.0).collect();
        let weights: Vec<f64> = (0..2 * k).map(|at| 1.0 + at as f64 * 0.5).collect();
        let found = squared_distances(&x, &centres, &weights, k);
        for (i, row) in rows.iter().enumerate() {
            for class in 0..k {
                let term = |j: usize| {
                    let difference = row[j] - centres[class * 2 + j];
                    weights[class * 2 + j] * difference * difference
                };
                let direct = term(0) + term(1);
                assert!((found[i * k + class] - direct).abs() < 1e-9, "{} {direct}", found[i * k + class]);
            }
        }
    }
}
