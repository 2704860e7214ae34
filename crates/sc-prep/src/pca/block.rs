//! Eight vectors side by side, and the few products of such blocks that the iteration needs.
//!
//! One sparse value meets eight vectors at a time, and eight `f64` fill one AVX-512 register. Each lane sees the same
//! operations in the same order whatever the processor: fused multiply-add rounds once everywhere.

use pulp::Arch;

use crate::vectorized::vectorized;
use rayon::prelude::*;

/// Vectors in a block.
pub(crate) const WIDTH: usize = 8;

/// One coordinate of the vectors of a block. Aligned to a cache line, so that reading one never touches two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lane(pub(crate) [f64; WIDTH]);

/// Eight vectors of length `len()`.
pub(crate) type Block = Vec<Lane>;

/// A square of coefficients: row `i` belongs to vector `i` of the left block.
pub(crate) type Square = [Lane; WIDTH];

/// Coordinates handled by one task.
const ROWS: usize = 256;

impl Lane {
    pub(crate) const ZERO: Self = Self([0.0; WIDTH]);

    /// `self += a * b`.
    #[inline(always)]
    pub(crate) fn add_scaled(&mut self, a: f64, b: &Self) {
        for l in 0..WIDTH {
            self.0[l] = a.mul_add(b.0[l], self.0[l]);
        }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, b: &Self) {
        for l in 0..WIDTH {
            self.0[l] += b.0[l];
        }
    }
}

/// `vᵀ w`: entry `[i].0[j]` is the product of vector `i` of `v` and vector `j` of `w`.
pub(crate) fn gram(arch: Arch, v: &[Lane], w: &[Lane]) -> Square {
    assert_eq!(v.len(), w.len(), "blocks of one length");
    vectorized(
        arch,
        #[inline(always)]
        || {
            let mut sums = [Lane::ZERO; WIDTH];
            for (a, b) in v.iter().zip(w) {
                for (sum, &a) in sums.iter_mut().zip(&a.0) {
                    sum.add_scaled(a, b);
                }
            }
            sums
        },
    )
}

/// `w += Σ basis[i] coefficients[i]` for four coordinates, `first` and the three behind it.
///
/// The sums stay in registers while the blocks go by. A loop over coordinates inside one over blocks would be turned
/// into gathers.
#[inline(always)]
fn add_to_four(w: &mut [Lane; 4], first: usize, basis: &[Block], coefficients: &[Square]) {
    let mut sums = *w;
    for (v, h) in basis.iter().zip(coefficients) {
        let v = &v[first..first + 4];
        for i in 0..WIDTH {
            let h = h[i];
            for r in 0..4 {
                sums[r].add_scaled(v[r].0[i], &h);
            }
        }
    }
    *w = sums;
}

/// Takes the part of `w` within the blocks of `basis` out of it, and returns the coefficients of that part.
pub(crate) fn project_out(arch: Arch, basis: &[Block], w: &mut [Lane]) -> Vec<Square> {
    let coefficients: Vec<Square> = basis.par_iter().map(|v| gram(arch, v, w)).collect();
    let negative: Vec<Square> = coefficients.iter().map(|h| h.map(|lane| Lane(lane.0.map(|c| -c)))).collect();
    add_combination(arch, w, basis, &negative);
    coefficients
}

/// `w += Σ basis[i] coefficients[i]`.
fn add_combination(arch: Arch, w: &mut [Lane], basis: &[Block], coefficients: &[Square]) {
    w.par_chunks_mut(ROWS).enumerate().for_each(|(chunk, w)| {
        let first = chunk * ROWS;
        vectorized(
            arch,
            #[inline(always)]
            || {
                let (fours, rest) = w.as_chunks_mut::<4>();
                let done = first + fours.len() * 4;
                for (at, four) in fours.iter_mut().enumerate() {
                    add_to_four(four, first + at * 4, basis, coefficients);
                }
                for (at, lane) in rest.iter_mut().enumerate() {
                    for (v, h) in basis.iter().zip(coefficients) {
                        (0..WIDTH).for_each(|i| lane.add_scaled(v[done + at].0[i], &h[i]));
                    }
                }
            },
        );
    });
}

/// `Σ basis[i] coefficients[i]`.
pub(crate) fn combine(arch: Arch, basis: &[Block], coefficients: &[Square]) -> Block {
    let mut sum = vec![Lane::ZERO; basis.first().map_or(0, Vec::len)];
    add_combination(arch, &mut sum, basis, coefficients);
    sum
}

/// Makes the vectors of `w` orthonormal and returns the upper-triangular `R` with `w before = w after · R`.
///
/// A vector shorter than `threshold` once the ones before it are taken out is set to zero, and so is its row of `R`:
/// the numbers that are left of it are rounding errors.
pub(crate) fn orthonormalize(arch: Arch, w: &mut [Lane], threshold: f64) -> Square {
    let first = gram_schmidt(arch, w, threshold);
    // A second pass: after one, vectors that were nearly parallel are not orthogonal to full precision.
    let second = gram_schmidt(arch, w, 0.5);
    multiply(arch, &second, &first)
}

/// `a b`.
pub(crate) fn multiply(arch: Arch, a: &Square, b: &Square) -> Square {
    let mut product = [Lane::ZERO; WIDTH];
    vectorized(
        arch,
        #[inline(always)]
        || {
            for (out, row) in product.iter_mut().zip(a) {
                for (&factor, b) in row.0.iter().zip(b) {
                    out.add_scaled(factor, b);
                }
            }
        },
    );
    product
}

/// One pass of modified Gram-Schmidt, each vector against all that follow at once.
fn gram_schmidt(arch: Arch, w: &mut [Lane], threshold: f64) -> Square {
    let mut r = [Lane::ZERO; WIDTH];
    vectorized(
        arch,
        #[inline(always)]
        || {
            for (c, row) in r.iter_mut().enumerate() {
                let dots = dots_with(w, c);
                let norm = dots.0[c].sqrt();
                if norm.is_nan() || norm <= threshold {
                    w.iter_mut().for_each(|lane| lane.0[c] = 0.0);
                    continue;
                }
                let mut later = Lane::ZERO;
                for l in c + 1..WIDTH {
                    later.0[l] = dots.0[l] / norm;
                }
                for lane in w.iter_mut() {
                    let q = lane.0[c] / norm;
                    lane.add_scaled(-q, &later);
                    lane.0[c] = q;
                }
                *row = later;
                row.0[c] = norm;
            }
        },
    );
    r
}

/// Products of vector `c` with all eight, in four interleaved sums.
#[inline(always)]
fn dots_with(w: &[Lane], c: usize) -> Lane {
    let mut sums = [Lane::ZERO; 4];
    let quads = w.chunks_exact(4);
    let rest = quads.remainder();
    for quad in quads {
        for (sum, lane) in sums.iter_mut().zip(quad) {
            sum.add_scaled(lane.0[c], lane);
        }
    }
    for (sum, lane) in sums.iter_mut().zip(rest) {
        sum.add_scaled(lane.0[c], lane);
    }
    let [mut a, b, mut c, d] = sums;
    a.add(&b);
    c.add(&d);
    a.add(&c);
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(len: usize) -> Block {
        let value = |i: usize, l: usize| (((i * 37 + l * 101 + i * i * l) % 97) as f64 - 48.0) / 10.0;
        (0..len).map(|i| Lane(std::array::from_fn(|l| value(i, l)))).collect()
    }

    #[test]
    fn orthonormal_vectors_and_their_triangle_multiply_back() {
        let arch = Arch::new();
        let before = example(51);
        let mut q = before.clone();
        let r = orthonormalize(arch, &mut q, 1e-12);
        let g = gram(arch, &q, &q);
        for i in 0..WIDTH {
            for j in 0..WIDTH {
                assert!((g[i].0[j] - f64::from(u8::from(i == j))).abs() < 1e-14);
                assert!(j >= i || r[i].0[j] == 0.0);
            }
        }
        let again = combine(arch, &[q], &[r]);
        for (a, b) in again.iter().zip(&before) {
            assert!((0..WIDTH).all(|l| (a.0[l] - b.0[l]).abs() < 1e-12));
        }
    }

    #[test]
    fn a_vector_within_the_span_of_the_others_becomes_zero() {
        let mut q = example(51);
        q.iter_mut().for_each(|lane| lane.0[3] = 2.0 * lane.0[0] - lane.0[1]);
        let r = orthonormalize(Arch::new(), &mut q, 1e-10);
        assert!(q.iter().all(|lane| lane.0[3] == 0.0));
        assert_eq!(r[3], Lane::ZERO);
        assert!((r[0].0[3] - 2.0 * r[0].0[0] + r[0].0[1]).abs() < 1e-11);
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let run = |arch| {
            let mut v = example(701);
            let r = orthonormalize(arch, &mut v, 1e-12);
            let mut w: Block = example(701).into_iter().rev().collect();
            let h = project_out(arch, std::slice::from_ref(&v), &mut w);
            (v, r, w, h)
        };
        assert_eq!(run(Arch::new()), run(Arch::Scalar));
    }

    #[test]
    fn what_is_projected_out_is_gone() {
        let arch = Arch::new();
        let mut v = example(700);
        orthonormalize(arch, &mut v, 1e-12);
        let mut w: Block = example(700).into_iter().rev().collect();
        let basis = [v];
        project_out(arch, &basis, &mut w);
        let left = project_out(arch, &basis, &mut w);
        assert!(left[0].iter().all(|lane| lane.0.iter().all(|c| c.abs() < 1e-11)));
    }
}
