//! Folds that keep groups together and the share of each class as well as that allows.

use super::Split;
use super::groups::group_of_cell;
use super::k_fold::check_n_splits;
use super::random_state::RandomState;
use super::stratified_k_fold::check_class_sizes;
use crate::{Error, Labels, Result};

/// `n_splits` folds in which no group is on both sides, with class shares as near to those of the whole as a greedy
/// search finds; cell for cell those of scikit-learn's `StratifiedGroupKFold(n_splits, shuffle, random_state=seed)`.
///
/// Groups go one by one, those of the most uneven classes first, to the fold where the class shares of the folds then
/// differ least, of equal folds to the one with the fewest cells.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::StratifiedGroupKFold;
///
/// let labels = Labels::new(&["B", "T", "T", "B", "T", "T", "B", "T"])?;
/// let donors = [0, 0, 0, 1, 1, 2, 2, 2];
/// let splits = StratifiedGroupKFold { n_splits: 2, ..Default::default() }.split(&labels, &donors)?;
/// for split in &splits {
///     assert!(split.test.iter().all(|&t| split.train.iter().all(|&l| donors[t] != donors[l])));
/// }
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StratifiedGroupKFold {
    /// Number of folds, 2 to the number of groups. Default 5.
    pub n_splits: usize,
    /// Whether groups with equally uneven classes go in random order; otherwise in their own. Default false, as in
    /// scikit-learn.
    pub shuffle: bool,
    /// Seed of the shuffle, below 2³². Default 42.
    pub seed: u64,
    /// Whether a class may miss from one side of a fold, as a type that only some donors have will. scikit-learn warns
    /// if a class has fewer cells than there are folds, else says nothing. Default false: every fold trains on every
    /// class and tests it.
    pub allow_missing_classes: bool,
}

impl Default for StratifiedGroupKFold {
    fn default() -> Self {
        Self { n_splits: 5, shuffle: false, seed: 42, allow_missing_classes: false }
    }
}

impl StratifiedGroupKFold {
    /// Splits the cells by the group of each; each is tested once. Training and test cells ascend.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one group per cell; [`Error::FewGroups`] with fewer groups than folds;
    /// [`Error::ClassMissing`], naming the fold, unless `allow_missing_classes`; [`Error::ClassSmallerThanFolds`] if all
    /// classes are; [`Error::Parameter`] for fewer than 2 folds or a seed from 2³² on.
    pub fn split(&self, labels: &Labels, groups: &[u32]) -> Result<Vec<Split>> {
        check_n_splits(self.n_splits)?;
        if groups.len() != labels.len() {
            return Err(Error::Length { what: "groups", found: groups.len(), expected: labels.len() });
        }
        let (group_of_cell, n_groups) = group_of_cell(groups, self.n_splits)?;
        check_class_sizes(labels, self.n_splits, true)?;
        let order = match self.shuffle {
            true => RandomState::new(self.seed)?.permutation(n_groups),
            false => (0..n_groups).collect(),
        };
        let fold_of_group = assign(labels, &group_of_cell, order, self.n_splits);
        let fold_of_cell: Vec<usize> = group_of_cell.iter().map(|&group| fold_of_group[group]).collect();
        let splits = Split::from_folds(&fold_of_cell, self.n_splits);
        if !self.allow_missing_classes {
            for (fold, split) in splits.iter().enumerate() {
                check_classes(labels, split).map_err(|source| Error::in_fold(fold, source))?;
            }
        }
        Ok(splits)
    }
}

fn check_classes(labels: &Labels, split: &Split) -> Result<()> {
    for (side, cells) in [("the training set", &split.train), ("the test set", &split.test)] {
        let mut has = vec![false; labels.n_classes()];
        cells.iter().for_each(|&cell| has[labels.codes()[cell] as usize] = true);
        if let Some(class) = has.iter().position(|has| !has) {
            return Err(Error::ClassMissing { side, label: labels.classes()[class].clone() });
        }
    }
    Ok(())
}

/// The fold of each group; `order` decides between groups whose classes are equally uneven.
fn assign(labels: &Labels, group_of_cell: &[usize], mut order: Vec<usize>, n_splits: usize) -> Vec<usize> {
    let n_classes = labels.n_classes();
    let mut counts = vec![vec![0.0; n_classes]; order.len()];
    for (&group, &code) in group_of_cell.iter().zip(labels.codes()) {
        counts[group][code as usize] += 1.0;
    }
    let unevenness: Vec<f64> = counts.iter().map(|counts| sd_as_numpy(counts)).collect();
    order.sort_by(|&a, &b| unevenness[b].total_cmp(&unevenness[a]));
    let mut folds = Folds::new(n_splits, labels.counts());
    let mut fold_of_group = vec![0; order.len()];
    for group in order {
        let fold = folds.best_for(&counts[group]);
        folds.add(fold, &counts[group]);
        fold_of_group[group] = fold;
    }
    fold_of_group
}

/// The cells of each class that each fold has so far.
struct Folds {
    n_splits: usize,
    /// Cells of each class, folds × classes.
    counts: Vec<Vec<f64>>,
    /// Cells of each class in all.
    totals: Vec<f64>,
    /// Standard deviation over the folds of the share of each class.
    spread: Vec<f64>,
}

impl Folds {
    fn new(n_splits: usize, totals: Vec<usize>) -> Self {
        let n_classes = totals.len();
        let totals = totals.into_iter().map(|n| n as f64).collect();
        Self { n_splits, counts: vec![vec![0.0; n_classes]; n_splits], totals, spread: vec![0.0; n_classes] }
    }

    fn best_for(&self, group: &[f64]) -> usize {
        let (mut best, mut least, mut fewest) = (0, f64::INFINITY, f64::INFINITY);
        let mut spread = self.spread.clone();
        for fold in 0..self.n_splits {
            for (class, &n) in group.iter().enumerate().filter(|(_, n)| **n > 0.0) {
                spread[class] = self.spread_with(class, fold, n);
            }
            let mean = sum_as_numpy(&spread) / spread.len() as f64;
            let cells: f64 = self.counts[fold].iter().sum();
            // numpy's `isclose`, which is not symmetric and never holds for infinity.
            let close = least.is_finite() && (mean - least).abs() <= 1e-8 + 1e-5 * least.abs();
            if mean < least || (close && cells < fewest) {
                (best, least, fewest) = (fold, mean, cells);
            }
        }
        best
    }

    fn add(&mut self, fold: usize, group: &[f64]) {
        for (class, &n) in group.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            self.spread[class] = self.spread_with(class, fold, n);
            self.counts[fold][class] += n;
        }
    }

    /// Standard deviation of the shares of `class` if `fold` had `n` more cells of it, summed as numpy sums over the
    /// first axis: fold after fold.
    fn spread_with(&self, class: usize, fold: usize, n: f64) -> f64 {
        let share = |f: usize| {
            let more = if f == fold { n } else { 0.0 };
            (self.counts[f][class] + more) / self.totals[class]
        };
        let n_splits = self.n_splits as f64;
        let mean = (0..self.n_splits).map(share).sum::<f64>() / n_splits;
        let squares = (0..self.n_splits).map(|f| (share(f) - mean) * (share(f) - mean));
        (squares.sum::<f64>() / n_splits).sqrt()
    }
}

/// numpy's `std`, to the bit: groups whose unevenness is the same but for rounding must go in its order.
fn sd_as_numpy(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = sum_as_numpy(values) / n;
    let squares: Vec<f64> = values.iter().map(|value| (value - mean) * (value - mean)).collect();
    (sum_as_numpy(&squares) / n).sqrt()
}

/// numpy's sum along a contiguous axis: halves of long runs, eight sums side by side in short ones.
fn sum_as_numpy(values: &[f64]) -> f64 {
    match values.len() {
        0..8 => values.iter().sum(),
        8..=128 => {
            let (eights, rest) = values.as_chunks::<8>();
            let mut sums = eights[0];
            for chunk in &eights[1..] {
                sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let whole = ((a + b) + (c + d)) + ((e + f) + (g + h));
            rest.iter().fold(whole, |sum, value| sum + value)
        }
        n => {
            let (left, right) = values.split_at(n / 2 - n / 2 % 8);
            sum_as_numpy(left) + sum_as_numpy(right)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn labels(names: &str) -> Labels {
        Labels::new(&names.chars().map(String::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn groups_stay_together_and_classes_spread() {
        let groups: Vec<u32> = (0..120).map(|cell| cell / 10).collect();
        let labels = labels(&"aabbbbcccc".repeat(12));
        for shuffle in [true, false] {
            let folds = StratifiedGroupKFold { n_splits: 4, shuffle, ..Default::default() };
            for split in folds.split(&labels, &groups).unwrap() {
                assert_eq!(split.test.len(), 30);
                assert!(split.test.chunk_by(|&a, &b| groups[a] == groups[b]).all(|group| group.len() == 10));
            }
        }
    }

    #[test]
    fn a_class_of_one_donor_cannot_be_on_both_sides() {
        let (labels, groups) = (labels("abababccc"), [0, 0, 1, 1, 2, 2, 2, 2, 2]);
        let strict = StratifiedGroupKFold { n_splits: 3, ..Default::default() };
        let error = strict.split(&labels, &groups).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(source.ends_with("has no cell of class \"c\""), "{source}");
        assert!(error.help().is_some());
        let lenient = StratifiedGroupKFold { allow_missing_classes: true, ..strict };
        assert_eq!(lenient.split(&labels, &groups).unwrap().len(), 3);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let folds = |n_splits| StratifiedGroupKFold { n_splits, ..Default::default() };
        assert!(matches!(folds(2).split(&labels("ab"), &[0]), Err(Error::Length { what: "groups", .. })));
        assert!(matches!(
            folds(3).split(&labels("aaabbb"), &[0, 0, 0, 1, 1, 1]),
            Err(Error::FewGroups { .. })
        ));
        let small = folds(3).split(&labels("aabb"), &[0, 1, 2, 3]);
        assert!(matches!(small, Err(Error::ClassSmallerThanFolds { n_folds: 3, .. })));
        assert!(folds(1).split(&labels("ab"), &[0, 1]).is_err());
    }

    #[test]
    fn long_sums_are_halved_at_a_multiple_of_eight() {
        let values: Vec<f64> = (0..300).map(f64::from).collect();
        assert_eq!(sum_as_numpy(&values), 44_850.0);
        // One large value swallows what is added to it in the same of the eight sums, and only there.
        let mut values = vec![1.0; 16];
        values[0] = 1e16;
        assert_eq!(sum_as_numpy(&values), 1e16 + 14.0);
    }
}
