//! Metrics of batch integration: whether cells of one type come together and batches mix.
//!
//! Definitions are those of scib-metrics 0.5, in `f64` where it computes in `f32`. Labels and batches are any integers;
//! a function that compares them counts the values that occur. The neighbours of cells come from any tool, through
//! [`Neighbors`].
//!
//! | of the embedding | of the neighbours |
//! |---|---|
//! | [`silhouette_label`], [`silhouette_batch`], [`bras`], [`isolated_labels`], [`pcr_comparison`] | [`clisi`], [`ilisi`], [`kbet`], [`kbet_per_label`], [`graph_connectivity`], [`entropy_per_cell`] |
//!
//! [`aggregate`] weighs them as the scIB study does (Luecken et al. 2022).

mod aggregate;
mod chi_square;
mod codes;
mod connectivities;
mod diffusion;
mod eigen;
mod entropy;
mod graph_connectivity;
mod isolated_labels;
mod kbet;
mod kbet_per_label;
mod lisi;
mod neighbors;
mod pcr;
mod silhouette;

pub(crate) use codes::Codes;

pub use aggregate::{AggregateScore, MetricKind, Scaling, aggregate};
pub use entropy::entropy_per_cell;
pub use graph_connectivity::graph_connectivity;
pub use isolated_labels::{IsolatedLabelsParams, isolated_labels, isolated_labels_f1};
pub use kbet::{Kbet, KbetParams, kbet};
pub use kbet_per_label::{KbetPerLabel, KbetPerLabelParams, kbet_per_label};
pub use lisi::{LisiParams, clisi, ilisi, lisi};
pub use neighbors::Neighbors;
pub use pcr::{pcr, pcr_comparison};
pub use silhouette::{bras, silhouette_batch, silhouette_label};
