//! Mutual information of two partitions, raw and normalised.

mod expected;

use super::contingency::Contingency;
use crate::Result;
use crate::metrics::math::ln;
use expected::expected_mutual_info;

/// How pure the clusters are and how whole the classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HomogeneityCompletenessV {
    /// Each cluster holds one class only: 1; 0 if clusters say nothing about classes.
    pub homogeneity: f64,
    /// Each class lies in one cluster only: 1; 0 if classes say nothing about clusters.
    pub completeness: f64,
    /// Harmonic mean of both; equals [`normalized_mutual_info`].
    pub v_measure: f64,
}

/// Mutual information in nats: what the cluster of a cell says about its class; 0 upwards.
///
/// Equals scikit-learn's `mutual_info_score`.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
#[doc(alias = "mutual_info_score")]
pub fn mutual_info(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    Ok(Contingency::new(truth, clusters)?.mutual_info())
}

/// Mutual information divided by the arithmetic mean of the entropies, in 0..=1; not corrected for chance, so many
/// clusters score higher.
///
/// * `truth`, `clusters`: part of each cell; any integers.
///
/// Equals scikit-learn's `normalized_mutual_info_score`: 1 for two partitions into a single part. Without cells an
/// error here, 1 there.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
///
/// ```
/// use sc_eval::metrics::clustering::normalized_mutual_info;
///
/// assert!((normalized_mutual_info(&[0, 0, 1, 1], &[5, 5, 2, 2])? - 1.0).abs() < 1e-15);
/// assert_eq!(normalized_mutual_info(&[0, 0, 1, 1], &[0, 1, 0, 1])?, 0.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[doc(alias = "normalized_mutual_info_score")]
pub fn normalized_mutual_info(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    Ok(Contingency::new(truth, clusters)?.normalized_mutual_info())
}

/// Mutual information beyond that of random partitions with the same sizes, normalised by the arithmetic mean of the
/// entropies; 1 is the same partition, 0 is chance, slightly negative below.
///
/// Equals scikit-learn's `adjusted_mutual_info_score`. The expectation is summed over the hypergeometric distribution
/// without logarithms of factorials, so no large numbers cancel.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
#[doc(alias = "adjusted_mutual_info_score")]
pub fn adjusted_mutual_info(truth: &[u32], clusters: &[u32]) -> Result<f64> {
    Ok(Contingency::new(truth, clusters)?.adjusted_mutual_info())
}

/// Homogeneity, completeness and their harmonic mean, the V-measure; each in 0..=1.
///
/// Equals scikit-learn's `homogeneity_completeness_v_measure` with `beta = 1`: a single class is homogeneous, a single
/// cluster complete.
///
/// # Errors
/// [`crate::Error::Empty`], [`crate::Error::Length`].
pub fn homogeneity_completeness_v_measure(
    truth: &[u32],
    clusters: &[u32],
) -> Result<HomogeneityCompletenessV> {
    Ok(Contingency::new(truth, clusters)?.homogeneity_completeness_v())
}

impl Contingency {
    pub(super) fn normalized_mutual_info(&self) -> f64 {
        if self.rows.len() == 1 && self.columns.len() == 1 {
            return 1.0;
        }
        let information = self.mutual_info();
        if information == 0.0 { 0.0 } else { information / self.mean_entropy() }
    }

    pub(super) fn adjusted_mutual_info(&self) -> f64 {
        match (self.rows.len(), self.columns.len()) {
            (1, 1) => return 1.0,
            (1, _) | (_, 1) => return 0.0,
            _ => {}
        }
        let expected = expected_mutual_info(self);
        // Both differences vanish for partitions into single cells, which are the same partition: away from 0 with the
        // sign kept, as scikit-learn does.
        let away_from_zero = |x: f64| if x < 0.0 { x.min(-f64::EPSILON) } else { x.max(f64::EPSILON) };
        let excess = away_from_zero(self.mutual_info() - expected);
        excess / away_from_zero(self.mean_entropy() - expected)
    }

    pub(super) fn homogeneity_completeness_v(&self) -> HomogeneityCompletenessV {
        let information = self.mutual_info();
        let share = |sizes: &[u64]| if sizes.len() == 1 { 1.0 } else { information / self.entropy(sizes) };
        let (homogeneity, completeness) = (share(&self.rows), share(&self.columns));
        let sum = homogeneity + completeness;
        let v_measure = if sum == 0.0 { 0.0 } else { 2.0 * homogeneity * completeness / sum };
        HomogeneityCompletenessV { homogeneity, completeness, v_measure }
    }

    /// Mutual information in nats.
    fn mutual_info(&self) -> f64 {
        if self.rows.len() == 1 || self.columns.len() == 1 {
            return 0.0;
        }
        let n = self.total as f64;
        let terms = self.cells.iter().map(|&(row, column, count)| {
            let expected = self.rows[row] as f64 * self.columns[column] as f64;
            let term = count as f64 / n * (ln(count as f64) + ln(n) - ln(expected));
            // What is rounding only must not make independent partitions informative.
            if term.abs() < f64::EPSILON { 0.0 } else { term }
        });
        terms.sum::<f64>().max(0.0)
    }

    /// Entropy in nats of a partition into parts of these sizes.
    fn entropy(&self, sizes: &[u64]) -> f64 {
        if sizes.len() == 1 {
            return 0.0;
        }
        let n = self.total as f64;
        -sizes.iter().map(|&size| size as f64 / n * (ln(size as f64) - ln(n))).sum::<f64>()
    }

    fn mean_entropy(&self) -> f64 {
        f64::midpoint(self.entropy(&self.rows), self.entropy(&self.columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_part_on_both_sides_is_agreement_and_on_one_side_is_none() {
        assert_eq!(normalized_mutual_info(&[1, 1], &[2, 2]).unwrap(), 1.0);
        assert_eq!(adjusted_mutual_info(&[1, 1], &[2, 2]).unwrap(), 1.0);
        assert_eq!(normalized_mutual_info(&[1, 1], &[2, 3]).unwrap(), 0.0);
        assert_eq!(adjusted_mutual_info(&[1, 1], &[2, 3]).unwrap(), 0.0);
        let hcv = homogeneity_completeness_v_measure(&[1, 1], &[2, 3]).unwrap();
        assert_eq!((hcv.homogeneity, hcv.completeness, hcv.v_measure), (1.0, 0.0, 0.0));
    }

    #[test]
    fn pure_clusters_of_split_classes_are_homogeneous_but_not_complete() {
        let hcv = homogeneity_completeness_v_measure(&[0, 0, 1, 1], &[0, 1, 2, 3]).unwrap();
        assert!((hcv.homogeneity - 1.0).abs() < 1e-15);
        assert!((hcv.completeness - 0.5).abs() < 1e-15);
    }

    #[test]
    fn every_cell_alone_twice_is_the_same_partition() {
        assert!((adjusted_mutual_info(&[0, 1, 2, 3], &[3, 2, 1, 0]).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn information_of_identical_halves_is_one_bit() {
        let bit = mutual_info(&[0, 0, 1, 1], &[1, 1, 0, 0]).unwrap();
        assert!((bit - std::f64::consts::LN_2).abs() < 1e-15);
    }
}
