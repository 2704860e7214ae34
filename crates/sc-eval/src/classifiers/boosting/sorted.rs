//! Splits on sorted runs: sums along the runs, then gains by the block.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use super::search::{Best, Child, Node, Search, Sums};
use crate::classifiers::binned::{Binned, Runs, Slots};

/// Entries whose sums are computed before their gains are: few enough to stay in the first-level cache.
const BLOCK: usize = 1024;

/// Buffers of the search: one value per entry of a block.
pub(super) struct Sorted<'a> {
    binned: &'a Binned,
    first: Vec<f64>,
    second: Vec<f64>,
    gain: Vec<f32>,
    spare: Vec<Held>,
}

/// The entries of a node.
#[derive(Default)]
pub(super) struct Held {
    /// `None` for a root that looks at every column: its entries are everybody's.
    runs: Option<Runs>,
    /// Sum of second derivatives of each run, once they were searched.
    weight: Vec<f64>,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(binned: &'a Binned) -> Self {
        Self { binned, first: Vec::new(), second: Vec::new(), gain: Vec::new(), spare: Vec::new() }
    }

    /// The best threshold of a node; `None` if none leaves enough on both sides.
    fn best(&mut self, held: &mut Held, node: &Node<'_>, derivatives: &[[f32; 2]]) -> Option<Best> {
        let Held { runs, weight } = held;
        let runs = runs.as_ref().unwrap_or(&self.binned.runs);
        weight.clear();
        let mut best: Option<Best> = None;
        let mut at = 0;
        while at < runs.len() {
            let (from, base) = (at, runs.start(at));
            while at < runs.len() && runs.start(at) - base < BLOCK {
                at += 1;
            }
            self.sum(runs, from..at, derivatives, weight);
            self.gain.resize(self.first.len(), 0.0);
            let (first, second, gain) = (&self.first, &self.second, &mut self.gain);
            Arch::new().dispatch(Gains { node, first, second, gain });
            // A threshold lies behind an entry only if the next one has another value.
            let entries = runs.entries();
            let mut largest = best.map_or(f32::MIN, |best| best.gain);
            for (k, &gain) in (base..).zip(&self.gain) {
                if gain >= largest && entries.get(k + 1).is_none_or(|next| next.slot != entries[k].slot) {
                    let found = threshold(&self.binned.slots, runs, gain, k);
                    // Columns come in order, but the thresholds above a background from the top.
                    let lower = |best: Best| {
                        gain > best.gain || (found.column == best.column && found.last_left < best.last_left)
                    };
                    if best.is_none_or(lower) {
                        largest = gain;
                        best = Some(found);
                    }
                }
            }
        }
        best
    }

    /// Sums over each run up to and with every entry.
    fn sum(&mut self, runs: &Runs, block: Range<usize>, derivatives: &[[f32; 2]], weight: &mut Vec<f64>) {
        let (base, end) = (runs.start(block.start), runs.start(block.end));
        self.first.resize(end - base, 0.0);
        self.second.resize(end - base, 0.0);
        let (mut first, mut second) = (self.first.iter_mut(), self.second.iter_mut());
        for at in block {
            let entries = &runs.entries()[runs.start(at)..runs.start(at + 1)];
            let mut sums = Sums::default();
            for ((e, first), second) in entries.iter().zip(&mut first).zip(&mut second) {
                sums.add(derivatives[e.row as usize]);
                (*first, *second) = (sums.first, sums.second);
            }
            weight.push(sums.second);
        }
    }
}

impl Search for Sorted<'_> {
    type Held = Held;

    fn slots(&self) -> &Slots {
        &self.binned.slots
    }

    fn root(
        &mut self,
        derivatives: &[[f32; 2]],
        columns: Option<&[bool]>,
        root: Child<'_>,
    ) -> (Option<Best>, Held) {
        let runs = columns.map(|columns| self.binned.runs.of_columns(|j| columns[j]));
        let mut held = Held { runs, weight: Vec::new() };
        let best = if root.splits { self.best(&mut held, &root.node, derivatives) } else { None };
        (best, held)
    }

    /// Only the run with the threshold has rows on another side than the background.
    fn sides(&self, held: &Held, rows: &[u32], best: &Best, left: &mut [bool]) {
        let background_left = self.binned.slots.background(best.column) <= best.last_left;
        rows.iter().for_each(|&r| left[r as usize] = background_left);
        let runs = held.runs.as_ref().unwrap_or(&self.binned.runs);
        let [low, high] = Runs::ids(best.column);
        for e in runs.run(if background_left { high } else { low }) {
            left[e.row as usize] = e.slot <= best.last_left;
        }
    }

    /// A run that is too light for one side of a split here is so below, too: it is left out.
    fn children(
        &mut self,
        derivatives: &[[f32; 2]],
        held: &mut Held,
        left: &[bool],
        children: [Child<'_>; 2],
    ) -> [(Option<Best>, Held); 2] {
        let mut sides = [(); 2].map(|()| self.spare.pop().unwrap_or_default());
        let [a, b] = &mut sides;
        let runs = held.runs.as_ref().unwrap_or(&self.binned.runs);
        let heavy = |run: usize| held.weight[run] >= children[0].node.rules.lightest;
        let (a, b) = (a.runs.get_or_insert_default(), b.runs.get_or_insert_default());
        runs.part_into(a, b, heavy, |row| left[row as usize]);
        let mut answers = sides.map(|held| (None, held));
        for ((best, held), child) in answers.iter_mut().zip(children) {
            if child.splits {
                *best = self.best(held, &child.node, derivatives);
            }
        }
        answers
    }

    fn release(&mut self, held: Held) {
        if held.runs.is_some() {
            self.spare.push(held);
        }
    }
}

/// The threshold behind entry `k`: towards the background, that is to the right of a low run, to the left of a high
/// one.
fn threshold(slots: &Slots, runs: &Runs, gain: f32, k: usize) -> Best {
    let run = runs.run_of(k);
    let id = runs.id(run);
    let column = Runs::column(id);
    let entries = runs.entries();
    let inner = if k + 1 < runs.start(run + 1) { entries[k + 1].slot } else { slots.background(column) };
    let outer = entries[k].slot;
    let (last_left, first_right) = if Runs::is_low(id) { (outer, inner) } else { (inner, outer) };
    Best { gain, column, last_left, first_right }
}

/// [`Node::gains`] of a block. A struct, because closures are not always inlined into the code for the machine's
/// instructions.
struct Gains<'a> {
    node: &'a Node<'a>,
    first: &'a [f64],
    second: &'a [f64],
    gain: &'a mut [f32],
}

impl NullaryFnOnce for Gains<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.node.gains(self.first, self.second, self.gain);
    }
}
