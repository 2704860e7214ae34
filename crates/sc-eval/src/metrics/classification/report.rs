//! The table of precision, recall, F1 and support that scikit-learn calls a classification report.

use std::fmt;

use super::{Average, AverageScores, ClassScores, ConfusionMatrix, ZeroDivision};
use crate::{Error, Result};

/// Scores of each class and their averages. Shown as a table with two digits.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationReport {
    /// Name and scores of each class that is true or predicted somewhere, in class order.
    pub classes: Vec<(String, ClassScores)>,
    /// Share of cells that were given their true class.
    pub accuracy: f64,
    /// Mean over classes.
    pub macro_avg: AverageScores,
    /// Mean weighted by support.
    pub weighted_avg: AverageScores,
    /// Number of cells.
    pub support: u64,
}

/// Precision, recall, F1 and support by class, under the names `classes`.
///
/// Equals scikit-learn's `classification_report` of the same labels: classes that are neither true nor predicted are
/// left out.
///
/// # Errors
/// [`Error::Length`] unless there is one name per class.
///
/// ```
/// use sc_eval::metrics::classification::{ZeroDivision, classification_report, encode};
///
/// let pair = encode(&["B", "B", "NK"], &["B", "NK", "NK"])?;
/// let report = classification_report(&pair.confusion_matrix(), pair.classes(), ZeroDivision::Zero)?;
/// assert!(report.to_string().contains("NK       0.50      1.00      0.67         1"));
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn classification_report<S: AsRef<str>>(
    counts: &ConfusionMatrix,
    classes: &[S],
    zero_division: ZeroDivision,
) -> Result<ClassificationReport> {
    if classes.len() != counts.n_classes() {
        let (found, expected) = (classes.len(), counts.n_classes());
        return Err(Error::Length { what: "the class names", found, expected });
    }
    let names = classes.iter().map(|name| name.as_ref().to_owned());
    let present = |(_, scores): &(String, ClassScores)| scores.support + scores.predicted > 0;
    Ok(ClassificationReport {
        classes: names.zip(counts.per_class(zero_division)).filter(present).collect(),
        accuracy: counts.accuracy(),
        macro_avg: counts.averaged(Average::Macro, zero_division),
        weighted_avg: counts.averaged(Average::Weighted, zero_division),
        support: counts.total(),
    })
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.classes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = longest.max("weighted avg".len());
        writeln!(
            f,
            "{:>width$}  {:>9} {:>9} {:>9} {:>9}\n",
            "", "precision", "recall", "f1-score", "support"
        )?;
        let mut line = |name: &str, p: f64, r: f64, f1: f64, support: u64| {
            writeln!(f, "{name:>width$}  {p:>9.2} {r:>9.2} {f1:>9.2} {support:>9}")
        };
        for (name, scores) in &self.classes {
            line(name, scores.precision, scores.recall, scores.f1, scores.support)?;
        }
        let averages = [("macro avg", self.macro_avg), ("weighted avg", self.weighted_avg)];
        for (name, scores) in averages {
            line(name, scores.precision, scores.recall, scores.f1, self.support)?;
        }
        writeln!(f, "{:>width$}  {:>9} {:>9} {:>9.2} {:>9}", "accuracy", "", "", self.accuracy, self.support)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{confusion_matrix, encode};
    use super::*;

    #[test]
    fn the_table_lists_classes_then_averages() {
        let pair = encode(&["a", "a", "monocyte", "c"], &["a", "monocyte", "monocyte", "b"]).unwrap();
        let report =
            classification_report(&pair.confusion_matrix(), pair.classes(), ZeroDivision::Zero).unwrap();
        let expected = "              precision    recall  f1-score   support

           a       1.00      0.50      0.67         2
           b       0.00      0.00      0.00         0
           c       0.00      0.00      0.00         1
    monocyte       0.50      1.00      0.67         1
   macro avg       0.38      0.38      0.33         4
weighted avg       0.62      0.50      0.50         4
    accuracy                           0.50         4
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn absent_classes_are_not_listed_and_names_must_fit() {
        let counts = confusion_matrix(&[0, 2], &[0, 2], 3).unwrap();
        let report = classification_report(&counts, &["a", "b", "c"], ZeroDivision::Zero).unwrap();
        assert_eq!(report.classes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert!(classification_report(&counts, &["a"], ZeroDivision::Zero).is_err());
    }
}
