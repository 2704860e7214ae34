//! Shallow sequencing: each molecule is seen again with some probability.

use super::binomial::binomial;
use super::check_share;
use super::random::{Purpose, stream};
use super::rows::{SimulatedCounts, rewritten};
use crate::{Counts, Result, Subset};

/// How deep to sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThinParams {
    /// Probability that a molecule is kept, from 0 to 1. Default 0.5: half the depth.
    pub share: f64,
    /// Seed. Default 0.
    pub seed: u64,
}

impl Default for ThinParams {
    fn default() -> Self {
        Self { share: 0.5, seed: 0 }
    }
}

/// Replaces each count `n` by a binomial number of `n` trials with probability `share`.
///
/// * returns: the cells of `subset`, in its order; whole counts, no larger than before.
///
/// Unlike scanpy's `pp.downsample_counts`, which draws a fixed total without replacement, the depth of a cell varies
/// around `share` times what it was, as that of a shallower run does. Counts above 2⁴⁰ become their expectation,
/// rounded: their relative spread is below 1e-6.
///
/// # Errors
/// [`crate::Error::Parameter`] for a share outside 0 to 1; [`crate::Error::Length`] or [`crate::Error::OutOfBounds`]
/// for a subset that does not fit.
pub fn thin_counts(x: Counts<'_>, subset: Subset<'_>, params: &ThinParams) -> Result<SimulatedCounts> {
    check_share("share", params.share)?;
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    let thinned = rewritten(x.csr(), &subset, |row, columns, values, out| {
        let mut rng = stream(params.seed, Purpose::Thin, row);
        for (&gene, &count) in columns.iter().zip(values) {
            let kept = match subset.has_gene(gene as usize) {
                // Rounding to f32 keeps the order, so no count grows.
                true => binomial(&mut rng, f64::from(count), params.share) as f32,
                false => count,
            };
            out.push(gene, kept);
        }
    });
    Ok(SimulatedCounts::computed(thinned))
}
