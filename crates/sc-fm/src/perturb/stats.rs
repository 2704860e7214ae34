//! Statistics over the cells of perturbed genes, on a [`Table`](super::Table).
//!
//! | here | the reference's mode |
//! |---|---|
//! | [`goal_state_shift`] | `goal_state_shift`: mean shift of each gene, and whether it is another than of all genes |
//! | [`vs_null`] | `vs_null`: each gene beside the same gene in other cells |
//! | [`mixture_model`] | `mixture_model`: two components of the mean shifts, one of which has an impact |
//! | [`aggregate_data`] | `aggregate_data`: mean and deviation over cells |
//! | [`aggregate_gene_shifts`] | `aggregate_gene_shifts`: the same of each affected gene |
//!
//! p-values are those of SciPy's `ranksums`, to 1e-9 relative; false discovery rates those of Benjamini and Hochberg.
//! Means and deviations run over cells in order of the rows, in double precision; deviations divide by n.

mod aggregate;
mod goal_state;
mod mixture;
mod null;
mod rank_sum;

pub use aggregate::{AffectedShift, Aggregate, aggregate_data, aggregate_gene_shifts};
pub use goal_state::{GoalParams, GoalStateShift, StateShift, goal_state_shift};
pub use mixture::{Component, Mixture, MixtureParams, MixtureRow, mixture_model};
pub use null::{VsNull, vs_null};
pub use rank_sum::{benjamini_hochberg, rank_sum};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The root of the mean square distance from the mean.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
