use ndarray::ArrayView2;

use super::Error;
use super::error::{check_scores, check_truth};

/// Bound of the logarithm of the inverse temperature.
const BOUND: f64 = 10.0;

/// The temperature at which scores become probabilities that mean what they say (Guo et al. 2017).
///
/// As [`sc_eval::metrics::calibration::TemperatureScaling`], for scores in f64 that may be minus infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    /// What scores are divided by; above 0.
    pub temperature: f64,
    /// Mean negative log-probability of the right labels at temperature 1 and at this one.
    pub loss: (f64, f64),
}

impl Temperature {
    /// The temperature of the least mean negative log-probability of the right labels, between e⁻¹⁰ and e¹⁰.
    ///
    /// The loss is convex in the inverse temperature: its slope is halved in to the last bit that matters.
    ///
    /// * `scores`: cells × labels.
    /// * `truth`: the right label of each cell.
    ///
    /// # Errors
    /// [`Error::Score`], [`Error::Empty`], [`Error::Length`], [`Error::Label`]; [`Error::Excluded`] for a cell whose right
    /// label has minus infinity: no temperature makes it possible.
    pub fn fit(scores: ArrayView2<'_, f64>, truth: &[usize]) -> Result<Self, Error> {
        check_scores(scores)?;
        check_truth(truth, scores.dim())?;
        if let Some(cell) = (0..truth.len()).find(|&cell| scores[[cell, truth[cell]]] == f64::NEG_INFINITY) {
            return Err(Error::Excluded { cell, label: truth[cell] });
        }
        let (mut low, mut high) = (libm::exp(-BOUND), libm::exp(BOUND));
        for _ in 0..200 {
            // Halving of the logarithm: the range is one of magnitudes.
            let middle = libm::sqrt(low * high);
            if middle <= low || middle >= high {
                break;
            }
            let side = if loss_and_slope(scores, truth, middle).1 < 0.0 { &mut low } else { &mut high };
            *side = middle;
        }
        let inverse = libm::sqrt(low * high);
        let loss = (loss_and_slope(scores, truth, 1.0).0, loss_and_slope(scores, truth, inverse).0);
        Ok(Self { temperature: 1.0 / inverse, loss })
    }
}

/// Mean negative log-probability of the right labels at an inverse temperature, and its derivative.
fn loss_and_slope(scores: ArrayView2<'_, f64>, truth: &[usize], inverse: f64) -> (f64, f64) {
    let (mut loss, mut slope) = (0.0, 0.0);
    for (row, &label) in scores.rows().into_iter().zip(truth) {
        let highest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let (mut sum, mut moment) = (0.0, 0.0);
        for &score in row.iter().filter(|score| **score > f64::NEG_INFINITY) {
            let below = score - highest;
            let weight = libm::exp(below * inverse);
            sum += weight;
            moment += weight * below;
        }
        let own = row[label] - highest;
        loss += libm::log(sum) - own * inverse;
        slope += moment / sum - own;
    }
    let n = truth.len() as f64;
    (loss / n, slope / n)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn right_three_times_in_four_becomes_three_quarters() {
        let scores = Array2::from_shape_fn((4, 2), |(_, label)| if label == 0 { 3.0 } else { 0.0 });
        let fitted = Temperature::fit(scores.view(), &[0, 0, 1, 0]).expect("four cells");
        let p = super::super::probabilities(scores.view(), fitted.temperature).expect("good scores");
        assert!((p[[0, 0]] - 0.75).abs() < 1e-9, "{}", p[[0, 0]]);
        assert!(fitted.loss.1 < fitted.loss.0);
    }

    #[test]
    fn agrees_with_the_scaling_of_sc_eval() {
        let logits = array![[1.0f32, 0.2, -0.3], [0.1, 2.0, 0.4], [1.5, 1.0, 0.0], [0.0, 0.3, 0.9]];
        let truth = [0u32, 1, 1, 0];
        let theirs = sc_eval::metrics::calibration::TemperatureScaling::fit_logits(&truth, logits.view());
        let theirs = theirs.expect("four cells").temperature;
        let ours = Temperature::fit(logits.mapv(f64::from).view(), &truth.map(|label| label as usize));
        let ours = ours.expect("four cells").temperature;
        assert!((ours / theirs - 1.0).abs() < 1e-9, "{ours} {theirs}");
    }

    #[test]
    fn labels_that_are_excluded_have_no_weight() {
        let scores = array![[0.0, f64::NEG_INFINITY, -1.0], [0.0, -2.0, f64::NEG_INFINITY]];
        let fitted = Temperature::fit(scores.view(), &[2, 0]).expect("two cells");
        assert!(fitted.temperature.is_finite() && fitted.loss.1 <= fitted.loss.0);
        let message = Temperature::fit(scores.view(), &[1, 0]).unwrap_err().to_string();
        assert_eq!(message, "label 1, the right one of cell 0, has probability 0");
    }

    #[test]
    fn labels_that_there_are_not_are_refused() {
        let scores = array![[0.0, 1.0]];
        let message = |truth: &[usize]| Temperature::fit(scores.view(), truth).unwrap_err().to_string();
        assert_eq!(message(&[2]), "the label of cell 0 is 2, but there are 2");
        assert_eq!(message(&[0, 1]), "2 labels of cells, expected 1");
        assert_eq!(message(&[]), "there are no labelled cells");
    }
}
