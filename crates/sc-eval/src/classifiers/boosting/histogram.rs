//! Splits on histograms of dense features: sums per bin, then gains along the bins.
//!
//! Blocks of columns are worked on one after the other, so that a block's histogram stays in the first-level cache
//! from its first entry to its last gain. Of two children only the smaller one's rows are read: what the parent has
//! left is the larger one's, unless that has few rows, too.

mod scan;

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use self::scan::{add, best, best_of_few};
use super::search::{Best, Child, Node, Search};
use crate::classifiers::binned::{LANES, MAX_BINS, Packed, Slots};

/// Sums of first and second derivatives of the lanes of one bin, in turn.
type Bin = [f64; 2 * LANES];

/// Most bins of a column.
const BINS: usize = MAX_BINS;

/// Rows that are read faster than the histogram of a parent, which lies further away than the first-level cache.
const FEW: usize = 256;

/// Buffers of the search.
pub(super) struct Histograms<'a> {
    packed: &'a Packed,
    /// Whether blocks are worked on in parallel.
    parallel: bool,
    /// Bins that a histogram keeps per block.
    stride: usize,
    columns: Option<Vec<bool>>,
    spare: Vec<Vec<Bin>>,
    /// Derivatives of the rows that are read, side by side.
    gathered: Vec<[f64; 2]>,
}

/// The histogram of a node, block by block, where its children need it.
#[derive(Default)]
pub(super) struct Held(Option<Vec<Bin>>);

/// The largest gain so far, and the last bin that goes left.
#[derive(Clone, Copy)]
struct Found {
    gain: f32,
    column: usize,
    bin: usize,
}

/// What happens to one block of a node's two children (or of the root, as the smaller child of nothing).
struct Work<'a> {
    packed: &'a Packed,
    block: usize,
    columns: Option<&'a [bool]>,
    /// Rows of the smaller child and their derivatives.
    rows: &'a [u32],
    gathered: &'a [[f64; 2]],
    /// Smaller and larger child, where they may be split.
    small: Option<&'a Node<'a>>,
    large: Option<&'a Node<'a>>,
    /// Gains that are known elsewhere: only larger ones matter.
    floor: [f32; 2],
    /// Where the smaller one's histogram goes; empty if nobody needs it.
    kept: &'a mut [Bin],
    /// The parent's histogram, which becomes the larger child's; empty if that is not needed.
    parent: &'a mut [Bin],
}

impl<'a> Histograms<'a> {
    pub(super) fn new(packed: &'a Packed, parallel: bool) -> Self {
        let stride = (0..packed.n_blocks()).map(|block| packed.n_bins(block)).max().unwrap_or(1);
        Self { packed, parallel, stride, columns: None, spare: Vec::new(), gathered: Vec::new() }
    }

    fn buffer(&mut self) -> Vec<Bin> {
        let len = self.stride * self.packed.n_blocks();
        self.spare.pop().unwrap_or_else(|| vec![[0.0; 2 * LANES]; len])
    }

    /// Reads the rows of `small` block by block; the best splits of `small` and of `large`.
    ///
    /// * `kept`, `parent`: see [`Work`]; empty or of all blocks.
    fn pass(
        &mut self,
        derivatives: &[[f32; 2]],
        small: Child<'_>,
        large: Option<Child<'_>>,
        kept: &mut [Bin],
        parent: &mut [Bin],
    ) -> [Option<Best>; 2] {
        let gathered = small.rows.iter().map(|&r| derivatives[r as usize].map(f64::from));
        self.gathered.clear();
        self.gathered.extend(gathered);
        let nodes = [Some(small), large].map(|child| child.filter(|c| c.splits).map(|c| c.node));
        let stride = self.stride;
        let mut kept = kept.chunks_mut(stride);
        let mut parent = parent.chunks_mut(stride);
        let works: Vec<Work<'_>> = (0..self.packed.n_blocks())
            .map(|block| Work {
                packed: self.packed,
                block,
                columns: self.columns.as_deref(),
                rows: small.rows,
                gathered: &self.gathered,
                small: nodes[0].as_ref(),
                large: nodes[1].as_ref(),
                floor: [0.0; 2],
                kept: kept.next().unwrap_or_default(),
                parent: parent.next().unwrap_or_default(),
            })
            .collect();
        let arch = Arch::new();
        let mut best: [Option<Found>; 2] = [None; 2];
        let mut take = |found: [Option<Found>; 2]| {
            for (best, found) in best.iter_mut().zip(found) {
                // The first of equals stays.
                if found.is_some_and(|found| best.is_none_or(|best| found.gain > best.gain)) {
                    *best = found;
                }
            }
            best.map(|best| best.map_or(0.0, |best| best.gain))
        };
        if self.parallel {
            let found: Vec<_> = works.into_par_iter().map(|work| arch.dispatch(work)).collect();
            found.into_iter().for_each(|found| _ = take(found));
        } else {
            works.into_iter().fold([0.0; 2], |floor, work| take(arch.dispatch(Work { floor, ..work })));
        }
        let large_rows = large.map_or(&[][..], |child| child.rows);
        [self.resolve(best[0], small.rows), self.resolve(best[1], large_rows)]
    }

    /// The slots on both sides of a threshold that hold rows of the node.
    fn resolve(&self, found: Option<Found>, rows: &[u32]) -> Option<Best> {
        let Found { gain, column, bin } = found?;
        let block = self.packed.block(column / LANES);
        let (mut last_left, mut first_right) = (None, None);
        for &r in rows {
            let at = usize::from(block[r as usize][column % LANES]);
            if at <= bin {
                last_left = last_left.max(Some(at));
            } else if first_right.is_none_or(|first| at < first) {
                first_right = Some(at);
            }
        }
        let first = self.packed.slots.first(column);
        let slot = |bin: usize| first + bin as u32;
        Some(Best { gain, column, last_left: slot(last_left?), first_right: slot(first_right?) })
    }
}

impl Search for Histograms<'_> {
    type Held = Held;

    fn slots(&self) -> &Slots {
        &self.packed.slots
    }

    fn root(
        &mut self,
        derivatives: &[[f32; 2]],
        columns: Option<&[bool]>,
        root: Child<'_>,
    ) -> (Option<Best>, Held) {
        self.columns = columns.map(<[bool]>::to_vec);
        if !root.splits {
            return (None, Held(None));
        }
        let needed = root.children_split && root.rows.len() > FEW;
        let mut held = Held(needed.then(|| self.buffer()));
        let kept = held.0.as_deref_mut().unwrap_or_default();
        let [best, _] = self.pass(derivatives, root, None, kept, &mut []);
        (best, held)
    }

    fn sides(&self, _: &Held, rows: &[u32], best: &Best, left: &mut [bool]) {
        let block = self.packed.block(best.column / LANES);
        let last = best.last_left - self.packed.slots.first(best.column);
        for &r in rows {
            left[r as usize] = u32::from(block[r as usize][best.column % LANES]) <= last;
        }
    }

    fn children(
        &mut self,
        derivatives: &[[f32; 2]],
        held: &mut Held,
        _: &[bool],
        children: [Child<'_>; 2],
    ) -> [(Option<Best>, Held); 2] {
        let left_is_small = children[0].rows.len() <= children[1].rows.len();
        let [left, right] = children;
        let (small, large) = if left_is_small { (left, right) } else { (right, left) };
        let needs = |child: Child<'_>| child.splits && child.children_split && child.rows.len() > FEW;
        let mut kept = needs(small).then(|| self.buffer());
        let mut parent = held.0.take();
        if large.rows.len() <= FEW {
            self.spare.extend(parent.take());
        }
        let [mut best_small, mut best_large] = [None, None];
        match &mut parent {
            Some(parent) if large.splits => {
                let kept = kept.as_deref_mut().unwrap_or_default();
                [best_small, best_large] = self.pass(derivatives, small, Some(large), kept, parent);
            }
            _ => {
                if small.splits {
                    let kept = kept.as_deref_mut().unwrap_or_default();
                    [best_small, _] = self.pass(derivatives, small, None, kept, &mut []);
                }
                if large.splits {
                    let mut buffer = needs(large).then(|| self.buffer());
                    let kept = buffer.as_deref_mut().unwrap_or_default();
                    [best_large, _] = self.pass(derivatives, large, None, kept, &mut []);
                    parent = buffer;
                }
            }
        }
        let small = (best_small, Held(kept));
        let large = (best_large, Held(parent));
        if left_is_small { [small, large] } else { [large, small] }
    }

    fn release(&mut self, held: Held) {
        self.spare.extend(held.0);
    }
}

impl NullaryFnOnce for Work<'_> {
    type Output = [Option<Found>; 2];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { packed, block, columns, rows, gathered, small, large, floor, kept, parent } = self;
        let n_bins = packed.n_bins(block);
        let bins = packed.block(block);
        let mut found = [None; 2];
        // A histogram is only kept of more rows than that.
        if rows.len() <= scan::VERY_FEW {
            found[0] =
                small.and_then(|node| best_of_few(packed, block, columns, rows, gathered, node, floor[0]));
            if let Some(node) = large {
                add::<true>(parent, bins, rows, gathered);
                found[1] = best(packed, block, columns, &parent[..n_bins], node, floor[1]);
            }
            return found;
        }
        let mut own = [[0.0; 2 * LANES]; BINS];
        add::<false>(&mut own, bins, rows, gathered);
        let own = &own[..n_bins];
        if !kept.is_empty() {
            kept[..n_bins].copy_from_slice(own);
        }
        if let Some(node) = small {
            found[0] = best(packed, block, columns, own, node, floor[0]);
        }
        if let Some(node) = large {
            let rest = &mut parent[..n_bins];
            for (rest, own) in rest.iter_mut().zip(own) {
                for (rest, own) in rest.iter_mut().zip(own) {
                    *rest -= own;
                }
            }
            found[1] = best(packed, block, columns, rest, node, floor[1]);
        }
        found
    }
}
