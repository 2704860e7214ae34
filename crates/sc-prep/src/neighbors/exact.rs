//! One block of queries: screened in f32, ranked in f64.

use pulp::{Simd, WithSimd};

use super::nearest::Nearest;
use super::screen::{TILE, Tiles};

/// The search of one block of queries; runs inside `pulp`'s dispatch.
pub(super) struct ExactSearch<'a> {
    pub(super) tiles: &'a Tiles,
    /// The searched rows, as they are.
    pub(super) train: &'a [f32],
    /// The queries of this block, as they are.
    pub(super) query: &'a [f32],
    /// Set if the queries are rows of `train`, from this one on: a row is then no neighbour of its own.
    pub(super) first_query: Option<usize>,
    pub(super) k: usize,
    /// `k` results for each query of the block.
    pub(super) indices: &'a mut [u32],
    pub(super) distances: &'a mut [f32],
}

impl WithSimd for ExactSearch<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sums of two vectors by so many queries fill half of the registers.
        if S::REGISTER_COUNT >= 32 { self.run::<S, 8>(simd) } else { self.run::<S, 4>(simd) }
    }
}

impl ExactSearch<'_> {
    #[inline(always)]
    fn run<S: Simd, const Q: usize>(self, simd: S) {
        let n_dims = self.tiles.n_dims();
        let mut nearest = Vec::with_capacity(self.query.len() / n_dims);
        let mut groups = Vec::new();
        for rows in self.query.chunks(Q * n_dims) {
            let mut packed = Vec::new();
            let slack = self.tiles.pack::<Q>(rows, &mut packed);
            groups.push(packed);
            nearest.extend(slack[..rows.len() / n_dims].iter().map(|&slack| Nearest::new(self.k, slack)));
        }
        let doubt = |i: u32| self.tiles.doubt(i);
        let mut scores = [[0f32; TILE]; Q];
        for tile in 0..self.tiles.n_tiles() {
            let first = tile * TILE;
            let candidates = TILE.min(self.tiles.n_rows() - first);
            for (group, (packed, nearest)) in groups.iter().zip(nearest.chunks_mut(Q)).enumerate() {
                self.tiles.scores::<S, Q>(simd, tile, packed, &mut scores);
                for (q, (nearest, scores)) in nearest.iter_mut().zip(&scores).enumerate() {
                    let (vectors, _) = S::as_simd_f32s(scores);
                    let lowest = vectors[1..].iter().fold(vectors[0], |low, &v| simd.min_f32s(low, v));
                    if simd.reduce_min_f32s(lowest) > nearest.limit() {
                        continue;
                    }
                    let own = self.first_query.map_or(usize::MAX, |at| at + group * Q + q);
                    for (v, &vector) in vectors.iter().enumerate() {
                        if simd.reduce_min_f32s(vector) > nearest.limit() {
                            continue;
                        }
                        let lanes = v * S::F32_LANES..((v + 1) * S::F32_LANES).min(candidates);
                        for c in lanes {
                            if scores[c] <= nearest.limit() && first + c != own {
                                nearest.push(scores[c], (first + c) as u32, doubt);
                            }
                        }
                    }
                }
            }
        }
        let results = self.indices.chunks_exact_mut(self.k).zip(self.distances.chunks_exact_mut(self.k));
        let mut ranked: Vec<(f64, u32)> = Vec::new();
        for ((query, nearest), (indices, distances)) in
            self.query.chunks_exact(n_dims).zip(&mut nearest).zip(results)
        {
            ranked.clear();
            ranked.extend(
                nearest.finish(doubt).iter().map(|&(_, i)| {
                    (squared_distance(query, &self.train[i as usize * n_dims..][..n_dims]), i)
                }),
            );
            ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (at, &(squared, i)) in ranked[..self.k].iter().enumerate() {
                indices[at] = i;
                distances[at] = squared.sqrt() as f32;
            }
        }
    }
}

/// Sum of squared differences in f64, in eight interleaved sums whatever the vector width is.
#[inline(always)]
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_blocks.remainder().iter().zip(b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            let difference = f64::from(a[lane]) - f64::from(b[lane]);
            sums[lane] += difference * difference;
        }
    }
    for (sum, (&a, &b)) in sums.iter_mut().zip(rest) {
        let difference = f64::from(a) - f64::from(b);
        *sum += difference * difference;
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_width_finds_the_same() {
        let (n, n_dims, k) = (333, 21, 9);
        let x: Vec<f32> = (0..n * n_dims).map(|i| libm::sinf(i as f32 * 1.7) * 10.0 + 30.0).collect();
        let tiles = Tiles::new(&x, &x, n_dims);
        let run = |vectorize: &dyn Fn(ExactSearch<'_>)| {
            let (mut indices, mut distances) = (vec![0; 13 * k], vec![0.0; 13 * k]);
            vectorize(ExactSearch {
                tiles: &tiles,
                train: &x,
                query: &x[100 * n_dims..113 * n_dims],
                first_query: Some(100),
                k,
                indices: &mut indices,
                distances: &mut distances,
            });
            (indices, distances)
        };
        let widest = run(&|search| pulp::Arch::new().dispatch(search));
        assert_eq!(run(&|search| Simd::vectorize(pulp::Scalar::new(), search)), widest);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            assert_eq!(run(&|search| Simd::vectorize(avx2, search)), widest);
        }
        assert!(widest.0.iter().all(|&i| i < n as u32));
    }

    #[test]
    fn squared_distance_takes_every_dimension() {
        for n in 0..40 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let b: Vec<f32> = (0..n).map(|i| i as f32 * 2.0 + 1.0).collect();
            let expected: i32 = (1..=n).map(|i| i * i).sum();
            assert_eq!(squared_distance(&a, &b), f64::from(expected));
        }
    }
}
