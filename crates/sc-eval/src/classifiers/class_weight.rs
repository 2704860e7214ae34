//! How much a cell of each class counts in a fit.

use serde::{Deserialize, Serialize};

use super::training::Training;
use crate::{Error, Result};

/// Weight of each class, as scikit-learn's `class_weight`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// Every cell counts 1.
    #[default]
    Uniform,
    /// A cell of class `c` counts `n / (k n_c)`: all of the `k` classes that occur in training weigh the same.
    Balanced,
    /// One finite weight above 0 for each class that the caller knows, in the order of its class indices.
    Given(Vec<f64>),
}

impl ClassWeight {
    /// The weight of each class that occurs in training.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one given weight per class; [`Error::Parameter`] for a weight that is not finite
    /// or not above 0.
    pub(crate) fn of_present(&self, training: &Training) -> Result<Vec<f64>> {
        match self {
            Self::Uniform => Ok(vec![1.0; training.classes.n_present()]),
            Self::Balanced => {
                let counts = training.counts();
                let (n, k) = (training.codes.len() as f64, counts.len() as f64);
                Ok(counts.iter().map(|&count| n / (k * count as f64)).collect())
            }
            Self::Given(weights) => {
                let n_classes = training.classes.n_classes();
                if weights.len() != n_classes {
                    let what = "the list of class weights";
                    return Err(Error::Length { what, found: weights.len(), expected: n_classes });
                }
                if let Some(weight) = weights.iter().find(|w| !(w.is_finite() && **w > 0.0)) {
                    let expected = "finite weights above 0";
                    return Err(Error::Parameter {
                        name: "class_weight",
                        value: weight.to_string(),
                        expected,
                    });
                }
                Ok(training.classes.present().iter().map(|&code| weights[code as usize]).collect())
            }
        }
    }

    /// The weight of each training row.
    ///
    /// # Errors
    /// As [`ClassWeight::of_present`].
    pub(crate) fn of_rows(&self, training: &Training) -> Result<Vec<f64>> {
        let weights = self.of_present(training)?;
        Ok(training.codes.iter().map(|&code| weights[code as usize]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;

    fn training() -> Training {
        let x = Features::dense(ndarray::array![[0.0], [1.0], [2.0], [3.0]].view()).unwrap();
        Training::new(&x, &[2, 0, 2, 2], 3).unwrap()
    }

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        // compute_class_weight("balanced", classes=[0, 2], y=[2, 0, 2, 2])
        assert_eq!(ClassWeight::Balanced.of_present(&training()).unwrap(), [2.0, 4.0 / 6.0]);
        assert_eq!(ClassWeight::Uniform.of_rows(&training()).unwrap(), [1.0; 4]);
    }

    #[test]
    fn given_weights_go_by_the_callers_class_indices() {
        let given = ClassWeight::Given(vec![5.0, 9.0, 0.5]);
        assert_eq!(given.of_rows(&training()).unwrap(), [0.5, 5.0, 0.5, 0.5]);
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let short = ClassWeight::Given(vec![1.0]).of_present(&training()).unwrap_err();
        assert_eq!(short.to_string(), "the list of class weights has 1 entries, expected 3");
        let nan = ClassWeight::Given(vec![1.0, f64::NAN, 1.0]).of_present(&training()).unwrap_err();
        assert_eq!(nan.to_string(), "`class_weight` is NaN, expected finite weights above 0");
    }
}
