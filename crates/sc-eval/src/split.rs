//! Which cells to learn from and which to test on: the folds that scikit-learn makes from the same seed.
//!
//! Cells of one donor are alike: a model that has seen others of a donor finds the rest easy. Where cells have donors,
//! split by donor ([`StratifiedGroupKFold`], [`GroupKFold`], [`LeaveOneGroupOut`], [`GroupShuffleSplit`]); the group of
//! each cell is an integer, e.g. a code of [`crate::Labels`] made from the donors' names.

mod check;
mod group_k_fold;
mod group_shuffle_split;
mod groups;
mod k_fold;
mod learning_curve;
mod leave_one_group_out;
mod mersenne_twister;
mod nested;
#[cfg(test)]
mod properties;
mod random_state;
mod repeated;
mod shuffle_split;
mod stratified_group_k_fold;
mod stratified_k_fold;

pub(crate) use check::check_splits;
#[cfg(feature = "grid")]
pub(crate) use check::check_test;
pub use group_k_fold::GroupKFold;
pub use group_shuffle_split::GroupShuffleSplit;
pub use k_fold::KFold;
pub use learning_curve::{LearningCurve, learning_curve_subsets};
pub use leave_one_group_out::LeaveOneGroupOut;
pub use nested::{NestedSplit, nested};
#[cfg(feature = "classifiers")]
pub(crate) use random_state::RandomState;
pub use repeated::RepeatedStratifiedKFold;
#[cfg(feature = "classifiers")]
pub(crate) use shuffle_split::draw_split;
pub use shuffle_split::{Size, StratifiedShuffleSplit, train_test_split, train_test_split_stratified};
pub use stratified_group_k_fold::StratifiedGroupKFold;
pub use stratified_k_fold::StratifiedKFold;

/// One division of the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Cells to learn from.
    pub train: Vec<usize>,
    /// Cells to test on.
    pub test: Vec<usize>,
}

impl Split {
    /// Splits from the fold in which each cell is tested; both sides ascending.
    fn from_folds(fold_of_cell: &[usize], n_splits: usize) -> Vec<Self> {
        let side = |fold: usize, tested: bool| {
            let cells = fold_of_cell.iter().enumerate().filter(move |&(_, &f)| (f == fold) == tested);
            cells.map(|(cell, _)| cell).collect()
        };
        (0..n_splits).map(|fold| Self { train: side(fold, false), test: side(fold, true) }).collect()
    }
}
