//! scikit-learn's functions on class indices: count, then ask the confusion matrix.

use super::{Average, ClassCounts, ClassScores, KappaWeights, ZeroDivision, confusion_matrix};
use crate::{Error, Result};

/// Share of cells that were given their true class, in 0..=1; any class index will do.
///
/// Equals scikit-learn's `accuracy_score`.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`].
///
/// ```
/// assert_eq!(sc_eval::metrics::classification::accuracy(&[0, 1, 2, 2], &[0, 1, 2, 0])?, 0.75);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[doc(alias = "accuracy_score")]
pub fn accuracy(truth: &[u32], predicted: &[u32]) -> Result<f64> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "truth" });
    }
    if predicted.len() != truth.len() {
        return Err(Error::Length { what: "predicted", found: predicted.len(), expected: truth.len() });
    }
    let correct = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
    Ok(correct as f64 / truth.len() as f64)
}

/// Mean recall of the classes that have cells; see [`super::ConfusionMatrix::balanced_accuracy`].
///
/// # Errors
/// Those of [`confusion_matrix`].
#[doc(alias = "balanced_accuracy_score")]
pub fn balanced_accuracy(truth: &[u32], predicted: &[u32], n_classes: usize) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.balanced_accuracy())
}

/// Balanced accuracy above chance; see [`super::ConfusionMatrix::balanced_accuracy_adjusted`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn balanced_accuracy_adjusted(truth: &[u32], predicted: &[u32], n_classes: usize) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.balanced_accuracy_adjusted())
}

/// Share of cells that were not given their true class, in 0..=1; any class index will do.
///
/// Equals scikit-learn's `zero_one_loss`, and its `hamming_loss`, which is the same for one label per cell.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`].
#[doc(alias = "hamming_loss")]
pub fn zero_one_loss(truth: &[u32], predicted: &[u32]) -> Result<f64> {
    Ok(1.0 - accuracy(truth, predicted)?)
}

/// Averaged Jaccard index; see [`super::ConfusionMatrix::jaccard`].
///
/// # Errors
/// Those of [`confusion_matrix`].
///
/// ```
/// use sc_eval::metrics::classification::{Average, jaccard_score};
///
/// assert_eq!(jaccard_score(&[0, 1, 1], &[0, 1, 0], 2, Average::Macro)?, 0.5);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn jaccard_score(truth: &[u32], predicted: &[u32], n_classes: usize, average: Average) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.jaccard(average))
}

/// Each class against the rest; see [`super::ConfusionMatrix::one_against_rest`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn multilabel_confusion_matrix(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
) -> Result<Vec<ClassCounts>> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.one_against_rest())
}

/// Cohen's kappa for classes in a meaningful order; see [`super::ConfusionMatrix::cohen_kappa_weighted`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn cohen_kappa_weighted(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    weights: KappaWeights,
) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.cohen_kappa_weighted(weights))
}

/// Cohen's kappa; see [`super::ConfusionMatrix::cohen_kappa`].
///
/// # Errors
/// Those of [`confusion_matrix`].
#[doc(alias = "cohen_kappa_score")]
pub fn cohen_kappa(truth: &[u32], predicted: &[u32], n_classes: usize) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.cohen_kappa())
}

/// Matthews correlation coefficient; see [`super::ConfusionMatrix::matthews_corrcoef`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn matthews_corrcoef(truth: &[u32], predicted: &[u32], n_classes: usize) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.matthews_corrcoef())
}

/// Precision, recall, F1 and support of every class; see [`super::ConfusionMatrix::per_class`].
///
/// For averages ask the [`super::ConfusionMatrix`] for [`super::ConfusionMatrix::averaged`].
///
/// # Errors
/// Those of [`confusion_matrix`].
///
/// ```
/// use sc_eval::metrics::classification::{ZeroDivision, precision_recall_fscore_support};
///
/// let scores = precision_recall_fscore_support(&[0, 0, 1], &[0, 1, 1], 2, ZeroDivision::Zero)?;
/// assert_eq!((scores[0].precision, scores[0].recall, scores[0].support), (1.0, 0.5, 2));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn precision_recall_fscore_support(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    zero_division: ZeroDivision,
) -> Result<Vec<ClassScores>> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.per_class(zero_division))
}

/// Averaged precision; see [`super::ConfusionMatrix::averaged`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn precision_score(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    average: Average,
    zero_division: ZeroDivision,
) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.averaged(average, zero_division).precision)
}

/// Averaged recall; see [`super::ConfusionMatrix::averaged`].
///
/// # Errors
/// Those of [`confusion_matrix`].
pub fn recall_score(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    average: Average,
    zero_division: ZeroDivision,
) -> Result<f64> {
    Ok(confusion_matrix(truth, predicted, n_classes)?.averaged(average, zero_division).recall)
}

/// Averaged F1, the harmonic mean of precision and recall; see [`super::ConfusionMatrix::averaged`].
///
/// # Errors
/// Those of [`confusion_matrix`].
///
/// ```
/// use sc_eval::metrics::classification::{Average, ZeroDivision, f1_score};
///
/// let f1 = f1_score(&[0, 1, 1], &[0, 1, 0], 2, Average::Macro, ZeroDivision::Zero)?;
/// assert!((f1 - 2.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn f1_score(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    average: Average,
    zero_division: ZeroDivision,
) -> Result<f64> {
    fbeta_score(truth, predicted, n_classes, 1.0, average, zero_division)
}

/// Averaged F-score with recall `beta` times as important as precision; 0 gives precision, infinity recall.
///
/// Equals scikit-learn's `fbeta_score`.
///
/// # Errors
/// [`Error::Parameter`] if `beta` is negative or NaN; those of [`confusion_matrix`].
pub fn fbeta_score(
    truth: &[u32],
    predicted: &[u32],
    n_classes: usize,
    beta: f64,
    average: Average,
    zero_division: ZeroDivision,
) -> Result<f64> {
    if beta.is_nan() || beta < 0.0 {
        let expected = "a number from 0 to infinity";
        return Err(Error::Parameter { name: "beta", value: beta.to_string(), expected });
    }
    Ok(confusion_matrix(truth, predicted, n_classes)?.averaged_beta(average, beta, zero_division).f1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_zero_is_precision_and_infinity_is_recall() {
        let (truth, predicted) = ([0, 0, 1, 2], [0, 1, 1, 0]);
        let f = |beta| fbeta_score(&truth, &predicted, 3, beta, Average::Macro, ZeroDivision::Zero).unwrap();
        let p = precision_score(&truth, &predicted, 3, Average::Macro, ZeroDivision::Zero).unwrap();
        let r = recall_score(&truth, &predicted, 3, Average::Macro, ZeroDivision::Zero).unwrap();
        assert_eq!((f(0.0), f(f64::INFINITY)), (p, r));
    }

    #[test]
    fn a_negative_beta_is_refused() {
        for beta in [-1.0, f64::NAN] {
            let e = fbeta_score(&[0], &[0], 1, beta, Average::Macro, ZeroDivision::Zero).unwrap_err();
            assert!(matches!(e, Error::Parameter { name: "beta", .. }));
        }
    }

    #[test]
    fn accuracy_needs_pairs() {
        assert!(accuracy(&[], &[]).is_err());
        assert!(accuracy(&[1], &[1, 2]).is_err());
        assert_eq!(accuracy(&[u32::MAX, 0], &[u32::MAX, 1]).unwrap(), 0.5);
    }
}
