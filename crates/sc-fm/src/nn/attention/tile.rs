//! Products of small blocks, each sum one chain of fused multiply-adds in ascending order.
//!
//! A value of the result depends on its row and its column alone, not on the tile that it was computed in, so tiles
//! of any shape, on registers of any width, give the same bits.

use pulp::Simd;

/// Rows of a tile. Six rows by four registers of AVX-512 (or two of AVX2) leave registers for both factors.
pub(super) const ROWS: usize = 6;

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

/// `out[m][n] (+)= Σₖ left[m][k] · right[k][n]` for `k < depth`, `n < width`.
///
/// * `width`: a multiple of 16.
/// * `add`: whether the chains go on from what `out` holds or begin at 0.
#[inline(always)]
pub(super) fn product<S: Simd, const M: usize>(
    simd: S,
    depth: usize,
    left: impl Left<M>,
    right: Right<'_>,
    out: &mut [f32],
    out_stride: usize,
    width: usize,
    add: bool,
) {
    let mut n = 0;
    macro_rules! tiles {
        ($registers:literal) => {
            while width - n >= $registers * S::F32_LANES {
                let right = Right { data: &right.data[n..], ..right };
                tile::<S, M, $registers>(simd, depth, left, right, &mut out[n..], out_stride, add);
                n += $registers * S::F32_LANES;
            }
        };
    }
    match S::F32_LANES {
        16 => {
            tiles!(4);
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
    out: &mut [f32],
    out_stride: usize,
    add: bool,
) {
    let width = N * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    if add {
        for (m, sums) in sums.iter_mut().enumerate() {
            sums.copy_from_slice(S::as_simd_f32s(&out[m * out_stride..][..width]).0);
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
        S::as_mut_simd_f32s(&mut out[m * out_stride..][..width]).0.copy_from_slice(sums);
    }
}
