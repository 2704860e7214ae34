//! What a split is worth, and what both layouts of the features answer when a tree is grown.

use crate::classifiers::binned::Slots;

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

    pub(super) fn of(rows: &[u32], derivatives: &[[f32; 2]]) -> Self {
        let mut sums = Self::default();
        rows.iter().for_each(|&r| sums.add(derivatives[r as usize]));
        sums
    }
}

/// When to split, and how much a penalty takes off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) max_depth: usize,
    /// Least sum of second derivatives on a side.
    pub(super) lightest: f64,
    /// L2 and L1 penalty on leaf values.
    pub(super) lambda: f64,
    pub(super) alpha: f64,
    /// A split gains more than this,
    pub(super) gain_above: f64,
    /// and not less than this.
    pub(super) gain_at_least: f64,
}

impl Rules {
    /// A side lighter than this may not be split off, whatever the rules allow: it is what rounding leaves of a total.
    pub(super) const MIN_SIDE: f64 = 1e-9;
    /// Share of a node's own worth that its split has to gain: less is what rounding leaves of a difference.
    const MIN_SHARE: f64 = 1e-13;

    pub(super) fn may_split(&self, depth: usize, sums: &Sums) -> bool {
        depth < self.max_depth && sums.second >= 2.0 * self.lightest
    }

    /// Twice the loss that a leaf with these derivatives takes away.
    pub(super) fn worth(&self, sums: &Sums) -> f64 {
        let first = (sums.first.abs() - self.alpha).max(0.0);
        first * first / (sums.second + self.lambda)
    }

    /// The leaf value that takes most away.
    pub(super) fn leaf(&self, sums: &Sums) -> f64 {
        -(sums.first.abs() - self.alpha).max(0.0).copysign(sums.first) / (sums.second + self.lambda)
    }

    pub(super) fn accept(&self, best: &Best, node: &Node<'_>) -> bool {
        let gain = f64::from(best.gain);
        gain > self.gain_above && gain >= self.gain_at_least && gain > Self::MIN_SHARE * node.worth
    }
}

/// The node whose thresholds are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) sums: Sums,
    pub(super) rules: &'a Rules,
    /// [`Rules::worth`] of the node.
    pub(super) worth: f64,
}

impl<'a> Node<'a> {
    pub(super) fn new(sums: Sums, rules: &'a Rules) -> Self {
        Self { sums, rules, worth: rules.worth(&sums) }
    }

    /// Writes the gain of splitting off each of some sums; minus infinity where a side is too light.
    #[inline(always)]
    pub(super) fn gains(&self, first: &[f64], second: &[f64], gains: &mut [f32]) {
        let split = self.split();
        for ((gain, &first), &second) in gains.iter_mut().zip(first).zip(second) {
            *gain = split.gain(first, second);
        }
    }

    /// What the gains of the node depend on.
    #[inline(always)]
    pub(super) fn split(&self) -> Split {
        Split { rules: *self.rules, sums: self.sums, worth: self.worth }
    }
}

/// A node by value: behind references, a loop that writes gains would read its numbers again for each.
#[derive(Clone, Copy)]
pub(super) struct Split {
    rules: Rules,
    sums: Sums,
    worth: f64,
}

impl Split {
    /// The gain of splitting off some sums; minus infinity where a side is too light.
    ///
    /// Rounded to `f32`, as XGBoost's are: what differs by less is a tie, whatever the order of the sums.
    #[inline(always)]
    pub(super) fn gain(self, first: f64, second: f64) -> f32 {
        let (over, under, heavy) = self.fraction(first, second);
        // Divided in any case: a branch here would keep the loop over many sums from using SIMD.
        let gain = (over / under - self.worth) as f32;
        if heavy { gain } else { f32::NEG_INFINITY }
    }

    /// The least worth of both sides with which [`Split::gain`] may be as large as `gain`, which is at least 0: a
    /// little less than what rounding could make of it.
    #[inline(always)]
    pub(super) fn least(self, gain: f32) -> f64 {
        (self.worth + f64::from(gain) * (1.0 - 1e-6)) * (1.0 - 1e-12)
    }

    /// Whether both sides are heavy enough and worth at least as much; without a division.
    #[inline(always)]
    pub(super) fn reaches(self, least: f64, first: f64, second: f64) -> bool {
        let (over, under, heavy) = self.fraction(first, second);
        heavy & (over >= least * under)
    }

    /// What both sides are worth, as a fraction, and whether both are heavy enough.
    #[inline(always)]
    fn fraction(self, first: f64, second: f64) -> (f64, f64, bool) {
        let Rules { lambda, alpha, lightest, .. } = self.rules;
        let Sums { first: all_first, second: all_second } = self.sums;
        let (other_first, other_second) = (all_first - first, all_second - second);
        let (a, b) = (second + lambda, other_second + lambda);
        let (mine, others) = (first.abs() - alpha, other_first.abs() - alpha);
        let mine = if mine > 0.0 { mine } else { 0.0 };
        let others = if others > 0.0 { others } else { 0.0 };
        let heavy = (second >= lightest) & (other_second >= lightest);
        (mine * mine * b + others * others * a, a * b, heavy)
    }
}

/// A threshold of a node and what it is worth: the largest gain; of equals the first column, then the lowest threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Best {
    pub(super) gain: f32,
    pub(super) column: usize,
    /// Rows whose slot is at most this go left.
    pub(super) last_left: u32,
    pub(super) first_right: u32,
}

/// A child whose best split is asked for.
#[derive(Clone, Copy)]
pub(super) struct Child<'a> {
    pub(super) rows: &'a [u32],
    pub(super) node: Node<'a>,
    /// Whether it may be split.
    pub(super) splits: bool,
    /// Whether its children may be.
    pub(super) children_split: bool,
}

/// A layout of the features, with the buffers to grow trees on it.
pub(super) trait Search {
    /// What a node keeps for its children.
    type Held;

    fn slots(&self) -> &Slots;

    /// Begins a tree: the best split of the root, whose rows are all rows.
    ///
    /// * `columns`: whether each may be split on; `None` for all.
    fn root(
        &mut self,
        derivatives: &[[f32; 2]],
        columns: Option<&[bool]>,
        root: Child<'_>,
    ) -> (Option<Best>, Self::Held);

    /// Writes for each of the node's rows whether it goes left.
    fn sides(&self, held: &Self::Held, rows: &[u32], best: &Best, left: &mut [bool]);

    /// The best splits of both children of a node, of which at least one may be split.
    ///
    /// * `held`: what the node keeps; `left`: its rows' sides.
    fn children(
        &mut self,
        derivatives: &[[f32; 2]],
        held: &mut Self::Held,
        left: &[bool],
        children: [Child<'_>; 2],
    ) -> [(Option<Best>, Self::Held); 2];

    /// Takes back what a node kept.
    fn release(&mut self, held: Self::Held);
}
