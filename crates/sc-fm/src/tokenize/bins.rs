//! scGPT's value binning: a cell's values become ranks on the cell's own quantiles.
//!
//! With `n_bins` 51, the 50 edges are the quantiles 0, 1/49, ..., 1 of the cell's values above 0; a value goes to a
//! bin from 1 to 50, and 0 stays 0 (Cui et al., Nature Methods 2024, <https://doi.org/10.1038/s41592-024-02201-0>).
//! Bins depend on the order of the values alone, up to rounding: counts and their logarithm have the same bins.
//!
//! A value that equals several edges has several bins to go to, and counts are full of such values. The reference
//! draws one at random from a global generator, so its bins change with the order and the batches of the cells. Here
//! [`Ties`] says what happens.

mod quantile;

pub use quantile::Value;

use super::draws::{Purpose, generator, uniform};
use super::{Error, Result};

/// The number of bins of the released scGPT models, the bin of 0 included.
pub const N_BINS: usize = 51;

/// Where a value goes that equals several edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ties<'a> {
    /// To the middle of its bins, the lower one of two: the same cell has the same bins in any company.
    Middle,
    /// To one of its bins at random. The draws come from this seed and the values themselves, one for each value above
    /// 0, tied or not: the same cell has the same bins in any company, and over many cells each bin its share.
    Seeded(u64),
    /// As the reference, with one uniform draw (0 <= u < 1) for each value above 0, in order, tied or not.
    Draws(&'a [f64]),
}

/// The edges on both sides of a value, as two calls of `numpy.digitize` count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Edges that are at most the value (`digitize(x, edges)`).
    pub left: usize,
    /// Edges that are below the value (`digitize(x, edges, right=True)`).
    pub right: usize,
}

impl Sides {
    /// The sides of `x` among edges in rising order.
    pub fn of(edges: &[f64], x: f64) -> Self {
        Self { left: edges.partition_point(|&e| e <= x), right: edges.partition_point(|&e| e < x) }
    }

    /// The bin for a uniform draw `u`: `ceil(u · (right - left) + left)`, from `right + 1` to `left` for a value that
    /// equals edges, `left` for all others.
    pub fn bin(self, u: f64) -> u32 {
        (u * (self.right as f64 - self.left as f64) + self.left as f64).ceil() as u32
    }
}

/// The `n_bins - 1` edges of a cell: equally spaced quantiles of its values above 0.
///
/// * `values`: the stored entries of the cell's row, f32 or f64; zeros count for nothing.
///
/// Same bits as `numpy.quantile(values, linspace(0, 1, n_bins - 1))`, whose arithmetic differs between f32 and f64
/// input.
///
/// # Errors
/// [`Error::Parameter`] if `n_bins` is outside 2..=65,536, [`Error::NotExpression`] for a value that is not finite or
/// below 0, [`Error::NoValues`] if none is above 0.
pub fn edges<T: Value>(values: &[T], n_bins: usize) -> Result<Vec<f64>> {
    validate(n_bins)?;
    let mut sorted = above_zero(values)?;
    if sorted.is_empty() {
        return Err(Error::NoValues);
    }
    Ok(quantile::edges(&mut sorted, n_bins - 1))
}

/// The bin of each value of a cell: 0 for 0, else 1 to `n_bins - 1`.
///
/// * `values`: the stored entries of the cell's row, f32 or f64.
/// * returns: one bin per entry, zeros included.
///
/// A cell without values above 0 has only bins 0; there the reference fails on tensors. The reference takes values
/// below 0 as well, which a scaled matrix has and a model never saw; here they are an error.
///
/// # Errors
/// Those of [`edges`] except [`Error::NoValues`]; [`Error::Draws`] and [`Error::Draw`] if the draws do not fit.
///
/// ```
/// use sc_fm::tokenize::bins::{N_BINS, Ties, bin_values};
///
/// // Three counts of 1 equal 25 of the 50 edges, and with them share the bins 1 to 25.
/// assert_eq!(bin_values(&[1.0_f32, 0.0, 1.0, 4.0, 1.0, 9.0], N_BINS, Ties::Middle)?, [13, 0, 13, 37, 13, 50]);
/// # Ok::<(), sc_fm::tokenize::Error>(())
/// ```
pub fn bin_values<T: Value>(values: &[T], n_bins: usize, ties: Ties<'_>) -> Result<Vec<u32>> {
    validate(n_bins)?;
    let mut sorted = above_zero(values)?;
    if let Ties::Draws(draws) = ties {
        check_draws(draws, sorted.len())?;
    }
    if sorted.is_empty() {
        return Ok(vec![0; values.len()]);
    }
    let edges = quantile::edges(&mut sorted, n_bins - 1);
    let mut random = match ties {
        Ties::Seeded(seed) => {
            Some(generator(seed, Purpose::Ties, values.iter().map(|value| value.to_f64().to_bits())))
        }
        _ => None,
    };
    let mut recent = Recent::default();
    let mut drawn = 0;
    let bin = |value: &T| {
        let x = value.to_f64();
        if x == 0.0 {
            return 0;
        }
        let u = match (ties, &mut random) {
            (Ties::Draws(draws), _) => draws[drawn],
            (_, Some(random)) => uniform(random),
            (_, None) => 0.5,
        };
        drawn += 1;
        recent.sides(&edges, x).bin(u)
    };
    Ok(values.iter().map(bin).collect())
}

/// The sides of values that were asked for lately: a cell repeats few values many times.
struct Recent([(f64, Sides); 64]);

impl Default for Recent {
    fn default() -> Self {
        // No value is NaN, so none is found before it was put in.
        Self([(f64::NAN, Sides { left: 0, right: 0 }); 64])
    }
}

impl Recent {
    fn sides(&mut self, edges: &[f64], x: f64) -> Sides {
        let entry = &mut self.0[(x.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize];
        if entry.0 != x {
            *entry = (x, Sides::of(edges, x));
        }
        entry.1
    }
}

fn validate(n_bins: usize) -> Result<()> {
    match n_bins {
        2..=65_536 => Ok(()),
        value => Err(Error::Parameter { name: "n_bins", value, expected: "2 to 65,536" }),
    }
}

fn above_zero<T: Value>(values: &[T]) -> Result<Vec<T>> {
    if let Some(position) = values.iter().position(|v| !(v.to_f64().is_finite() && v.to_f64() >= 0.0)) {
        return Err(Error::NotExpression { position, value: values[position].to_f64() });
    }
    Ok(values.iter().copied().filter(|v| v.to_f64() > 0.0).collect())
}

fn check_draws(draws: &[f64], expected: usize) -> Result<()> {
    if draws.len() != expected {
        return Err(Error::Draws { found: draws.len(), expected });
    }
    match draws.iter().position(|u| !(0.0..1.0).contains(u)) {
        Some(position) => Err(Error::Draw { position, value: draws[position] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
