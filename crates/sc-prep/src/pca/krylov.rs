//! Block Lanczos with full reorthogonalisation: the leading eigenpairs of an operator that is symmetric and has no
//! negative eigenvalue.

use pulp::Arch;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::block::{Block, Lane, Square, WIDTH, combine, multiply, orthonormalize, project_out};
use super::symmetric;

/// Relative to the largest product seen, the length below which a new direction is rounding error.
const ROUNDING: f64 = 1e-13;

/// An orthonormal basis that grows by one block a step, and the operator seen through it.
pub(crate) struct Krylov {
    arch: Arch,
    seed: u64,
    /// Blocks of random vectors drawn so far; each has a stream of its own.
    drawn: u64,
    basis: Vec<Block>,
    /// Column `c` of the operator in the basis: its products with blocks `0..=c`.
    columns: Vec<Vec<Square>>,
    /// The block that the basis grows by next, orthonormal to it.
    next: Block,
    /// The operator takes the last block of the basis out of the basis by `next · coupling`.
    coupling: Square,
    /// Blocks at the front that a step may couple to besides the last two: after a restart, all of them.
    coupled: usize,
    /// The largest norm of a product so far.
    scale: f64,
}

/// Approximate eigenpairs.
pub(crate) struct Ritz {
    pub(crate) values: Vec<f64>,
    /// Coefficients in the basis, one row per pair.
    rows: Vec<f64>,
    /// Norm of `A v - value v`.
    pub(crate) residuals: Vec<f64>,
}

impl Krylov {
    /// A basis of nothing, to be filled with [`Krylov::append`].
    pub(crate) fn empty(arch: Arch, seed: u64) -> Self {
        Self {
            arch,
            seed,
            drawn: 0,
            basis: Vec::new(),
            columns: Vec::new(),
            next: Vec::new(),
            coupling: [Lane::ZERO; WIDTH],
            coupled: 0,
            scale: 0.0,
        }
    }

    /// Adds the directions of `block` that are new, one after another; where one is not, a random one takes its place.
    pub(crate) fn append(&mut self, mut block: Block) {
        self.scale = self.scale.max(longest(&block));
        for _ in 0..2 {
            project_out(self.arch, &self.basis, &mut block);
        }
        self.set_next(block, 1e-9 * self.scale);
        self.basis.push(std::mem::take(&mut self.next));
    }

    /// The basis.
    pub(crate) fn into_blocks(self) -> Vec<Block> {
        self.basis
    }

    /// Starts from a block of random vectors of length `dim`.
    pub(crate) fn random(arch: Arch, dim: usize, seed: u64) -> Self {
        Self::from_start(arch, vec![Lane::ZERO; dim], seed, 0)
    }

    /// Starts from the vectors of `start`, in place of which random ones step in where they are not independent.
    pub(crate) fn from_start(arch: Arch, start: Block, seed: u64, drawn: u64) -> Self {
        let mut krylov = Self { drawn, ..Self::empty(arch, seed) };
        krylov.set_next(start, ROUNDING);
        krylov
    }

    /// Blocks of random vectors drawn so far.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Vectors in the basis.
    pub(crate) fn len(&self) -> usize {
        self.basis.len() * WIDTH
    }

    /// Grows the basis by one block; `apply` is the operator.
    pub(crate) fn step(&mut self, apply: &mut impl FnMut(&[Lane]) -> Block) {
        let mut w = apply(&self.next);
        self.basis.push(std::mem::take(&mut self.next));
        self.scale = self.scale.max(longest(&w));
        // The exact recurrence couples to few blocks; taking those out first leaves the pass over all of them only
        // rounding errors to remove, so that one such pass is enough.
        let n = self.basis.len();
        let mut column = vec![[Lane::ZERO; WIDTH]; n];
        let recent = n.saturating_sub(2);
        for near in [0..self.coupled.min(recent), recent..n, 0..n] {
            let parts = project_out(self.arch, &self.basis[near.clone()], &mut w);
            for (sum, part) in column[near].iter_mut().zip(parts) {
                sum.iter_mut().zip(&part).for_each(|(s, p)| s.add(p));
            }
        }
        self.coupled = 0;
        self.columns.push(column);
        self.set_next(w, ROUNDING * self.scale);
    }

    /// Makes `w` orthonormal; where it has lost a direction, a random one takes its place, without coupling.
    fn set_next(&mut self, mut w: Block, threshold: f64) {
        let mut coupling = orthonormalize(self.arch, &mut w, threshold);
        // Twice: a random vector that falls into the basis almost entirely has to be drawn again.
        for _ in 0..2 {
            let lost: Vec<usize> = (0..WIDTH).filter(|&l| w.iter().all(|lane| lane.0[l] == 0.0)).collect();
            if lost.is_empty() {
                break;
            }
            self.draw(&mut w, &lost);
            for _ in 0..2 {
                project_out(self.arch, &self.basis, &mut w);
            }
            let again = orthonormalize(self.arch, &mut w, 1e-8);
            coupling = multiply(self.arch, &again, &coupling);
        }
        self.next = w;
        self.coupling = coupling;
    }

    /// Fills the vectors `lost` of `w` with uniform numbers from -1 to 1.
    fn draw(&mut self, w: &mut [Lane], lost: &[usize]) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.drawn);
        self.drawn += 1;
        for lane in w {
            for &l in lost {
                // The upper 53 bits, as a fraction.
                lane.0[l] = (rng.next_u64() >> 11) as f64 * (2.0 / (1u64 << 53) as f64) - 1.0;
            }
        }
    }

    /// The `k` largest eigenpairs that the basis can express.
    pub(crate) fn ritz(&self, k: usize) -> Ritz {
        let m = self.len();
        let mut a = vec![0.0; m * m];
        for (c, column) in self.columns.iter().enumerate() {
            for (b, square) in column.iter().enumerate() {
                for (i, lane) in square.iter().enumerate() {
                    for (j, &v) in lane.0.iter().enumerate() {
                        // Lower triangle: the row is the later of the two.
                        let (row, col) = (c * WIDTH + j, b * WIDTH + i);
                        if row >= col {
                            a[row * m + col] = v;
                        }
                    }
                }
            }
        }
        let (values, rows) = symmetric::leading_eigenpairs(self.arch, &mut a, m, k.min(m));
        let residual = |row: &[f64]| {
            let last = &row[m - WIDTH..];
            let image = self.coupling.iter().map(|r| r.0.iter().zip(last).map(|(r, s)| r * s).sum::<f64>());
            image.map(|v| v * v).sum::<f64>().sqrt()
        };
        let residuals = rows.chunks_exact(m).map(residual).collect();
        Ritz { values, rows, residuals }
    }

    /// The vectors of `ritz`, eight to a block; the last block is filled up with zero vectors.
    pub(crate) fn vectors(&self, ritz: &Ritz) -> Vec<Block> {
        let m = self.len();
        let groups: Vec<&[f64]> = ritz.rows.chunks(WIDTH * m).collect();
        groups.iter().map(|rows| combine(self.arch, &self.basis, &coefficients(rows, m))).collect()
    }

    /// Keeps only the span of the vectors of `ritz`, a multiple of eight of them, and goes on from there.
    pub(crate) fn restart(&mut self, ritz: &Ritz) {
        assert_eq!(ritz.values.len() % WIDTH, 0, "whole blocks");
        self.basis = self.vectors(ritz);
        self.columns = (0..self.basis.len())
            .map(|b| {
                let mut column = vec![[Lane::ZERO; WIDTH]; b + 1];
                (0..WIDTH).for_each(|l| column[b][l].0[l] = ritz.values[b * WIDTH + l]);
                column
            })
            .collect();
        self.coupled = self.basis.len();
    }
}

/// Rows of coefficients, one per vector wanted, as squares, one per block of the basis.
pub(crate) fn coefficients(rows: &[f64], m: usize) -> Vec<Square> {
    let mut squares = vec![[Lane::ZERO; WIDTH]; m / WIDTH];
    for (l, row) in rows.chunks_exact(m).enumerate() {
        row.iter().enumerate().for_each(|(at, &v)| squares[at / WIDTH][at % WIDTH].0[l] = v);
    }
    squares
}

/// Length of the longest vector of a block.
fn longest(w: &[Lane]) -> f64 {
    let mut squares = Lane::ZERO;
    for lane in w {
        (0..WIDTH).for_each(|l| squares.0[l] += lane.0[l] * lane.0[l]);
    }
    squares.0.iter().fold(0.0, |most: f64, &v| most.max(v)).sqrt()
}
