//! Dropout: values that were measured are lost.

use sc_io::Csr;

use super::check_share;
use super::random::{Purpose, stream, uniform};
use super::rows::{SimulatedCounts, rewritten};
use crate::subset::Checked;
use crate::{Counts, LogNormalized, Result, Subset};

/// How to lose values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskParams {
    /// Probability that a value above 0 becomes 0, from 0 to 1. Default 0.1.
    pub share: f64,
    /// Seed. With the same seed, what is lost at a smaller share is lost at a larger one too. Default 0.
    pub seed: u64,
}

impl Default for MaskParams {
    fn default() -> Self {
        Self { share: 0.1, seed: 0 }
    }
}

/// Sets each value above 0 to 0 with probability `share`, independently.
///
/// * returns: the cells of `subset`, in its order. Values that stay are not scaled up again: a cell that lost values
///   has a smaller sum, as with real dropout after normalising. To lose counts before normalising, see [`mask_counts`].
///
/// # Errors
/// [`crate::Error::Parameter`] for a share outside 0 to 1; [`crate::Error::Length`] or [`crate::Error::OutOfBounds`]
/// for a subset that does not fit.
pub fn mask_values(x: &LogNormalized, subset: Subset<'_>, params: &MaskParams) -> Result<LogNormalized> {
    check_share("share", params.share)?;
    Ok(x.with_matrix(masked(x.csr(), &subset.within(x.n_obs(), x.n_vars())?, params)))
}

/// As [`mask_values`], on raw counts, which stay raw counts.
///
/// # Errors
/// As [`mask_values`].
pub fn mask_counts(x: Counts<'_>, subset: Subset<'_>, params: &MaskParams) -> Result<SimulatedCounts> {
    check_share("share", params.share)?;
    let masked = masked(x.csr(), &subset.within(x.n_obs(), x.n_vars())?, params);
    Ok(SimulatedCounts::computed(masked))
}

fn masked(x: &Csr, subset: &Checked<'_>, params: &MaskParams) -> Csr {
    rewritten(x, subset, |row, columns, values, out| {
        let mut rng = stream(params.seed, Purpose::Mask, row);
        for (&gene, &value) in columns.iter().zip(values).filter(|(_, value)| **value != 0.0) {
            let lost = uniform(&mut rng) < params.share;
            if !(lost && subset.has_gene(gene as usize)) {
                out.push(gene, value);
            }
        }
    })
}
