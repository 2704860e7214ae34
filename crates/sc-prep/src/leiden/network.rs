//! The graph at one level of aggregation.

use sc_io::Csr;

/// An undirected graph in f64, ties of a node to itself kept apart.
pub(super) struct Network {
    starts: Vec<usize>,
    neighbors: Vec<u32>,
    weights: Vec<f64>,
    /// Sum of a node's weights, its tie to itself included.
    strengths: Vec<f64>,
    /// Sum of all strengths.
    total: f64,
}

impl Network {
    /// Takes a symmetric graph, scaled so that its mean weight is 1 (as near as a power of two brings it: exactly
    /// representable, so scaling a graph by one changes nothing).
    pub(super) fn from_graph(graph: &Csr) -> Self {
        let n = graph.n_rows();
        let sum: f64 = graph.values().iter().map(|&w| f64::from(w)).sum();
        let present = graph.values().iter().filter(|&&w| w > 0.0).count();
        let scale = if sum > 0.0 {
            let (_, exponent) = libm::frexp(sum / present as f64);
            libm::ldexp(1.0, -exponent)
        } else {
            1.0
        };
        let mut network = Self::with_capacity(n, graph.nnz());
        for i in 0..n {
            let (js, ws) = graph.row(i);
            let mut strength = 0.0;
            for (&j, &w) in js.iter().zip(ws) {
                let w = f64::from(w) * scale;
                strength += w;
                if j as usize != i && w > 0.0 {
                    network.neighbors.push(j);
                    network.weights.push(w);
                }
            }
            network.end_node(strength);
        }
        network
    }

    pub(super) fn with_capacity(n: usize, n_entries: usize) -> Self {
        let mut starts = Vec::with_capacity(n + 1);
        starts.push(0);
        Self {
            starts,
            neighbors: Vec::with_capacity(n_entries),
            weights: Vec::with_capacity(n_entries),
            strengths: Vec::with_capacity(n),
            total: 0.0,
        }
    }

    /// Adds an entry to the node that is being built.
    pub(super) fn push(&mut self, neighbor: u32, weight: f64) {
        self.neighbors.push(neighbor);
        self.weights.push(weight);
    }

    /// Completes a node.
    pub(super) fn end_node(&mut self, strength: f64) {
        self.starts.push(self.neighbors.len());
        self.strengths.push(strength);
        self.total += strength;
    }

    pub(super) fn n(&self) -> usize {
        self.strengths.len()
    }

    pub(super) fn n_entries(&self) -> usize {
        self.neighbors.len()
    }

    pub(super) fn edges(&self, node: usize) -> impl Iterator<Item = (u32, f64)> {
        let span = self.starts[node]..self.starts[node + 1];
        self.neighbors[span.clone()].iter().copied().zip(self.weights[span].iter().copied())
    }

    pub(super) fn strength(&self, node: usize) -> f64 {
        self.strengths[node]
    }

    /// The factor of `strength × strength` in the expected weight between two nodes, times the resolution.
    pub(super) fn expectation(&self, resolution: f64) -> f64 {
        if self.total > 0.0 { resolution / self.total } else { 0.0 }
    }
}
