#![doc = include_str!("../README.md")]

pub mod error;
pub mod expression;
pub mod feature_space;
pub mod highly_variable_genes;
pub mod kmeans;
pub mod leiden;
pub mod neighbors;
pub mod normalize;
pub mod pca;
pub mod qc;
pub mod scale;
pub mod simulate;
pub mod umap;

mod chunks;
mod graph;
mod moments;
mod repeats;
mod subset;
mod vectorized;

pub use error::Error;
pub use expression::{Counts, LogNormalized};
pub use feature_space::{FeatureSpace, FeatureSpaceParams};
pub use highly_variable_genes::{HighlyVariableGenes, HvgParams};
pub use kmeans::{KMeans, KMeansParams, kmeans};
pub use leiden::{Leiden, LeidenParams, modularity};
pub use neighbors::{Knn, Neighbors, NeighborsParams, knn};
pub use normalize::{NormalizeTotalParams, log1p, normalize_total};
pub use pca::{Pca, PcaParams};
pub use scale::{ScaleParams, Scaled, Scaler};
pub use subset::Subset;
pub use umap::{Umap, UmapInit, UmapParams};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
