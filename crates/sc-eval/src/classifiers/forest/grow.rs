//! One tree of a random forest.

use rand_chacha::ChaCha8Rng;

use super::GrownTree;
use crate::classifiers::binned::{Binned, Runs};
use crate::classifiers::draw::{below, by_weight};
use crate::classifiers::tree::Tree;

/// What all trees of a forest share.
pub(super) struct Task<'a> {
    pub(super) binned: &'a Binned,
    pub(super) codes: &'a [u32],
    pub(super) n_classes: usize,
    /// Sums of the rows' weights up to and with each; `None` if all weigh the same.
    pub(super) cumulative: Option<&'a [f64]>,
    pub(super) max_features: usize,
    pub(super) max_depth: usize,
    pub(super) min_samples_split: usize,
    pub(super) min_samples_leaf: usize,
}

/// A node to be split or closed: its rows are `rows[from..to]`.
struct Open {
    node: u32,
    depth: usize,
    from: usize,
    to: usize,
    /// How many local runs belong to this node and those above it.
    n_locals: usize,
}

/// The best split of a node so far.
struct Split {
    score: f64,
    column: usize,
    /// Rows whose slot is at most this go left.
    last_left: u32,
    first_right: u32,
}

/// Entries of the rows of some node and everything below it, and how many rows that is.
struct Local {
    runs: Runs,
    n_rows: usize,
}

struct Growth<'a> {
    task: &'a Task<'a>,
    /// How often the bootstrap drew each row.
    weight: Vec<f64>,
    /// Which node each row is in, while the node is worked on.
    node_of: Vec<u32>,
    tree: Tree,
    frequencies: Vec<f32>,
}

impl Task<'_> {
    pub(super) fn grow(&self, mut rng: ChaCha8Rng) -> GrownTree {
        let n = self.binned.slots.n_rows;
        let mut weight = vec![0.0; n];
        for _ in 0..n {
            let row = match self.cumulative {
                None => below(&mut rng, n),
                Some(cumulative) => by_weight(&mut rng, cumulative),
            };
            weight[row] += 1.0;
        }
        let mut rows: Vec<u32> = (0..n as u32).filter(|&r| weight[r as usize] > 0.0).collect();
        let mut growth = Growth {
            task: self,
            weight,
            node_of: vec![u32::MAX; n],
            tree: Tree::leaf(0),
            frequencies: Vec::new(),
        };
        let mut features: Vec<u32> = (0..self.binned.slots.n_columns() as u32).collect();
        // Depth first, so that local runs form a stack; below it lie the forest's own.
        let mut locals: Vec<Local> = Vec::new();
        let mut open = vec![Open { node: 0, depth: 0, from: 0, to: rows.len(), n_locals: 0 }];
        while let Some(task) = open.pop() {
            locals.truncate(task.n_locals);
            let Open { node, depth, from, to, .. } = task;
            let totals = growth.totals(&rows[from..to]);
            let pure = totals.iter().filter(|&&t| t > 0.0).count() < 2;
            if pure || depth >= self.max_depth || to - from < self.min_samples_split {
                growth.close(node, &totals);
                continue;
            }
            rows[from..to].iter().for_each(|&r| growth.node_of[r as usize] = node);
            let held = locals.last().map_or(n, |local| local.n_rows);
            if self.local_pays(to - from, held) {
                let held = locals.last().map_or(&self.binned.runs, |local| &local.runs);
                let runs = held.filtered(|r| growth.node_of[r as usize] == node);
                locals.push(Local { runs, n_rows: to - from });
            }
            let runs = locals.last().map_or(&self.binned.runs, |local| &local.runs);
            let Some(split) = growth.best_split(runs, &totals, &rows[from..to], &mut features, &mut rng)
            else {
                growth.close(node, &totals);
                continue;
            };
            let threshold = self.binned.slots.threshold(split.last_left, split.first_right);
            let (left, right) = growth.tree.split(node, split.column as u32, threshold);
            let (weight, squares) = (totals.iter().sum::<f64>(), totals.iter().map(|t| t * t).sum::<f64>());
            growth.tree.set_seen(node, (split.score - squares / weight) as f32, weight as f32);
            let middle = from + growth.part(runs, &split, node, &mut rows[from..to]);
            let n_locals = locals.len();
            open.push(Open { node: right, depth: depth + 1, from: middle, to, n_locals });
            open.push(Open { node: left, depth: depth + 1, from, to: middle, n_locals });
        }
        GrownTree { tree: growth.tree, frequencies: growth.frequencies }
    }

    /// Whether a node of `n` rows should get its own runs, when those at hand hold the entries of `held` rows.
    ///
    /// Each of the at most `n / min_samples_split` splits below looks at the held entries of `max_features` columns, of
    /// which filtering spares all but `n / held`. Filtering copies every column once, which costs a few looks.
    fn local_pays(&self, n: usize, held: usize) -> bool {
        const LOOKS_PER_COPY: usize = 4;
        let looks = n / self.min_samples_split * self.max_features;
        let spared = looks as f64 * (1.0 - n as f64 / held as f64);
        spared > (LOOKS_PER_COPY * self.binned.slots.n_columns()) as f64
    }
}

impl Growth<'_> {
    /// Weight of each class.
    fn totals(&self, rows: &[u32]) -> Vec<f64> {
        let mut totals = vec![0.0; self.task.n_classes];
        for &r in rows {
            totals[self.task.codes[r as usize] as usize] += self.weight[r as usize];
        }
        totals
    }

    fn close(&mut self, node: u32, totals: &[f64]) {
        let sum = totals.iter().sum::<f64>();
        self.tree.set_leaf(node, (self.frequencies.len() / totals.len()) as u32);
        self.frequencies.extend(totals.iter().map(|&t| (t / sum) as f32));
        self.tree.set_seen(node, 0.0, sum as f32);
    }

    /// Draws features without replacement until `max_features` were looked at and one of them can split.
    fn best_split(
        &self,
        runs: &Runs,
        totals: &[f64],
        rows: &[u32],
        features: &mut [u32],
        rng: &mut ChaCha8Rng,
    ) -> Option<Split> {
        let mut best: Option<Split> = None;
        let mut sweep = Sweep::new(totals, rows.len(), self.task.min_samples_leaf);
        let node = self.node_of[*rows.first()? as usize];
        for drawn in 0..features.len() {
            if drawn >= self.task.max_features && best.is_some() {
                break;
            }
            let other = drawn + below(rng, features.len() - drawn);
            features.swap(drawn, other);
            let column = features[drawn] as usize;
            self.sweep_column(runs, column, node, &mut sweep, &mut best);
        }
        best
    }

    /// Offers every threshold of one column: each run is swept from its far end towards the background.
    fn sweep_column(
        &self,
        runs: &Runs,
        column: usize,
        node: u32,
        sweep: &mut Sweep<'_>,
        best: &mut Option<Split>,
    ) {
        for id in Runs::ids(column) {
            let mut offer = |score: f64, outer: u32, inner: u32| {
                if best.as_ref().is_none_or(|best| score > best.score) && score > f64::NEG_INFINITY {
                    let (last_left, first_right) =
                        if Runs::is_low(id) { (outer, inner) } else { (inner, outer) };
                    *best = Some(Split { score, column, last_left, first_right });
                }
            };
            sweep.restart();
            let mut last: Option<u32> = None;
            for e in runs.run(id).iter().filter(|e| self.node_of[e.row as usize] == node) {
                if let Some(outer) = last.filter(|&slot| slot != e.slot) {
                    offer(sweep.score(), outer, e.slot);
                }
                sweep.add(self.task.codes[e.row as usize], self.weight[e.row as usize]);
                last = Some(e.slot);
            }
            if let Some(outer) = last {
                offer(sweep.score(), outer, self.task.binned.slots.background(column));
            }
        }
    }

    /// Moves the rows that go left to the front, in order, and returns how many they are.
    fn part(&mut self, runs: &Runs, split: &Split, node: u32, rows: &mut [u32]) -> usize {
        let background_left = self.task.binned.slots.background(split.column) <= split.last_left;
        // Rows on the other side than the background are those with an entry there.
        const MOVED: u32 = u32::MAX - 1;
        for e in Runs::ids(split.column).into_iter().flat_map(|id| runs.run(id)) {
            if self.node_of[e.row as usize] == node && (e.slot <= split.last_left) != background_left {
                self.node_of[e.row as usize] = MOVED;
            }
        }
        let goes_left = |r: u32| (self.node_of[r as usize] == MOVED) != background_left;
        let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|&&r| goes_left(r));
        rows[..left.len()].copy_from_slice(&left);
        rows[left.len()..].copy_from_slice(&right);
        left.len()
    }
}

/// Cells of each class on the side of a threshold that has been swept, and their squares' sums on both sides: whole
/// numbers below 2^53, so that sums are exact.
struct Sweep<'a> {
    totals: &'a [f64],
    total: f64,
    total_squares: f64,
    n_rows: usize,
    min_samples_leaf: usize,
    swept: Vec<f64>,
    n_swept: usize,
    sum: f64,
    squares: f64,
    rest_squares: f64,
}

impl<'a> Sweep<'a> {
    fn new(totals: &'a [f64], n_rows: usize, min_samples_leaf: usize) -> Self {
        let total_squares = totals.iter().map(|t| t * t).sum();
        Self {
            totals,
            total: totals.iter().sum(),
            total_squares,
            n_rows,
            min_samples_leaf,
            swept: vec![0.0; totals.len()],
            n_swept: 0,
            sum: 0.0,
            squares: 0.0,
            rest_squares: total_squares,
        }
    }

    fn restart(&mut self) {
        self.swept.fill(0.0);
        (self.n_swept, self.sum, self.squares, self.rest_squares) = (0, 0.0, 0.0, self.total_squares);
    }

    fn add(&mut self, code: u32, weight: f64) {
        let swept = &mut self.swept[code as usize];
        let rest = self.totals[code as usize] - *swept;
        self.squares += weight * (2.0 * *swept + weight);
        self.rest_squares -= weight * (2.0 * rest - weight);
        *swept += weight;
        self.sum += weight;
        self.n_swept += 1;
    }

    /// Larger is purer: the weighted Gini impurity of both sides is a constant minus this.
    fn score(&self) -> f64 {
        if self.n_swept.min(self.n_rows - self.n_swept) < self.min_samples_leaf {
            return f64::NEG_INFINITY;
        }
        self.squares / self.sum + self.rest_squares / (self.total - self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_keeps_the_gini_sums_of_both_sides() {
        let totals = [3.0, 4.0];
        let mut sweep = Sweep::new(&totals, 4, 2);
        sweep.add(0, 2.0);
        assert_eq!(sweep.score(), f64::NEG_INFINITY, "one cell is fewer than two");
        sweep.add(1, 1.0);
        let direct = (4.0 + 1.0) / 3.0 + (1.0 + 9.0) / 4.0;
        assert!((sweep.score() - direct).abs() < 1e-12);
        sweep.restart();
        assert_eq!(sweep.score(), f64::NEG_INFINITY);
    }
}
