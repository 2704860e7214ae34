//! Folds that keep the share of each class.

use super::Split;
use super::k_fold::check_n_splits;
use super::random_state::RandomState;
use crate::{Error, Labels, Result};

/// `n_splits` folds with nearly the class shares of the whole; cell for cell those of scikit-learn's
/// `StratifiedKFold(n_splits, shuffle, random_state=seed)`, so published folds can be scored again.
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::StratifiedKFold;
///
/// let labels = Labels::new(&["b", "b", "a", "a", "a", "c", "c", "c", "c", "c"])?;
/// let splits = StratifiedKFold { n_splits: 3, allow_small_classes: true, ..Default::default() }.split(&labels)?;
/// assert_eq!(splits[0].test, [1, 4, 5, 7]);
/// assert_eq!(splits[1].test, [0, 2, 9]);
/// assert_eq!(splits[2].test, [3, 6, 8]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StratifiedKFold {
    /// Number of folds, at least 2. Default 5.
    pub n_splits: usize,
    /// Whether to shuffle the cells of each class; otherwise folds follow their order. Default true.
    pub shuffle: bool,
    /// Seed of the shuffle, below 2³². Default 42.
    pub seed: u64,
    /// Whether a class may have fewer cells than there are folds. Some folds then test none of it, and their scores
    /// are over fewer classes. scikit-learn warns and goes on, which this does without a word if true. Default false.
    pub allow_small_classes: bool,
}

impl Default for StratifiedKFold {
    fn default() -> Self {
        Self { n_splits: 5, shuffle: true, seed: 42, allow_small_classes: false }
    }
}

impl StratifiedKFold {
    /// Splits the cells; each is tested once. Training and test cells ascend.
    ///
    /// # Errors
    /// [`Error::ClassSmallerThanFolds`] for the first class that is, unless `allow_small_classes`; with it, only if
    /// all are, as in scikit-learn. [`Error::Parameter`] for fewer than 2 folds or a seed from 2³² on.
    pub fn split(&self, labels: &Labels) -> Result<Vec<Split>> {
        self.draw(labels, &mut RandomState::new(self.seed)?)
    }

    /// The folds that the next draws of `random` give.
    pub(super) fn draw(&self, labels: &Labels, random: &mut RandomState) -> Result<Vec<Split>> {
        check_n_splits(self.n_splits)?;
        check_class_sizes(labels, self.n_splits, self.allow_small_classes)?;
        let by_class = cells_by_class(labels);
        // Dealing the cells, class after class, to the folds in turn says how many cells of each class a fold gets.
        // Classes go in order of first appearance: both the dealing and the random draws depend on it.
        let mut fold_of_cell = vec![0; labels.len()];
        let mut dealt = 0;
        for cells in by_class {
            let mut folds: Vec<usize> = (dealt..dealt + cells.len()).map(|i| i % self.n_splits).collect();
            folds.sort_unstable();
            dealt += cells.len();
            if self.shuffle {
                random.shuffle(&mut folds);
            }
            for (cell, fold) in cells.into_iter().zip(folds) {
                fold_of_cell[cell] = fold;
            }
        }
        Ok(Split::from_folds(&fold_of_cell, self.n_splits))
    }
}

/// Refuses classes with fewer cells than folds: the first such class, or if small ones are allowed only if all are.
pub(super) fn check_class_sizes(labels: &Labels, n_folds: usize, allow_small: bool) -> Result<()> {
    let counts = labels.counts();
    let small = |&n_cells: &usize| n_cells < n_folds;
    if allow_small && !counts.iter().all(small) {
        return Ok(());
    }
    match counts.iter().position(small) {
        Some(class) => {
            let (label, n_cells) = (labels.classes()[class].clone(), counts[class]);
            Err(Error::ClassSmallerThanFolds { label, n_cells, n_folds })
        }
        None => Ok(()),
    }
}

/// The cells of each class in order, classes in order of their first cell.
pub(super) fn cells_by_class(labels: &Labels) -> Vec<Vec<usize>> {
    let mut place = vec![None; labels.n_classes()];
    let mut by_class: Vec<Vec<usize>> = Vec::with_capacity(labels.n_classes());
    for (cell, &code) in labels.codes().iter().enumerate() {
        let place = *place[code as usize].get_or_insert_with(|| {
            by_class.push(Vec::new());
            by_class.len() - 1
        });
        by_class[place].push(cell);
    }
    by_class
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &str) -> Labels {
        let names: Vec<_> = names.chars().map(String::from).collect();
        Labels::new(&names).unwrap()
    }

    fn tests(folds: &StratifiedKFold, names: &str) -> Vec<Vec<usize>> {
        folds.split(&labels(names)).unwrap().into_iter().map(|split| split.test).collect()
    }

    #[test]
    fn folds_are_those_of_scikit_learn_with_and_without_shuffle() {
        let folds = StratifiedKFold { n_splits: 3, allow_small_classes: true, ..Default::default() };
        assert_eq!(tests(&folds, "bbaaaccccc"), [vec![1, 4, 5, 7], vec![0, 2, 9], vec![3, 6, 8]]);
        let folds = StratifiedKFold { shuffle: false, ..folds };
        assert_eq!(tests(&folds, "bbaaaccccc"), [vec![0, 2, 5, 6], vec![1, 3, 7], vec![4, 8, 9]]);
    }

    #[test]
    fn class_counts_differ_by_one_between_folds_at_most() {
        let names: String = (0..97).map(|i| ['x', 'y', 'z'][i * i % 3]).collect();
        let labels = labels(&names);
        let splits = StratifiedKFold::default().split(&labels).unwrap();
        for class in 0..labels.n_classes() as u32 {
            let count = |split: &Split| labels.select(&split.test).iter().filter(|&&c| c == class).count();
            let counts: Vec<_> = splits.iter().map(count).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
        assert!(super::super::check_splits(&splits, 97).unwrap().iter().all(Option::is_some));
    }

    #[test]
    fn a_class_smaller_than_the_folds_is_an_error_until_allowed() {
        let strict = StratifiedKFold { n_splits: 3, ..Default::default() };
        let error = strict.split(&labels("aaabb")).unwrap_err();
        assert_eq!(error.to_string(), "class \"b\" has 2 cells, fewer than the 3 folds");
        assert!(error.help().is_some());
        let lenient = StratifiedKFold { allow_small_classes: true, ..strict };
        assert!(lenient.split(&labels("aaabb")).is_ok());
        assert!(lenient.split(&labels("aabb")).is_err());
    }

    #[test]
    fn one_fold_is_no_split() {
        assert!(StratifiedKFold { n_splits: 1, ..Default::default() }.split(&labels("aabb")).is_err());
        assert!(
            StratifiedKFold { n_splits: 2, seed: 1 << 32, ..Default::default() }
                .split(&labels("aabb"))
                .is_err()
        );
    }
}
