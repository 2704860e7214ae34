//! A fast f32 score that orders candidates almost as their distance does, with a bound on its error.
//!
//! With a query `a` and a candidate `b`, half the squared distance is `|a|²/2 + (|b|²/2 - a·b)`. The first part is the
//! same for all candidates, the second costs one fused multiply-add for each dimension. Rounding makes it wrong by at
//! most `c (|a|² + |b|²)`, `c` being about the number of dimensions times 2⁻²⁴; the score kept here is that second part
//! less `c |b|²`. Whoever can be among the nearest by these bounds is measured again, exactly, in f64, so neither
//! the vector width nor fused arithmetic shows in a result.

use pulp::Simd;

/// Candidates that are scored together; a multiple of every vector width.
pub(super) const TILE: usize = 64;

/// Queries that go through all tiles together: a tile fetched from memory serves this many.
pub(super) const BLOCK: usize = 32;

/// Largest magnitude after scaling; squares neither overflow nor, where it matters, underflow.
const TARGET_EXPONENT: i32 = 30;

/// The searched rows, centred, scaled by a power of two and laid out dimension by dimension in tiles.
pub(super) struct Tiles {
    n_rows: usize,
    n_dims: usize,
    center: Vec<f64>,
    scale: f64,
    /// Tile by tile, in it dimension by dimension, in it [`TILE`] candidates.
    values: Vec<f32>,
    /// What the score of a candidate starts from: `|b|²/2 - c |b|²`; infinite for the padding.
    start: Vec<f32>,
    /// How much too low a score may be because of its candidate: `2 c |b|²`.
    doubt: Vec<f32>,
    /// The `c` of the error bound.
    rounding: f64,
}

impl Tiles {
    /// * `train`: row by row; `query`: the rows that will be asked about, needed for the scale only.
    pub(super) fn new(train: &[f32], query: &[f32], n_dims: usize) -> Self {
        let n_rows = train.len() / n_dims;
        let mut center = vec![0f64; n_dims];
        for row in train.chunks_exact(n_dims) {
            for (sum, &v) in center.iter_mut().zip(row) {
                *sum += f64::from(v);
            }
        }
        for sum in &mut center {
            *sum /= n_rows as f64;
        }
        let scale = scale_to_target(largest(train, &center).max(largest(query, &center)));
        // The bound's factor is n_dims + 6 with 1.02 for terms of second order; the rest is margin.
        let rounding = 1.1 * (n_dims as f64 + 8.0) * f64::from(f32::EPSILON) / 2.0;
        let padded = n_rows.div_ceil(TILE) * TILE;
        let mut tiles = Self {
            n_rows,
            n_dims,
            center,
            scale,
            values: vec![0f32; padded * n_dims],
            start: vec![f32::INFINITY; padded],
            doubt: vec![0f32; padded],
            rounding,
        };
        let mut placed = vec![0f32; n_dims];
        for (i, row) in train.chunks_exact(n_dims).enumerate() {
            let norm = tiles.place(row, &mut placed);
            tiles.start[i] = (norm * (0.5 - rounding)) as f32;
            tiles.doubt[i] = (norm * 2.0 * rounding) as f32;
            let tile = &mut tiles.values[i / TILE * TILE * n_dims..][..TILE * n_dims];
            for (column, &v) in tile.chunks_exact_mut(TILE).zip(&placed) {
                column[i % TILE] = v;
            }
        }
        tiles
    }

    /// Centres and scales a row; returns its squared norm.
    fn place(&self, row: &[f32], out: &mut [f32]) -> f64 {
        let mut norm = 0f64;
        for ((out, &v), &center) in out.iter_mut().zip(row).zip(&self.center) {
            *out = ((f64::from(v) - center) * self.scale) as f32;
            norm += f64::from(*out) * f64::from(*out);
        }
        norm
    }

    /// Packs up to `Q` queries for [`Tiles::scores`], negated, dimension by dimension. Returns for each how much its
    /// own rounding can separate two scores.
    pub(super) fn pack<const Q: usize>(&self, rows: &[f32], packed: &mut Vec<f32>) -> [f32; Q] {
        packed.clear();
        packed.resize(Q * self.n_dims, 0.0);
        let mut slack = [0f32; Q];
        let mut placed = vec![0f32; self.n_dims];
        for (q, row) in rows.chunks_exact(self.n_dims).enumerate() {
            let norm = self.place(row, &mut placed);
            for (at, &v) in packed.chunks_exact_mut(Q).zip(&placed) {
                at[q] = -v;
            }
            // The smallest normal number stands for what underflow may have taken.
            slack[q] = (norm * 2.0 * self.rounding * 1.000_001) as f32 + f32::MIN_POSITIVE;
        }
        slack
    }

    pub(super) fn n_tiles(&self) -> usize {
        self.start.len() / TILE
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn n_dims(&self) -> usize {
        self.n_dims
    }

    /// How much too low the score of candidate `i` may be because of its own rounding.
    pub(super) fn doubt(&self, i: u32) -> f32 {
        self.doubt[i as usize]
    }

    /// Scores all candidates of a tile against `Q` packed queries.
    #[inline(always)]
    pub(super) fn scores<S: Simd, const Q: usize>(
        &self,
        simd: S,
        tile: usize,
        packed: &[f32],
        out: &mut [[f32; TILE]; Q],
    ) {
        let values = &self.values[tile * TILE * self.n_dims..][..TILE * self.n_dims];
        let (start, _) = S::as_simd_f32s(&self.start[tile * TILE..][..TILE]);
        for pair in 0..start.len() / 2 {
            // Two vectors of candidates by Q queries: all sums stay in registers.
            let mut even = [start[2 * pair]; Q];
            let mut odd = [start[2 * pair + 1]; Q];
            for (column, query) in values.chunks_exact(TILE).zip(packed.chunks_exact(Q)) {
                let (column, _) = S::as_simd_f32s(column);
                let (b_even, b_odd) = (column[2 * pair], column[2 * pair + 1]);
                for q in 0..Q {
                    let a = simd.splat_f32s(query[q]);
                    even[q] = simd.mul_add_e_f32s(a, b_even, even[q]);
                    odd[q] = simd.mul_add_e_f32s(a, b_odd, odd[q]);
                }
            }
            for q in 0..Q {
                let (out, _) = S::as_mut_simd_f32s(&mut out[q]);
                out[2 * pair] = even[q];
                out[2 * pair + 1] = odd[q];
            }
        }
    }
}

fn largest(rows: &[f32], center: &[f64]) -> f64 {
    let mut largest = 0f64;
    for row in rows.chunks_exact(center.len()) {
        for (&v, &center) in row.iter().zip(center) {
            largest = largest.max((f64::from(v) - center).abs());
        }
    }
    largest
}

/// The power of two that brings `largest` to about 2^[`TARGET_EXPONENT`].
fn scale_to_target(largest: f64) -> f64 {
    if largest == 0.0 {
        return 1.0;
    }
    let (_, exponent) = libm::frexp(largest);
    libm::ldexp(1.0, TARGET_EXPONENT - exponent)
}
