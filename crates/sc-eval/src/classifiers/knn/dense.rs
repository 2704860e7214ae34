//! Neighbours among cells that are written out in full.

use pulp::{Arch, NullaryFnOnce};
use serde::{Deserialize, Serialize};

use super::Visit;
use crate::Features;
use crate::classifiers::Metric;
use crate::classifiers::planes::all_finite;

/// Training cells, row by row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dense {
    /// Rows as [`write_padded`] leaves them.
    rows: Vec<f32>,
    /// Values of a padded row.
    width: usize,
}

/// Partial sums of a distance, whatever the SIMD width of the machine.
const LANES: usize = 16;
/// Queries that share one reading of a training row.
const GROUP: usize = 4;
/// Bytes of training rows that are read again for every group while they are in the cache.
const TILE_BYTES: usize = 1 << 18;

fn width(n_features: usize, metric: Metric) -> usize {
    let used = match metric {
        Metric::Euclidean => n_features.max(1),
        // Two more, for cells at the origin.
        Metric::Cosine => n_features.saturating_add(2),
    };
    used.checked_next_multiple_of(LANES).unwrap_or(usize::MAX)
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Training,
    Query,
}

/// Row `i` of `x`, padded with zeros; for the cosine scaled to length 1, so that half the squared distance is 1 minus the
/// cosine. A cell at the origin becomes a direction of its own, at a right angle to all others.
fn write_padded(x: &Features, i: usize, metric: Metric, side: Side, row: &mut [f32]) {
    let n_cols = x.n_cols();
    row.fill(0.0);
    x.write_row(i, &mut row[..n_cols]);
    if metric == Metric::Cosine {
        let length = row[..n_cols].iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if length > 0.0 {
            row[..n_cols].iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        } else {
            row[n_cols + usize::from(side == Side::Query)] = 1.0;
        }
    }
}

impl Dense {
    pub(super) fn new(x: &Features, metric: Metric) -> Self {
        let width = width(x.n_cols(), metric);
        let mut rows = vec![0f32; x.n_rows() * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            write_padded(x, i, metric, Side::Training, row);
        }
        Self { rows, width }
    }

    pub(super) fn check(&self, n_cells: usize, n_features: usize, metric: Metric) -> Result<(), String> {
        let expected = width(n_features, metric);
        if self.width != expected || n_cells.checked_mul(expected) != Some(self.rows.len()) {
            let (found, width) = (self.rows.len(), self.width);
            return Err(format!(
                "{found} values in rows of {width} are not {n_cells} cells in rows of {expected}"
            ));
        }
        all_finite("training cells", &self.rows)
    }

    /// Hands out the squared distances of rows `first..first + n_queries` of `x`.
    pub(super) fn search(
        &self,
        x: &Features,
        metric: Metric,
        first: usize,
        n_queries: usize,
        visit: &mut Visit<'_>,
    ) {
        let Self { rows, width } = self;
        let n = rows.len() / width;
        let mut queries = vec![0f32; n_queries * width];
        for (offset, query) in queries.chunks_exact_mut(*width).enumerate() {
            write_padded(x, first + offset, metric, Side::Query, query);
        }
        let mut distances = vec![0f32; n_queries * n];
        let task = Distances { rows, queries: &queries, width: *width, out: &mut distances };
        Arch::new().dispatch(task);
        let mut pairs = Vec::with_capacity(n);
        for (offset, query) in queries.chunks_exact(*width).enumerate() {
            pairs.clear();
            let own = &distances[offset * n..(offset + 1) * n];
            pairs.extend(own.iter().map(|&d| f64::from(d)).zip(0u32..));
            visit(offset, &mut pairs, &|i| {
                let row = &rows[i as usize * width..(i as usize + 1) * width];
                let square =
                    |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b));
                let square: f64 = row.iter().zip(query).map(square).sum();
                match metric {
                    Metric::Euclidean => square.sqrt(),
                    Metric::Cosine => square / 2.0,
                }
            });
        }
    }
}

/// Rows and queries of `width` values each; `out` is queries × rows. A struct, because closures are not always inlined
/// into the code for the machine's instructions.
struct Distances<'a> {
    rows: &'a [f32],
    queries: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Distances<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, queries, width, out } = self;
        let n = rows.len() / width;
        let tile = (TILE_BYTES / (4 * width)).max(1);
        for (at, rows) in rows.chunks(tile * width).enumerate() {
            for (queries, out) in queries.chunks(GROUP * width).zip(out.chunks_mut(GROUP * n)) {
                for (offset, row) in rows.chunks_exact(width).enumerate() {
                    let i = at * tile + offset;
                    if queries.len() == GROUP * width {
                        let squares = together::<GROUP>(row, queries, width);
                        for (q, square) in squares.into_iter().enumerate() {
                            out[q * n + i] = square;
                        }
                    } else {
                        for (q, query) in queries.chunks_exact(width).enumerate() {
                            let [square] = together::<1>(row, query, width);
                            out[q * n + i] = square;
                        }
                    }
                }
            }
        }
    }
}

/// Squared distances of `N` queries to a row. Each is summed in the same order for any `N`.
#[inline(always)]
fn together<const N: usize>(row: &[f32], queries: &[f32], width: usize) -> [f32; N] {
    let (row, _) = row.as_chunks::<LANES>();
    let queries: [&[[f32; LANES]]; N] =
        std::array::from_fn(|q| &queries[q * width..(q + 1) * width].as_chunks().0[..row.len()]);
    let mut sums = [[0f32; LANES]; N];
    for (at, row) in row.iter().enumerate() {
        for q in 0..N {
            let query = &queries[q][at];
            for lane in 0..LANES {
                let difference = row[lane] - query[lane];
                sums[q][lane] += difference * difference;
            }
        }
    }
    sums.map(|sums| sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_distance_whatever_the_blocks() {
        let (width, n_rows, n_queries) = (LANES, 5000, 7);
        let value = |i: usize, j: usize| ((i * 31 + j * 17) % 23) as f32;
        let fill = |n: usize| (0..n * width).map(|at| value(at / width, at % width)).collect::<Vec<f32>>();
        let (rows, queries) = (fill(n_rows), fill(n_queries));
        let mut out = vec![-1f32; n_rows * n_queries];
        Distances { rows: &rows, queries: &queries, width, out: &mut out }.call();
        for q in 0..n_queries {
            for i in 0..n_rows {
                let direct: f32 = (0..width).map(|j| (value(i, j) - value(q, j)).powi(2)).sum();
                assert_eq!(out[q * n_rows + i], direct, "query {q}, row {i}");
            }
        }
    }
}
