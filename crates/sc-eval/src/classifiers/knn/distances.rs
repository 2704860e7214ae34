//! Squared distances between a few cells and all training cells.

use pulp::NullaryFnOnce;

/// Partial sums of a distance, whatever the SIMD width of the machine.
const LANES: usize = 16;
/// Queries of one task.
pub(super) const QUERIES: usize = 16;
/// Queries that share one reading of a training row.
const GROUP: usize = 4;
/// Bytes of training rows that are read again for every group while they are in the cache.
const TILE_BYTES: usize = 1 << 18;

/// Values of a row of `n` features with its padding.
pub(super) fn padded_width(n: usize) -> usize {
    n.max(1).checked_next_multiple_of(LANES).unwrap_or(usize::MAX)
}

/// Rows and queries of `width` values each; `out` is queries × rows. A struct, because closures are not always inlined
/// into the code for the machine's instructions.
pub(super) struct Distances<'a> {
    pub(super) rows: &'a [f32],
    pub(super) queries: &'a [f32],
    pub(super) width: usize,
    pub(super) out: &'a mut [f32],
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
    let queries: [&[f32]; N] = std::array::from_fn(|q| &queries[q * width..(q + 1) * width]);
    let mut sums = [[0f32; LANES]; N];
    for (at, row) in row.chunks_exact(LANES).enumerate() {
        for (sums, query) in sums.iter_mut().zip(queries) {
            let query = &query[at * LANES..(at + 1) * LANES];
            for lane in 0..LANES {
                let difference = row[lane] - query[lane];
                sums[lane] += difference * difference;
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
