//! Folds regardless of class.

use super::Split;
use super::random_state::RandomState;
use crate::{Error, Result};

/// `n_splits` folds of nearly equal size, without regard to class; cell for cell those of scikit-learn's `KFold`.
///
/// For labelled cells prefer [`super::StratifiedKFold`]: a rare type may well miss from a plain fold.
///
/// ```
/// use sc_eval::split::KFold;
///
/// let splits = KFold { n_splits: 2, shuffle: false, seed: 0 }.split(5)?;
/// assert_eq!((&splits[0].test[..], &splits[1].test[..]), (&[0, 1, 2][..], &[3, 4][..]));
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KFold {
    /// Number of folds, 2 to the number of cells. Every fold lists all cells, so memory is folds times cells. Default 5.
    pub n_splits: usize,
    /// Whether to shuffle the cells first; otherwise folds are runs of neighbours. Default true.
    pub shuffle: bool,
    /// Seed of the shuffle, below 2³². Default 42.
    pub seed: u64,
}

impl Default for KFold {
    fn default() -> Self {
        Self { n_splits: 5, shuffle: true, seed: 42 }
    }
}

impl KFold {
    /// Splits `n_cells` cells; each is tested once. Training and test cells ascend.
    ///
    /// # Errors
    /// [`Error::Parameter`] for fewer than 2 folds, more folds than cells, or a seed from 2³² on.
    pub fn split(&self, n_cells: usize) -> Result<Vec<Split>> {
        check_n_splits(self.n_splits)?;
        if self.n_splits > n_cells {
            let (value, expected) = (self.n_splits.to_string(), "at most the number of cells");
            return Err(Error::Parameter { name: "n_splits", value, expected });
        }
        let mut order: Vec<usize> = (0..n_cells).collect();
        if self.shuffle {
            RandomState::new(self.seed)?.shuffle(&mut order);
        }
        // The first `n_cells % n_splits` folds get one cell more.
        let (size, larger) = (n_cells / self.n_splits, n_cells % self.n_splits);
        let mut fold_of_cell = vec![0; n_cells];
        for (place, cell) in order.into_iter().enumerate() {
            let in_larger = (size + 1) * larger;
            let fold =
                if place < in_larger { place / (size + 1) } else { larger + (place - in_larger) / size };
            fold_of_cell[cell] = fold;
        }
        Ok(Split::from_folds(&fold_of_cell, self.n_splits))
    }
}

pub(super) fn check_n_splits(n_splits: usize) -> Result<()> {
    if n_splits < 2 {
        let (value, expected) = (n_splits.to_string(), "at least 2 folds");
        return Err(Error::Parameter { name: "n_splits", value, expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_tested_once_and_folds_differ_by_one_at_most() {
        let splits = KFold { n_splits: 4, ..Default::default() }.split(10).unwrap();
        let sizes: Vec<_> = splits.iter().map(|split| split.test.len()).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
        assert!(super::super::check_splits(&splits, 10).unwrap().iter().all(Option::is_some));
    }

    #[test]
    fn as_many_folds_as_cells_is_leave_one_out_and_more_is_an_error() {
        let splits = KFold { n_splits: 3, shuffle: false, seed: 0 }.split(3).unwrap();
        assert_eq!(splits[1], Split { train: vec![0, 2], test: vec![1] });
        assert!(KFold { n_splits: 4, ..Default::default() }.split(3).is_err());
        assert!(KFold { n_splits: 1, ..Default::default() }.split(3).is_err());
        assert!(KFold { seed: 1 << 40, ..Default::default() }.split(9).is_err());
    }
}
