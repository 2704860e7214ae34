//! The best threshold of a node: sums along sorted runs, then gains by the block.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use crate::classifiers::binned::{Binned, Runs};

/// First and second derivatives, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) first: f64,
    pub(super) second: f64,
}

impl Sums {
    pub(super) fn add(&mut self, [first, second]: [f32; 2]) {
        self.first += f64::from(first);
        self.second += f64::from(second);
    }

    /// Twice the loss that a leaf with these derivatives takes away.
    pub(super) fn gain(self, lambda: f64) -> f64 {
        self.first * self.first / (self.second + lambda)
    }
}

/// A threshold of a node and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Best {
    /// Gain of both children, before that of the node is taken off.
    pub(super) gain: f64,
    pub(super) column: usize,
    /// The run with the threshold, by position.
    pub(super) run: usize,
    /// Rows whose slot is at most this go left.
    pub(super) last_left: u32,
    pub(super) first_right: u32,
}

/// The node whose thresholds are compared.
pub(super) struct NodeSums {
    pub(super) sums: Sums,
    pub(super) lambda: f64,
    /// Least sum of second derivatives on a side.
    pub(super) lightest: f64,
}

/// Entries whose sums are computed before their gains are: few enough to stay in the first-level cache.
const BLOCK: usize = 1024;

/// Buffers of the search: one value per entry of a block, and the weight of every run.
#[derive(Default)]
pub(super) struct Scan {
    first: Vec<f64>,
    second: Vec<f64>,
    gain: Vec<f64>,
    /// Sum of second derivatives of each run of the node searched last.
    pub(super) weight: Vec<f64>,
}

impl Scan {
    /// The threshold with the largest gain; the first of equals, by run. `None` if none leaves enough on both sides.
    pub(super) fn best(
        &mut self,
        binned: &Binned,
        runs: &Runs,
        node: &NodeSums,
        derivatives: &[[f32; 2]],
    ) -> Option<Best> {
        self.weight.clear();
        let mut best: Option<(f64, usize)> = None;
        let mut at = 0;
        while at < runs.len() {
            let (from, base) = (at, runs.start(at));
            while at < runs.len() && runs.start(at) - base < BLOCK {
                at += 1;
            }
            self.sum(runs, from..at, derivatives);
            self.gain.resize(self.first.len(), 0.0);
            let (first, second, gain) = (&self.first, &self.second, &mut self.gain);
            Arch::new().dispatch(Gains { node, first, second, gain });
            // A threshold lies behind an entry only if the next one has another value.
            let entries = runs.entries();
            let mut largest = best.map_or(f64::NEG_INFINITY, |(gain, _)| gain);
            for (k, &gain) in (base..).zip(&self.gain) {
                if gain > largest && entries.get(k + 1).is_none_or(|next| next.slot != entries[k].slot) {
                    largest = gain;
                    best = Some((gain, k));
                }
            }
        }
        best.map(|(gain, k)| threshold(binned, runs, gain, k))
    }

    /// Sums over each run up to and with every entry.
    fn sum(&mut self, runs: &Runs, block: Range<usize>, derivatives: &[[f32; 2]]) {
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
            self.weight.push(sums.second);
        }
    }
}

/// The threshold behind entry `k`: towards the background, that is to the right of a low run, to the left of a high
/// one.
fn threshold(binned: &Binned, runs: &Runs, gain: f64, k: usize) -> Best {
    let run = runs.run_of(k);
    let id = runs.id(run);
    let column = Runs::column(id);
    let entries = runs.entries();
    let inner = if k + 1 < runs.start(run + 1) { entries[k + 1].slot } else { binned.background(column) };
    let outer = entries[k].slot;
    let (last_left, first_right) = if Runs::is_low(id) { (outer, inner) } else { (inner, outer) };
    Best { gain, column, run, last_left, first_right }
}

/// Gains of both sides together; minus infinity where a side is too light. A struct, because closures are not always
/// inlined into the code for the machine's instructions.
struct Gains<'a> {
    node: &'a NodeSums,
    first: &'a [f64],
    second: &'a [f64],
    gain: &'a mut [f64],
}

impl NullaryFnOnce for Gains<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { node, first, second, gain } = self;
        let Sums { first: all_first, second: all_second } = node.sums;
        for ((gain, &first), &second) in gain.iter_mut().zip(first).zip(second) {
            let (other_first, other_second) = (all_first - first, all_second - second);
            let (a, b) = (second + node.lambda, other_second + node.lambda);
            let both = (first * first * b + other_first * other_first * a) / (a * b);
            let heavy = (second >= node.lightest) & (other_second >= node.lightest);
            *gain = if heavy { both } else { f64::NEG_INFINITY };
        }
    }
}
