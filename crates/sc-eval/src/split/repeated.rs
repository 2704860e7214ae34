//! Cross-validation repeated with other folds.

use super::random_state::RandomState;
use super::{Split, StratifiedKFold};
use crate::{Error, Labels, Result};

/// Stratified folds drawn several times; cell for cell those of scikit-learn's
/// `RepeatedStratifiedKFold(n_splits, n_repeats, random_state=seed)`.
///
/// The mean over repeats depends less on the luck of one division. The repeats are not independent: see
/// [`crate::statistics::corrected_resampled_t`].
///
/// ```
/// use sc_eval::Labels;
/// use sc_eval::split::RepeatedStratifiedKFold;
///
/// let labels = Labels::new(&["a", "b", "a", "b", "a", "b", "a", "b", "a", "b"])?;
/// let repeats = RepeatedStratifiedKFold { n_repeats: 3, ..Default::default() }.split(&labels)?;
/// assert_eq!((repeats.len(), repeats[0].len()), (3, 5));
/// assert_ne!(repeats[0], repeats[1]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedStratifiedKFold {
    /// Number of folds of each repeat, at least 2. Default 5.
    pub n_splits: usize,
    /// Number of repeats, at least 1. Default 10.
    pub n_repeats: usize,
    /// Seed of all shuffles together, below 2³². Default 42.
    pub seed: u64,
    /// As [`StratifiedKFold::allow_small_classes`]. Default false.
    pub allow_small_classes: bool,
}

impl Default for RepeatedStratifiedKFold {
    fn default() -> Self {
        Self { n_splits: 5, n_repeats: 10, seed: 42, allow_small_classes: false }
    }
}

impl RepeatedStratifiedKFold {
    /// The folds of each repeat: a cross-validation of its own, in which each cell is tested once.
    ///
    /// # Errors
    /// Those of [`StratifiedKFold::split`]; [`Error::Parameter`] for no repeats.
    pub fn split(&self, labels: &Labels) -> Result<Vec<Vec<Split>>> {
        if self.n_repeats == 0 {
            let expected = "at least 1 repeat";
            return Err(Error::Parameter { name: "n_repeats", value: "0".into(), expected });
        }
        let folds = StratifiedKFold {
            n_splits: self.n_splits,
            shuffle: true,
            seed: self.seed,
            allow_small_classes: self.allow_small_classes,
        };
        // One generator for all: the first repeat has the folds of the seed, the next those of the draws after.
        let mut random = RandomState::new(self.seed)?;
        (0..self.n_repeats).map(|_| folds.draw(labels, &mut random)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_repeat_is_the_plain_cross_validation() {
        let labels = Labels::new(&(0..30).map(|i| ["a", "b", "c"][i % 3]).collect::<Vec<_>>()).unwrap();
        let repeats = RepeatedStratifiedKFold { n_repeats: 2, ..Default::default() }.split(&labels).unwrap();
        assert_eq!(repeats[0], StratifiedKFold::default().split(&labels).unwrap());
    }

    #[test]
    fn no_repeats_and_small_classes_are_refused() {
        let labels = Labels::new(&["a", "a", "b", "b"]).unwrap();
        assert!(RepeatedStratifiedKFold { n_repeats: 0, ..Default::default() }.split(&labels).is_err());
        let error = RepeatedStratifiedKFold::default().split(&labels).unwrap_err();
        assert!(matches!(error, Error::ClassSmallerThanFolds { n_folds: 5, .. }));
    }
}
