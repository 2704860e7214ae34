//! Linear functions of the features: what linear models are once they are fitted.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::design::{Design, LANES};
use crate::Features;

/// `x · w + intercept`, one weight vector and one intercept per output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planes {
    /// `n_features × width`, row-major; `width` is the number of outputs rounded up to whole blocks of lanes.
    weights: Vec<f64>,
    width: usize,
    intercepts: Vec<f64>,
}

impl Planes {
    /// * `weights`: features × outputs, each row padded to [`Planes::width`] values.
    pub(crate) fn new(weights: Vec<f64>, intercepts: Vec<f64>) -> Self {
        Self { weights, width: Self::width(intercepts.len()), intercepts }
    }

    /// * `weights`: one vector per output.
    pub(crate) fn from_vectors<W: AsRef<[f64]>>(weights: &[W], intercepts: Vec<f64>) -> Self {
        let width = Self::width(intercepts.len());
        let n_features = weights.first().map_or(0, |w| w.as_ref().len());
        let mut padded = vec![0.0; n_features * width];
        for (at, vector) in weights.iter().enumerate() {
            for (row, &w) in padded.chunks_exact_mut(width).zip(vector.as_ref()) {
                row[at] = w;
            }
        }
        Self::new(padded, intercepts)
    }

    /// Values of a padded row.
    pub(crate) fn width(n_outputs: usize) -> usize {
        n_outputs.next_multiple_of(LANES)
    }

    pub(crate) fn n_outputs(&self) -> usize {
        self.intercepts.len()
    }

    pub(crate) fn intercepts(&self) -> &[f64] {
        &self.intercepts
    }

    /// The weights, outputs × features.
    pub(crate) fn coefficients(&self) -> Array2<f64> {
        let n_features = self.weights.len() / self.width;
        Array2::from_shape_fn((self.n_outputs(), n_features), |(k, j)| self.weights[j * self.width + k])
    }

    /// The value of every output for every row, rows × outputs.
    pub(crate) fn scores(&self, x: &Features) -> Vec<f64> {
        self.scores_of(&Design::new(x))
    }

    /// As [`Planes::scores`].
    pub(crate) fn scores_of(&self, x: &Design) -> Vec<f64> {
        let mut padded = vec![0.0; x.n_rows * self.width];
        x.times(self.width, &self.weights, &mut padded);
        let mut scores = Vec::with_capacity(x.n_rows * self.n_outputs());
        for row in padded.chunks_exact(self.width) {
            scores.extend(row.iter().zip(&self.intercepts).map(|(z, b)| z + b));
        }
        scores
    }

    /// Proves what the other methods rely on, for a value that was read from a file.
    pub(crate) fn check(&self, n_features: usize, n_outputs: usize) -> Result<(), String> {
        if self.n_outputs() != n_outputs || self.width != Self::width(n_outputs) {
            return Err(format!(
                "there are {} intercepts and rows of {} weights for {n_outputs} outputs",
                self.n_outputs(),
                self.width
            ));
        }
        let expected = n_features.checked_mul(self.width);
        if expected != Some(self.weights.len()) {
            let found = self.weights.len();
            return Err(format!("{found} weights are not {} for each of {n_features} features", self.width));
        }
        all_finite("weights", &self.weights)?;
        all_finite("intercepts", &self.intercepts)
    }
}

/// An error if one of `values` is NaN or infinite.
pub(crate) fn all_finite<T: Copy + Into<f64>>(what: &str, values: &[T]) -> Result<(), String> {
    match values.iter().position(|&v| !v.into().is_finite()) {
        None => Ok(()),
        Some(at) => Err(format!("entry {at} of the {what} is {}", values[at].into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_products_with_the_coefficients() {
        let planes =
            Planes::from_vectors(&[vec![1.0, 2.0], vec![-1.0, 0.5], vec![0.0, 3.0]], vec![0.5, 0.0, -1.0]);
        let x = Features::dense(ndarray::array![[1.0, 1.0], [2.0, 0.0]].view()).unwrap();
        assert_eq!(planes.scores(&x), [3.5, -0.5, 2.0, 2.5, -2.0, -1.0]);
        assert_eq!(planes.coefficients(), ndarray::array![[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]]);
        planes.check(2, 3).unwrap();
    }

    #[test]
    fn shapes_that_lie_are_found() {
        let planes = Planes::from_vectors(&[vec![1.0, f64::NAN]], vec![0.0]);
        assert_eq!(planes.check(2, 1).unwrap_err(), "entry 8 of the weights is NaN");
        assert_eq!(planes.check(3, 1).unwrap_err(), "16 weights are not 8 for each of 3 features");
        assert!(planes.check(2, 2).is_err());
        assert!(planes.check(usize::MAX, 1).is_err());
    }
}
