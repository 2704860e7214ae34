//! One boosted tree.

use super::scan::{Best, NodeSums, Scan, Sums};
use crate::classifiers::binned::{Binned, Runs};
use crate::classifiers::tree::Tree;

/// When to split, and what a leaf is worth.
pub(super) struct Rules {
    pub(super) max_depth: usize,
    pub(super) min_child_weight: f64,
    pub(super) lambda: f64,
    pub(super) gamma: f64,
    pub(super) eta: f64,
}

impl Rules {
    /// A side lighter than this may not be split off, whatever the rules allow: it is what rounding leaves of a total.
    const MIN_SIDE: f64 = 1e-9;

    fn lightest(&self) -> f64 {
        self.min_child_weight.max(Self::MIN_SIDE)
    }

    fn may_split(&self, depth: usize, sums: &Sums) -> bool {
        depth < self.max_depth && sums.second >= 2.0 * self.lightest()
    }
}

/// Gains at or below this are rounding, as in XGBoost.
const MIN_GAIN: f64 = 1e-6;

/// Buffers for growing one tree after the other.
#[derive(Default)]
pub(super) struct Grower {
    scan: Scan,
    spare: Vec<Runs>,
    /// Rows, those of a node side by side.
    rows: Vec<u32>,
    /// Whether each row goes left at the current split.
    left: Vec<bool>,
}

/// A node to be split or closed: its rows are `rows[from..to]`.
struct Open {
    node: u32,
    depth: usize,
    from: usize,
    to: usize,
    sums: Sums,
    /// Its entries; `None` for the root, whose entries are everybody's, and for a node that may not be split.
    runs: Option<Runs>,
}

impl Grower {
    /// Grows a tree on the derivatives and adds its leaves to the margins. Returns the tree and its leaf values.
    pub(super) fn grow(
        &mut self,
        binned: &Binned,
        rules: &Rules,
        derivatives: &[[f32; 2]],
        margins: &mut [f64],
    ) -> (Tree, Vec<f32>) {
        let n = binned.n_rows;
        self.rows.clear();
        self.rows.extend(0..n as u32);
        self.left.resize(n, false);
        let mut tree = Tree::leaf(0);
        let mut values = Vec::new();
        let sums = total(&self.rows, derivatives);
        let mut open = vec![Open { node: 0, depth: 0, from: 0, to: n, sums, runs: None }];
        while let Some(mut task) = open.pop() {
            let own = task.runs.take();
            let runs = own.as_ref().unwrap_or(&binned.runs);
            if let Some(best) = self.split(binned, rules, derivatives, &task, runs) {
                let threshold = binned.threshold(best.last_left, best.first_right);
                let (left, right) = tree.split(task.node, best.column as u32, threshold);
                let middle = self.part_rows(binned, &task, runs, &best);
                let depth = task.depth + 1;
                let child = |node, from: usize, to: usize| {
                    let sums = total(&self.rows[from..to], derivatives);
                    Open { node, depth, from, to, sums, runs: None }
                };
                let mut children = [child(right, middle, task.to), child(left, task.from, middle)];
                if children.iter().any(|child| rules.may_split(depth, &child.sums)) {
                    let [right, left] = self.part_runs(rules, runs);
                    children[0].runs = Some(right);
                    children[1].runs = Some(left);
                }
                open.extend(children);
            } else {
                let value = (-task.sums.first / (task.sums.second + rules.lambda) * rules.eta) as f32;
                tree.set_leaf(task.node, values.len() as u32);
                values.push(value);
                for &r in &self.rows[task.from..task.to] {
                    margins[r as usize] += f64::from(value);
                }
            }
            self.spare.extend(own);
        }
        (tree, values)
    }

    fn split(
        &mut self,
        binned: &Binned,
        rules: &Rules,
        derivatives: &[[f32; 2]],
        task: &Open,
        runs: &Runs,
    ) -> Option<Best> {
        if !rules.may_split(task.depth, &task.sums) {
            return None;
        }
        let node = NodeSums { sums: task.sums, lambda: rules.lambda, lightest: rules.lightest() };
        let best = self.scan.best(binned, runs, &node, derivatives)?;
        let gained = best.gain - task.sums.gain(rules.lambda);
        (gained > MIN_GAIN && gained >= rules.gamma).then_some(best)
    }

    /// Moves the rows that go left to the front, in order, and returns where they end.
    ///
    /// Only the run with the threshold has rows on another side than the background.
    fn part_rows(&mut self, binned: &Binned, task: &Open, runs: &Runs, best: &Best) -> usize {
        let rows = &mut self.rows[task.from..task.to];
        let background_left = binned.background(best.column) <= best.last_left;
        rows.iter().for_each(|&r| self.left[r as usize] = background_left);
        for e in &runs.entries()[runs.start(best.run)..runs.start(best.run + 1)] {
            self.left[e.row as usize] = e.slot <= best.last_left;
        }
        let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&r| self.left[r as usize]);
        rows[..left.len()].copy_from_slice(&left);
        rows[left.len()..].copy_from_slice(&right);
        task.from + left.len()
    }

    /// The runs of the right and of the left child of the node searched last. A run that is too light for one side of
    /// a split here is so below, too: it is left out.
    fn part_runs(&mut self, rules: &Rules, runs: &Runs) -> [Runs; 2] {
        let mut left = self.spare.pop().unwrap_or_default();
        let mut right = self.spare.pop().unwrap_or_default();
        let heavy = |run: usize| self.scan.weight[run] >= rules.lightest();
        runs.part_into(&mut left, &mut right, heavy, |row| self.left[row as usize]);
        [right, left]
    }
}

fn total(rows: &[u32], derivatives: &[[f32; 2]]) -> Sums {
    let mut sums = Sums::default();
    rows.iter().for_each(|&r| sums.add(derivatives[r as usize]));
    sums
}
