//! What near means.

use serde::{Deserialize, Serialize};

/// A distance between cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Root of the summed squared differences.
    #[default]
    Euclidean,
    /// 1 minus the cosine of the angle; 1 from or to a cell whose features are all 0.
    Cosine,
}
