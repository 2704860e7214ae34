//! One number that makes probabilities honest without changing an answer.

use ndarray::{Array2, ArrayView2};

use crate::metrics::classification::{check_probabilities, check_truth};
use crate::{Error, Result};

/// What is added to a probability before its logarithm, as in scikit-learn.
const FLOOR: f64 = 1e-12;

/// Bound of the logarithm of the inverse temperature, as in scikit-learn.
const BOUND: f64 = 10.0;

/// Temperature scaling (Guo et al. 2017): the logits of every cell are divided by one temperature, above 1 to make the
/// model less sure, below 1 to make it surer. The most probable class stays.
///
/// Fit it on cells that the model was not trained on and that are not scored: on training cells it learns that the
/// model is always right.
///
/// ```
/// use ndarray::array;
/// use sc_eval::metrics::calibration::TemperatureScaling;
///
/// // Always 95 % sure, but wrong once in four.
/// let p = array![[0.95f32, 0.05], [0.95, 0.05], [0.95, 0.05], [0.95, 0.05]];
/// let scaling = TemperatureScaling::fit(&[0, 0, 0, 1], p.view())?;
/// assert!((scaling.transform(p.view())?[[0, 0]] - 0.75).abs() < 1e-6);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureScaling {
    /// What the logits are divided by; above 0.
    pub temperature: f64,
}

impl TemperatureScaling {
    /// The temperature of the least log-loss on these cells.
    ///
    /// * `probabilities`: cells × classes, rows summing to 1; their logits are `ln(p + 1e-12)`.
    ///
    /// The minimum that scikit-learn's `CalibratedClassifierCV(method="temperature")` looks for, within the same bounds
    /// of e⁻¹⁰ to e¹⁰ (reached where the model is always right, or no better than chance), to rounding instead of the
    /// 1e-5 of its search: the loss is convex in the inverse temperature, so its slope has one zero.
    ///
    /// # Errors
    /// Those of [`crate::metrics::classification::log_loss`].
    pub fn fit(truth: &[u32], probabilities: ArrayView2<'_, f32>) -> Result<Self> {
        check_truth(truth, probabilities.ncols())?;
        check_probabilities(probabilities, truth.len())?;
        Ok(Self::minimum(truth, &probabilities.mapv(|p| libm::log(f64::from(p) + FLOOR))))
    }

    /// As [`TemperatureScaling::fit`], from logits or decision values, cells × classes.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::ClassCode`]; [`Error::NotFinite`] at a logit that is no number.
    pub fn fit_logits(truth: &[u32], logits: ArrayView2<'_, f32>) -> Result<Self> {
        check_truth(truth, logits.ncols())?;
        if logits.nrows() != truth.len() {
            let what = "the axis of cells of the logits";
            return Err(Error::Length { what, found: logits.nrows(), expected: truth.len() });
        }
        if let Some(((row, column), &value)) = logits.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column, value });
        }
        Ok(Self::minimum(truth, &logits.mapv(f64::from)))
    }

    /// The probabilities at this temperature, cells × classes, rows summing to 1.
    ///
    /// # Errors
    /// Those of [`crate::metrics::classification::log_loss`]; [`Error::Parameter`] unless the temperature is a finite
    /// number above 0.
    pub fn transform(&self, probabilities: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let (value, expected) = (self.temperature.to_string(), "a finite number above 0");
            return Err(Error::Parameter { name: "temperature", value, expected });
        }
        check_probabilities(probabilities, probabilities.nrows())?;
        let mut scaled = Array2::zeros(probabilities.dim());
        let mut powers = vec![0.0; probabilities.ncols()];
        for (row, mut out) in probabilities.rows().into_iter().zip(scaled.rows_mut()) {
            for (power, &p) in powers.iter_mut().zip(row) {
                *power = libm::log(f64::from(p) + FLOOR) / self.temperature;
            }
            let largest = powers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            powers.iter_mut().for_each(|power| *power = libm::exp(*power - largest));
            let sum: f64 = powers.iter().sum();
            for (out, power) in out.iter_mut().zip(&powers) {
                *out = (power / sum) as f32;
            }
        }
        Ok(scaled)
    }

    /// Newton's method on the inverse temperature, kept between bounds that close in.
    fn minimum(truth: &[u32], logits: &Array2<f64>) -> Self {
        let (mut low, mut high) = (libm::exp(-BOUND), libm::exp(BOUND));
        if slope(truth, logits, low).0 >= 0.0 {
            return Self { temperature: 1.0 / low };
        }
        if slope(truth, logits, high).0 <= 0.0 {
            return Self { temperature: 1.0 / high };
        }
        let mut inverse = 1.0;
        for _ in 0..200 {
            let (first, second) = slope(truth, logits, inverse);
            if first < 0.0 {
                low = inverse;
            } else {
                high = inverse;
            }
            let newton = inverse - first / second;
            if (newton - inverse).abs() <= 4.0 * f64::EPSILON * inverse {
                break;
            }
            // The bounds span orders of magnitude: halve their ratio where Newton's step leaves them.
            inverse = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        }
        Self { temperature: 1.0 / inverse }
    }
}

/// First and second derivative of the summed log-loss by the inverse temperature.
fn slope(truth: &[u32], logits: &Array2<f64>, inverse: f64) -> (f64, f64) {
    let (mut first, mut second) = (0.0, 0.0);
    for (&code, row) in truth.iter().zip(logits.rows()) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut weights, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for &logit in row {
            let below = logit - largest;
            let weight = libm::exp(inverse * below);
            weights += weight;
            mean += weight * below;
            squares += weight * below * below;
        }
        mean /= weights;
        first += mean - (row[code as usize] - largest);
        second += squares / weights - mean * mean;
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::metrics::classification::log_loss;

    #[test]
    fn no_other_temperature_has_a_smaller_loss() {
        let p =
            array![[0.7f32, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4], [0.9, 0.05, 0.05]];
        let truth = [0, 1, 1, 2, 0];
        let fitted = TemperatureScaling::fit(&truth, p.view()).unwrap();
        let loss = |temperature: f64| {
            log_loss(&truth, TemperatureScaling { temperature }.transform(p.view()).unwrap().view()).unwrap()
        };
        let least = loss(fitted.temperature);
        for factor in [0.8, 0.95, 1.05, 1.25] {
            assert!(loss(fitted.temperature * factor) > least);
        }
    }

    #[test]
    fn a_model_that_is_always_right_or_no_better_than_chance_meets_the_bounds() {
        let p = array![[0.9f32, 0.1], [0.2, 0.8]];
        let right = TemperatureScaling::fit(&[0, 1], p.view()).unwrap();
        assert!(right.temperature < 1e-4);
        let wrong = TemperatureScaling::fit(&[1, 0], p.view()).unwrap();
        assert!(wrong.temperature > 1e4);
    }

    #[test]
    fn logits_and_their_probabilities_have_one_temperature() {
        let logits = array![[2.0f32, 0.0], [1.0, 0.0], [3.0, 0.0], [2.5, 0.0]];
        let p = logits.mapv(|z| z.exp());
        let sums = p.sum_axis(ndarray::Axis(1));
        let p = ndarray::Array2::from_shape_fn(p.dim(), |(i, j)| p[[i, j]] / sums[i]);
        let truth = [0, 1, 0, 0];
        let a = TemperatureScaling::fit(&truth, p.view()).unwrap().temperature;
        let b = TemperatureScaling::fit_logits(&truth, logits.view()).unwrap().temperature;
        assert!((a / b - 1.0).abs() < 1e-5, "{a} {b}");
    }

    #[test]
    fn what_cannot_be_scaled_is_refused() {
        let p = array![[0.5f32, 0.5]];
        assert!(TemperatureScaling { temperature: 0.0 }.transform(p.view()).is_err());
        assert!(TemperatureScaling { temperature: 1.0 }.transform(array![[0.5f32, 0.9]].view()).is_err());
        assert!(TemperatureScaling::fit(&[], p.view()).is_err());
        assert!(TemperatureScaling::fit_logits(&[0, 0], p.view()).is_err());
        let nan = array![[f32::NAN, 0.0]];
        assert!(matches!(TemperatureScaling::fit_logits(&[0], nan.view()), Err(Error::NotFinite { .. })));
    }
}
