//! Folds that keep groups together.

use super::Split;
use super::groups::{group_of_cell, group_sizes};
use super::k_fold::check_n_splits;
use super::random_state::RandomState;
use crate::Result;

/// `n_splits` folds of nearly equal size in which no group is on both sides; cell for cell those of scikit-learn's
/// `GroupKFold(n_splits, shuffle, random_state=seed)`.
///
/// Without regard to class: a type that few donors have may miss from a fold. See [`super::StratifiedGroupKFold`].
///
/// ```
/// use sc_eval::split::GroupKFold;
///
/// let donors = [0, 0, 0, 1, 1, 2, 2, 3];
/// let splits = GroupKFold { n_splits: 2, shuffle: false, seed: 0 }.split(&donors)?;
/// assert_eq!(splits[0].test, [0, 1, 2, 7]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKFold {
    /// Number of folds, 2 to the number of groups. Default 5.
    pub n_splits: usize,
    /// Whether to deal the groups at random, as many to each fold; otherwise the largest first, each to the fold with
    /// the fewest cells. Default false, as in scikit-learn.
    pub shuffle: bool,
    /// Seed of the shuffle, below 2³². Default 42.
    pub seed: u64,
}

impl Default for GroupKFold {
    fn default() -> Self {
        Self { n_splits: 5, shuffle: false, seed: 42 }
    }
}

impl GroupKFold {
    /// Splits the cells by the group of each; each is tested once. Training and test cells ascend.
    ///
    /// # Errors
    /// [`crate::Error::Empty`]; [`crate::Error::FewGroups`] with fewer groups than folds; [`crate::Error::Parameter`]
    /// for fewer than 2 folds or a seed from 2³² on.
    pub fn split(&self, groups: &[u32]) -> Result<Vec<Split>> {
        check_n_splits(self.n_splits)?;
        let (group_of_cell, n_groups) = group_of_cell(groups, self.n_splits)?;
        let fold_of_group = match self.shuffle {
            true => dealt(&RandomState::new(self.seed)?.permutation(n_groups), self.n_splits),
            false => balanced(&group_sizes(&group_of_cell, n_groups), self.n_splits),
        };
        let fold_of_cell: Vec<usize> = group_of_cell.iter().map(|&group| fold_of_group[group]).collect();
        Ok(Split::from_folds(&fold_of_cell, self.n_splits))
    }
}

/// The fold of each group if runs of `order` go to the folds, the first of which get one more where they do not divide.
fn dealt(order: &[usize], n_splits: usize) -> Vec<usize> {
    let (size, larger) = (order.len() / n_splits, order.len() % n_splits);
    let mut folds = vec![0; order.len()];
    let mut next = order.iter();
    for fold in 0..n_splits {
        for &group in next.by_ref().take(size + usize::from(fold < larger)) {
            folds[group] = fold;
        }
    }
    folds
}

/// The fold of each group if the largest group left always goes to the fold with the fewest cells.
fn balanced(sizes: &[usize], n_splits: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    // Descending, and of equal groups the last first: a stable ascending order read backwards.
    order.sort_by_key(|&group| sizes[group]);
    let mut cells = vec![0; n_splits];
    let mut folds = vec![0; sizes.len()];
    for group in order.into_iter().rev() {
        let lightest = (0..n_splits).min_by_key(|&fold| cells[fold]).unwrap_or(0);
        cells[lightest] += sizes[group];
        folds[group] = lightest;
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn no_group_is_on_both_sides() {
        let groups: Vec<u32> = (0..100u32).map(|cell| cell * cell % 13).collect();
        for shuffle in [true, false] {
            let splits = GroupKFold { n_splits: 3, shuffle, seed: 5 }.split(&groups).unwrap();
            for split in &splits {
                assert!(split.test.iter().all(|&t| split.train.iter().all(|&l| groups[t] != groups[l])));
            }
            assert!(super::super::check_splits(&splits, 100).unwrap().iter().all(Option::is_some));
        }
    }

    #[test]
    fn fewer_groups_than_folds_are_refused() {
        let error = GroupKFold { n_splits: 3, ..Default::default() }.split(&[1, 1, 2]).unwrap_err();
        assert!(matches!(error, Error::FewGroups { n_groups: 2, expected: 3 }));
        assert!(GroupKFold { n_splits: 1, ..Default::default() }.split(&[1, 2]).is_err());
        assert!(GroupKFold { n_splits: 2, shuffle: true, seed: 1 << 32 }.split(&[1, 2]).is_err());
    }
}
