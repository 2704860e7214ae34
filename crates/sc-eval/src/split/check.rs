//! Whether splits can be trusted: no cell on both sides, none tested twice.

use super::Split;
use crate::{Error, Result};

/// The fold that tests each cell; `None` for a cell that none does.
///
/// A training set may hold a cell twice (oversampling) or leave cells out.
pub(crate) fn check_splits(splits: &[Split], n_cells: usize) -> Result<Vec<Option<usize>>> {
    if splits.is_empty() {
        return Err(Error::Empty { what: "splits" });
    }
    let mut fold_of_cell = vec![None; n_cells];
    for (fold, split) in splits.iter().enumerate() {
        check_split(split, fold, &mut fold_of_cell).map_err(|source| Error::in_fold(fold, source))?;
    }
    Ok(fold_of_cell)
}

pub(super) fn check_split(split: &Split, fold: usize, fold_of_cell: &mut [Option<usize>]) -> Result<()> {
    let n_cells = fold_of_cell.len();
    for (what, side) in [("the training set", &split.train), ("the test set", &split.test)] {
        if side.is_empty() {
            return Err(Error::Empty { what });
        }
        if let Some(&cell) = side.iter().find(|&&cell| cell >= n_cells) {
            return Err(Error::CellOutOfBounds { what, cell, n_cells });
        }
    }
    check_test(&split.test, fold, fold_of_cell)?;
    match split.train.iter().find(|&&cell| fold_of_cell[cell] == Some(fold)) {
        Some(&cell) => Err(Error::TestInTraining { cell }),
        None => Ok(()),
    }
}

/// Notes the test cells of a fold, none of which may be in an earlier one.
pub(crate) fn check_test(test: &[usize], fold: usize, fold_of_cell: &mut [Option<usize>]) -> Result<()> {
    let n_cells = fold_of_cell.len();
    for &cell in test {
        match fold_of_cell.get(cell) {
            None => return Err(Error::CellOutOfBounds { what: "the test set", cell, n_cells }),
            Some(&Some(earlier)) => return Err(Error::TestedTwice { cell, earlier }),
            Some(None) => fold_of_cell[cell] = Some(fold),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn check(splits: &[(&[usize], &[usize])]) -> Result<Vec<Option<usize>>> {
        let splits: Vec<_> =
            splits.iter().map(|(train, test)| Split { train: train.to_vec(), test: test.to_vec() }).collect();
        check_splits(&splits, 4)
    }

    #[test]
    fn cells_may_be_left_out_and_trained_on_twice() {
        assert_eq!(check(&[(&[0, 0], &[1]), (&[1], &[0])]).unwrap(), [Some(1), Some(0), None, None]);
    }

    #[test]
    fn leaks_and_repetitions_are_refused_with_the_fold() {
        let reason = |splits: &[(&[usize], &[usize])]| {
            let error = check(splits).unwrap_err();
            error.source().map_or(error.to_string(), |source| format!("{error}: {source}"))
        };
        let leak = reason(&[(&[0], &[1]), (&[0, 2], &[2])]);
        assert_eq!(leak, "fold 1 (counted from 0) is not valid: cell 2 is both trained on and tested");
        let twice = reason(&[(&[0], &[1]), (&[0], &[1])]);
        assert_eq!(twice, "fold 1 (counted from 0) is not valid: cell 1 is tested twice, first in fold 0");
        assert!(reason(&[(&[0], &[1, 1])]).ends_with("tested twice, first in fold 0"));
        assert!(reason(&[(&[0], &[4])]).ends_with("the test set holds cell 4, but there are 4 cells"));
        assert!(reason(&[(&[9], &[1])]).ends_with("the training set holds cell 9, but there are 4 cells"));
        assert!(reason(&[(&[0], &[])]).ends_with("the test set is empty"));
        assert!(reason(&[(&[], &[0])]).ends_with("the training set is empty"));
        assert_eq!(reason(&[]), "splits is empty");
    }

    #[test]
    fn a_leak_comes_with_advice() {
        assert!(check(&[(&[1], &[1])]).unwrap_err().help().is_some());
    }
}
