//! Neighbours by diffusion distance.

use super::connectivities::Graph;
use super::eigen::largest;
use crate::metrics::compute::{Arithmetic, Kernel, dispatch};

/// Dimensions that are processed side by side.
const LANES: usize = 16;

/// Cells in the space of a diffusion map, where Euclidean distance is diffusion distance.
pub(super) struct DiffusionMap {
    /// Cells × `width`; the last dimensions are zeros.
    rows: Vec<f32>,
    width: usize,
}

impl DiffusionMap {
    /// The `n_comps` components of the largest eigenvalues in magnitude, each times `λ / (1 - λ)`, which adds up
    /// diffusion over all times; as scib-metrics' `diffusion_nn`, to its rounding of eigenvalues to `f32`.
    ///
    /// * `components`: the cells of each connected component, ascending; the matrix is solved for each alone, so that
    ///   their eigenvalues of 1 are not mistaken for one.
    pub(super) fn new(graph: &Graph, components: &[Vec<usize>], n_comps: usize, seed: u64) -> Self {
        let n = graph.n_cells();
        let mut pairs = Vec::new();
        for cells in components {
            let own = transitions(&graph.of(cells));
            let eigen = largest(&own, n_comps.min(cells.len()), seed);
            let vectors = eigen.vectors.chunks_exact(cells.len()).map(<[f64]>::to_vec);
            pairs.extend(eigen.values.iter().copied().zip(vectors).map(|(value, v)| (value, cells, v)));
        }
        pairs.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()).then(b.0.total_cmp(&a.0)));
        pairs.truncate(n_comps);
        let width = n_comps.next_multiple_of(LANES);
        let mut rows = vec![0.0f32; n * width];
        for (dim, (value, cells, vector)) in pairs.into_iter().enumerate() {
            let value = value as f32 + 1e-8;
            let scale = if value == 1.0 { 1.0 } else { value / (1.0 - value) };
            for (&cell, v) in cells.iter().zip(vector) {
                rows[cell * width + dim] = v as f32 * scale;
            }
        }
        Self { rows, width }
    }

    /// The `k` nearest cells of each cell, itself among them, row-major; the lower index wins a tie.
    pub(super) fn neighbors(&self, k: usize) -> Vec<u32> {
        let n = self.rows.len() / self.width;
        let mut all = Vec::with_capacity(n * k);
        let mut nearest: Vec<(f32, u32)> = Vec::with_capacity(n);
        for query in self.rows.chunks_exact(self.width) {
            nearest.clear();
            dispatch(Distances { rows: &self.rows, query, out: &mut nearest });
            nearest.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.extend(nearest[..k].iter().map(|&(_, cell)| cell));
        }
        all
    }
}

/// `z (q w q) z`: weights over the density `q` of both cells, made symmetric with row sums `z²`.
fn transitions(graph: &Graph) -> Graph {
    let scaled = |graph: &Graph, factor: &[f64]| {
        let mut scaled = graph.clone();
        for (cell, own) in factor.iter().enumerate() {
            for place in graph.start[cell]..graph.start[cell + 1] {
                scaled.weight[place] *= own * factor[graph.column[place] as usize];
            }
        }
        scaled
    };
    // A cell without neighbours keeps its empty row.
    let inverse = |sum: f64| if sum > 0.0 { 1.0 / sum } else { 0.0 };
    let sums = |graph: &Graph| -> Vec<f64> {
        (0..graph.n_cells()).map(|cell| graph.row(cell).map(|(_, w)| w).sum()).collect()
    };
    let density: Vec<f64> = sums(graph).into_iter().map(inverse).collect();
    let kernel = scaled(graph, &density);
    let roots: Vec<f64> = sums(&kernel).into_iter().map(|sum| inverse(sum.sqrt())).collect();
    scaled(&kernel, &roots)
}

/// The squared distance of the query to every row, with the row's index.
struct Distances<'a> {
    rows: &'a [f32],
    query: &'a [f32],
    out: &'a mut Vec<(f32, u32)>,
}

impl Kernel for Distances<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Arithmetic>(self) {
        let Self { rows, query, out } = self;
        for (row, i) in rows.chunks_exact(query.len()).zip(0u32..) {
            let mut sums = [0f32; LANES];
            for (a, b) in row.chunks_exact(LANES).zip(query.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    let difference = a[lane] - b[lane];
                    sums[lane] += difference * difference;
                }
            }
            out.push((sums.iter().sum(), i));
        }
    }
}
