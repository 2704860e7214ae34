//! A function applied to each value of a slice.

use pulp::{Arch, Simd, WithSimd};

use super::LANES;

/// A function of one value. Implementations are marked `#[inline(always)]`.
pub(crate) trait Unary {
    /// `f(x)`.
    fn apply<S: Simd>(&self, simd: S, x: S::f32s) -> S::f32s;
}

/// A function of two values. Implementations are marked `#[inline(always)]`.
pub(crate) trait Binary {
    /// `f(x, y)`.
    fn apply<S: Simd>(&self, simd: S, x: S::f32s, y: S::f32s) -> S::f32s;
}

/// `out = f(x)`.
///
/// # Panics
/// If the slices differ in length.
pub(crate) fn map_unary<F: Unary>(arch: Arch, f: &F, x: &[f32], out: &mut [f32]) {
    struct First<'a, F>(&'a F);
    impl<F: Unary> Binary for First<'_, F> {
        #[inline(always)]
        fn apply<S: Simd>(&self, simd: S, x: S::f32s, _: S::f32s) -> S::f32s {
            self.0.apply(simd, x)
        }
    }
    map_binary(arch, &First(f), x, x, out);
}

/// `out = f(x, y)`.
///
/// # Panics
/// If the slices differ in length.
pub(crate) fn map_binary<F: Binary>(arch: Arch, f: &F, x: &[f32], y: &[f32], out: &mut [f32]) {
    assert!(x.len() == out.len() && y.len() == out.len(), "slices of one length");
    arch.dispatch(Map { f, x, y, out });
}

struct Map<'a, F> {
    f: &'a F,
    x: &'a [f32],
    y: &'a [f32],
    out: &'a mut [f32],
}

impl<F: Binary> WithSimd for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, x, y, out } = self;
        let ((x, x_rest), (y, y_rest)) = (S::as_simd_f32s(x), S::as_simd_f32s(y));
        let (out, out_rest) = S::as_mut_simd_f32s(out);
        for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
            *out = f.apply(simd, x, y);
        }
        if !out_rest.is_empty() {
            let (mut last_x, mut last_y, mut last) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            last_x[..x_rest.len()].copy_from_slice(x_rest);
            last_y[..y_rest.len()].copy_from_slice(y_rest);
            let (x, y) = (S::as_simd_f32s(&last_x).0[0], S::as_simd_f32s(&last_y).0[0]);
            S::as_mut_simd_f32s(&mut last).0[0] = f.apply(simd, x, y);
            out_rest.copy_from_slice(&last[..out_rest.len()]);
        }
    }
}
