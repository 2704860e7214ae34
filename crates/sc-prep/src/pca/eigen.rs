//! The leading eigenpairs of `Xᵀ X` or `X Xᵀ`, to a stated residual.
//!
//! The components of single-cell data beyond the first dozen differ little in variance, which is what a Krylov method
//! finds hard. Two things help: nothing is thrown away until the basis is large, and once a first small basis has told
//! how large the wanted eigenvalues are, the operator is replaced by a Chebyshev polynomial of itself that keeps its
//! eigenvectors, flattens the unwanted eigenvalues and spreads the wanted ones. A sparse product is cheap beside the
//! orthogonalisation it saves.

use pulp::Arch;

use crate::vectorized::vectorized;

use super::block::{Block, Lane, WIDTH, combine, gram};
use super::krylov::{Krylov, Ritz, coefficients};
use super::symmetric;

/// What is wanted, and of what.
pub(crate) struct Problem {
    /// Length of the vectors.
    pub(crate) dim: usize,
    /// Values that one product reads; decides whether products or orthogonalisation cost more.
    pub(crate) nnz: usize,
    pub(crate) k: usize,
    /// A pair is accepted when `‖A v - λ v‖ ≤ tolerance · max(λ, λ₁ / 1000)`.
    pub(crate) tolerance: f64,
    pub(crate) seed: u64,
}

/// Eigenvalues, descending, and their vectors, eight to a block; surplus vectors of the last block are zero.
pub(crate) struct Eigenpairs {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Vec<Block>,
}

/// The best residual reached, and products spent on it.
#[derive(Debug)]
pub(crate) struct Stalled {
    pub(crate) products: usize,
    pub(crate) residual: f64,
}

/// Up to this size the whole matrix is written out and diagonalised.
const DENSE: usize = 300;

/// Products of a block that may be spent.
const MAX_PRODUCTS: usize = 20_000;

/// The operator, and how often it was used.
struct Operator<F> {
    arch: Arch,
    apply: F,
    products: usize,
}

impl<F: FnMut(&[Lane]) -> Block> Operator<F> {
    fn apply(&mut self, q: &[Lane]) -> Block {
        self.products += 1;
        (self.apply)(q)
    }
}

impl Problem {
    /// Solves it; `apply` multiplies a block by the operator.
    pub(crate) fn solve(
        &self,
        arch: Arch,
        apply: impl FnMut(&[Lane]) -> Block,
    ) -> Result<Eigenpairs, Stalled> {
        let mut operator = Operator { arch, apply, products: 0 };
        let result = if self.dim <= DENSE || 5 * self.k >= self.dim {
            Ok(self.solve_dense(&mut operator))
        } else {
            self.iterate(&mut operator)
        };
        let products = operator.products;
        tracing::debug!(products, dim = self.dim, k = self.k, "leading eigenpairs");
        result.map_err(|residual| Stalled { products, residual })
    }

    fn solve_dense(&self, operator: &mut Operator<impl FnMut(&[Lane]) -> Block>) -> Eigenpairs {
        let n = self.dim;
        let mut a = vec![0.0; n * n];
        for first in (0..n).step_by(WIDTH) {
            let columns = WIDTH.min(n - first);
            let mut unit = vec![Lane::ZERO; n];
            (0..columns).for_each(|l| unit[first + l].0[l] = 1.0);
            for (row, lane) in operator.apply(&unit).iter().enumerate() {
                a[row * n + first..][..columns].copy_from_slice(&lane.0[..columns]);
            }
        }
        let (values, rows) = symmetric::leading_eigenpairs(operator.arch, &mut a, n, self.k);
        let vectors = rows.chunks(WIDTH * n).map(|rows| interleave(rows, n)).collect();
        Eigenpairs { values, vectors }
    }

    /// The pairs, or the smallest residual reached.
    fn iterate(&self, operator: &mut Operator<impl FnMut(&[Lane]) -> Block>) -> Result<Eigenpairs, f64> {
        // Whole blocks of pairs; the surplus ones are carried along, but need not converge.
        let wanted = self.k.next_multiple_of(WIDTH);
        let cap = (16 * self.k + 200).min(self.dim - WIDTH) / WIDTH * WIDTH;
        let mut krylov = Krylov::random(operator.arch, self.dim, self.seed);
        let mut check = (2 * self.k + 60).next_multiple_of(WIDTH).min(cap);
        while krylov.len() < check {
            krylov.step(&mut |q: &[Lane]| operator.apply(q));
        }
        let ritz = krylov.ritz(wanted);
        let filter = self.choose_filter(&ritz);
        if filter.degree > 1 {
            krylov = Krylov::from_start(operator.arch, sum(krylov.vectors(&ritz)), self.seed, krylov.drawn());
            // About as large as the basis has to be in the end: it is looked at for the first time then.
            check = (2 * self.k + 6 * self.k / filter.degree).next_multiple_of(WIDTH).min(cap);
        }
        let mut best = f64::INFINITY;
        loop {
            while krylov.len() < check {
                krylov.step(&mut |q: &[Lane]| filter.apply(q, operator));
            }
            let ritz = krylov.ritz(wanted);
            if self.has_converged(&ritz, &filter) {
                let (pairs, residual) = self.refine(&krylov.vectors(&ritz), operator);
                if residual <= self.tolerance {
                    return Ok(pairs);
                }
                best = best.min(residual);
            }
            if operator.products >= MAX_PRODUCTS {
                return Err(best);
            }
            if krylov.len() >= cap {
                krylov.restart(&krylov.ritz(wanted + 2 * WIDTH));
            }
            // The more a look costs beside a step, the fewer.
            let growth = if filter.degree > 1 { krylov.len() / 8 } else { krylov.len() / 4 };
            check = (krylov.len() + growth.max(2 * WIDTH)).next_multiple_of(WIDTH).min(cap);
        }
    }

    /// Whether the first `k` pairs are accurate enough to be looked at in full.
    fn has_converged(&self, ritz: &Ritz, filter: &Filter) -> bool {
        let largest = ritz.values[0];
        let scale = |value: f64| match filter.degree {
            1 => value.max(largest / 1000.0),
            // Unwanted eigenvalues lie between -1 and 1; an error there counts for less where the value is larger.
            _ => value - 1.0,
        };
        let mut pairs = ritz.values.iter().zip(&ritz.residuals).take(self.k);
        pairs.all(|(&value, &residual)| residual <= self.tolerance * scale(value))
    }

    /// The eigenpairs of the operator itself within the span of `vectors`, and the largest relative residual.
    fn refine(
        &self,
        vectors: &[Block],
        operator: &mut Operator<impl FnMut(&[Lane]) -> Block>,
    ) -> (Eigenpairs, f64) {
        let arch = operator.arch;
        let m = vectors.len() * WIDTH;
        let images: Vec<Block> = vectors.iter().map(|v| operator.apply(v)).collect();
        let mut a = vec![0.0; m * m];
        for (c, image) in images.iter().enumerate() {
            for (b, vector) in vectors.iter().enumerate().skip(c) {
                for (i, lane) in gram(arch, vector, image).iter().enumerate() {
                    let at = (b * WIDTH + i) * m + c * WIDTH;
                    a[at..at + WIDTH].copy_from_slice(&lane.0);
                }
            }
        }
        let (values, rows) = symmetric::leading_eigenpairs(arch, &mut a, m, self.k);
        let rotate = |blocks: &[Block]| -> Vec<Block> {
            rows.chunks(WIDTH * m).map(|rows| combine(arch, blocks, &coefficients(rows, m))).collect()
        };
        let (vectors, images) = (rotate(vectors), rotate(&images));
        let floor = values[0] / 1000.0;
        let mut worst: f64 = 0.0;
        for (i, &value) in values.iter().enumerate() {
            let (vector, image) = (&vectors[i / WIDTH], &images[i / WIDTH]);
            let square = |(v, w): (&Lane, &Lane)| (w.0[i % WIDTH] - value * v.0[i % WIDTH]).powi(2);
            let residual = vector.iter().zip(image).map(square).sum::<f64>().sqrt();
            if residual > 0.0 {
                worst = worst.max(residual / value.max(floor));
            }
        }
        (Eigenpairs { values, vectors }, worst)
    }

    /// The polynomial to go on with, once `ritz` tells how large the eigenvalues are.
    fn choose_filter(&self, ritz: &Ritz) -> Filter {
        // A higher degree means more products, each over `nnz` values, and less orthogonalisation, of vectors of length
        // `dim`. On many cells the products decide.
        let highest = match self.nnz / self.dim {
            0..1000 => 4,
            1000..10_000 => 2,
            _ => 1,
        };
        if highest == 1 || self.has_converged(ritz, &Filter::NONE) {
            return Filter::NONE;
        }
        // A Ritz value is never above its eigenvalue, so that all wanted eigenvalues lie above this edge.
        let edge = 0.95 * ritz.values[self.k - 1];
        // The largest eigenvalue, filtered, sets the size of rounding errors; the smallest wanted one stays near 1.
        const RANGE: f64 = 1e7;
        let fits = |degree: &usize| chebyshev(*degree, 2.0 * ritz.values[0] / edge - 1.0) <= RANGE;
        (2..=highest).rev().find(fits).map_or(Filter::NONE, |degree| Filter { degree, edge })
    }
}

/// A Chebyshev polynomial of the operator: between -1 and 1 for eigenvalues from 0 to `edge`, growing fast above.
#[derive(Clone, Copy)]
struct Filter {
    degree: usize,
    edge: f64,
}

impl Filter {
    /// The operator itself.
    const NONE: Self = Self { degree: 1, edge: 0.0 };

    fn apply(&self, q: &[Lane], operator: &mut Operator<impl FnMut(&[Lane]) -> Block>) -> Block {
        let arch = operator.arch;
        let mut current = operator.apply(q);
        if self.degree == 1 {
            return current;
        }
        // t1 = (2 / edge) A q - q, then t = 2 ((2 / edge) A - 1) t1 - t0.
        let scale = 2.0 / self.edge;
        combine_three(arch, &mut current, scale, 1.0, q, 0.0, q);
        let mut previous = q.to_vec();
        for _ in 1..self.degree {
            let mut next = operator.apply(&current);
            combine_three(arch, &mut next, 2.0 * scale, 2.0, &current, 1.0, &previous);
            previous = std::mem::replace(&mut current, next);
        }
        current
    }
}

/// `a = scale a - s b - t c`.
fn combine_three(arch: Arch, a: &mut [Lane], scale: f64, s: f64, b: &[Lane], t: f64, c: &[Lane]) {
    vectorized(
        arch,
        #[inline(always)]
        || {
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                for l in 0..WIDTH {
                    a.0[l] = scale.mul_add(a.0[l], (-s).mul_add(b.0[l], -t * c.0[l]));
                }
            }
        },
    );
}

/// The Chebyshev polynomial of `degree` at `x`.
fn chebyshev(degree: usize, x: f64) -> f64 {
    let (mut previous, mut current) = (1.0, x);
    for _ in 1..degree {
        (previous, current) = (current, 2.0 * x * current - previous);
    }
    current
}

/// The sum of some blocks, vector by vector.
fn sum(blocks: Vec<Block>) -> Block {
    let mut blocks = blocks.into_iter();
    let mut sum = blocks.next().unwrap_or_default();
    for block in blocks {
        sum.iter_mut().zip(&block).for_each(|(s, b)| s.add(b));
    }
    sum
}

/// Vectors one after another, as a block; missing ones are zero.
fn interleave(rows: &[f64], n: usize) -> Block {
    let mut block = vec![Lane::ZERO; n];
    for (l, row) in rows.chunks_exact(n).enumerate() {
        block.iter_mut().zip(row).for_each(|(lane, &v)| lane.0[l] = v);
    }
    block
}
