//! A class drawn by lot for everybody: what chance alone achieves.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::planes::all_finite;
use super::training::{Classes, Training};
use crate::{Features, Prediction, Result};

/// How to fit a [`RandomByPrior`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomByPriorParams {
    /// Seed of the draws. Default 42.
    pub seed: u64,
}

impl Default for RandomByPriorParams {
    fn default() -> Self {
        Self { seed: 42 }
    }
}

/// Draws the class of each cell with the class frequencies of training, which are also its probabilities.
///
/// The draws of scikit-learn's `DummyClassifier(strategy="stratified")`, whose probabilities, however, are 1 for the
/// class drawn. The `i`-th row of a call to `predict` always draws the same, whatever its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomByPrior {
    pub(crate) classes: Classes,
    frequencies: Vec<f64>,
    seed: u64,
}

impl RandomByPriorParams {
    /// Counts the training labels `y`, class indices below `n_classes`; the values of `x` play no part.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, or a label that is not below `n_classes`.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<RandomByPrior> {
        let training = Training::new(x, y, n_classes)?;
        let frequencies = training.frequencies();
        Ok(RandomByPrior { classes: training.classes, frequencies, seed: self.seed })
    }
}

impl RandomByPrior {
    pub(crate) fn check(&self) -> Result<(), String> {
        check_frequencies(&self.classes, &self.frequencies)
    }

    fn draw(&self, row: usize) -> usize {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(row as u64);
        let mut left = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        for (class, share) in self.frequencies.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return class;
            }
        }
        self.frequencies.len() - 1
    }
}

/// Proves that there is a share of 0 to 1 for each class that occurs.
pub(super) fn check_frequencies(classes: &Classes, frequencies: &[f64]) -> Result<(), String> {
    classes.check()?;
    if frequencies.len() != classes.n_present() {
        return Err(format!("there are {} shares of {} classes", frequencies.len(), classes.n_present()));
    }
    all_finite("class shares", frequencies)?;
    match frequencies.iter().find(|share| !(0.0..=1.0).contains(*share)) {
        None => Ok(()),
        Some(share) => Err(format!("a class share is {share}")),
    }
}

impl Classifier for RandomByPrior {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let drawn = self.classes.with_codes((0..x.n_rows()).map(|row| self.draw(row)));
        let shares = self.frequencies.repeat(x.n_rows());
        Ok(Prediction { codes: drawn.codes, ..self.classes.with_probabilities(&shares) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_drawn_as_often_as_they_occur() {
        let x = Features::dense(ndarray::Array2::zeros((10_000, 1)).view()).unwrap();
        let y: Vec<u32> = (0..10_000).map(|i| if i % 4 == 0 { 2 } else { 0 }).collect();
        let model = RandomByPriorParams::default().fit(&x, &y, 3).unwrap();
        let answer = model.predict(&x).unwrap();
        let rare = answer.codes.iter().filter(|&&code| code == 2).count();
        // Six standard deviations of a binomial draw.
        assert!((2500 - 260..2500 + 260).contains(&rare), "{rare}");
        assert!(answer.codes.iter().all(|&code| code != 1));
        assert_eq!(answer.probabilities.as_ref().unwrap().row(7).to_vec(), [0.75, 0.0, 0.25]);
        assert_eq!(answer, model.predict(&x).unwrap());
        let other = RandomByPriorParams { seed: 1 }.fit(&x, &y, 3).unwrap().predict(&x).unwrap();
        assert_ne!(answer.codes, other.codes);
    }
}
