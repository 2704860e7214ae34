//! Gradient-boosted trees: XGBoost's, and scikit-learn's gradient boosting on the same kernel.

mod ensemble;
mod file;
mod fit;
mod gradient;
mod grow;
mod histogram;
mod search;
mod sorted;
mod xgboost;

pub(super) use ensemble::normalised;
pub use gradient::{GradientBoosting, GradientBoostingParams};
pub use xgboost::{ImportanceType, Xgboost, XgboostParams};
