//! Weights on disk: read without running anything that the file holds, and accounted for to the last tensor.

mod error;
mod weights;

pub use error::Error;
pub use weights::Weights;
