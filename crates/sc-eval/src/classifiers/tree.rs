//! A decision tree once it is grown: where a row ends.

use serde::{Deserialize, Serialize};

/// A node: an inner one sends a row left if its value is at most the threshold, a leaf points at its values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Node {
    Split { column: u32, threshold: f32, left: u32, right: u32 },
    Leaf { value: u32 },
}

/// What training saw at a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// What the split took off the loss; 0 for a leaf.
    pub(crate) gain: f32,
    /// Weight of the training rows: cells in a forest, second derivatives in boosting.
    pub(crate) cover: f32,
}

/// Nodes, the root first, children behind their parents. A tree without nodes does not exist: [`Tree::leaf`] is the
/// smallest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    seen: Vec<Seen>,
}

impl Tree {
    pub(crate) fn leaf(value: u32) -> Self {
        Self { nodes: vec![Node::Leaf { value }], seen: vec![Seen::default()] }
    }

    /// Turns leaf `at` into a split and returns its children, both leaves without a value yet.
    pub(crate) fn split(&mut self, at: u32, column: u32, threshold: f32) -> (u32, u32) {
        let left = self.nodes.len() as u32;
        let right = left + 1;
        self.nodes[at as usize] = Node::Split { column, threshold, left, right };
        self.nodes.extend([Node::Leaf { value: 0 }; 2]);
        self.seen.extend([Seen::default(); 2]);
        (left, right)
    }

    pub(crate) fn set_leaf(&mut self, at: u32, value: u32) {
        self.nodes[at as usize] = Node::Leaf { value };
    }

    pub(crate) fn set_seen(&mut self, at: u32, gain: f32, cover: f32) {
        self.seen[at as usize] = Seen { gain, cover };
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// The column of every split and what training saw there.
    pub(crate) fn splits(&self) -> impl Iterator<Item = (usize, Seen)> {
        self.nodes.iter().zip(&self.seen).filter_map(|(node, seen)| match node {
            Node::Split { column, .. } => Some((*column as usize, *seen)),
            Node::Leaf { .. } => None,
        })
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

    /// Proves what [`Tree::find`] relies on, for a tree that was read from a file: columns below `n_features`, values
    /// below `n_values`, and children behind their parents, so that every walk ends.
    pub(crate) fn check(&self, n_features: usize, n_values: usize) -> Result<(), String> {
        if self.nodes.is_empty() || self.seen.len() != self.nodes.len() {
            return Err(format!(
                "a tree has {} nodes and {} of their sums",
                self.nodes.len(),
                self.seen.len()
            ));
        }
        for (at, node) in self.nodes.iter().enumerate() {
            match *node {
                Node::Split { column, threshold, left, right } => {
                    if column as usize >= n_features {
                        return Err(format!("node {at} splits column {column} of {n_features}"));
                    }
                    if !threshold.is_finite() {
                        return Err(format!("node {at} has a threshold of {threshold}"));
                    }
                    let behind = |child: u32| child as usize > at && (child as usize) < self.nodes.len();
                    if !behind(left) || !behind(right) {
                        let n_nodes = self.nodes.len();
                        return Err(format!("node {at} has children {left} and {right} of {n_nodes} nodes"));
                    }
                }
                Node::Leaf { value } if value as usize >= n_values => {
                    return Err(format!("leaf {at} points at value {value} of {n_values}"));
                }
                Node::Leaf { .. } => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::leaf(0);
        let (left, right) = tree.split(0, 1, 0.5);
        tree.set_leaf(left, 10);
        let (low, high) = tree.split(right, 0, -1.0);
        tree.set_leaf(low, 20);
        tree.set_leaf(high, 30);
        tree
    }

    #[test]
    fn a_row_follows_the_thresholds_to_its_leaf() {
        let tree = tree();
        assert_eq!(tree.find(&[0.0, 0.5]), 10);
        assert_eq!(tree.find(&[-1.0, 0.6]), 20);
        assert_eq!(tree.find(&[0.0, 0.6]), 30);
    }

    #[test]
    fn a_tree_that_points_outside_is_found_out() {
        assert_eq!(tree().check(2, 31), Ok(()));
        assert_eq!(tree().check(1, 31).unwrap_err(), "node 0 splits column 1 of 1");
        assert_eq!(tree().check(2, 30).unwrap_err(), "leaf 4 points at value 30 of 30");
        let mut circle = tree();
        circle.nodes[2] = Node::Split { column: 0, threshold: 0.0, left: 0, right: 4 };
        assert_eq!(circle.check(2, 31).unwrap_err(), "node 2 has children 0 and 4 of 5 nodes");
        circle.nodes[2] = Node::Split { column: 0, threshold: f32::NAN, left: 3, right: 4 };
        assert_eq!(circle.check(2, 31).unwrap_err(), "node 2 has a threshold of NaN");
        circle.seen.pop();
        assert_eq!(circle.check(2, 31).unwrap_err(), "a tree has 5 nodes and 4 of their sums");
    }

    #[test]
    fn splits_are_listed_with_what_training_saw() {
        let mut tree = tree();
        tree.set_seen(2, 1.5, 8.0);
        let seen: Vec<(usize, f32)> = tree.splits().map(|(column, seen)| (column, seen.gain)).collect();
        assert_eq!(seen, [(1, 0.0), (0, 1.5)]);
    }
}
