//! Another batch: some cells, every gene stronger or weaker by a factor of its own.

use super::random::{Purpose, normal, stream, uniform};
use super::rows::{SimulatedCounts, rewritten};
use super::{check_share, check_size};
use crate::{Counts, LogNormalized, Result, Subset};

/// How strong a batch effect is, and on how many cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchEffectParams {
    /// Standard deviation of the natural logarithm of a gene's factor; 0 changes nothing. Default 0.5.
    pub sigma: f64,
    /// Probability that a cell is in the batch, from 0 to 1. Default 0.5.
    pub share: f64,
    /// Seed. The same seed at another `sigma` takes the same cells and stretches the same factors. Default 0.
    pub seed: u64,
}

impl Default for BatchEffectParams {
    fn default() -> Self {
        Self { sigma: 0.5, share: 0.5, seed: 0 }
    }
}

impl BatchEffectParams {
    fn validate(&self) -> Result<()> {
        check_size("sigma", self.sigma)?;
        check_share("share", self.share)
    }

    /// Whether the cell in row `row` is in the batch.
    fn takes(&self, row: usize) -> bool {
        uniform(&mut stream(self.seed, Purpose::Membership, row)) < self.share
    }

    /// `exp(sigma z)` of each gene, at most `f32::MAX`.
    fn factors(&self, n_vars: usize, has_gene: impl Fn(usize) -> bool) -> Vec<f64> {
        let mut rng = stream(self.seed, Purpose::Factors, 0);
        let draw = |gene| {
            let z = normal(&mut rng);
            if has_gene(gene) { libm::exp(self.sigma * z).min(f64::from(f32::MAX)) } else { 1.0 }
        };
        (0..n_vars).map(draw).collect()
    }
}

/// Cells with a batch effect, and what the effect was.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchEffect<X> {
    /// The cells of the subset, in its order.
    pub x: X,
    /// Which of them are in the batch.
    pub in_batch: Vec<bool>,
    /// The factor of each gene, `n_vars`; 1 for a gene outside the mask.
    pub factors: Vec<f64>,
}

/// Multiplies the normalised expression of each gene, in a random part of the cells, by a log-normal factor.
///
/// With factor `f` a value `v` becomes `ln(1 + f (exp(v) - 1))`; zeros stay zero. The sum of a cell is not restored.
///
/// # Errors
/// [`crate::Error::Parameter`] for a `sigma` that is negative or not finite or a share outside 0 to 1;
/// [`crate::Error::Length`] or [`crate::Error::OutOfBounds`] for a subset that does not fit.
pub fn batch_effect(
    x: &LogNormalized,
    subset: Subset<'_>,
    params: &BatchEffectParams,
) -> Result<BatchEffect<LogNormalized>> {
    params.validate()?;
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    let factors = params.factors(x.n_vars(), |gene| subset.has_gene(gene));
    let shifted = rewritten(x.csr(), &subset, |row, columns, values, out| {
        let takes = params.takes(row);
        for (&gene, &value) in columns.iter().zip(values) {
            let factor = factors[gene as usize];
            let value = if takes && factor != 1.0 {
                let log = libm::log1p(factor * libm::expm1(f64::from(value)));
                log.min(f64::from(LogNormalized::MAX)) as f32
            } else {
                value
            };
            out.push(gene, value);
        }
    });
    let in_batch = (0..subset.rows.len()).map(|i| params.takes(subset.rows.get(i))).collect();
    Ok(BatchEffect { x: x.with_matrix(shifted), in_batch, factors })
}

/// As [`batch_effect`], on raw counts, which stay raw counts: `n · f` is rounded up with the probability of its
/// fraction, so its expectation is kept.
///
/// # Errors
/// As [`batch_effect`].
pub fn batch_effect_counts(
    x: Counts<'_>,
    subset: Subset<'_>,
    params: &BatchEffectParams,
) -> Result<BatchEffect<SimulatedCounts>> {
    params.validate()?;
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    let factors = params.factors(x.n_vars(), |gene| subset.has_gene(gene));
    let shifted = rewritten(x.csr(), &subset, |row, columns, values, out| {
        let takes = params.takes(row);
        let mut rng = stream(params.seed, Purpose::Rounding, row);
        for (&gene, &count) in columns.iter().zip(values) {
            let factor = factors[gene as usize];
            let count = if takes && factor != 1.0 {
                let exact = f64::from(count) * factor;
                let up = uniform(&mut rng) < exact.fract();
                // A float beyond 2^24 is whole, so rounding to f32 leaves a count.
                (exact.floor() + f64::from(u8::from(up))).min(f64::from(f32::MAX)) as f32
            } else {
                count
            };
            out.push(gene, count);
        }
    });
    let in_batch = (0..subset.rows.len()).map(|i| params.takes(subset.rows.get(i))).collect();
    Ok(BatchEffect { x: SimulatedCounts::computed(shifted), in_batch, factors })
}
