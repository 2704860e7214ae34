//! The edges that are strong enough to be drawn at least once.

use sc_io::Csr;

/// The graph without its diagonal and without edges too weak to be drawn in any epoch, row by row.
pub(super) struct KeptEdges {
    pub(super) starts: Vec<usize>,
    pub(super) tails: Vec<u32>,
    pub(super) weights: Vec<f32>,
    /// The largest weight; 0 without edges.
    pub(super) largest: f32,
}

impl KeptEdges {
    /// As umap-learn: an edge goes if it weighs less than the heaviest one divided by the number of epochs, which for
    /// up to 10 epochs counts as the default number.
    pub(super) fn new(connectivities: &Csr, n_epochs: usize) -> Self {
        let n = connectivities.n_rows();
        let rounds = if n_epochs > 10 { n_epochs } else { if n <= 10_000 { 500 } else { 200 } };
        let mut largest = 0f32;
        for i in 0..n {
            let (js, ws) = connectivities.row(i);
            for (&j, &w) in js.iter().zip(ws) {
                if j as usize != i {
                    largest = largest.max(w);
                }
            }
        }
        let least = largest / rounds as f32;
        let (mut starts, mut tails, mut weights) = (vec![0], Vec::new(), Vec::new());
        for i in 0..n {
            let (js, ws) = connectivities.row(i);
            for (&j, &w) in js.iter().zip(ws) {
                if j as usize != i && w >= least && w > 0.0 {
                    tails.push(j);
                    weights.push(w);
                }
            }
            starts.push(tails.len());
        }
        Self { starts, tails, weights, largest }
    }

    pub(super) fn n(&self) -> usize {
        self.starts.len() - 1
    }

    /// Neighbours of `i` and the weights of the edges to them.
    pub(super) fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let span = self.starts[i]..self.starts[i + 1];
        (&self.tails[span.clone()], &self.weights[span])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn edges_too_weak_for_any_epoch_and_loops_are_left_out() {
        let graph = Csr::from_dense(array![[9.0, 1.0, 0.009], [1.0, 0.0, 0.5], [0.009, 0.5, 0.0]].view());
        let kept = KeptEdges::new(&graph, 100);
        assert_eq!(kept.row(0), (&[1u32][..], &[1.0f32][..]));
        assert_eq!(kept.row(2), (&[1u32][..], &[0.5f32][..]));
        assert_eq!(kept.largest, 1.0);
        assert_eq!(KeptEdges::new(&graph, 5).tails.len(), 6, "few epochs do not thin the graph");
    }
}
