//! Folds within folds: parameters are chosen inside, the choice is judged outside.

use super::Split;
use super::check::check_split;
use crate::{Error, Result};

/// One outer split and the inner splits of its training cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NestedSplit {
    /// What the chosen model learns from, and what it is judged on.
    pub outer: Split,
    /// Divisions of the outer training cells, to choose by; in the numbering of all cells.
    pub inner: Vec<Split>,
}

/// Divides the training cells of each outer split again.
///
/// * `outer`: splits of the cells.
/// * `inner`: given the training cells of an outer split, divides them; its indices count within those cells.
/// * returns: indices of all cells everywhere, so an inner split cannot be read in the wrong numbering.
///
/// With stratified folds inside and outside these are the splits of scikit-learn's `GridSearchCV(cv=inner)` within
/// `cross_validate(cv=outer)`. No inner split holds an outer test cell.
///
/// # Errors
/// What `inner` returns; [`Error::CellOutOfBounds`], [`Error::TestInTraining`], [`Error::TestedTwice`] or
/// [`Error::Empty`] for an inner split that cannot be one. All name the outer fold.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::{StratifiedKFold, nested};
///
/// let labels = Labels::new(&(0..30).map(|i| ["B", "T"][i % 2]).collect::<Vec<_>>())?;
/// let outer = StratifiedKFold::default().split(&labels)?;
/// let three = StratifiedKFold { n_splits: 3, ..Default::default() };
/// let folds = nested(outer, |train| three.split(&labels.subset(train)?))?;
/// assert_eq!((folds.len(), folds[0].inner.len()), (5, 3));
/// assert!(folds[0].inner[0].train.iter().all(|cell| folds[0].outer.train.contains(cell)));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn nested(
    outer: Vec<Split>,
    mut inner: impl FnMut(&[usize]) -> Result<Vec<Split>>,
) -> Result<Vec<NestedSplit>> {
    let nest = |(fold, outer): (usize, Split)| {
        let in_fold = |source| Error::in_fold(fold, source);
        let train = &outer.train;
        let mut splits = inner(train).map_err(in_fold)?;
        for split in &mut splits {
            // Inner test sets may overlap, as those of random splits do.
            check_split(split, 0, &mut vec![None; train.len()]).map_err(in_fold)?;
            split.train.iter_mut().chain(&mut split.test).for_each(|cell| *cell = train[*cell]);
        }
        Ok(NestedSplit { outer, inner: splits })
    };
    outer.into_iter().enumerate().map(nest).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn outer() -> Vec<Split> {
        vec![Split { train: vec![5, 3, 8], test: vec![1] }]
    }

    #[test]
    fn inner_indices_are_those_of_all_cells() {
        let folds = nested(outer(), |_| Ok(vec![Split { train: vec![2, 0], test: vec![1] }])).unwrap();
        assert_eq!(folds[0].inner, [Split { train: vec![8, 5], test: vec![3] }]);
    }

    #[test]
    fn inner_splits_that_leak_or_point_beyond_are_refused_with_the_fold() {
        let reason = |train: &[usize], test: &[usize]| {
            let split = Split { train: train.to_vec(), test: test.to_vec() };
            let error = nested(outer(), |_| Ok(vec![split.clone()])).unwrap_err();
            format!("{error}: {}", error.source().unwrap())
        };
        let beyond = "fold 0 (counted from 0) is not valid: the test set holds cell 3, but there are 3 cells";
        assert_eq!(reason(&[0], &[3]), beyond);
        assert!(reason(&[0], &[0]).ends_with("cell 0 is both trained on and tested"));
        assert!(reason(&[], &[0]).ends_with("the training set is empty"));
        let error = nested(outer(), |_| Err(Error::Empty { what: "it" })).unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "it is empty");
    }
}
