//! Metrics of a clustering: against labels, or of the geometry alone.
//!
//! Clusters and classes are compared as partitions, so their indices may be any integers and carry no order.

mod contingency;
mod dispersion;
mod information;
mod pairs;
mod partition;
mod silhouette;

pub(crate) use contingency::Contingency;
pub use dispersion::{calinski_harabasz, davies_bouldin};
pub use information::{
    HomogeneityCompletenessV, adjusted_mutual_info, homogeneity_completeness_v_measure, mutual_info,
    normalized_mutual_info,
};
pub use pairs::{adjusted_rand_index, fowlkes_mallows, pair_confusion_matrix, rand_index};
pub(crate) use partition::{PartitionScores, partition_scores, partition_scores_of};
pub use silhouette::{
    BetweenClusters, SilhouetteMetric, SilhouetteParams, silhouette_samples, silhouette_score,
};
