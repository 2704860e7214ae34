//! Gaussian naive Bayes.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::design::Design;
use super::moments::Moments;
use super::planes::all_finite;
use super::quadratic::squared_distances;
use super::training::{Classes, Training, softmax};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`GaussianNaiveBayes`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNaiveBayesParams {
    /// Share of the largest variance of any feature that is added to all variances, as in scikit-learn. Default 1e-9.
    pub var_smoothing: f64,
}

impl Default for GaussianNaiveBayesParams {
    fn default() -> Self {
        Self { var_smoothing: 1e-9 }
    }
}

/// A fitted Gaussian naive Bayes: in each class, features are independent and normal.
///
/// scikit-learn's `GaussianNB`: class shares as priors, population variances, sums of logarithms. Where all features of
/// all training cells are constant, the variances are 1 (scikit-learn then divides by zero). If all training cells are of
/// one class, it is predicted for everybody with probability 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNaiveBayes {
    pub(crate) classes: Classes,
    priors: Vec<f64>,
    /// Class after class.
    means: Vec<f64>,
    /// Smoothed, class after class.
    variances: Vec<f64>,
}

impl GaussianNaiveBayesParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<GaussianNaiveBayes> {
        // Beyond this range, squared distances in units of variances could overflow.
        if !(1e-100..=1e100).contains(&self.var_smoothing) {
            let value = self.var_smoothing.to_string();
            return Err(Error::Parameter { name: "var_smoothing", value, expected: "from 1e-100 to 1e100" });
        }
        let training = Training::new(x, y, n_classes)?;
        let counts = training.counts();
        let Training { codes, classes } = training;
        let n = codes.len() as f64;
        let moments = Moments::new(&Design::new(x), &codes, &counts);
        let largest = moments.features.iter().map(|f| f.total_squares / n).fold(0.0, f64::max);
        let smoothing = if largest > 0.0 { self.var_smoothing * largest } else { 1.0 };
        let variances = counts.iter().enumerate().flat_map(|(k, &count)| {
            moments.features.iter().map(move |f| f.squares[k] / count as f64 + smoothing)
        });
        Ok(GaussianNaiveBayes {
            priors: counts.iter().map(|&count| count as f64 / n).collect(),
            means: moments.means(counts.len()),
            variances: variances.collect(),
            classes,
        })
    }
}

impl GaussianNaiveBayes {
    /// The mean of every feature in each class that occurs in training, classes × features (`theta_`).
    pub fn means(&self) -> ArrayView2<'_, f64> {
        self.by_class(&self.means)
    }

    /// The smoothed variances, classes × features (`var_`).
    pub fn variances(&self) -> ArrayView2<'_, f64> {
        self.by_class(&self.variances)
    }

    fn by_class<'a>(&self, values: &'a [f64]) -> ArrayView2<'a, f64> {
        let shape = (self.classes.n_present(), self.classes.n_features());
        ArrayView2::from_shape(shape, values)
            .expect("a value per class and feature: made so, or checked on loading")
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let k = self.classes.n_present();
        let each = k.checked_mul(self.classes.n_features());
        let lists = [
            ("priors", &self.priors, Some(k)),
            ("means", &self.means, each),
            ("variances", &self.variances, each),
        ];
        for (what, values, expected) in lists {
            if Some(values.len()) != expected {
                return Err(format!("there are {} {what} for {k} classes", values.len()));
            }
            all_finite(what, values)?;
        }
        match self.variances.iter().chain(&self.priors).all(|&v| v > 0.0) {
            true => Ok(()),
            false => Err("a variance or a prior is not above 0".into()),
        }
    }
}

impl Classifier for GaussianNaiveBayes {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        let weights: Vec<f64> = self.variances.iter().map(|v| 0.5 / v).collect();
        let n_features = self.classes.n_features();
        let constants: Vec<f64> = (0..k)
            .map(|class| {
                let own = &self.variances[class * n_features..(class + 1) * n_features];
                let logs: f64 = own.iter().map(|v| libm::log(std::f64::consts::TAU * v)).sum();
                libm::log(self.priors[class]) - 0.5 * logs
            })
            .collect();
        let mut values = squared_distances(x, &self.means, &weights, k);
        for row in values.chunks_exact_mut(k) {
            row.iter_mut().zip(&constants).for_each(|(value, constant)| *value = constant - *value);
            softmax(row);
        }
        Ok(self.classes.with_probabilities(&values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_belongs_to_the_class_whose_bell_is_higher_there() {
        let x = ndarray::array![[0.0f32], [2.0], [9.0], [11.0]];
        let x = Features::dense(x.view()).unwrap();
        let model = GaussianNaiveBayesParams::default().fit(&x, &[0, 0, 1, 1], 2).unwrap();
        assert_eq!(model.means(), ndarray::array![[1.0], [10.0]]);
        let query = Features::dense(ndarray::array![[5.5f32], [5.4], [1.0]].view()).unwrap();
        let answer = model.predict(&query).unwrap();
        assert_eq!(answer.codes[1..], [0, 0]);
        assert!((answer.probabilities.unwrap()[[0, 0]] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn constant_features_leave_the_priors() {
        let x = Features::dense(ndarray::Array2::<f32>::ones((4, 3)).view()).unwrap();
        let model = GaussianNaiveBayesParams::default().fit(&x, &[1, 0, 1, 1], 2).unwrap();
        let answer = model.predict(&x).unwrap();
        assert_eq!(answer.probabilities.unwrap().row(0).to_vec(), [0.25, 0.75]);
    }

    #[test]
    fn smoothing_outside_its_range_is_refused() {
        let x = Features::dense(ndarray::array![[0.0f32]].view()).unwrap();
        let zero = GaussianNaiveBayesParams { var_smoothing: 0.0 }.fit(&x, &[0], 1).unwrap_err();
        assert_eq!(zero.to_string(), "`var_smoothing` is 0, expected from 1e-100 to 1e100");
    }
}
