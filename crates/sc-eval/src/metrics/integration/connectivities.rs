//! UMAP's connectivities of the neighbours, within a label.

use super::Neighbors;
use crate::metrics::math::exp_negative;

/// A symmetric matrix of weights between the cells of a label, compressed by row, without a diagonal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Graph {
    pub(super) start: Vec<usize>,
    pub(super) column: Vec<u32>,
    pub(super) weight: Vec<f64>,
}

impl Graph {
    pub(super) fn n_cells(&self) -> usize {
        self.start.len() - 1
    }

    pub(super) fn row(&self, cell: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let span = self.start[cell]..self.start[cell + 1];
        self.column[span.clone()].iter().map(|&c| c as usize).zip(self.weight[span].iter().copied())
    }

    /// From weights both ways: `w(a, b) + w(b, a) - w(a, b) w(b, a)`, the union of fuzzy sets.
    fn union(n: usize, mut directed: Vec<(u32, u32, f64)>) -> Self {
        let back: Vec<_> = directed.iter().map(|&(a, b, w)| (b, a, w)).collect();
        directed.extend(back);
        directed.sort_unstable_by(|x, y| (x.0, x.1).cmp(&(y.0, y.1)).then(x.2.total_cmp(&y.2)));
        let mut graph = Self { start: vec![0; n + 1], column: Vec::new(), weight: Vec::new() };
        for pair in directed.chunk_by(|x, y| (x.0, x.1) == (y.0, y.1)) {
            let weight = match pair {
                [one] => one.2,
                many => many.iter().skip(1).fold(many[0].2, |a, b| a + b.2 - a * b.2),
            };
            graph.start[pair[0].0 as usize + 1] += 1;
            graph.column.push(pair[0].1);
            graph.weight.push(weight);
        }
        for i in 0..n {
            graph.start[i + 1] += graph.start[i];
        }
        graph
    }

    /// The graph of some of the cells, given in ascending order.
    pub(super) fn of(&self, cells: &[usize]) -> Self {
        let mut place = vec![u32::MAX; self.n_cells()];
        cells.iter().zip(0u32..).for_each(|(&cell, new)| place[cell] = new);
        let mut graph = Self { start: vec![0], column: Vec::new(), weight: Vec::new() };
        for &cell in cells {
            for (other, weight) in self.row(cell) {
                if place[other] != u32::MAX {
                    graph.column.push(place[other]);
                    graph.weight.push(weight);
                }
            }
            graph.start.push(graph.column.len());
        }
        graph
    }
}

/// Nearest neighbour and width of the kernel of each cell, which define UMAP's weights (McInnes et al. 2018).
pub(super) struct Kernels {
    rho: Vec<f64>,
    sigma: Vec<f64>,
}

impl Kernels {
    /// As `smooth_knn_dist` of umap-learn with its defaults.
    pub(super) fn new(neighbors: Neighbors<'_>) -> Self {
        let (n, k) = (neighbors.n_cells(), neighbors.n_neighbors());
        let target = libm::log2(k as f64);
        let row_mean = |cell| neighbors.of(cell).map(|(_, d)| f64::from(d)).sum::<f64>() / k as f64;
        let means: Vec<f64> = (0..n).map(row_mean).collect();
        let mean = means.iter().sum::<f64>() / n as f64;
        let (mut rho, mut sigma) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (cell, &own_mean) in means.iter().enumerate() {
            let distances: Vec<f64> = neighbors.of(cell).map(|(_, d)| f64::from(d)).collect();
            let nearest = distances.iter().copied().find(|&d| d > 0.0).unwrap_or(0.0);
            let width = width(&distances[1..], nearest, target);
            let least = 1e-3 * if nearest > 0.0 { own_mean } else { mean };
            rho.push(nearest);
            sigma.push(width.max(least));
        }
        Self { rho, sigma }
    }

    /// The weights among `cells`, which ascend.
    pub(super) fn graph(&self, neighbors: Neighbors<'_>, cells: &[usize]) -> Graph {
        let mut directed = Vec::new();
        for (a, &cell) in cells.iter().enumerate() {
            let (rho, sigma) = (self.rho[cell], self.sigma[cell]);
            for (other, distance) in neighbors.of(cell) {
                let Ok(b) = cells.binary_search(&(other as usize)) else { continue };
                let beyond = f64::from(distance) - rho;
                let near = beyond <= 0.0 || sigma == 0.0;
                let weight = if near { 1.0 } else { exp_negative(-beyond / sigma) };
                if a != b && weight > 0.0 {
                    directed.push((a as u32, b as u32, weight));
                }
            }
        }
        Graph::union(cells.len(), directed)
    }
}

/// The width at which the weights of the neighbours after the first sum to `target`, by bisection.
fn width(distances: &[f64], nearest: f64, target: f64) -> f64 {
    let (mut low, mut high, mut middle) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..64 {
        let weight = |d: &f64| if *d > nearest { exp_negative(-(d - nearest) / middle) } else { 1.0 };
        let sum: f64 = distances.iter().map(weight).sum();
        if (sum - target).abs() < 1e-5 {
            break;
        }
        if sum > target {
            high = middle;
            middle = (low + high) / 2.0;
        } else {
            low = middle;
            middle = if high == f64::INFINITY { middle * 2.0 } else { (low + high) / 2.0 };
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_both_ways_unite() {
        let graph = Graph::union(3, vec![(0, 1, 0.5), (1, 0, 0.25), (2, 0, 1.0)]);
        assert_eq!(graph.row(0).collect::<Vec<_>>(), [(1, 0.625), (2, 1.0)]);
        assert_eq!(graph.row(1).collect::<Vec<_>>(), [(0, 0.625)]);
        assert_eq!(graph.of(&[0, 2]).row(1).collect::<Vec<_>>(), [(0, 1.0)]);
    }

    #[test]
    fn the_width_makes_weights_sum_to_the_logarithm() {
        let distances = [1.0, 2.0, 3.0, 4.0];
        let w = width(&distances, 1.0, 2.0);
        let sum: f64 = distances.iter().map(|d| (-(d - 1.0) / w).exp()).sum();
        assert!((sum - 2.0).abs() < 1e-5);
    }
}
