//! The most frequent class for everybody: what any model must beat.

use serde::{Deserialize, Serialize};

use super::Classifier;
use super::random_by_prior::check_frequencies;
use super::training::{Classes, Training};
use crate::{Features, Prediction, Result};

/// Predicts the most frequent training class for every cell, with the class frequencies as probabilities.
///
/// scikit-learn's `DummyClassifier(strategy="prior")`, which predicts what `strategy="most_frequent"` does; the latter's
/// probabilities are 1 for that class. The lower class index wins a tie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Majority {
    pub(crate) classes: Classes,
    frequencies: Vec<f64>,
}

impl Majority {
    /// Counts the training labels `y`, class indices below `n_classes`; the values of `x` play no part.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, or a label that is not below `n_classes`.
    pub fn fit(x: &Features, y: &[u32], n_classes: usize) -> Result<Self> {
        let training = Training::new(x, y, n_classes)?;
        let frequencies = training.frequencies();
        Ok(Self { classes: training.classes, frequencies })
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        check_frequencies(&self.classes, &self.frequencies)
    }
}

impl Classifier for Majority {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        Ok(self.classes.with_probabilities(&self.frequencies.repeat(x.n_rows())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_the_most_frequent_class() {
        let x = Features::dense(ndarray::Array2::zeros((4, 1)).view()).unwrap();
        let answer = Majority::fit(&x, &[2, 0, 2, 1], 3).unwrap().predict(&x).unwrap();
        assert_eq!(answer.codes, [2; 4]);
        assert_eq!(answer.probabilities.unwrap().row(0).to_vec(), [0.25, 0.25, 0.5]);
    }
}
