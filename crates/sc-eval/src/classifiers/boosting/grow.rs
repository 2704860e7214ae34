//! One boosted tree.

use super::ensemble::BoostedTree;
use super::search::{Best, Child, Node, Rules, Search, Sums};
use crate::classifiers::tree::Tree;

/// What a tree is grown on.
pub(super) struct Target<'a> {
    pub(super) rules: &'a Rules,
    /// First and second derivative of each row.
    pub(super) derivatives: &'a [[f32; 2]],
    /// Whether each column may be split on; `None` for all.
    pub(super) columns: Option<&'a [bool]>,
    /// Class or output that the tree is of.
    pub(super) output: u32,
}

/// Grows one tree after the other in the same buffers.
pub(super) struct Grower<S> {
    search: S,
    /// Rows, those of a node side by side.
    rows: Vec<u32>,
    /// Whether each row goes left at the current split.
    left: Vec<bool>,
}

/// A node to be split or closed: its rows are `rows[from..to]`.
struct Open<H> {
    node: u32,
    depth: usize,
    from: usize,
    to: usize,
    sums: Sums,
    best: Option<Best>,
    held: Option<H>,
}

impl<S: Search> Grower<S> {
    pub(super) fn new(search: S) -> Self {
        let n = search.slots().n_rows;
        Self { search, rows: Vec::with_capacity(n), left: vec![false; n] }
    }

    /// Grows a tree on the derivatives and adds its leaves to the margins.
    ///
    /// * `leaf`: value of a leaf with these sums and rows.
    pub(super) fn grow(
        &mut self,
        target: &Target<'_>,
        leaf: impl Fn(&Sums, &[u32]) -> f64,
        margins: &mut [f64],
    ) -> BoostedTree {
        let Target { rules, derivatives, columns, output } = *target;
        let n = margins.len();
        self.rows.clear();
        self.rows.extend(0..n as u32);
        let mut tree = Tree::leaf(0);
        let mut values = Vec::new();
        let sums = Sums::of(&self.rows, derivatives);
        let root = child(rules, 0, &self.rows, sums);
        let (best, held) = self.search.root(derivatives, columns, root);
        let mut open = vec![Open { node: 0, depth: 0, from: 0, to: n, sums, best, held: Some(held) }];
        while let Some(mut task) = open.pop() {
            let node = Node::new(task.sums, rules);
            let best = task.best.filter(|best| rules.accept(best, &node));
            if let (Some(best), Some(held)) = (best, &mut task.held) {
                let threshold = self.search.slots().threshold(best.last_left, best.first_right);
                let (left, right) = tree.split(task.node, best.column as u32, threshold);
                tree.set_seen(task.node, best.gain, task.sums.second as f32);
                let rows = &mut self.rows[task.from..task.to];
                self.search.sides(held, rows, &best, &mut self.left);
                let middle = task.from + part(rows, &self.left);
                let spans = [(left, task.from, middle), (right, middle, task.to)];
                let children = spans.map(|(_, from, to)| {
                    let rows = &self.rows[from..to];
                    child(rules, task.depth + 1, rows, Sums::of(rows, derivatives))
                });
                let answers = if children.iter().any(|child| child.splits) {
                    self.search
                        .children(derivatives, held, &self.left, children)
                        .map(|(best, held)| (best, Some(held)))
                } else {
                    [(None, None), (None, None)]
                };
                let sums = children.map(|child| child.node.sums);
                let both = spans.into_iter().zip(sums).zip(answers).rev();
                open.extend(both.map(|(((node, from, to), sums), (best, held))| Open {
                    node,
                    depth: task.depth + 1,
                    from,
                    to,
                    sums,
                    best,
                    held,
                }));
            } else {
                let rows = &self.rows[task.from..task.to];
                let value = leaf(&task.sums, rows) as f32;
                tree.set_leaf(task.node, values.len() as u32);
                tree.set_seen(task.node, 0.0, task.sums.second as f32);
                values.push(value);
                rows.iter().for_each(|&r| margins[r as usize] += f64::from(value));
            }
            if let Some(held) = task.held {
                self.search.release(held);
            }
        }
        BoostedTree::new(output, tree, values)
    }
}

fn child<'a>(rules: &'a Rules, depth: usize, rows: &'a [u32], sums: Sums) -> Child<'a> {
    Child {
        rows,
        node: Node::new(sums, rules),
        splits: rules.may_split(depth, &sums),
        children_split: rules.may_split(depth + 1, &sums),
    }
}

/// Moves the rows that go left to the front, in order, and returns how many they are.
fn part(rows: &mut [u32], left: &[bool]) -> usize {
    let (to_left, to_right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&r| left[r as usize]);
    rows[..to_left.len()].copy_from_slice(&to_left);
    rows[to_left.len()..].copy_from_slice(&to_right);
    to_left.len()
}
