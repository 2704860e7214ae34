//! Evaluation of cell-type annotation: labels, metrics, splits, intervals, protocols; with features, classifiers and
//! reports. Knows no file format and no sibling crate: slices, labels and probabilities go in.
//!
//! The last steps of the flow: read ► qc · normalise · select ► reduce · cluster ► embed ► annotate ► **evaluate** ►
//! **report**.

pub mod error;
#[cfg(feature = "grid")]
pub mod grid;
pub mod labels;
#[cfg(any(feature = "grid", feature = "report"))]
pub mod manifest;
pub mod metrics;
#[cfg(feature = "ontology")]
pub mod ontology;
pub mod prediction;
pub mod protocol;
#[cfg(feature = "report")]
pub mod report;
pub mod split;
pub mod statistics;

#[cfg(feature = "classifiers")]
pub mod classifiers;
#[cfg(feature = "classifiers")]
pub mod features;

pub use error::Error;
#[cfg(feature = "classifiers")]
pub use features::Features;
pub use labels::Labels;
#[cfg(any(feature = "grid", feature = "report"))]
pub use manifest::Manifest;
pub use prediction::Prediction;
#[cfg(feature = "report")]
pub use report::Report;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
