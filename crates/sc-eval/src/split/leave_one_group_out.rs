//! Each group tested on its own.

use super::Split;
use super::groups::group_of_cell;
use crate::Result;

/// One split per group, in ascending order of the groups, that tests the group and trains on all others: scikit-learn's
/// `LeaveOneGroupOut`. With donors, how well a model does on a new donor; with tissues, on a new tissue.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::LeaveOneGroupOut;
///
/// let tissues = Labels::new(&["lung", "blood", "lung", "skin"])?;
/// let splits = LeaveOneGroupOut.split(tissues.codes())?;
/// let tested: Vec<_> = tissues.classes().iter().zip(&splits).map(|(name, s)| (name.as_str(), &s.test[..])).collect();
/// assert_eq!(tested, [("blood", &[1][..]), ("lung", &[0, 2]), ("skin", &[3])]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveOneGroupOut;

impl LeaveOneGroupOut {
    /// Splits the cells by the group of each; each is tested once. Training and test cells ascend.
    ///
    /// Every split lists all cells, so memory is groups times cells.
    ///
    /// # Errors
    /// [`crate::Error::Empty`]; [`crate::Error::FewGroups`] with fewer than two groups.
    pub fn split(&self, groups: &[u32]) -> Result<Vec<Split>> {
        let (group_of_cell, n_groups) = group_of_cell(groups, 2)?;
        Ok(Split::from_folds(&group_of_cell, n_groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_leaves_nothing_to_learn_from() {
        assert!(LeaveOneGroupOut.split(&[5, 5]).is_err());
        assert!(LeaveOneGroupOut.split(&[]).is_err());
        let splits = LeaveOneGroupOut.split(&[9, 4, 9]).unwrap();
        assert_eq!(splits[1], Split { train: vec![1], test: vec![0, 2] });
    }
}
