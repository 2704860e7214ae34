//! Precision, recall and F-score, per class and averaged.

use super::ConfusionMatrix;

/// How scores of classes become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The plain mean over the classes that are true or predicted somewhere; each class weighs the same.
    Macro,
    /// From the pooled counts, or the pooled scores of a curve; with one label per cell, precision = recall = F1 =
    /// accuracy.
    Micro,
    /// The mean weighted by the number of true cells; a class that is only predicted weighs nothing.
    Weighted,
}

/// The value of a ratio without denominator: the precision of a class that was never predicted, the recall of one
/// that never occurs, the F-score of one that does neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroDivision {
    /// 0; what scikit-learn does by default, with a warning.
    #[default]
    Zero,
    /// 1.
    One,
    /// NaN, which averages leave out.
    Nan,
}

impl ZeroDivision {
    fn value(self) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::One => 1.0,
            Self::Nan => f64::NAN,
        }
    }

    pub(super) fn ratio(self, numerator: u64, denominator: u64) -> f64 {
        self.divide(numerator as f64, denominator as f64)
    }

    fn divide(self, numerator: f64, denominator: f64) -> f64 {
        if denominator == 0.0 { self.value() } else { numerator / denominator }
    }
}

/// How well one class was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// Share of the cells given the class that belong to it.
    pub precision: f64,
    /// Share of the cells of the class that were given it.
    pub recall: f64,
    /// Harmonic mean of precision and recall; 0 if both are.
    pub f1: f64,
    /// Cells of the class.
    pub support: u64,
    /// Cells given the class.
    pub predicted: u64,
}

/// Precision, recall and F1, averaged over classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageScores {
    /// Averaged precision.
    pub precision: f64,
    /// Averaged recall.
    pub recall: f64,
    /// Averaged F1: the mean of the F1s, not the F1 of the means.
    pub f1: f64,
}

impl ConfusionMatrix {
    /// Precision, recall, F1 and support of every class, in class order, each in 0..=1.
    ///
    /// Equals scikit-learn's `precision_recall_fscore_support(average=None, labels=range(n_classes))`: a class that is
    /// neither true nor predicted is listed too, with the value of `zero_division` three times.
    pub fn per_class(&self, zero_division: ZeroDivision) -> Vec<ClassScores> {
        self.per_class_beta(1.0, zero_division)
    }

    /// Averaged precision, recall and F1, each in 0..=1.
    ///
    /// Equals scikit-learn's `precision_recall_fscore_support(average=…)` with its default labels, the sorted union of
    /// true and predicted ones: a class that is only predicted takes part in the macro mean, with recall and F1 of 0
    /// (or whatever `zero_division` says of the recall); a class that is neither takes no part.
    pub fn averaged(&self, average: Average, zero_division: ZeroDivision) -> AverageScores {
        self.averaged_beta(average, 1.0, zero_division)
    }

    /// [`ConfusionMatrix::per_class`] with the F-score of another `beta` in place of F1.
    pub(crate) fn per_class_beta(&self, beta: f64, zero_division: ZeroDivision) -> Vec<ClassScores> {
        let (support, predicted) = (self.support(), self.predicted());
        let correct = (0..self.n_classes()).map(|class| self.get(class, class));
        let margins = support.iter().zip(&predicted);
        correct.zip(margins).map(|(tp, (&s, &p))| class_scores(tp, s, p, beta, zero_division)).collect()
    }

    /// [`ConfusionMatrix::averaged`] with the F-score of another `beta` in place of F1.
    pub(crate) fn averaged_beta(&self, average: Average, beta: f64, zero: ZeroDivision) -> AverageScores {
        if average == Average::Micro {
            let total = self.total();
            let pooled = class_scores(self.correct(), total, total, beta, zero);
            return AverageScores { precision: pooled.precision, recall: pooled.recall, f1: pooled.f1 };
        }
        let mut classes = self.per_class_beta(beta, zero);
        classes.retain(|class| class.support + class.predicted > 0);
        let mean = |score: fn(&ClassScores) -> f64| mean_without_nan(&classes, score, average);
        AverageScores { precision: mean(|c| c.precision), recall: mean(|c| c.recall), f1: mean(|c| c.f1) }
    }

    /// Macro-averaged F1 with scikit-learn's default for undefined ratios; its scorer `f1_macro`.
    pub fn f1_macro(&self) -> f64 {
        self.averaged(Average::Macro, ZeroDivision::Zero).f1
    }
}

fn class_scores(tp: u64, support: u64, predicted: u64, beta: f64, zero: ZeroDivision) -> ClassScores {
    let precision = zero.divide(tp as f64, predicted as f64);
    let recall = zero.divide(tp as f64, support as f64);
    let f1 = if beta == 0.0 {
        precision
    } else if beta == f64::INFINITY {
        recall
    } else {
        // From counts, as scikit-learn does: precision and recall may both be undefined where this is not.
        let beta2 = beta * beta;
        zero.divide((1.0 + beta2) * tp as f64, beta2 * support as f64 + predicted as f64)
    };
    ClassScores { precision, recall, f1, support, predicted }
}

/// The mean over classes whose score is a number; NaN without any. Weights that are all zero count as equal.
fn mean_without_nan(classes: &[ClassScores], score: fn(&ClassScores) -> f64, average: Average) -> f64 {
    let defined = || classes.iter().filter(|class| !score(class).is_nan());
    let weighted = average == Average::Weighted && defined().any(|class| class.support > 0);
    let (mut sum, mut weights) = (0.0, 0.0);
    for class in defined() {
        let weight = if weighted { class.support as f64 } else { 1.0 };
        sum += weight * score(class);
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::super::confusion_matrix;
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 5e-5, "{a} is not {b}");
    }

    #[test]
    fn a_class_that_is_only_predicted_takes_part_in_the_macro_mean() {
        let m = confusion_matrix(&[0, 0, 1, 1, 2], &[0, 0, 1, 0, 3], 4).unwrap();
        close(m.f1_macro(), 0.3667);
        close(m.averaged(Average::Weighted, ZeroDivision::Zero).f1, 0.5867);
        close(m.averaged(Average::Micro, ZeroDivision::Zero).f1, 0.6);
        close(m.averaged(Average::Macro, ZeroDivision::Zero).precision, 0.4167);
        close(m.averaged(Average::Macro, ZeroDivision::One).precision, 0.6667);
        close(m.averaged(Average::Macro, ZeroDivision::Nan).precision, 0.5556);
    }

    #[test]
    fn a_class_that_does_not_occur_takes_no_part_but_is_listed() {
        let with = confusion_matrix(&[0, 1, 1], &[0, 1, 0], 5).unwrap();
        let without = confusion_matrix(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        for average in [Average::Macro, Average::Micro, Average::Weighted] {
            let zero = ZeroDivision::One;
            assert_eq!(with.averaged(average, zero), without.averaged(average, zero));
        }
        let absent = with.per_class(ZeroDivision::One)[4];
        assert_eq!((absent.precision, absent.recall, absent.f1, absent.support), (1.0, 1.0, 1.0, 0));
    }
}
