//! The largest eigenpairs of a sparse symmetric matrix.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::connectivities::Graph;

/// Eigenvalues, and their vectors one after the other.
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<f64>,
}

/// The residual at which a pair has converged, for matrices of norm 1.
const TOLERANCE: f64 = 1e-11;

/// The `k` eigenpairs of the largest absolute value, by Lanczos' method with full reorthogonalisation (the start is
/// drawn from `seed`); all of them if `k` is the size of the matrix. Values descend by absolute value.
///
/// Where a symmetry of the graph gives a value several vectors, one of them is found before the others, as in ARPACK.
pub(super) fn largest(matrix: &Graph, k: usize, seed: u64) -> Eigen {
    let n = matrix.n_cells();
    let k = k.min(n);
    let mut lanczos = Lanczos::new(matrix, seed);
    let mut steps = n.min(2 * k + 20);
    loop {
        lanczos.extend(steps);
        let (last, order) = lanczos.tridiagonal(k);
        let residual = |&i: &usize| (lanczos.last_off_diagonal * last[i]).abs() <= TOLERANCE;
        if steps == n || order.iter().all(residual) {
            return lanczos.ritz(k);
        }
        steps = n.min(steps + k.max(20));
    }
}

struct Lanczos<'a> {
    matrix: &'a Graph,
    rng: ChaCha8Rng,
    /// Orthonormal vectors, one after the other.
    basis: Vec<f64>,
    diagonal: Vec<f64>,
    /// Between a basis vector and the one before it; the first is 0.
    off_diagonal: Vec<f64>,
    /// Between the last basis vector and the next, which is not there yet.
    last_off_diagonal: f64,
    next: Vec<f64>,
}

impl<'a> Lanczos<'a> {
    fn new(matrix: &'a Graph, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let (basis, diagonal, off_diagonal) = (Vec::new(), Vec::new(), Vec::new());
        let mut lanczos =
            Self { matrix, rng, basis, diagonal, off_diagonal, last_off_diagonal: 0.0, next: Vec::new() };
        lanczos.restart();
        lanczos
    }

    /// Takes a random direction that is orthogonal to the basis.
    fn restart(&mut self) {
        let n = self.matrix.n_cells();
        loop {
            self.next = (0..n).map(|_| f64::from(self.rng.next_u32() >> 8) / 16_777_216.0 - 0.5).collect();
            let before = norm(&self.next);
            orthogonalise(&self.basis, &mut self.next);
            let after = norm(&self.next);
            if after > 1e-8 * before {
                self.next.iter_mut().for_each(|v| *v /= after);
                return;
            }
        }
    }

    /// Lets the basis grow to `steps` vectors, at most the size of the matrix.
    fn extend(&mut self, steps: usize) {
        while self.diagonal.len() < steps {
            self.off_diagonal.push(self.last_off_diagonal);
            let n = self.next.len();
            self.basis.extend_from_slice(&self.next);
            let own = &self.basis[self.basis.len() - n..];
            let mut product = vec![0.0; n];
            for (row, product) in product.iter_mut().enumerate() {
                *product = self.matrix.row(row).map(|(column, weight)| weight * own[column]).sum();
            }
            self.diagonal.push(dot(own, &product));
            orthogonalise(&self.basis, &mut product);
            let length = norm(&product);
            if self.diagonal.len() == n {
                self.last_off_diagonal = 0.0;
            } else if length > 1e-13 {
                self.last_off_diagonal = length;
                product.iter_mut().for_each(|v| *v /= length);
                self.next = product;
            } else {
                // An invariant subspace: the rest of the spectrum is elsewhere.
                self.last_off_diagonal = 0.0;
                self.restart();
            }
        }
    }

    /// The last entry of each vector of the tridiagonal matrix, and the places of the `k` largest eigenvalues.
    fn tridiagonal(&self, k: usize) -> (Vec<f64>, Vec<usize>) {
        let m = self.diagonal.len();
        let mut last = vec![0.0; m];
        last[m - 1] = 1.0;
        let mut values = self.diagonal.clone();
        implicit_ql(&mut values, &mut self.off_diagonal.clone(), &mut last, 1);
        let order = by_magnitude(&values, k);
        (last, order)
    }

    /// The `k` largest eigenpairs in the full space.
    fn ritz(&self, k: usize) -> Eigen {
        let (m, n) = (self.diagonal.len(), self.matrix.n_cells());
        // Vectors of the tridiagonal matrix as rows.
        let mut small = vec![0.0; m * m];
        (0..m).for_each(|i| small[i * m + i] = 1.0);
        let mut values = self.diagonal.clone();
        implicit_ql(&mut values, &mut self.off_diagonal.clone(), &mut small, m);
        let order = by_magnitude(&values, k);
        let mut vectors = vec![0.0; k * n];
        for (&i, vector) in order.iter().zip(vectors.chunks_exact_mut(n)) {
            for (&share, basis) in small[i * m..(i + 1) * m].iter().zip(self.basis.chunks_exact(n)) {
                vector.iter_mut().zip(basis).for_each(|(v, b)| *v += share * b);
            }
        }
        Eigen { values: order.iter().map(|&i| values[i]).collect(), vectors }
    }
}

/// Places of the `k` values of the largest magnitude, the larger first; ties by value, then by place.
fn by_magnitude(values: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        let magnitude = values[b].abs().total_cmp(&values[a].abs());
        magnitude.then(values[b].total_cmp(&values[a])).then(a.cmp(&b))
    });
    order.truncate(k);
    order
}

/// Takes out of `vector` what lies in the basis, twice, since rounding leaves some of it the first time.
fn orthogonalise(basis: &[f64], vector: &mut [f64]) {
    for _ in 0..2 {
        for other in basis.chunks_exact(vector.len()) {
            let share = dot(other, vector);
            vector.iter_mut().zip(other).for_each(|(v, o)| *v -= share * o);
        }
    }
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Scalar product, over eight partial sums whatever the width of the machine's registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_rest, b_rest) = (a.chunks_exact(8).remainder(), b.chunks_exact(8).remainder());
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Diagonalises a symmetric tridiagonal matrix by the implicit QL method (Dubrulle, Martin and Wilkinson 1968).
///
/// * `diagonal`: overwritten by the eigenvalues, in no order; `off_diagonal[i]` couples `i - 1` and `i`.
/// * `vectors`: a row of `width` values per eigenvalue, starting as columns of the identity. Row `i` becomes the entries
///   of eigenvector `i`; with a width of 1, that is one entry of each.
fn implicit_ql(diagonal: &mut [f64], off_diagonal: &mut [f64], vectors: &mut [f64], width: usize) {
    let n = diagonal.len();
    off_diagonal.rotate_left(1);
    off_diagonal[n - 1] = 0.0;
    for l in 0..n {
        // Convergence is cubic; the bound only keeps a NaN from looping.
        for _ in 0..200 {
            let split = (l..n - 1).find(|&m| {
                let scale = diagonal[m].abs() + diagonal[m + 1].abs();
                off_diagonal[m].abs() <= f64::EPSILON * scale
            });
            let m = split.unwrap_or(n - 1);
            if m == l {
                break;
            }
            let mut g = (diagonal[l + 1] - diagonal[l]) / (2.0 * off_diagonal[l]);
            let mut r = (g * g + 1.0).sqrt();
            g = diagonal[m] - diagonal[l] + off_diagonal[l] / (g + if g >= 0.0 { r } else { -r });
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut deflated = false;
            for i in (l..m).rev() {
                let f = s * off_diagonal[i];
                let b = c * off_diagonal[i];
                r = (f * f + g * g).sqrt();
                off_diagonal[i + 1] = r;
                if r == 0.0 {
                    diagonal[i + 1] -= p;
                    off_diagonal[m] = 0.0;
                    deflated = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = diagonal[i + 1] - p;
                r = (diagonal[i] - g) * s + 2.0 * c * b;
                p = s * r;
                diagonal[i + 1] = g + p;
                g = c * r - b;
                let (low, high) = vectors[i * width..(i + 2) * width].split_at_mut(width);
                for (low, high) in low.iter_mut().zip(high) {
                    let f = *high;
                    *high = s * *low + c * f;
                    *low = c * *low - s * f;
                }
            }
            if !deflated {
                diagonal[l] -= p;
                off_diagonal[l] = g;
                off_diagonal[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A circle with uneven weights.
    fn circle(n: usize) -> Graph {
        let weight = |a: usize, b: usize| 0.3 + ((a * b) % 7) as f64 * 0.02;
        let mut graph = Graph { start: vec![0], column: Vec::new(), weight: Vec::new() };
        for i in 0..n {
            for j in [(i + n - 1) % n, (i + 1) % n] {
                graph.column.push(j as u32);
                graph.weight.push(weight(i, j));
            }
            graph.start.push(graph.column.len());
        }
        graph
    }

    #[test]
    fn pairs_satisfy_their_equation_and_are_orthonormal() {
        for (n, k) in [(60, 60), (60, 7), (400, 10)] {
            let graph = circle(n);
            let eigen = largest(&graph, k, 3);
            assert!(eigen.values.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()));
            for (i, (value, v)) in eigen.values.iter().zip(eigen.vectors.chunks_exact(n)).enumerate() {
                for row in 0..n {
                    let product: f64 = graph.row(row).map(|(j, w)| w * v[j]).sum();
                    assert!((product - value * v[row]).abs() < 1e-10, "{n} {k} {i}");
                }
                for (j, w) in eigen.vectors.chunks_exact(n).enumerate() {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot(v, w) - expected).abs() < 1e-10, "{n} {k} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn the_largest_of_a_few_are_the_largest_of_all() {
        // Not a multiple of the period of the weights, so that no symmetry makes two values equal.
        let graph = circle(89);
        let (all, few) = (largest(&graph, 89, 0), largest(&graph, 6, 1));
        assert!(few.values.iter().zip(&all.values).all(|(a, b)| (a - b).abs() < 1e-12));
        let trace: f64 = all.values.iter().sum();
        assert!(trace.abs() < 1e-12, "the diagonal is zero: {trace}");
    }
}
