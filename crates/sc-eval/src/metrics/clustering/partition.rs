//! All scores of two partitions from one count of their intersections.

use super::contingency::Contingency;
use crate::Result;

/// How alike two partitions are, by every score that compares them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PartitionScores {
    pub(crate) adjusted_rand_index: f64,
    pub(crate) adjusted_mutual_info: f64,
    /// Equals the V-measure.
    pub(crate) normalized_mutual_info: f64,
    pub(crate) homogeneity: f64,
    pub(crate) completeness: f64,
}

pub(crate) fn partition_scores(truth: &[u32], clusters: &[u32]) -> Result<PartitionScores> {
    Ok(partition_scores_of(&Contingency::new(truth, clusters)?))
}

pub(crate) fn partition_scores_of(contingency: &Contingency) -> PartitionScores {
    let hcv = contingency.homogeneity_completeness_v();
    PartitionScores {
        adjusted_rand_index: contingency.adjusted_rand_index(),
        adjusted_mutual_info: contingency.adjusted_mutual_info(),
        normalized_mutual_info: contingency.normalized_mutual_info(),
        homogeneity: hcv.homogeneity,
        completeness: hcv.completeness,
    }
}
