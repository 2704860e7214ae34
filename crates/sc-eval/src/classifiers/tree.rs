//! A decision tree once it is grown: where a row ends.

use serde::{Deserialize, Serialize};

/// A node: an inner one sends a row left if its value is at most the threshold, a leaf points at its values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Node {
    Split { column: u32, threshold: f32, left: u32, right: u32 },
    Leaf { value: u32 },
}

/// Nodes, the root first. A tree without nodes does not exist: [`Tree::leaf`] is the smallest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(crate) fn leaf(value: u32) -> Self {
        Self { nodes: vec![Node::Leaf { value }] }
    }

    /// Turns leaf `at` into a split and returns its children, both leaves without a value yet.
    pub(crate) fn split(&mut self, at: u32, column: u32, threshold: f32) -> (u32, u32) {
        let left = self.nodes.len() as u32;
        let right = left + 1;
        self.nodes[at as usize] = Node::Split { column, threshold, left, right };
        self.nodes.extend([Node::Leaf { value: 0 }; 2]);
        (left, right)
    }

    pub(crate) fn set_leaf(&mut self, at: u32, value: u32) {
        self.nodes[at as usize] = Node::Leaf { value };
    }

    /// Proves that every walk ends at one of `n_values` values, for a tree that was read from a file.
    pub(crate) fn check(&self, n_features: usize, n_values: usize) -> Result<(), String> {
        for (at, node) in self.nodes.iter().enumerate() {
            // Children lie behind their parents, so no walk goes round in circles.
            let ahead = |child: u32| child as usize > at && (child as usize) < self.nodes.len();
            let holds = match *node {
                Node::Split { column, threshold, left, right } => {
                    (column as usize) < n_features && threshold.is_finite() && ahead(left) && ahead(right)
                }
                Node::Leaf { value } => (value as usize) < n_values,
            };
            if !holds {
                return Err(format!("node {at} of a tree points out of bounds: {node:?}"));
            }
        }
        if self.nodes.is_empty() { Err("a tree has no nodes".into()) } else { Ok(()) }
    }

    /// The value index of the leaf that a written-out row falls into.
    pub(crate) fn find(&self, row: &[f32]) -> u32 {
        let mut at = 0;
        loop {
            match self.nodes[at as usize] {
                Node::Split { column, threshold, left, right } => {
                    at = if row[column as usize] <= threshold { left } else { right };
                }
                Node::Leaf { value } => return value,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_follows_the_thresholds_to_its_leaf() {
        let mut tree = Tree::leaf(0);
        let (left, right) = tree.split(0, 1, 0.5);
        tree.set_leaf(left, 10);
        let (low, high) = tree.split(right, 0, -1.0);
        tree.set_leaf(low, 20);
        tree.set_leaf(high, 30);
        assert_eq!(tree.find(&[0.0, 0.5]), 10);
        assert_eq!(tree.find(&[-1.0, 0.6]), 20);
        assert_eq!(tree.find(&[0.0, 0.6]), 30);
    }
}
