//! Random halves: one training and one test set, with or without regard to class.

use super::Split;
use super::random_state::RandomState;
use crate::{Error, Labels, Result};

/// How large one side of a split is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// A share of the cells, between 0 and 1; a test set is rounded up, a training set down.
    Share(f64),
    /// A number of cells, at least 1 and fewer than there are.
    Cells(usize),
}

/// Random splits with nearly the class shares of the whole on both sides; cell for cell, and in the same order, those
/// of scikit-learn's `StratifiedShuffleSplit(n_splits, test_size, train_size, random_state=seed)`.
///
/// Unlike folds, the test sets of several splits overlap.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::{Size, StratifiedShuffleSplit};
///
/// let labels = Labels::new(&["a", "a", "a", "a", "b", "b", "b", "b"])?;
/// let splitter = StratifiedShuffleSplit { n_splits: 3, test_size: Size::Share(0.5), ..Default::default() };
/// let splits = splitter.split(&labels)?;
/// assert!(splits.iter().all(|split| labels.select(&split.test).iter().sum::<u32>() == 2));
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StratifiedShuffleSplit {
    /// Number of splits, at least 1. Default 1.
    pub n_splits: usize,
    /// Size of the test set. Default a fifth of the cells.
    pub test_size: Size,
    /// Size of the training set; `None` for all cells that are not in the test set. Default `None`.
    pub train_size: Option<Size>,
    /// Seed of the shuffles, below 2³². Default 42.
    pub seed: u64,
}

impl Default for StratifiedShuffleSplit {
    fn default() -> Self {
        Self { n_splits: 1, test_size: Size::Share(0.2), train_size: None, seed: 42 }
    }
}

impl StratifiedShuffleSplit {
    /// Draws the splits; training and test cells are in random order.
    ///
    /// # Errors
    /// [`Error::ClassTooSmallToSplit`] for a class of one cell; [`Error::Parameter`] for sizes that leave no cell, more
    /// cells than there are, or fewer than there are classes on one side, for no splits, or for a seed from 2³² on.
    pub fn split(&self, labels: &Labels) -> Result<Vec<Split>> {
        if self.n_splits == 0 {
            return Err(Error::Parameter {
                name: "n_splits",
                value: "0".into(),
                expected: "at least 1 split",
            });
        }
        let (n_train, n_test) = sizes(labels.len(), self.test_size, self.train_size)?;
        let counts = labels.counts();
        if let Some(class) = counts.iter().position(|&n_cells| n_cells < 2) {
            let (label, n_cells) = (labels.classes()[class].clone(), counts[class]);
            return Err(Error::ClassTooSmallToSplit { label, n_cells });
        }
        for (name, n_cells) in [("train_size", n_train), ("test_size", n_test)] {
            if n_cells < labels.n_classes() {
                let (value, expected) = (format!("{n_cells} cells"), "at least one cell per class");
                return Err(Error::Parameter { name, value, expected });
            }
        }
        let mut by_class = vec![Vec::new(); labels.n_classes()];
        for (cell, &code) in labels.codes().iter().enumerate() {
            by_class[code as usize].push(cell);
        }
        let mut random = RandomState::new(self.seed)?;
        Ok((0..self.n_splits).map(|_| draw(&by_class, n_train, n_test, &mut random)).collect())
    }
}

/// One random split with nearly the class shares of the whole on both sides; scikit-learn's
/// `train_test_split(cells, test_size=test_size, random_state=seed, stratify=labels)`, in the same order.
///
/// # Errors
/// Those of [`StratifiedShuffleSplit::split`].
///
/// ```
/// let labels = sc_eval::Labels::new(&["a", "b", "a", "b", "a", "b", "a", "b", "a", "b"])?;
/// let split = sc_eval::split::train_test_split_stratified(&labels, 0.2, 42)?;
/// assert_eq!((split.train.len(), split.test.len()), (8, 2));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn train_test_split_stratified(labels: &Labels, test_size: f64, seed: u64) -> Result<Split> {
    let splitter = StratifiedShuffleSplit { test_size: Size::Share(test_size), seed, ..Default::default() };
    Ok(splitter.split(labels)?.swap_remove(0))
}

/// One random split without regard to class; scikit-learn's
/// `train_test_split(cells, test_size=test_size, random_state=seed)`, in the same order.
///
/// # Errors
/// [`Error::Parameter`] for a share that leaves one side empty or a seed from 2³² on.
pub fn train_test_split(n_cells: usize, test_size: f64, seed: u64) -> Result<Split> {
    let (n_train, n_test) = sizes(n_cells, Size::Share(test_size), None)?;
    let order = RandomState::new(seed)?.permutation(n_cells);
    Ok(Split { train: order[n_test..n_test + n_train].to_vec(), test: order[..n_test].to_vec() })
}

/// One random split with the draws of `random`: by class where there are `codes` (one per cell), else without.
#[cfg(feature = "classifiers")]
pub(crate) fn draw_split(
    n_cells: usize,
    n_test: usize,
    codes: Option<&[u32]>,
    random: &mut RandomState,
) -> Split {
    let Some(codes) = codes else {
        let mut order = random.permutation(n_cells);
        let train = order.split_off(n_test);
        return Split { train, test: order };
    };
    let n_classes = codes.iter().max().map_or(0, |&code| code as usize + 1);
    let mut by_class = vec![Vec::new(); n_classes];
    for (cell, &code) in codes.iter().enumerate() {
        by_class[code as usize].push(cell);
    }
    draw(&by_class, n_cells - n_test, n_test, random)
}

/// Number of training and of test cells.
pub(super) fn sizes(n_cells: usize, test_size: Size, train_size: Option<Size>) -> Result<(usize, usize)> {
    let count = |name, size, round: fn(f64) -> f64| match size {
        Size::Share(share) if share > 0.0 && share < 1.0 => Ok(round(share * n_cells as f64) as usize),
        Size::Cells(n) if n > 0 && n < n_cells => Ok(n),
        _ => {
            let expected = "a share between 0 and 1, or a number of cells below all";
            Err(Error::Parameter { name, value: format!("{size:?}"), expected })
        }
    };
    let n_test = count("test_size", test_size, f64::ceil)?;
    let n_train = match train_size {
        Some(size) => count("train_size", size, f64::floor)?,
        None => n_cells - n_test.min(n_cells),
    };
    if n_train == 0 || n_test == 0 || n_train + n_test > n_cells {
        let value = format!("{n_train} training and {n_test} test cells");
        let expected = "cells on both sides, and no more in total than there are";
        return Err(Error::Parameter { name: "test_size", value, expected });
    }
    Ok((n_train, n_test))
}

fn draw(by_class: &[Vec<usize>], n_train: usize, n_test: usize, random: &mut RandomState) -> Split {
    let counts: Vec<usize> = by_class.iter().map(Vec::len).collect();
    let train_counts = proportional(&counts, n_train, random);
    let remaining: Vec<usize> = counts.iter().zip(&train_counts).map(|(n, taken)| n - taken).collect();
    let test_counts = proportional(&remaining, n_test, random);
    let (mut train, mut test) = (Vec::with_capacity(n_train), Vec::with_capacity(n_test));
    for (cells, (for_train, for_test)) in by_class.iter().zip(train_counts.into_iter().zip(test_counts)) {
        let order = random.permutation(cells.len());
        train.extend(order[..for_train].iter().map(|&i| cells[i]));
        test.extend(order[for_train..for_train + for_test].iter().map(|&i| cells[i]));
    }
    random.shuffle(&mut train);
    random.shuffle(&mut test);
    Split { train, test }
}

/// How many of `n_draws` cells each class gets: its share rounded down, and what is left goes to the largest
/// remainders, drawn at random among equal ones.
fn proportional(counts: &[usize], n_draws: usize, random: &mut RandomState) -> Vec<usize> {
    let total = counts.iter().sum::<usize>() as f64;
    // In this order of operations, or remainders that are equal there would differ here.
    let shares: Vec<f64> = counts.iter().map(|&n| n as f64 / total * n_draws as f64).collect();
    let mut drawn: Vec<usize> = shares.iter().map(|share| share.floor() as usize).collect();
    let mut left = n_draws.saturating_sub(drawn.iter().sum());
    let remainders: Vec<f64> = shares.iter().map(|share| share - share.floor()).collect();
    let mut descending = remainders.clone();
    descending.sort_unstable_by(|a, b| b.total_cmp(a));
    descending.dedup();
    for value in descending {
        if left == 0 {
            break;
        }
        let tied: Vec<usize> = (0..counts.len()).filter(|&class| remainders[class] == value).collect();
        let n_added = left.min(tied.len());
        for class in random.choice(&tied, n_added) {
            drawn[class] += 1;
        }
        left -= n_added;
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_in_scikit_learn() {
        let draw = |counts: &[usize], n, seed| proportional(counts, n, &mut RandomState::new(seed).unwrap());
        assert_eq!(draw(&[4, 2], 3, 0), [2, 1]);
        assert_eq!(draw(&[5, 2], 4, 0), [3, 1]);
        assert_eq!(draw(&[2, 2, 2, 1], 2, 0), [0, 1, 1, 0]);
        assert_eq!(draw(&[2, 2, 2, 1], 2, 42), [1, 1, 0, 0]);
    }

    #[test]
    fn sides_share_no_cell_and_have_the_sizes_asked_for() {
        let labels = Labels::new(&(0..60).map(|i| ["a", "b", "c"][i % 3]).collect::<Vec<_>>()).unwrap();
        let splitter = StratifiedShuffleSplit {
            n_splits: 4,
            test_size: Size::Cells(12),
            train_size: Some(Size::Share(0.5)),
            seed: 1,
        };
        for split in splitter.split(&labels).unwrap() {
            assert_eq!((split.train.len(), split.test.len()), (30, 12));
            super::super::check_splits(&[split], 60).unwrap();
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let labels = Labels::new(&["a", "a", "b", "b"]).unwrap();
        for share in [0.0, 1.0, -1.0, f64::NAN, 0.9, 0.1] {
            assert!(train_test_split_stratified(&labels, share, 0).is_err(), "{share}");
        }
        assert!(train_test_split(4, 0.9, 0).is_err());
        assert!(train_test_split(0, 0.5, 0).is_err());
        let both = |test, train| {
            let (test_size, train_size) = (Size::Cells(test), Some(Size::Cells(train)));
            StratifiedShuffleSplit { test_size, train_size, ..Default::default() }.split(&labels)
        };
        assert!(both(2, 2).is_ok());
        assert!(both(2, 3).is_err());
        assert!(both(0, 2).is_err());
        assert!(StratifiedShuffleSplit { n_splits: 0, ..Default::default() }.split(&labels).is_err());
    }

    #[test]
    fn a_class_of_one_cell_cannot_be_on_both_sides() {
        let labels = Labels::new(&["a", "a", "a", "b"]).unwrap();
        let error = train_test_split_stratified(&labels, 0.5, 0).unwrap_err();
        assert!(error.to_string().starts_with("class \"b\" has 1 cell, too few"));
        assert!(error.help().is_some());
    }
}
