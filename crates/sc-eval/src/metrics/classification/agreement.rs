//! Accuracy and agreement beyond chance, from counts.

use super::ConfusionMatrix;

/// How a mistake weighs by the distance between the true and the given class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KappaWeights {
    /// By the distance.
    Linear,
    /// By the squared distance.
    Quadratic,
}

impl ConfusionMatrix {
    /// Share of cells that were given their true class, in 0..=1.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total() as f64
    }

    /// Mean recall of the classes that have cells, in 0..=1.
    ///
    /// Equals scikit-learn's `balanced_accuracy_score`, which warns where this does not: a class that is only predicted
    /// is left out. So it is *not* the macro recall, where such a class counts as 0.
    pub fn balanced_accuracy(&self) -> f64 {
        let (mut sum, mut n) = (0.0, 0);
        for class in 0..self.n_classes() {
            let support: u64 = self.row(class).iter().sum();
            if support > 0 {
                sum += self.get(class, class) as f64 / support as f64;
                n += 1;
            }
        }
        sum / f64::from(n)
    }

    /// Cohen's kappa: agreement beyond that of two independent raters with the same margins; 1 is perfect, 0 is chance,
    /// -1 the least.
    ///
    /// Equals scikit-learn's `cohen_kappa_score` without weights: NaN if truth and prediction hold one and the same
    /// class only.
    pub fn cohen_kappa(&self) -> f64 {
        let (total, by_chance) = self.squares();
        let expected_wrong = total * total - by_chance;
        if expected_wrong == 0 {
            return f64::NAN;
        }
        let wrong = (total - u128::from(self.correct())) * total;
        1.0 - wrong as f64 / expected_wrong as f64
    }

    /// Balanced accuracy rescaled so that 0 is chance and 1 is perfect: with `n` classes that have cells,
    /// `(balanced accuracy - 1/n) / (1 - 1/n)`.
    ///
    /// Equals scikit-learn's `balanced_accuracy_score(adjusted=True)`: with one true class there is no chance to beat,
    /// and it is NaN, or minus infinity if a cell is wrong.
    pub fn balanced_accuracy_adjusted(&self) -> f64 {
        let n_classes = self.support().iter().filter(|&&n| n > 0).count();
        let chance = 1.0 / n_classes as f64;
        (self.balanced_accuracy() - chance) / (1.0 - chance)
    }

    /// Cohen's kappa where a mistake weighs by how far apart the classes are: for classes in a meaningful order.
    ///
    /// Equals scikit-learn's `cohen_kappa_score(weights=…, labels=range(n_classes))`, so a class without cells still
    /// counts as a step between its neighbours. NaN if truth and prediction hold one and the same class only.
    pub fn cohen_kappa_weighted(&self, weights: KappaWeights) -> f64 {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total() as f64);
        let (mut wrong, mut expected) = (0.0, 0.0);
        for (truth, &of_truth) in support.iter().enumerate() {
            for (class, &given) in predicted.iter().enumerate() {
                let distance = truth.abs_diff(class) as f64;
                let weight = match weights {
                    KappaWeights::Linear => distance,
                    KappaWeights::Quadratic => distance * distance,
                };
                wrong += weight * self.get(truth, class) as f64;
                expected += weight * (of_truth as f64 * given as f64 / total);
            }
        }
        if expected == 0.0 { f64::NAN } else { 1.0 - wrong / expected }
    }

    /// Matthews correlation coefficient for any number of classes, in -1..=1; 0 is chance.
    ///
    /// Equals scikit-learn's `matthews_corrcoef`: 0 if truth or prediction holds one class only.
    pub fn matthews_corrcoef(&self) -> f64 {
        let (total, by_chance) = self.squares();
        let spread = |margin: &[u64]| {
            let squares: u128 = margin.iter().map(|&n| u128::from(n) * u128::from(n)).sum();
            (total * total - squares) as f64
        };
        let variances = spread(&self.support()) * spread(&self.predicted());
        if variances == 0.0 {
            return 0.0;
        }
        // Below 2^106 by the bound on the total, so the sign fits.
        let covariance = (u128::from(self.correct()) * total) as i128 - by_chance as i128;
        covariance as f64 / variances.sqrt()
    }

    /// Number of cells, and the sum over classes of true times predicted cells.
    fn squares(&self) -> (u128, u128) {
        let (support, predicted) = (self.support(), self.predicted());
        let products = support.iter().zip(&predicted).map(|(&s, &p)| u128::from(s) * u128::from(p));
        (u128::from(self.total()), products.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::confusion_matrix;
    use super::KappaWeights;

    #[test]
    fn balanced_accuracy_leaves_out_what_is_only_predicted() {
        let m = confusion_matrix(&[0, 0, 1, 1, 2], &[0, 0, 1, 0, 3], 4).unwrap();
        assert_eq!(m.balanced_accuracy(), 0.5);
        assert_eq!(m.accuracy(), 0.6);
    }

    #[test]
    fn adjusted_balanced_accuracy_is_zero_at_chance_and_undefined_for_one_class() {
        let chance = confusion_matrix(&[0, 0, 1, 1], &[0, 1, 0, 1], 3).unwrap();
        assert_eq!(chance.balanced_accuracy_adjusted(), 0.0);
        let one = |predicted: &[u32]| confusion_matrix(&[1, 1], predicted, 2).unwrap();
        assert!(one(&[1, 1]).balanced_accuracy_adjusted().is_nan());
        assert_eq!(one(&[1, 0]).balanced_accuracy_adjusted(), f64::NEG_INFINITY);
    }

    #[test]
    fn near_mistakes_weigh_less_than_far_ones() {
        let kappa = |predicted: &[u32]| {
            confusion_matrix(&[0, 1, 2, 3], predicted, 4)
                .unwrap()
                .cohen_kappa_weighted(KappaWeights::Quadratic)
        };
        assert!(kappa(&[1, 1, 2, 3]) > kappa(&[3, 1, 2, 3]));
        assert_eq!(kappa(&[0, 1, 2, 3]), 1.0);
        let one = confusion_matrix(&[1], &[1], 2).unwrap();
        assert!(one.cohen_kappa_weighted(KappaWeights::Linear).is_nan());
    }

    #[test]
    fn chance_corrected_scores_of_one_class_follow_scikit_learn() {
        let m = confusion_matrix(&[1, 1], &[1, 1], 2).unwrap();
        assert!(m.cohen_kappa().is_nan());
        assert_eq!(m.matthews_corrcoef(), 0.0);
    }

    #[test]
    fn swapped_labels_correlate_perfectly_and_negatively() {
        let m = confusion_matrix(&[0, 1, 0, 1], &[1, 0, 1, 0], 2).unwrap();
        assert_eq!((m.cohen_kappa(), m.matthews_corrcoef()), (-1.0, -1.0));
    }
}
