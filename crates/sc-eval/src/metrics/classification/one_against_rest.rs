//! Each class against the rest: the four counts, and the scores that need no other.

use super::{Average, ConfusionMatrix, ZeroDivision};

/// One class against the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCounts {
    /// Cells of other classes that were given other classes.
    pub true_negative: u64,
    /// Cells of other classes that were given this one.
    pub false_positive: u64,
    /// Cells of the class that were given another.
    pub false_negative: u64,
    /// Cells of the class that were given it.
    pub true_positive: u64,
}

impl ClassCounts {
    /// Share of the cells of the class that were given it: the recall.
    pub fn sensitivity(&self, zero_division: ZeroDivision) -> f64 {
        zero_division.ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Share of the cells of other classes that were not given this one.
    pub fn specificity(&self, zero_division: ZeroDivision) -> f64 {
        zero_division.ratio(self.true_negative, self.true_negative + self.false_positive)
    }

    /// How many times likelier a cell of the class is given it than another cell is: sensitivity over one minus
    /// specificity; 1 is chance, NaN where undefined.
    ///
    /// Equals the first of scikit-learn's `class_likelihood_ratios`.
    pub fn positive_likelihood_ratio(&self) -> f64 {
        let (positives, negatives) = self.totals();
        self.likelihood_ratio(self.true_positive, negatives, self.false_positive, positives)
    }

    /// How many times likelier a cell of the class is given another than another cell is: one minus sensitivity over
    /// specificity; 1 is chance, lower is better, NaN where undefined.
    ///
    /// Equals the second of scikit-learn's `class_likelihood_ratios`.
    pub fn negative_likelihood_ratio(&self) -> f64 {
        let (positives, negatives) = self.totals();
        self.likelihood_ratio(self.false_negative, negatives, self.true_negative, positives)
    }

    fn totals(&self) -> (u64, u64) {
        (self.true_positive + self.false_negative, self.true_negative + self.false_positive)
    }

    fn likelihood_ratio(&self, n: u64, negatives: u64, m: u64, positives: u64) -> f64 {
        if m == 0 || positives == 0 {
            return f64::NAN;
        }
        (n as f64 * negatives as f64) / (m as f64 * positives as f64)
    }

    fn jaccard(&self, zero_division: ZeroDivision) -> f64 {
        zero_division
            .ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)
    }
}

impl ConfusionMatrix {
    /// True and false negatives and positives of each class, in class order.
    ///
    /// Equals scikit-learn's `multilabel_confusion_matrix(labels=range(n_classes))`.
    pub fn one_against_rest(&self) -> Vec<ClassCounts> {
        let total = self.total();
        let margins = self.support().into_iter().zip(self.predicted()).enumerate();
        let counts = margins.map(|(class, (support, predicted))| {
            let true_positive = self.get(class, class);
            ClassCounts {
                true_negative: total + true_positive - support - predicted,
                false_positive: predicted - true_positive,
                false_negative: support - true_positive,
                true_positive,
            }
        });
        counts.collect()
    }

    /// Jaccard index of each class, in class order: of the cells that are of the class or were given it, the share that
    /// both holds for.
    ///
    /// Equals scikit-learn's `jaccard_score(average=None, labels=range(n_classes))`; `zero_division` is the value of a
    /// class that is neither true nor predicted.
    pub fn jaccard_per_class(&self, zero_division: ZeroDivision) -> Vec<f64> {
        self.one_against_rest().iter().map(|class| class.jaccard(zero_division)).collect()
    }

    /// Jaccard index, averaged over the classes that are true or predicted somewhere; in 0..=1.
    ///
    /// Equals scikit-learn's `jaccard_score` with its default labels. There is always a cell, so nothing is undefined.
    pub fn jaccard(&self, average: Average) -> f64 {
        if average == Average::Micro {
            let wrong = self.total() - self.correct();
            return self.correct() as f64 / (self.correct() + 2 * wrong) as f64;
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        for class in self.one_against_rest() {
            let support = class.true_positive + class.false_negative;
            let present = f64::from(u8::from(support + class.false_positive > 0));
            let weight = if average == Average::Weighted { support as f64 } else { present };
            sum += weight * class.jaccard(ZeroDivision::Zero);
            weights += weight;
        }
        sum / weights
    }

    /// Share of cells that were not given their true class, in 0..=1: scikit-learn's `zero_one_loss`, and its
    /// `hamming_loss`, which is the same for one label per cell.
    #[doc(alias = "hamming_loss")]
    pub fn zero_one_loss(&self) -> f64 {
        (self.total() - self.correct()) as f64 / self.total() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::confusion_matrix;
    use super::*;

    #[test]
    fn the_four_counts_of_each_class_sum_to_all_cells() {
        let counts = confusion_matrix(&[0, 0, 1, 1, 2], &[0, 0, 1, 0, 3], 4).unwrap().one_against_rest();
        let first = ClassCounts { true_negative: 2, false_positive: 1, false_negative: 0, true_positive: 2 };
        assert_eq!(counts[0], first);
        assert_eq!(
            (first.sensitivity(ZeroDivision::Zero), first.specificity(ZeroDivision::Zero)),
            (1.0, 2.0 / 3.0)
        );
        for c in &counts {
            assert_eq!(c.true_negative + c.false_positive + c.false_negative + c.true_positive, 5);
        }
        assert_eq!(counts[3].sensitivity(ZeroDivision::One), 1.0);
        assert!(counts[3].sensitivity(ZeroDivision::Nan).is_nan());
        assert!(counts[3].positive_likelihood_ratio().is_nan());
    }

    #[test]
    fn the_jaccard_index_of_an_absent_class_is_listed_but_not_averaged() {
        let with = confusion_matrix(&[0, 1, 1], &[0, 1, 0], 5).unwrap();
        assert_eq!(with.jaccard_per_class(ZeroDivision::One), [0.5, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(with.jaccard(Average::Macro), 0.5);
        assert_eq!(with.jaccard(Average::Micro), 0.5);
        assert_eq!(with.zero_one_loss(), 1.0 / 3.0);
    }
}
