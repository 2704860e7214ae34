//! Products of small blocks, each sum one chain of fused multiply-adds in ascending order.
//!
//! A value of the result depends on its row and its column alone, not on the tile that it was computed in, so tiles
//! of any shape, on registers of any width, give the same bits.

use pulp::Simd;

use super::head::QUERIES;

/// The left factor of a product: `M` rows, read one column at a time.
pub(super) trait Left<const M: usize>: Copy {
    /// The values of column `k`.
    fn at(self, k: usize) -> [f32; M];
}

/// Rows that lie anywhere.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, const M: usize>(pub(super) [&'a [f32]; M]);

impl<const M: usize> Left<M> for Rows<'_, M> {
    #[inline(always)]
    fn at(self, k: usize) -> [f32; M] {
        // `array::map` would be a call.
        let mut column = [0.0; M];
        for (value, row) in column.iter_mut().zip(self.0) {
            *value = row[k];
        }
        column
    }
}

/// The first `M` columns of a matrix in rows of `stride`: the left factor is its transpose.
#[derive(Clone, Copy)]
pub(super) struct Transposed<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

impl<const M: usize> Left<M> for Transposed<'_> {
    #[inline(always)]
    fn at(self, k: usize) -> [f32; M] {
        let mut column = [0.0; M];
        column.copy_from_slice(&self.data[k * self.stride..][..M]);
        column
    }
}

/// The right factor: rows of `stride`.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

/// Where a product goes: rows of `stride`, of which `width` values (a multiple of 16) are written.
pub(super) struct Out<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) width: usize,
    /// Whether the chains go on from what is there or begin at 0.
    pub(super) add: bool,
}

/// `out[m][n] (+)= Σₖ left[m][k] · right[k][n]` for `k < depth`.
///
/// `N`: registers of AVX-512 side by side; `M N + N + 1` of them are in use at once. Narrower registers take tiles of
/// two or four.
#[inline(always)]
pub(super) fn product<S: Simd, const M: usize, const N: usize>(
    simd: S,
    depth: usize,
    left: impl Left<M>,
    right: Right<'_>,
    mut out: Out<'_>,
) {
    let mut n = 0;
    macro_rules! tiles {
        ($registers:expr) => {
            while out.width - n >= $registers * S::F32_LANES {
                let right = Right { data: &right.data[n..], ..right };
                tile::<S, M, { $registers }>(simd, depth, left, right, &mut out, n);
                n += $registers * S::F32_LANES;
            }
        };
    }
    match S::F32_LANES {
        16 => {
            tiles!(N);
            tiles!(2);
            tiles!(1);
        }
        8 => tiles!(2),
        _ => tiles!(4),
    }
}

#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    depth: usize,
    left: impl Left<M>,
    right: Right<'_>,
    out: &mut Out<'_>,
    first: usize,
) {
    let width = N * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    if out.add {
        for (m, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(S::as_simd_f32s(&out.data[m * out.stride + first..][..width]).0);
        }
    }
    for k in 0..depth {
        let left = left.at(k);
        let right = S::as_simd_f32s(&right.data[k * right.stride..][..width]).0;
        for m in 0..M {
            let x = simd.splat_f32s(left[m]);
            for n in 0..N {
                sums[m][n] = simd.mul_add_f32s(x, right[n], sums[m][n]);
            }
        }
    }
    for (m, sums) in sums.iter().enumerate() {
        S::as_mut_simd_f32s(&mut out.data[m * out.stride + first..][..width]).0.copy_from_slice(sums);
    }
}

/// Adds the weighted values of the first `seen(i)` keys to the sums of lane `i`.
#[inline(always)]
pub(super) fn add_values<S: Simd>(
    simd: S,
    weights: &[f32],
    values: Right<'_>,
    n: usize,
    padded: usize,
    seen: impl Fn(usize) -> usize,
    sums: &mut [f32],
) {
    const ROWS: usize = 6;
    for first in (0..n).step_by(ROWS) {
        // What all of them see, and the rest of each alone: a value that is no number stays where it is seen.
        let depth = (first..first + ROWS).map(&seen).min().unwrap_or(0);
        let left = Transposed { data: &weights[first..], stride: QUERIES };
        let out = Out { data: &mut sums[first * padded..], stride: padded, width: padded, add: true };
        product::<S, ROWS, 4>(simd, depth, left, values, out);
        for i in first..(first + ROWS).min(n) {
            let more = seen(i) - depth;
            if more > 0 {
                let left = Transposed { data: &weights[depth * QUERIES + i..], stride: QUERIES };
                let right = Right { data: &values.data[depth * values.stride..], ..values };
                let out = Out { data: &mut sums[i * padded..], stride: padded, width: padded, add: true };
                product::<S, 1, 4>(simd, more, left, right, out);
            }
        }
    }
}
