//! Rows in a few random directions, to find those that point the same way.
//!
//! The cosine of two rows is nearly that of their projections: with 64 random directions its error is about
//! `(1 - cos²) / 8`, which is small where rows are nearly parallel. So few pairs need to be looked at in full.

use super::CellRows;

/// Directions; the signs of one column are the bits of one word.
const DIRECTIONS: usize = 64;
/// Training rows that are compared together.
const TILE: usize = 16;
/// Test rows that are compared together: a tile fetched serves this many.
const QUERIES: usize = 2;

/// Every row's projection, of length 1; all zeros for a row of zeros.
pub(super) struct Projection(Vec<[f32; DIRECTIONS]>);

impl Projection {
    pub(super) fn new(rows: &CellRows<'_>, seed: u64) -> Self {
        Self((0..rows.n_rows()).map(|i| project(rows, i, seed)).collect())
    }

    /// For each row of `test`, the rows of `train` whose projections point most nearly the same way: up to `N`, of a cosine
    /// of at least `limit`, best first; equal ones by their place in `train`.
    pub(super) fn nearest<const N: usize>(
        &self,
        test: &[usize],
        train: &[usize],
        limit: f32,
    ) -> Vec<Vec<(f32, usize)>> {
        let tiles: Vec<[[f32; TILE]; DIRECTIONS]> = train
            .chunks(TILE)
            .map(|rows| {
                let mut tile = [[0.0; TILE]; DIRECTIONS];
                for (at, &row) in rows.iter().enumerate() {
                    for (lanes, &v) in tile.iter_mut().zip(&self.0[row]) {
                        lanes[at] = v;
                    }
                }
                tile
            })
            .collect();
        let mut found: Vec<Vec<(f32, usize)>> = vec![Vec::new(); test.len()];
        for (queries, found) in test.chunks(QUERIES).zip(found.chunks_mut(QUERIES)) {
            let last = queries.len() - 1;
            let queries: [&[f32; DIRECTIONS]; QUERIES] =
                std::array::from_fn(|q| &self.0[queries[q.min(last)]]);
            for (at, tile) in tiles.iter().enumerate() {
                let cosines = cosines(tile, queries);
                for (cosines, found) in cosines.iter().zip(found.iter_mut()) {
                    for (lane, &cosine) in cosines.iter().enumerate() {
                        let place = at * TILE + lane;
                        if cosine >= limit && place < train.len() {
                            insert::<N>(found, cosine, train[place]);
                        }
                    }
                }
            }
        }
        found
    }
}

fn cosines(
    tile: &[[f32; TILE]; DIRECTIONS],
    queries: [&[f32; DIRECTIONS]; QUERIES],
) -> [[f32; TILE]; QUERIES] {
    let mut sums = [[0.0; TILE]; QUERIES];
    for (direction, lanes) in tile.iter().enumerate() {
        for (sums, query) in sums.iter_mut().zip(queries) {
            let q = query[direction];
            for lane in 0..TILE {
                sums[lane] += q * lanes[lane];
            }
        }
    }
    sums
}

/// Keeps the best `N`, best first; who came first wins a tie.
fn insert<const N: usize>(found: &mut Vec<(f32, usize)>, cosine: f32, row: usize) {
    let at = found.partition_point(|&(better, _)| better >= cosine);
    if at < N {
        found.truncate(N - 1);
        found.insert(at, (cosine, row));
    }
}

fn project(rows: &CellRows<'_>, row: usize, seed: u64) -> [f32; DIRECTIONS] {
    let mut sums = [0f64; DIRECTIONS];
    rows.for_each(row, |column, value| {
        let signs = mixed(seed ^ mixed(u64::from(column)));
        let value = f64::from(value).to_bits();
        for (direction, sum) in sums.iter_mut().enumerate() {
            // The sign bit is flipped where the direction's bit is set.
            *sum += f64::from_bits(value ^ (signs << (63 - direction) & 1 << 63));
        }
    });
    let norm = sums.iter().map(|v| v * v).sum::<f64>().sqrt();
    if norm > 0.0 { sums.map(|v| (v / norm) as f32) } else { [0.0; DIRECTIONS] }
}

/// SplitMix64's way of spreading every bit of a word over all bits.
pub(super) fn mixed(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_row_is_nearest_to_its_multiple_and_far_from_others() {
        let mut x = Array2::from_shape_fn((40, 300), |(i, j)| (mixed((i * 300 + j) as u64) % 5) as f32 - 2.0);
        let copy = x.row(3).mapv(|v| 2.5 * v);
        x.row_mut(39).assign(&copy);
        let rows = CellRows::dense(x.view()).unwrap();
        let projection = Projection::new(&rows, 0);
        let train: Vec<usize> = (0..39).collect();
        let found = projection.nearest::<2>(&[39], &train, 0.99);
        assert_eq!(found[0].len(), 1);
        assert_eq!(found[0][0].1, 3);
        let all = projection.nearest::<4>(&[39, 5, 6], &train, -1.0);
        assert!(all[0][0].0 > 0.999 && all[0][1].0 < 0.6, "{:?}", all[0]);
        assert_eq!((all[1][0].1, all[2][0].1), (5, 6));
        assert!(all.iter().all(|found| found.len() == 4 && found.is_sorted_by(|a, b| a.0 >= b.0)));
    }
}
