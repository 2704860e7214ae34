//! The class whose mean is nearest, with or without shrinking.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::moments::Moments;
use super::planes::{Planes, all_finite};
use super::quadratic::squared_distances;
use super::training::{Classes, Training, argmax, softmax};
use super::{Classifier, Metric};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`NearestCentroid`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearestCentroidParams {
    /// What near means. Default Euclidean.
    pub metric: Metric,
    /// How far centroids move towards the mean of all cells, in standard deviations of each feature; one that arrives
    /// there no longer tells that class apart (Tibshirani et al. 2002). Default `None`: not at all.
    pub shrink_threshold: Option<f64>,
    /// How likely each class is before a cell is seen. Default uniform.
    pub priors: Priors,
}

/// How likely each class is before a cell is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priors {
    /// Each class as likely as any other.
    #[default]
    Uniform,
    /// As its share of the training cells.
    Empirical,
}

/// A fitted nearest-centroid classifier, as scikit-learn 1.9's `NearestCentroid`.
///
/// * Uniform priors: the class at the smallest distance. Otherwise the most probable one.
/// * Probabilities are the softmax of `2 log(prior) - d²`, where `d` is the Euclidean distance in units of each feature's
///   standard deviation within classes. So with uniform priors the most probable class may be another than the nearest.
/// * By cosine (which scikit-learn's does not have) priors play no part and there are no probabilities; a centroid at the
///   origin is similar to nobody.
///
/// If all training cells are of one class, it is predicted for everybody; scikit-learn refuses to fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestCentroid {
    pub(crate) classes: Classes,
    metric: Metric,
    priors: Vec<f64>,
    /// Class after class.
    centroids: Vec<f64>,
    /// Of each feature, within classes.
    deviations: Vec<f64>,
}

impl NearestCentroidParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or a parameter out of its range.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<NearestCentroid> {
        if let Some(threshold) = self.shrink_threshold.filter(|t| !(*t > 0.0 && t.is_finite())) {
            let value = threshold.to_string();
            return Err(Error::Parameter { name: "shrink_threshold", value, expected: "above 0" });
        }
        let training = Training::new(x, y, n_classes)?;
        let counts = training.counts();
        let Training { codes, classes } = training;
        let (n, k) = (codes.len(), counts.len());
        let moments = Moments::new(&Design::new(x), &codes, &counts);
        // A class of its own for every cell leaves nothing to vary within classes.
        let freedom = (n - k).max(1) as f64;
        let deviation = |squares: &[f64]| (squares.iter().sum::<f64>() / freedom).sqrt();
        let deviations: Vec<f64> = moments.features.iter().map(|f| deviation(&f.squares)).collect();
        let mut centroids = moments.means(k);
        if let Some(threshold) = self.shrink_threshold {
            let middle = median(&deviations);
            for (own, &count) in centroids.chunks_exact_mut(deviations.len().max(1)).zip(&counts) {
                let spread = (1.0 / count as f64 - 1.0 / n as f64).sqrt();
                for ((centroid, feature), deviation) in own.iter_mut().zip(&moments.features).zip(&deviations)
                {
                    let unit = spread * (deviation + middle);
                    let away = *centroid - feature.total_mean;
                    *centroid = feature.total_mean + away.signum() * (away.abs() - threshold * unit).max(0.0);
                }
            }
        }
        let priors = match self.priors {
            Priors::Uniform => vec![1.0 / k as f64; k],
            Priors::Empirical => counts.iter().map(|&count| count as f64 / n as f64).collect(),
        };
        Ok(NearestCentroid { classes, metric: self.metric, priors, centroids, deviations })
    }
}

/// The middle value, or the mean of both; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half.wrapping_sub(1)), sorted.get(half)) {
        (Some(a), Some(b)) if sorted.len().is_multiple_of(2) => (a + b) / 2.0,
        (_, Some(b)) => *b,
        _ => 0.0,
    }
}

impl NearestCentroid {
    /// The centroid of each class that occurs in training, classes × features, after shrinking.
    pub fn centroids(&self) -> ArrayView2<'_, f64> {
        let shape = (self.classes.n_present(), self.classes.n_features());
        ArrayView2::from_shape(shape, &self.centroids)
            .expect("a value per class and feature: made so, or checked on loading")
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let (k, n_features) = (self.classes.n_present(), self.classes.n_features());
        let lists = [
            ("priors", &self.priors, Some(k)),
            ("centroids", &self.centroids, k.checked_mul(n_features)),
            ("deviations", &self.deviations, Some(n_features)),
        ];
        for (what, values, expected) in lists {
            if Some(values.len()) != expected {
                return Err(format!("the {what} have {} values for {k} classes", values.len()));
            }
            all_finite(what, values)?;
        }
        match self.priors.iter().all(|&p| p > 0.0) {
            true => Ok(()),
            false => Err("a prior is not above 0".into()),
        }
    }

    /// For each row the class with the largest `x · c + offset(c)`.
    fn largest(&self, x: &Features, scale: impl Fn(f64) -> f64, offset: impl Fn(f64) -> f64) -> Vec<usize> {
        let centroids = self.centroids();
        let squares: Vec<f64> = centroids.rows().into_iter().map(|c| c.iter().map(|v| v * v).sum()).collect();
        let scaled: Vec<Vec<f64>> = centroids
            .rows()
            .into_iter()
            .zip(&squares)
            .map(|(c, &square)| c.iter().map(|v| v * scale(square)).collect())
            .collect();
        let planes = Planes::from_vectors(&scaled, squares.iter().map(|&s| offset(s)).collect());
        planes.scores(x).chunks_exact(planes.n_outputs()).map(argmax).collect()
    }
}

impl Classifier for NearestCentroid {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        if self.metric == Metric::Cosine {
            let unit = |square: f64| if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
            return Ok(self.classes.with_codes(self.largest(x, unit, |_| 0.0).into_iter()));
        }
        let weight = |deviation: &f64| if *deviation > 0.0 { 1.0 / (deviation * deviation) } else { 1.0 };
        let weights: Vec<f64> = self.deviations.iter().map(weight).collect();
        let mut values = squared_distances(x, &self.centroids, &weights.repeat(k), k);
        for row in values.chunks_exact_mut(k) {
            for (value, &prior) in row.iter_mut().zip(&self.priors) {
                *value = 2.0 * libm::log(prior) - *value;
            }
            softmax(row);
        }
        let mut prediction = self.classes.with_probabilities(&values);
        let even = 1.0 / k as f64;
        // Closer than this, scikit-learn takes priors for uniform.
        if self.priors.iter().all(|prior| (prior - even).abs() <= 1e-8 + 1e-5 * even) {
            // The nearest centroid: the cell's own length is the same for all.
            let nearest = self.largest(x, |_| 1.0, |square| -0.5 * square);
            prediction.codes = self.classes.with_codes(nearest.into_iter()).codes;
        }
        Ok(prediction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(params: NearestCentroidParams) -> NearestCentroid {
        let x = ndarray::array![[1.0f32, 0.1], [2.0, -0.1], [0.1, 4.0], [-0.1, 8.0]];
        params.fit(&Features::dense(x.view()).unwrap(), &[0, 0, 1, 1], 2).unwrap()
    }

    #[test]
    fn distance_and_angle_choose_differently() {
        let query = Features::dense(ndarray::array![[0.5f32, 1.0]].view()).unwrap();
        let euclidean = fitted(NearestCentroidParams::default()).predict(&query).unwrap();
        assert_eq!(euclidean.codes, [0]);
        let cosine = NearestCentroidParams { metric: Metric::Cosine, ..Default::default() };
        let cosine = fitted(cosine).predict(&query).unwrap();
        assert_eq!((cosine.codes, cosine.probabilities), (vec![1], None));
    }

    #[test]
    fn strong_shrinking_moves_every_centroid_to_the_mean_of_all() {
        let shrunk = fitted(NearestCentroidParams { shrink_threshold: Some(1e6), ..Default::default() });
        assert_eq!(shrunk.centroids().row(0), shrunk.centroids().row(1));
    }

    #[test]
    fn a_threshold_that_is_not_positive_is_refused() {
        let x = Features::dense(ndarray::array![[0.0f32]].view()).unwrap();
        let params = NearestCentroidParams { shrink_threshold: Some(0.0), ..Default::default() };
        let refused = params.fit(&x, &[0], 1).unwrap_err();
        assert_eq!(refused.to_string(), "`shrink_threshold` is 0, expected above 0");
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0]), median(&[])), (2.0, 2.5, 0.0));
    }
}
