//! Spearman correlations of cells, from whole numbers.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Cells by the ranks of their values.
///
/// A rank is twice the mean rank of equal values less the mean of all: a whole number, exact in `f32`, and so are sums of
/// products in `f64`. Correlations therefore do not depend on the order of summation.
pub(super) struct Ranked {
    n_genes: usize,
    /// Cells × genes.
    ranks: Vec<f32>,
    /// Root of the sum of squared ranks of each cell.
    norms: Vec<f64>,
}

/// Cells that one task ranks.
const CHUNK: usize = 16;
/// Partial sums of a product.
const LANES: usize = 8;
/// Cells that are compared with a cell of the reference at once.
const TILE: usize = 4;

impl Ranked {
    /// * `values`: cells × genes, every value finite.
    pub(super) fn new(values: &[f32], n_cells: usize, n_genes: usize) -> Self {
        let mut ranks = vec![0f32; n_cells * n_genes];
        let mut norms = vec![0f64; n_cells];
        let chunks =
            ranks.par_chunks_mut(CHUNK * n_genes.max(1)).zip(values.par_chunks(CHUNK * n_genes.max(1)));
        chunks.zip(norms.par_chunks_mut(CHUNK)).for_each(|((ranks, values), norms)| {
            let mut order = Vec::with_capacity(n_genes);
            let cells = ranks.chunks_exact_mut(n_genes).zip(values.chunks_exact(n_genes));
            for ((ranks, values), norm) in cells.zip(norms) {
                rank(values, &mut order, ranks);
                *norm = ranks.iter().map(|&r| f64::from(r) * f64::from(r)).sum::<f64>().sqrt();
            }
        });
        Self { n_genes, ranks, norms }
    }
}

/// * `order`: room to sort in.
fn rank(values: &[f32], order: &mut Vec<u64>, ranks: &mut [f32]) {
    order.clear();
    // Value and place in one integer that sorts as the value does.
    order.extend(values.iter().zip(0u64..).map(|(&v, at)| (u64::from(ascending(v)) << 32) | at));
    order.sort_unstable();
    let middle = values.len() as i64 + 1;
    let mut first = 0;
    for same in order.chunk_by(|a, b| a >> 32 == b >> 32) {
        // Twice the mean of the ranks from first + 1 to first + same.len().
        let doubled = (2 * first + same.len() + 1) as i64;
        for key in same {
            ranks[(key & u64::from(u32::MAX)) as usize] = (doubled - middle) as f32;
        }
        first += same.len();
    }
}

/// Bits that compare as the finite value does; both zeros are one.
fn ascending(v: f32) -> u32 {
    let bits = (v + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | (1 << 31) }
}

/// Correlations of the cells `which` of `queries` with all cells of `reference`: row-major into `out`.
pub(super) fn correlations(queries: &Ranked, which: Range<usize>, reference: &Ranked, out: &mut [f64]) {
    assert_eq!(queries.n_genes, reference.n_genes, "cells over the same genes");
    let n = reference.norms.len();
    Arch::new().dispatch(Products { queries, first: which.start, reference, out });
    for (out, &norm) in out.chunks_exact_mut(n).zip(&queries.norms[which]) {
        for (out, &other) in out.iter_mut().zip(&reference.norms) {
            *out = match (norm == 0.0, other == 0.0) {
                (false, false) => *out / (norm * other),
                // 1 - 2 d², where d is the distance of ranks scaled to length ½; those of a constant cell are 0.
                (true, true) => 1.0,
                _ => 0.5,
            };
        }
    }
}

/// Inner products of ranks. A struct, because closures are not always inlined into the code for the machine's
/// instructions.
struct Products<'a> {
    queries: &'a Ranked,
    first: usize,
    reference: &'a Ranked,
    out: &'a mut [f64],
}

impl NullaryFnOnce for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { queries, first, reference, out } = self;
        let (n, n_genes) = (reference.norms.len(), queries.n_genes);
        let query = |at: usize| &queries.ranks[(first + at) * n_genes..][..n_genes];
        let n_queries = out.len() / n;
        for at in (0..n_queries).step_by(TILE) {
            for i in 0..n {
                let row = &reference.ranks[i * n_genes..][..n_genes];
                if at + TILE <= n_queries {
                    let sums = products(row, [query(at), query(at + 1), query(at + 2), query(at + 3)]);
                    for (k, sum) in sums.into_iter().enumerate() {
                        out[(at + k) * n + i] = sum;
                    }
                } else {
                    for k in at..n_queries {
                        let [sum] = products(row, [query(k)]);
                        out[k * n + i] = sum;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn products<const K: usize>(row: &[f32], queries: [&[f32]; K]) -> [f64; K] {
    let mut sums = [[0f64; LANES]; K];
    let whole = row.len() - row.len() % LANES;
    for at in (0..whole).step_by(LANES) {
        let row: [f64; LANES] = std::array::from_fn(|lane| f64::from(row[at..at + LANES][lane]));
        for k in 0..K {
            let query = &queries[k][at..at + LANES];
            for lane in 0..LANES {
                sums[k][lane] = row[lane].mul_add(f64::from(query[lane]), sums[k][lane]);
            }
        }
    }
    let rest = |k: usize| -> f64 {
        let pairs = row[whole..].iter().zip(&queries[k][whole..]);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    std::array::from_fn(|k| sums[k].iter().sum::<f64>() + rest(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_their_mean_rank() {
        let ranked = Ranked::new(&[2.0, -0.0, 7.0, 0.0, -3.0], 1, 5);
        // Ranks 4, 2.5, 5, 2.5, 1, doubled, less 6.
        assert_eq!(ranked.ranks, [2.0, -1.0, 4.0, -1.0, -4.0]);
    }

    #[test]
    fn correlations_are_spearmans() {
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) and its negative.
        let queries = Ranked::new(
            &[5.0, 6.0, 7.0, 8.0, 7.0, -5.0, -6.0, -7.0, -8.0, -7.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            3,
            5,
        );
        let reference = Ranked::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0], 2, 5);
        let mut found = [0.0; 6];
        correlations(&queries, 0..3, &reference, &mut found);
        let expected = [0.820_782_681_668_123_3, 0.5, -0.820_782_681_668_123_3, 0.5, 0.5, 1.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn many_genes_and_cells_have_the_sums_of_the_plain_loop() {
        let values: Vec<f32> = (0..7 * 37).map(|i| (i * i % 11) as f32).collect();
        let ranked = Ranked::new(&values, 7, 37);
        let mut found = vec![0.0; 6 * 7];
        correlations(&ranked, 1..7, &ranked, &mut found);
        for a in 1..7 {
            for b in 0..7 {
                let row = |i: usize| ranked.ranks[i * 37..(i + 1) * 37].iter().map(|&r| f64::from(r));
                let plain: f64 = row(a).zip(row(b)).map(|(x, y)| x * y).sum();
                assert_eq!(found[(a - 1) * 7 + b], plain / (ranked.norms[a] * ranked.norms[b]));
            }
        }
    }
}
