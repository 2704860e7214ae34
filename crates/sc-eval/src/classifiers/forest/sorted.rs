//! Thresholds of sparse features: sweeps along sorted runs.

use super::grow::{Cell, Node, Search, Split, Task};
use super::sweep::Sweep;
use crate::classifiers::binned::{Binned, Runs, Slots};

/// Buffers of the search.
pub(super) struct Sorted<'a> {
    binned: &'a Binned,
    max_features: usize,
    min_samples_split: usize,
    codes: &'a [u32],
    /// Which node each row is in, and how often it was drawn, while the node is worked on.
    node_of: Vec<u32>,
    weight: Vec<u32>,
    sweep: Sweep,
    /// Runs of the nodes that are worked on, a stack; below it lie the forest's own.
    locals: Vec<Local>,
}

/// Entries of the rows of some node and everything below it, and how many rows that is.
struct Local {
    runs: Runs,
    n_rows: usize,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(binned: &'a Binned, task: &Task<'a>) -> Self {
        let n = binned.slots.n_rows;
        Self {
            binned,
            max_features: task.max_features,
            min_samples_split: task.min_samples_split,
            codes: task.codes,
            node_of: vec![u32::MAX; n],
            weight: vec![0; n],
            sweep: Sweep::new(task.n_classes),
            locals: Vec::new(),
        }
    }

    fn runs(&self) -> &Runs {
        self.locals.last().map_or(&self.binned.runs, |local| &local.runs)
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

impl Search for Sorted<'_> {
    fn slots(&self) -> &Slots {
        &self.binned.slots
    }

    /// * `above`, and what it returns: the number of local runs on the stack.
    fn enter(&mut self, node: &Node<'_>, above: usize) -> usize {
        self.locals.truncate(above);
        for &Cell { row, weight, .. } in node.cells {
            self.node_of[row as usize] = node.id;
            self.weight[row as usize] = weight;
        }
        let n = node.cells.len();
        let held = self.locals.last().map_or(self.binned.slots.n_rows, |local| local.n_rows);
        if self.local_pays(n, held) {
            let runs = self.runs().filtered(|r| self.node_of[r as usize] == node.id);
            self.locals.push(Local { runs, n_rows: n });
        }
        self.locals.len()
    }

    /// Each run is swept from its far end towards the background.
    fn look(&mut self, node: &Node<'_>, column: usize, best: &mut Option<Split>) {
        let Self { binned, codes, node_of, weight, sweep, locals, .. } = self;
        let runs = locals.last().map_or(&binned.runs, |local| &local.runs);
        let background = binned.slots.background(column);
        let mut n_entries = 0;
        // Slots of the node that lie next to the background.
        let mut nearest = [None; 2];
        let mut found: Option<Split> = None;
        for (id, nearest) in Runs::ids(column).into_iter().zip(&mut nearest) {
            let is_low = Runs::is_low(id);
            let mut offer = |score: f64, outer: u32, inner: u32| {
                let (last_left, first_right) = if is_low { (outer, inner) } else { (inner, outer) };
                // Of equals the lowest stays; a high run comes down from the top.
                let lower = |found: &Split| {
                    score > found.score || (score == found.score && last_left < found.last_left)
                };
                if score > f64::NEG_INFINITY && found.as_ref().is_none_or(lower) {
                    found = Some(Split { score, column, last_left, first_right });
                }
            };
            sweep.restart();
            for e in runs.run(id).iter().filter(|e| node_of[e.row as usize] == node.id) {
                if let Some(outer) = nearest.filter(|&slot| slot != e.slot) {
                    offer(sweep.score(node), outer, e.slot);
                }
                sweep.add(node, codes[e.row as usize], weight[e.row as usize]);
                n_entries += 1;
                *nearest = Some(e.slot);
            }
            if let Some(outer) = *nearest {
                offer(sweep.score(node), outer, background);
            }
        }
        let Some(mut found) = found.filter(|found| best.is_none_or(|best| found.score > best.score)) else {
            return;
        };
        // A node without rows at the background has its threshold between the two runs.
        if let (true, [Some(low), Some(high)]) = (n_entries == node.cells.len(), nearest)
            && (found.last_left == background || found.first_right == background)
        {
            (found.last_left, found.first_right) = (low, high);
        }
        *best = Some(found);
    }

    /// Rows on the other side than the background are those with an entry there.
    fn sides(&mut self, node: &Node<'_>, split: &Split, left: &mut Vec<bool>) {
        const MOVED: u32 = u32::MAX - 1;
        let background_left = self.binned.slots.background(split.column) <= split.last_left;
        let runs = self.locals.last().map_or(&self.binned.runs, |local| &local.runs);
        for e in Runs::ids(split.column).into_iter().flat_map(|id| runs.run(id)) {
            let node_of = &mut self.node_of[e.row as usize];
            if *node_of == node.id && (e.slot <= split.last_left) != background_left {
                *node_of = MOVED;
            }
        }
        left.extend(node.cells.iter().map(|c| (self.node_of[c.row as usize] == MOVED) != background_left));
    }
}
