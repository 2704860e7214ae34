//! Random splits of groups.

use super::groups::group_of_cell;
use super::random_state::RandomState;
use super::shuffle_split::sizes;
use super::{Size, Split};
use crate::{Error, Result};

/// Random splits in which no group is on both sides; cell for cell those of scikit-learn's
/// `GroupShuffleSplit(n_splits, test_size, train_size, random_state=seed)`.
///
/// Sizes are of groups, not of cells. Unlike folds, the test sets of several splits overlap.
///
/// ```
/// use sc_eval::split::{GroupShuffleSplit, Size};
///
/// let donors = [0, 0, 1, 1, 2, 2, 3, 3];
/// let splitter = GroupShuffleSplit { test_groups: Size::Cells(1), ..Default::default() };
/// let split = &splitter.split(&donors)?[0];
/// assert_eq!((split.train.len(), split.test.len()), (6, 2));
/// assert_eq!(donors[split.test[0]], donors[split.test[1]]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupShuffleSplit {
    /// Number of splits, at least 1. Default 1.
    pub n_splits: usize,
    /// How many groups to test: a share of the groups, or their number by [`Size::Cells`]. Default a fifth.
    pub test_groups: Size,
    /// How many groups to learn from; `None` for all that are not tested. Default `None`.
    pub train_groups: Option<Size>,
    /// Seed of the shuffles, below 2³². Default 42.
    pub seed: u64,
}

impl Default for GroupShuffleSplit {
    fn default() -> Self {
        Self { n_splits: 1, test_groups: Size::Share(0.2), train_groups: None, seed: 42 }
    }
}

impl GroupShuffleSplit {
    /// Draws the splits; training and test cells ascend.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::FewGroups`] with fewer than two groups; [`Error::Parameter`] for sizes that leave no
    /// group on a side or need more than there are, for no splits, or for a seed from 2³² on.
    pub fn split(&self, groups: &[u32]) -> Result<Vec<Split>> {
        if self.n_splits == 0 {
            let expected = "at least 1 split";
            return Err(Error::Parameter { name: "n_splits", value: "0".into(), expected });
        }
        let (group_of_cell, n_groups) = group_of_cell(groups, 2)?;
        let Ok((n_train, n_test)) = sizes(n_groups, self.test_groups, self.train_groups) else {
            let value = format!("{:?} beside {:?} of {n_groups}", self.test_groups, self.train_groups);
            let expected = "sizes that leave a group on both sides, and no more in total than there are";
            return Err(Error::Parameter { name: "test_groups", value, expected });
        };
        let mut random = RandomState::new(self.seed)?;
        let draw = |_| {
            let order = random.permutation(n_groups);
            let cells = |chosen: &[usize]| {
                let mut is_chosen = vec![false; n_groups];
                chosen.iter().for_each(|&group| is_chosen[group] = true);
                (0..groups.len()).filter(|&cell| is_chosen[group_of_cell[cell]]).collect()
            };
            Split { train: cells(&order[n_test..n_test + n_train]), test: cells(&order[..n_test]) }
        };
        Ok((0..self.n_splits).map(draw).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_leave_a_side_empty_are_refused() {
        let split = |test_groups, train_groups| {
            GroupShuffleSplit { test_groups, train_groups, ..Default::default() }.split(&[1, 1, 2, 3])
        };
        assert!(split(Size::Cells(1), Some(Size::Cells(2))).is_ok());
        assert!(split(Size::Cells(3), None).is_err());
        let error = split(Size::Cells(2), Some(Size::Cells(2))).unwrap_err().to_string();
        assert!(
            error.starts_with("`test_groups` is Cells(2) beside Some(Cells(2)) of 3, expected sizes"),
            "{error}"
        );
        assert!(GroupShuffleSplit::default().split(&[1, 1]).is_err());
        assert!(GroupShuffleSplit { n_splits: 0, ..Default::default() }.split(&[1, 2]).is_err());
        assert!(GroupShuffleSplit { seed: 1 << 32, ..Default::default() }.split(&[1, 2]).is_err());
    }
}
