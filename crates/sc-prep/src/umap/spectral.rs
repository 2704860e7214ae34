//! The smoothest vectors on a connected graph: eigenvectors of its normalised Laplacian with the smallest eigenvalues.
//!
//! They are the eigenvectors of `D^-1/2 W D^-1/2` with the largest ones. A block of vectors is filtered by a Chebyshev
//! polynomial that damps the rest of the spectrum, then rotated to eigenvectors within the block; matrix products are
//! nearly all of the work, and rows are independent of one another.

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::graph::KeptEdges;
use super::jacobi::eigen;
use super::random::symmetric;

/// Vectors of the block. More than are asked for: the filter's cut lies at the last one, far from the first.
const P: usize = 8;

/// Rows that one task multiplies. Fixed, though no result depends on it.
const CHUNK: usize = 512;

/// Degree of the filter.
const DEGREE: usize = 30;

/// Residual at which a vector is done; that of umap-learn's solver.
const TOLERANCE: f64 = 1e-4;

/// Filters at most; then the best found has to do, as it is only where the layout starts.
const MAX_FILTERS: usize = 40;

type Block = Vec<[f64; P]>;

/// `D^-1/2 W D^-1/2` of one connected component.
struct Normalized {
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
    /// The known eigenvector of eigenvalue 1: square roots of the degrees, normalised.
    constant: Vec<f64>,
}

/// The `D` smoothest vectors that are orthogonal to the constant one; `None` if the component has no `D` of them.
///
/// * `cells`: the cells of one connected component, ascending.
pub(super) fn smoothest<const D: usize>(
    edges: &KeptEdges,
    cells: &[u32],
    rng: &mut ChaCha8Rng,
) -> Option<Vec<[f64; D]>> {
    const { assert!(D < P) };
    if cells.len() <= D + 1 {
        return None;
    }
    let m = Normalized::new(edges, cells);
    let mut x: Block = cells.iter().map(|_| std::array::from_fn(|_| symmetric(rng))).collect();
    for filters in 0..=MAX_FILTERS {
        let is_null = m.orthonormalize(&mut x);
        let (values, residuals) = m.rotate(&mut x, &is_null);
        if filters == MAX_FILTERS || residuals[..D].iter().all(|&r| r < TOLERANCE) {
            break;
        }
        // Below -1/2 the polynomial would grow without need.
        x = m.filter(x, values[P - 1].clamp(-0.5, 0.999_999));
    }
    let mut vectors: Vec<[f64; D]> = x.iter().map(|row| std::array::from_fn(|d| row[d])).collect();
    for d in 0..D {
        // Of the two directions, the one in which the largest entry is positive.
        let largest = vectors.iter().map(|v| v[d]).fold(0f64, |l, v| if v.abs() > l.abs() { v } else { l });
        if largest < 0.0 {
            vectors.iter_mut().for_each(|v| v[d] = -v[d]);
        }
    }
    Some(vectors)
}

impl Normalized {
    fn new(edges: &KeptEdges, cells: &[u32]) -> Self {
        let root_degree: Vec<f64> = cells
            .iter()
            .map(|&i| edges.row(i as usize).1.iter().map(|&w| f64::from(w)).sum::<f64>().sqrt())
            .collect();
        let (mut starts, mut entries) = (vec![0], Vec::new());
        for (&i, own) in cells.iter().zip(&root_degree) {
            let (tails, weights) = edges.row(i as usize);
            for (tail, &w) in tails.iter().zip(weights) {
                let j = cells.binary_search(tail).expect("an edge stays within its component");
                entries.push((j as u32, f64::from(w) / (own * root_degree[j])));
            }
            starts.push(entries.len());
        }
        let norm = root_degree.iter().map(|d| d * d).sum::<f64>().sqrt();
        let constant = root_degree.iter().map(|d| d / norm).collect();
        Self { starts, entries, constant }
    }

    /// `out = alpha (M x - center x) - beta before`, where `out` holds `before` on entry.
    fn apply(&self, x: &Block, center: f64, alpha: f64, beta: f64, out: &mut Block) {
        out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
            for (within, out) in out.iter_mut().enumerate() {
                let i = chunk * CHUNK + within;
                let mut sum = [0f64; P];
                for &(j, w) in &self.entries[self.starts[i]..self.starts[i + 1]] {
                    let row = &x[j as usize];
                    for p in 0..P {
                        sum[p] += w * row[p];
                    }
                }
                for p in 0..P {
                    out[p] = alpha * (sum[p] - center * x[i][p]) - beta * out[p];
                }
            }
        });
    }

    /// The Chebyshev polynomial that stays within ±1 on `[-1, cut]` and grows above.
    fn filter(&self, x: Block, cut: f64) -> Block {
        let (center, half) = ((cut - 1.0) / 2.0, (cut + 1.0) / 2.0);
        let mut before = x;
        let mut now = vec![[0f64; P]; before.len()];
        self.apply(&before, center, 1.0 / half, 0.0, &mut now);
        for degree in 1..DEGREE {
            self.apply(&now, center, 2.0 / half, 1.0, &mut before);
            std::mem::swap(&mut before, &mut now);
            if degree % 6 == 0 {
                // The constant vector grows fastest of all: what rounding brings in of it must not take over.
                self.remove_constant(&mut before);
                self.remove_constant(&mut now);
            }
        }
        now
    }

    fn remove_constant(&self, x: &mut Block) {
        let mut along = [0f64; P];
        for (row, &c) in x.iter().zip(&self.constant) {
            for p in 0..P {
                along[p] += c * row[p];
            }
        }
        for (row, &c) in x.iter_mut().zip(&self.constant) {
            for p in 0..P {
                row[p] -= c * along[p];
            }
        }
    }

    /// Makes the columns orthonormal, and orthogonal to the constant vector. Columns that turn out to depend on the
    /// ones before become zero and are reported.
    fn orthonormalize(&self, x: &mut Block) -> [bool; P] {
        let mut is_null = [false; P];
        for p in 0..P {
            let mut length = x.iter().map(|row| row[p] * row[p]).sum::<f64>().sqrt();
            // Twice is enough: the second pass removes what rounding left of the first.
            for _ in 0..2 {
                let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
                x.iter_mut().for_each(|row| row[p] *= scale);
                let mut dots = [0f64; P];
                let mut along = 0f64;
                for (row, &c) in x.iter().zip(&self.constant) {
                    for q in 0..p {
                        dots[q] += row[q] * row[p];
                    }
                    along += c * row[p];
                }
                for (row, &c) in x.iter_mut().zip(&self.constant) {
                    let mut value = row[p] - along * c;
                    for q in 0..p {
                        value -= dots[q] * row[q];
                    }
                    row[p] = value;
                }
                length = x.iter().map(|row| row[p] * row[p]).sum::<f64>().sqrt();
                if length < 1e-12 {
                    break;
                }
            }
            is_null[p] = length < 1e-12;
            let scale = if is_null[p] { 0.0 } else { 1.0 / length };
            x.iter_mut().for_each(|row| row[p] *= scale);
        }
        is_null
    }

    /// Rotates an orthonormal block to the eigenvectors within it, the largest eigenvalue first. Returns the
    /// eigenvalues and the lengths of `M v - value v`.
    fn rotate(&self, x: &mut Block, is_null: &[bool; P]) -> ([f64; P], [f64; P]) {
        let mut product = vec![[0f64; P]; x.len()];
        self.apply(x, 0.0, 1.0, 0.0, &mut product);
        let mut gram = [[0f64; P]; P];
        for (row, product) in x.iter().zip(&product) {
            for p in 0..P {
                for q in p..P {
                    gram[p][q] += row[p] * product[q];
                }
            }
        }
        for p in 0..P {
            if is_null[p] {
                // Below every eigenvalue there can be: comes last.
                gram[p][p] = -2.0;
            }
        }
        let (values, vectors) = eigen(gram);
        let mut residuals = [0f64; P];
        for (row, product) in x.iter_mut().zip(&product) {
            let mut rotated = [0f64; P];
            let mut image = [0f64; P];
            for q in 0..P {
                for p in 0..P {
                    rotated[p] += row[q] * vectors[q][p];
                    image[p] += product[q] * vectors[q][p];
                }
            }
            for p in 0..P {
                let difference = image[p] - values[p] * rotated[p];
                residuals[p] += difference * difference;
            }
            *row = rotated;
        }
        (values, residuals.map(f64::sqrt))
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::{Purpose, stream};
    use super::*;
    use ndarray::Array2;
    use sc_io::Csr;

    fn ring(n: usize) -> KeptEdges {
        let mut graph = Array2::<f32>::zeros((n, n));
        for i in 0..n {
            graph[[i, (i + 1) % n]] = 0.5;
            graph[[(i + 1) % n, i]] = 0.5;
        }
        KeptEdges::new(&Csr::from_dense(graph.view()), 100)
    }

    #[test]
    fn a_ring_is_laid_out_as_a_circle() {
        for n in [5, 12, 60] {
            let cells: Vec<u32> = (0..n as u32).collect();
            let x = smoothest::<2>(&ring(n), &cells, &mut stream(0, Purpose::Eigenvectors)).unwrap();
            for v in x {
                let squared = v[0] * v[0] + v[1] * v[1];
                assert!((squared * n as f64 - 2.0).abs() < 1e-3, "{n} {v:?}");
            }
        }
    }

    #[test]
    fn a_complete_graph_has_vectors_though_all_its_eigenvalues_are_negative() {
        let graph = Array2::from_shape_fn((5, 5), |(i, j)| if i == j { 0.0f32 } else { 1.0 });
        let edges = KeptEdges::new(&Csr::from_dense(graph.view()), 100);
        let x = smoothest::<3>(&edges, &[0, 1, 2, 3, 4], &mut stream(0, Purpose::Eigenvectors)).unwrap();
        for d in 0..3 {
            assert!((x.iter().map(|v| v[d] * v[d]).sum::<f64>() - 1.0).abs() < 1e-9, "{x:?}");
            assert!(x.iter().map(|v| v[d]).sum::<f64>().abs() < 1e-9);
        }
    }

    #[test]
    fn too_few_cells_have_no_such_vectors() {
        let rng = &mut stream(0, Purpose::Eigenvectors);
        assert!(smoothest::<2>(&ring(3), &[0, 1, 2], rng).is_none());
    }
}
