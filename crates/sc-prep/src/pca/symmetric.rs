//! Eigenvalues and eigenvectors of a small dense symmetric matrix: Householder reduction to tridiagonal form, then
//! implicit QL (Golub and Van Loan, *Matrix Computations*, section 8.3).
//!
//! All vectors lie in rows, so that every inner loop runs over neighbours in memory.

use pulp::Arch;

use crate::vectorized::vectorized;

/// Sums that run side by side in a dot product; fixed, so that the order of additions is.
const LANES: usize = 16;

/// QL sweeps allowed per eigenvalue; two are typical.
const MAX_SWEEPS: usize = 60;

/// The `k` largest eigenvalues, descending, and their unit eigenvectors as rows of a `k × n` list.
///
/// * `a`: `n × n`, row by row; only the lower triangle is read. Used as scratch.
pub(crate) fn leading_eigenpairs(arch: Arch, a: &mut [f64], n: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
    assert_eq!(a.len(), n * n, "a square matrix");
    assert!(k <= n, "no more eigenpairs than rows");
    vectorized(
        arch,
        #[inline(always)]
        || {
            let mut t = tridiagonalize(a, n);
            let mut rows = vec![0.0; n * n];
            (0..n).for_each(|i| rows[i * n + i] = 1.0);
            implicit_ql(&mut t.diagonal, &mut t.off, &mut rows, n);
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&i, &j| t.diagonal[j].total_cmp(&t.diagonal[i]));
            let values = order[..k].iter().map(|&i| t.diagonal[i]).collect();
            let mut vectors = Vec::with_capacity(k * n);
            for &i in &order[..k] {
                let mut vector = rows[i * n..(i + 1) * n].to_vec();
                t.reflect(a, &mut vector, n);
                vectors.extend_from_slice(&vector);
            }
            (values, vectors)
        },
    )
}

/// `a = Q T Qᵀ` with `Q` a product of reflections `1 - beta u uᵀ`, whose `u` lie in the lower rows of `a`.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `off[i]` couples `i` and `i + 1`.
    off: Vec<f64>,
    /// Factor of the reflection stored in row `i`, of length `i`.
    betas: Vec<f64>,
}

impl Tridiagonal {
    /// `vector = Q vector`.
    #[inline(always)]
    fn reflect(&self, a: &[f64], vector: &mut [f64], n: usize) {
        for i in 2..n {
            if self.betas[i] != 0.0 {
                let u = &a[i * n..i * n + i];
                let along = -self.betas[i] * dot(u, &vector[..i]);
                add_scaled(&mut vector[..i], along, u);
            }
        }
    }
}

/// Reflects row after row, from the last, onto its neighbour left of the diagonal.
#[inline(always)]
fn tridiagonalize(a: &mut [f64], n: usize) -> Tridiagonal {
    let mut off = vec![0.0; n.saturating_sub(1)];
    let mut betas = vec![0.0; n];
    let mut p = vec![0.0; n];
    for i in (2..n).rev() {
        let (block, row) = a.split_at_mut(i * n);
        let u = &mut row[..i];
        let last = u[i - 1];
        let rest = dot(&u[..i - 1], &u[..i - 1]);
        if rest == 0.0 {
            off[i - 1] = last;
            continue;
        }
        let norm = (rest + last * last).sqrt();
        // The sign that adds up, so that nothing cancels.
        let alpha = if last > 0.0 { -norm } else { norm };
        u[i - 1] = last - alpha;
        off[i - 1] = alpha;
        let beta = 2.0 / (rest + u[i - 1] * u[i - 1]);
        betas[i] = beta;
        // p = beta * block u, from the lower triangle alone: each row serves as row and as column.
        p[..i].fill(0.0);
        for r in 0..i {
            let part = &block[r * n..r * n + r];
            p[r] += dot(part, &u[..r]) + block[r * n + r] * u[r];
            add_scaled(&mut p[..r], u[r], part);
        }
        p[..i].iter_mut().for_each(|v| *v *= beta);
        let half = -0.5 * beta * dot(&p[..i], u);
        add_scaled(&mut p[..i], half, u);
        for r in 0..i {
            let part = &mut block[r * n..r * n + r + 1];
            let (ur, pr) = (-u[r], -p[r]);
            for ((v, &pj), &uj) in part.iter_mut().zip(&p[..=r]).zip(&u[..=r]) {
                *v = ur.mul_add(pj, pr.mul_add(uj, *v));
            }
        }
    }
    if n > 1 {
        off[0] = a[n];
    }
    Tridiagonal { diagonal: (0..n).map(|i| a[i * n + i]).collect(), off, betas }
}

/// Diagonalises; row `i` of `rows` becomes the eigenvector of `d[i]`, in terms of what the rows were.
#[inline(always)]
fn implicit_ql(d: &mut [f64], e: &mut [f64], rows: &mut [f64], n: usize) {
    for l in 0..n {
        for _ in 0..MAX_SWEEPS {
            // The block from l to m is not coupled to what follows.
            let negligible = |i: usize| e[i].abs() <= f64::EPSILON * (d[i].abs() + d[i + 1].abs());
            let m = (l..n - 1).find(|&i| negligible(i)).unwrap_or(n - 1);
            if m == l {
                break;
            }
            sweep(d, e, rows, n, l, m);
        }
    }
}

/// One implicitly shifted QL sweep over the block from `l` to `m`.
#[inline(always)]
fn sweep(d: &mut [f64], e: &mut [f64], rows: &mut [f64], n: usize, l: usize, m: usize) {
    let shift = (d[l + 1] - d[l]) / (2.0 * e[l]);
    let root = hypotenuse(shift, 1.0);
    let mut g = d[m] - d[l] + e[l] / (shift + if shift >= 0.0 { root } else { -root });
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    if m + 1 < n {
        e[m] = 0.0;
    }
    for i in (l..m).rev() {
        let f = s * e[i];
        let b = c * e[i];
        let r = hypotenuse(f, g);
        if i + 1 < m {
            e[i + 1] = r;
        }
        if r == 0.0 {
            // The block fell apart in the middle; the next sweep finds the seam.
            d[i + 1] -= p;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        let t = (d[i] - g) * s + 2.0 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        let (upper, lower) = rows[i * n..(i + 2) * n].split_at_mut(n);
        for (x, y) in upper.iter_mut().zip(lower) {
            let (old_x, old_y) = (*x, *y);
            *y = s.mul_add(old_x, c * old_y);
            *x = c.mul_add(old_x, -(s * old_y));
        }
    }
    d[l] -= p;
    e[l] = g;
}

/// `sqrt(a² + b²)` without overflow, from exactly rounded operations only.
#[inline(always)]
fn hypotenuse(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if large == 0.0 {
        return 0.0;
    }
    let ratio = small / large;
    large * (1.0 + ratio * ratio).sqrt()
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (heads, tails) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (rest_a, rest_b) = (heads.remainder(), tails.remainder());
    for (x, y) in heads.zip(tails) {
        for l in 0..LANES {
            sums[l] = x[l].mul_add(y[l], sums[l]);
        }
    }
    for (l, (x, y)) in rest_a.iter().zip(rest_b).enumerate() {
        sums[l] = x.mul_add(*y, sums[l]);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `a += factor * b`.
#[inline(always)]
fn add_scaled(a: &mut [f64], factor: f64, b: &[f64]) {
    for (x, y) in a.iter_mut().zip(b) {
        *x = factor.mul_add(*y, *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks `a v = λ v`, unit length and orthogonality for all pairs.
    fn check(a: &[f64], n: usize) -> Vec<f64> {
        let (values, vectors) = leading_eigenpairs(Arch::new(), &mut a.to_vec(), n, n);
        let scale = values.iter().fold(1e-300, |m: f64, v| m.max(v.abs()));
        for (i, &value) in values.iter().enumerate() {
            let v = &vectors[i * n..(i + 1) * n];
            for r in 0..n {
                let image: f64 = (0..n).map(|c| a[r.max(c) * n + r.min(c)] * v[c]).sum();
                assert!((image - value * v[r]).abs() <= 1e-13 * n as f64 * scale, "pair {i} of {n}");
            }
            for j in 0..=i {
                let w = &vectors[j * n..(j + 1) * n];
                let product: f64 = v.iter().zip(w).map(|(x, y)| x * y).sum();
                assert!(
                    (product - f64::from(u8::from(i == j))).abs() < 1e-13 * n as f64,
                    "{i} and {j} of {n}"
                );
            }
        }
        assert!(values.is_sorted_by(|a, b| a >= b));
        values
    }

    #[test]
    fn eigenvalues_of_the_second_difference_are_known() {
        for n in [1, 2, 3, 17, 64] {
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                a[i * n + i] = 2.0;
                if i > 0 {
                    a[i * n + i - 1] = -1.0;
                }
            }
            let values = check(&a, n);
            for (i, value) in values.iter().enumerate() {
                let angle = std::f64::consts::PI * (n - i) as f64 / (n + 1) as f64;
                assert!((value - (2.0 - 2.0 * libm::cos(angle))).abs() < 1e-13 * n as f64);
            }
        }
    }

    #[test]
    fn dense_matrices_are_diagonalised() {
        for n in [2, 5, 33, 90] {
            let a: Vec<f64> = (0..n * n).map(|i| ((i * 7919 + i / n * 31) % 113) as f64 - 56.0).collect();
            check(&a, n);
        }
    }

    #[test]
    fn every_processor_gives_the_same_bits() {
        let n = 61;
        let a: Vec<f64> = (0..n * n).map(|i| ((i * 7919 + i / n * 31) % 113) as f64 / 7.0 - 8.0).collect();
        let run = |arch| leading_eigenpairs(arch, &mut a.clone(), n, n);
        assert_eq!(run(Arch::new()), run(Arch::Scalar));
    }

    #[test]
    fn repeated_eigenvalues_and_zero_matrices_are_no_problem() {
        let n = 40;
        check(&vec![0.0; n * n], n);
        // Rank 3: ones in three diagonal blocks.
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                a[i * n + j] = f64::from(u8::from(i % 3 == j % 3));
            }
        }
        let values = check(&a, n);
        assert!(
            (values[0] - 14.0).abs() < 1e-12 && (values[2] - 13.0).abs() < 1e-12 && values[3].abs() < 1e-12
        );
    }

    #[test]
    fn tiny_and_huge_entries_neither_vanish_nor_overflow() {
        for scale in [1e-150, 1e150] {
            let values = check(&[2.0 * scale, 0.0, scale, 2.0 * scale], 2);
            assert!((values[0] / scale - 3.0).abs() < 1e-14 && (values[1] / scale - 1.0).abs() < 1e-14);
        }
    }
}
