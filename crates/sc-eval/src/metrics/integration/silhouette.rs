//! Silhouettes of labels, and of batches within labels.

use ndarray::{ArrayView2, Axis};

use super::codes::Codes;
use crate::metrics::clustering::{BetweenClusters, SilhouetteMetric, SilhouetteParams, silhouette_score};
use crate::metrics::compute::mean;
use crate::{Error, Result};

/// Average silhouette width of the labels, scaled to 0..=1: `(s + 1) / 2` of the mean silhouette `s`.
///
/// * `x`: cells × dimensions; `labels`: label of each cell, any integers.
///
/// Equals scib-metrics' `silhouette_label`, which cz-benchmarks calls `silhouette_score`.
///
/// # Errors
/// Those of [`silhouette_score`].
pub fn silhouette_label(x: ArrayView2<'_, f32>, labels: &[u32]) -> Result<f64> {
    Ok((silhouette_score(x, labels)? + 1.0) / 2.0)
}

/// How little batches stand apart within a label, in 0..=1: `1 - |s|` of the silhouette `s` of the batches, mean over
/// the cells of a label, then over labels; 1 is mixed.
///
/// * `x`: cells × dimensions; `labels`, `batches`: of each cell, any integers.
/// * `params`: scIB's score is the default.
///
/// A label with a single batch, or where each cell is a batch of its own, counts for nothing. Equals scib-metrics'
/// `silhouette_batch`.
///
/// # Errors
/// [`Error::Length`]; [`Error::NotFinite`]; [`Error::Parameter`] if no label counts, where scib-metrics fails within
/// pandas.
pub fn silhouette_batch(
    x: ArrayView2<'_, f32>,
    labels: &[u32],
    batches: &[u32],
    params: &SilhouetteParams,
) -> Result<f64> {
    let labels = Codes::new("labels", labels, x.nrows())?;
    Codes::new("batches", batches, x.nrows())?;
    if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let mut scores = Vec::new();
    for cells in labels.cells() {
        let own: Vec<u32> = cells.iter().map(|&cell| batches[cell]).collect();
        let n_batches = Codes::of(&own).len();
        if n_batches == 1 || n_batches == cells.len() {
            continue;
        }
        let mut samples = params.samples(x.select(Axis(0), &cells).view(), &own)?;
        samples.iter_mut().for_each(|s| *s = 1.0 - s.abs());
        scores.push(mean(&samples));
    }
    if scores.is_empty() {
        let (name, expected) = ("the number of labels with cells of several batches", "at least 1");
        return Err(Error::Parameter { name, value: "0".into(), expected });
    }
    Ok(mean(&scores))
}

/// Batch removal adapted silhouette (Rautenstrauch and Ohler 2025), in 0..=1: [`silhouette_batch`] with cosine
/// distances and the mean distance to all other batches, which nested batch effects cannot fool. Equals scib-metrics'
/// `bras`.
///
/// # Errors
/// Those of [`silhouette_batch`].
pub fn bras(x: ArrayView2<'_, f32>, labels: &[u32], batches: &[u32]) -> Result<f64> {
    let params = SilhouetteParams { metric: SilhouetteMetric::Cosine, between: BetweenClusters::MeanOther };
    silhouette_batch(x, labels, batches, &params)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn labels_without_two_batches_count_for_nothing() {
        let x = array![[0.0f32], [1.0], [0.0], [1.0], [50.0], [51.0], [70.0], [71.0]];
        let labels = [0, 0, 0, 0, 1, 1, 2, 2];
        // Label 1 has one batch and label 2 a batch for each cell; label 0 has batches one unit apart.
        let score =
            silhouette_batch(x.view(), &labels, &[5, 6, 5, 6, 5, 5, 5, 6], &SilhouetteParams::default());
        assert_eq!(score.unwrap(), 0.0);
        let mixed =
            silhouette_batch(x.view(), &labels, &[5, 5, 6, 6, 5, 5, 5, 6], &SilhouetteParams::default());
        assert_eq!(mixed.unwrap(), 0.5);
    }

    #[test]
    fn faults_are_named() {
        let x = array![[0.0f32], [1.0]];
        let error = bras(x.view(), &[0, 1], &[0, 0]).unwrap_err().to_string();
        assert_eq!(error, "`the number of labels with cells of several batches` is 0, expected at least 1");
        let error = bras(x.view(), &[0, 1], &[0]).unwrap_err().to_string();
        assert_eq!(error, "batches has 1 entries, expected 2");
        let nan = array![[f32::NAN], [1.0]];
        assert!(matches!(bras(nan.view(), &[0, 0], &[0, 1]), Err(Error::NotFinite { row: 0, .. })));
    }

    #[test]
    fn labels_far_apart_score_near_one() {
        let x = array![[0.0f32], [1.0], [100.0], [101.0]];
        assert!(silhouette_label(x.view(), &[3, 3, 9, 9]).unwrap() > 0.99);
    }
}
