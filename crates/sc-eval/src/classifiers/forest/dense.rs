//! Thresholds of dense features: cells chained by bin in small nodes, cells counted by bin and class in large ones.

use pulp::{Arch, NullaryFnOnce};

use super::grow::{Cell, Node, Search, Split, Task};
use super::sweep::{Sweep, score};
use crate::classifiers::binned::{Bytes, MAX_BINS, Slots};

/// Classes are counted in blocks of this many, whatever the SIMD width of the machine.
const LANES: usize = 8;

/// The end of a chain.
const END: u32 = u32::MAX;

/// Buffers of the search. Between two columns the bins are empty.
pub(super) struct Dense<'a> {
    bytes: &'a Bytes,
    arch: Arch,
    /// Cells from which counting by bin pays.
    many: usize,
    sweep: Sweep,
    /// First cell of each bin, and the next one in the same bin of each cell.
    head: [u32; MAX_BINS],
    next: Vec<u32>,
    /// How often cells of each class were drawn, by bin, and how many cells those are.
    counts: Vec<[i32; LANES]>,
    n_cells: [u32; MAX_BINS],
    totals: Vec<[f64; LANES]>,
    swept: Vec<[f64; LANES]>,
}

impl<'a> Dense<'a> {
    pub(super) fn new(bytes: &'a Bytes, task: &Task<'_>) -> Self {
        let width = task.n_classes.div_ceil(LANES);
        Self {
            bytes,
            arch: Arch::new(),
            many: MANY * (1 + width),
            sweep: Sweep::new(task.n_classes),
            head: [END; MAX_BINS],
            next: Vec::new(),
            counts: vec![[0; LANES]; MAX_BINS * width],
            n_cells: [0; MAX_BINS],
            totals: vec![[0.0; LANES]; width],
            swept: vec![[0.0; LANES]; width],
        }
    }

    /// Offers the thresholds of a column between the bins that hold cells, from the lowest up.
    fn chain(&mut self, node: &Node<'_>, column: usize, best: &mut Option<Split>) {
        let Self { bytes, sweep, head, next, .. } = self;
        let (bins, first) = (bytes.column(column), bytes.slots.first(column));
        let mut occupied = [0u64; MAX_BINS / 64];
        for (at, (cell, next)) in (0..).zip(node.cells.iter().zip(&mut *next)) {
            let bin = usize::from(bins[cell.row as usize]);
            *next = head[bin];
            head[bin] = at;
            occupied[bin / 64] |= 1 << (bin % 64);
        }
        sweep.restart();
        let mut last: Option<u32> = None;
        for (word, mut bits) in occupied.into_iter().enumerate() {
            while bits != 0 {
                let bin = 64 * word + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let slot = first + bin as u32;
                if let Some(last_left) = last.replace(slot) {
                    offer(best, Split { score: sweep.score(node), column, last_left, first_right: slot });
                }
                let mut at = std::mem::replace(&mut head[bin], END);
                while at != END {
                    let Cell { code, weight, .. } = node.cells[at as usize];
                    sweep.add(node, code, weight);
                    at = next[at as usize];
                }
            }
        }
    }
}

/// Cells from which counting by bin pays, per block of classes and one more for the bins themselves.
const MANY: usize = 256;

fn offer(best: &mut Option<Split>, split: Split) {
    if split.score > best.map_or(f64::NEG_INFINITY, |best| best.score) {
        *best = Some(split);
    }
}

impl Search for Dense<'_> {
    fn slots(&self) -> &Slots {
        &self.bytes.slots
    }

    fn enter(&mut self, node: &Node<'_>, _: usize) -> usize {
        if node.cells.len() >= self.many {
            let totals = self.totals.as_flattened_mut();
            totals.iter_mut().zip(node.totals).for_each(|(to, &total)| *to = total as f64);
        } else if self.next.len() < node.cells.len() {
            self.next.resize(node.cells.len(), END);
        }
        0
    }

    fn look(&mut self, node: &Node<'_>, column: usize, best: &mut Option<Split>) {
        if node.cells.len() < self.many {
            return self.chain(node, column, best);
        }
        let Self { bytes, arch, counts, n_cells, totals, swept, .. } = self;
        arch.dispatch(Count { bytes, node, column, counts, n_cells, totals, swept, best });
    }

    fn sides(&mut self, node: &Node<'_>, split: &Split, left: &mut Vec<bool>) {
        let last = (split.last_left - self.bytes.slots.first(split.column)) as u8;
        let bins = self.bytes.column(split.column);
        left.extend(node.cells.iter().map(|cell| bins[cell.row as usize] <= last));
    }
}

/// As [`Dense::chain`], by counting. A struct, because closures are not always inlined into the code for the machine's
/// instructions.
struct Count<'a> {
    bytes: &'a Bytes,
    node: &'a Node<'a>,
    column: usize,
    counts: &'a mut [[i32; LANES]],
    n_cells: &'a mut [u32; MAX_BINS],
    totals: &'a [[f64; LANES]],
    swept: &'a mut [[f64; LANES]],
    best: &'a mut Option<Split>,
}

impl NullaryFnOnce for Count<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { bytes, node, column, counts, n_cells, totals, swept, best } = self;
        let (bins, first) = (bytes.column(column), bytes.slots.first(column));
        let width = totals.len();
        let flat = counts.as_flattened_mut();
        for cell in node.cells {
            let bin = usize::from(bins[cell.row as usize]);
            flat[bin * width * LANES + cell.code as usize] += cell.weight as i32;
            n_cells[bin] += 1;
        }
        swept.fill([0.0; LANES]);
        let (all, sum) = (node.cells.len(), node.sum as f64);
        let (mut n_swept, mut sum_swept) = (0, 0.0);
        let [mut squares, mut rest_squares] = [0.0; 2];
        let mut last: Option<u32> = None;
        let bins = n_cells.iter_mut().zip(counts.chunks_exact_mut(width)).take(bytes.slots.n_bins(column));
        for (slot, (n_cells, counts)) in (first..).zip(bins) {
            if *n_cells == 0 {
                continue;
            }
            let is_leaf = n_swept.min(all - n_swept) >= node.min_samples_leaf;
            if let Some(last_left) = last.replace(slot).filter(|_| is_leaf) {
                let score = score([squares, sum_swept], [rest_squares, sum - sum_swept]);
                offer(best, Split { score, column, last_left, first_right: slot });
            }
            n_swept += std::mem::take(n_cells) as usize;
            // Sums of whole numbers: no order of them changes a bit.
            let [mut lanes, mut left, mut right] = [[0.0; LANES]; 3];
            for ((counts, swept), totals) in counts.iter_mut().zip(&mut *swept).zip(totals) {
                for lane in 0..LANES {
                    let count = f64::from(counts[lane]);
                    swept[lane] += count;
                    let rest = totals[lane] - swept[lane];
                    lanes[lane] += count;
                    left[lane] += swept[lane] * swept[lane];
                    right[lane] += rest * rest;
                }
                *counts = [0; LANES];
            }
            sum_swept += total(lanes);
            (squares, rest_squares) = (total(left), total(right));
        }
    }
}

#[inline(always)]
fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
