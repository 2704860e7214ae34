//! How sure a score is: percentile intervals by resampling cells.

mod bootstrap;
mod difference;
mod fold_bootstrap;
mod quantile;

pub use bootstrap::{BootstrapParams, Interval, bootstrap};
pub use difference::bootstrap_difference;
pub use fold_bootstrap::bootstrap_folds;
pub use quantile::quantile;
