//! What a threshold is worth.

use super::grow::Node;

/// Cells of each class on the side of a threshold that has been swept, and the sums of their squares on both sides:
/// whole numbers, so that no order of the cells changes a bit.
pub(super) struct Sweep {
    swept: Vec<i64>,
    n_swept: usize,
    sum: i64,
    squares: i64,
    /// Swept cells of each class times all of it.
    products: i64,
}

impl Sweep {
    pub(super) fn new(n_classes: usize) -> Self {
        Self { swept: vec![0; n_classes], n_swept: 0, sum: 0, squares: 0, products: 0 }
    }

    pub(super) fn restart(&mut self) {
        self.swept.fill(0);
        (self.n_swept, self.sum, self.squares, self.products) = (0, 0, 0, 0);
    }

    /// Sweeps a cell of class `code` that the bootstrap drew `weight` times.
    pub(super) fn add(&mut self, node: &Node<'_>, code: u32, weight: u32) {
        let weight = i64::from(weight);
        let swept = &mut self.swept[code as usize];
        self.squares += weight * (2 * *swept + weight);
        self.products += weight * node.totals[code as usize];
        *swept += weight;
        self.sum += weight;
        self.n_swept += 1;
    }

    pub(super) fn score(&self, node: &Node<'_>) -> f64 {
        if self.n_swept.min(node.cells.len() - self.n_swept) < node.min_samples_leaf {
            return f64::NEG_INFINITY;
        }
        let rest = node.squares - 2 * self.products + self.squares;
        score([self.squares as f64, self.sum as f64], [rest as f64, (node.sum - self.sum) as f64])
    }
}

/// Larger is purer: the weighted Gini impurity of both sides is a constant minus this.
///
/// * of each side: the sum of its classes' squares, and of its cells. Whole numbers below 2^53.
#[inline(always)]
pub(super) fn score([squares, sum]: [f64; 2], [rest_squares, rest]: [f64; 2]) -> f64 {
    squares / sum + rest_squares / rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifiers::forest::grow::Cell;

    #[test]
    fn a_sweep_keeps_the_gini_sums_of_both_sides() {
        let cells = [Cell { row: 0, code: 0, weight: 1 }; 4];
        let totals = [3, 4];
        let node = Node { id: 0, cells: &cells, totals: &totals, sum: 7, squares: 25, min_samples_leaf: 2 };
        let mut sweep = Sweep::new(2);
        sweep.add(&node, 0, 2);
        assert_eq!(sweep.score(&node), f64::NEG_INFINITY, "one cell is fewer than two");
        sweep.add(&node, 1, 1);
        let direct = (4.0 + 1.0) / 3.0 + (1.0 + 9.0) / 4.0;
        assert!((sweep.score(&node) - direct).abs() < 1e-12);
        sweep.restart();
        assert_eq!(sweep.score(&node), f64::NEG_INFINITY);
    }
}
