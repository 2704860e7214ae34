//! One score from many.

use ndarray::ArrayView2;

use crate::{Error, Result};

/// What a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Conservation of biology: labels stay apart.
    BioConservation,
    /// Removal of batches: they mix.
    BatchCorrection,
}

/// Whether metrics are scaled before they are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// As they are. A method's score does not depend on the other methods.
    #[default]
    None,
    /// Each metric from 0, its least value over the methods, to 1, its largest; 0 if all are the same. Ranks may change
    /// with the choice of methods.
    MinMax,
}

/// The scores of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AggregateScore {
    /// Mean of the metrics of biology; NaN without any.
    pub bio_conservation: f64,
    /// Mean of the metrics of batches; NaN without any.
    pub batch_correction: f64,
    /// 0.6 of the first plus 0.4 of the second.
    pub total: f64,
}

/// Weighs metrics as the scIB study does (Luecken et al. 2022): 0.6 for biology and 0.4 for batches.
///
/// * `scores`: methods × metrics, larger is better; NaN where a method lacks a metric, which is then left out of its
///   means.
/// * `kinds`: kind of each metric.
///
/// Equals `Benchmarker.get_results(min_max_scale)` of scib-metrics.
///
/// # Errors
/// [`Error::Length`] unless there is a kind for each metric; [`Error::Empty`] without methods or metrics.
pub fn aggregate(
    scores: ArrayView2<'_, f64>,
    kinds: &[MetricKind],
    scaling: Scaling,
) -> Result<Vec<AggregateScore>> {
    if scores.is_empty() {
        return Err(Error::Empty { what: "the table of scores" });
    }
    if kinds.len() != scores.ncols() {
        return Err(Error::Length { what: "kinds", found: kinds.len(), expected: scores.ncols() });
    }
    let mut scores = scores.to_owned();
    if scaling == Scaling::MinMax {
        for mut metric in scores.columns_mut() {
            let known = metric.iter().copied().filter(|v| !v.is_nan());
            let (least, largest) =
                known.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            let range = if largest > least { largest - least } else { 1.0 };
            metric.mapv_inplace(|v| (v - least) / range);
        }
    }
    let mean = |method: ndarray::ArrayView1<'_, f64>, kind: MetricKind| {
        let own = method.iter().zip(kinds).filter(|(v, k)| **k == kind && !v.is_nan());
        let (sum, n) = own.fold((0.0, 0.0), |(sum, n), (v, _)| (sum + v, n + 1.0));
        sum / n
    };
    let score = |method: ndarray::ArrayView1<'_, f64>| {
        let bio_conservation = mean(method, MetricKind::BioConservation);
        let batch_correction = mean(method, MetricKind::BatchCorrection);
        AggregateScore {
            bio_conservation,
            batch_correction,
            total: 0.6 * bio_conservation + 0.4 * batch_correction,
        }
    };
    Ok(scores.rows().into_iter().map(score).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::MetricKind::{BatchCorrection, BioConservation};
    use super::*;

    #[test]
    fn biology_weighs_more_and_missing_scores_are_left_out() {
        let scores = array![[1.0, 0.5, 0.0], [0.5, f64::NAN, 1.0]];
        let kinds = [BioConservation, BioConservation, BatchCorrection];
        let plain = aggregate(scores.view(), &kinds, Scaling::None).unwrap();
        assert_eq!(
            plain[0],
            AggregateScore { bio_conservation: 0.75, batch_correction: 0.0, total: 0.6 * 0.75 }
        );
        assert_eq!(plain[1].total, 0.6 * 0.5 + 0.4);
        let scaled = aggregate(scores.view(), &kinds, Scaling::MinMax).unwrap();
        assert_eq!(scaled[0].bio_conservation, 0.5);
        assert_eq!(scaled[1], AggregateScore { bio_conservation: 0.0, batch_correction: 1.0, total: 0.4 });
    }

    #[test]
    fn faults_are_named() {
        let scores = array![[1.0]];
        let error = aggregate(scores.view(), &[], Scaling::None).unwrap_err();
        assert_eq!(error.to_string(), "kinds has 0 entries, expected 1");
        let empty = ndarray::Array2::zeros((0, 1));
        let error = aggregate(empty.view(), &[BioConservation], Scaling::None).unwrap_err();
        assert_eq!(error.to_string(), "the table of scores is empty");
        let only = aggregate(scores.view(), &[BioConservation], Scaling::None).unwrap();
        assert!(only[0].total.is_nan() && only[0].bio_conservation == 1.0);
    }
}
