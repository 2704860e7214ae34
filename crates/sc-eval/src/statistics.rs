//! How sure a score is: percentile intervals by resampling cells.

mod bootstrap;
mod fold_bootstrap;
mod quantile;

pub(crate) use bootstrap::below;
pub use bootstrap::{BootstrapParams, Interval, bootstrap};
pub use fold_bootstrap::bootstrap_folds;
pub use quantile::quantile;
