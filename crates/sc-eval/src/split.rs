//! Which cells to learn from and which to test on: the folds that scikit-learn makes from the same seed.

mod check;
mod k_fold;
mod mersenne_twister;
#[cfg(test)]
mod properties;
mod random_state;
mod shuffle_split;
mod stratified_k_fold;

pub(crate) use check::check_splits;
#[cfg(feature = "grid")]
pub(crate) use check::check_test;
pub use k_fold::KFold;
pub use shuffle_split::{Size, StratifiedShuffleSplit, train_test_split, train_test_split_stratified};
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
