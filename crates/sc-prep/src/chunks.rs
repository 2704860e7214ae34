//! Rows cut into chunks that depend on the shape alone, so that sums do not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

/// More chunks would let more threads work, but every chunk has its own partial sums to hold and fold.
const MAX_CHUNKS: usize = 64;

/// Rows in a chunk: at least `at_least`, and few enough chunks for their partial sums to stay small.
pub(crate) fn chunk_len(n: usize, at_least: usize) -> usize {
    n.div_ceil(MAX_CHUNKS).max(at_least).max(1)
}

/// The chunks of `0..n`, as ranges, in order and in parallel.
pub(crate) fn chunks(n: usize, at_least: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    let len = chunk_len(n, at_least);
    (0..n.div_ceil(len)).into_par_iter().map(move |i| i * len..n.min((i + 1) * len))
}

/// Calls `rewrite(row, values)` on the values of every row of a matrix compressed by row, in parallel.
///
/// `values` is cut along the offsets `indptr`; rows do not see each other, so the order does not matter.
pub(crate) fn for_each_row_mut<S>(
    indptr: &[usize],
    values: &mut [f32],
    state: impl Fn() -> S + Sync,
    rewrite: impl Fn(&mut S, usize, &mut [f32]) + Sync,
) {
    let n_rows = indptr.len() - 1;
    let len = chunk_len(n_rows, 64);
    let mut pieces = Vec::with_capacity(n_rows.div_ceil(len));
    let mut rest = values;
    for first in (0..n_rows).step_by(len) {
        let last = n_rows.min(first + len);
        let (piece, tail) = rest.split_at_mut(indptr[last] - indptr[first]);
        pieces.push((first..last, piece));
        rest = tail;
    }
    pieces.into_par_iter().for_each(|(rows, mut piece)| {
        let mut state = state();
        for row in rows {
            let (values, tail) = piece.split_at_mut(indptr[row + 1] - indptr[row]);
            rewrite(&mut state, row, values);
            piece = tail;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once_and_in_order() {
        for n in [0, 1, 63, 64, 65, 1000, 100_000] {
            let all: Vec<usize> = chunks(n, 10).collect::<Vec<_>>().into_iter().flatten().collect();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert!(chunks(n, 10).len() <= MAX_CHUNKS);
        }
    }

    #[test]
    fn every_row_is_rewritten_with_its_own_number() {
        let (indptr, mut values) = ([0, 2, 2, 3], [0.0f32; 3]);
        for_each_row_mut(&indptr, &mut values, || (), |(), row, values| values.fill(row as f32));
        assert_eq!(values, [0.0, 0.0, 2.0]);
    }
}
