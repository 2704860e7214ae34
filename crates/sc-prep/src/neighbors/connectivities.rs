//! umap's `fuzzy_simplicial_set`: every cell's own view of who its neighbours are, and the union of these views.

use rayon::prelude::*;
use sc_io::Csr;

use super::knn::Knn;
use super::width::width;

/// Cells that one task takes.
const CHUNK: usize = 256;

/// The union `a + b - a b` of each directed membership and its opposite, with umap's exponential memberships.
///
/// * `found`: `n_neighbors - 1` neighbours of each cell, nearest first, without the cell itself.
pub(super) fn fuzzy_simplicial_set(found: &Knn, n_neighbors: usize) -> Csr {
    let (n, k) = found.indices.dim();
    let indices = found.indices.as_slice().expect("made in standard layout");
    let distances = found.distances.as_slice().expect("made in standard layout");
    let total: f64 =
        distances.chunks_exact(k).map(|row| row.iter().map(|&d| f64::from(d)).sum::<f64>()).sum();
    let mean_of_all = total / (n * n_neighbors) as f64;

    // Each row becomes (neighbour, membership), by index.
    let mut directed: Vec<(u32, f32)> = indices.iter().copied().zip(distances.iter().copied()).collect();
    directed.par_chunks_mut(CHUNK * k).zip(distances.par_chunks(CHUNK * k)).for_each(|(out, distances)| {
        for (out, distances) in out.chunks_exact_mut(k).zip(distances.chunks_exact(k)) {
            let w = width(distances, mean_of_all);
            for (_, value) in out.iter_mut() {
                let gap = *value - w.rho;
                // In f32 as in umap, where memberships below the smallest f32 vanish.
                *value = if gap <= 0.0 { 1.0 } else { libm::exp(-f64::from(gap) / w.sigma) as f32 };
            }
            out.sort_unstable_by_key(|e| e.0);
        }
    });
    union(&directed, n, k)
}

/// `directed` holds `k` entries for each of `n` rows, by index.
fn union(directed: &[(u32, f32)], n: usize, k: usize) -> Csr {
    let (starts, opposite) = transpose(directed, n, k);
    let mut indptr = Vec::with_capacity(n + 1);
    let (mut indices, mut values) =
        (Vec::with_capacity(2 * directed.len()), Vec::with_capacity(2 * directed.len()));
    indptr.push(0);
    for (i, row) in directed.chunks_exact(k).enumerate() {
        let (mut out, mut back) =
            (row.iter().peekable(), opposite[starts[i]..starts[i + 1]].iter().peekable());
        loop {
            let (j, a, b) = match (out.peek(), back.peek()) {
                (Some(&&(j, a)), Some(&&(other, b))) if j == other => (j, a, b),
                (Some(&&(j, a)), Some(&&(other, _))) if j < other => (j, a, 0.0),
                (Some(&&(j, a)), None) => (j, a, 0.0),
                (_, Some(&&(j, b))) => (j, 0.0, b),
                (None, None) => break,
            };
            out.next_if(|e| e.0 == j);
            back.next_if(|e| e.0 == j);
            // a + b - a b, written so that it is the same both ways round, and 1 where a side is certain.
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let value = high + low * (1.0 - high);
            if value > 0.0 {
                indices.push(j);
                values.push(value);
            }
        }
        indptr.push(indices.len());
    }
    Csr::new(n, n, indptr, indices, values).expect("a merge of two ascending rows ascends")
}

/// Who counts each cell as a neighbour: row starts, and (cell, membership) by index.
fn transpose(directed: &[(u32, f32)], n: usize, k: usize) -> (Vec<usize>, Vec<(u32, f32)>) {
    let mut starts = vec![0usize; n + 1];
    for &(j, _) in directed {
        starts[j as usize + 1] += 1;
    }
    for j in 0..n {
        starts[j + 1] += starts[j];
    }
    let mut next = starts.clone();
    let mut opposite = vec![(0u32, 0f32); directed.len()];
    for (i, row) in directed.chunks_exact(k).enumerate() {
        for &(j, value) in row {
            opposite[next[j as usize]] = (i as u32, value);
            next[j as usize] += 1;
        }
    }
    (starts, opposite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_one_sided_membership_is_kept_and_a_mutual_one_is_united() {
        let found = Knn {
            indices: array![[1, 2], [0, 2], [1, 0]],
            distances: array![[1.0, 3.0], [1.0, 2.0], [2.0, 3.0]],
        };
        let w = fuzzy_simplicial_set(&found, 3).to_dense();
        assert_eq!(w[[0, 1]], 1.0);
        assert_eq!(w[[1, 2]], 1.0);
        // log2(3) = 1 + m, so the second neighbour's membership is m on either side; the union is m + m - m².
        let m = libm::log2(3.0) as f32 - 1.0;
        assert!((w[[0, 2]] - (2.0 * m - m * m)).abs() < 1e-5, "{w}");
        assert_eq!(w[[0, 2]], w[[2, 0]]);
        assert!(w.diag().iter().all(|&v| v == 0.0));
    }
}
