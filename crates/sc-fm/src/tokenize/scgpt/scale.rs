//! What a matrix holds: the models take many things, and each user should know which it was.

use std::fmt;

use sc_io::Csr;
use sc_io::expression::{Counts, Place, first_offender};

use crate::tokenize::{Error, Result};

/// The largest logarithm of a normalised count that a real cell has: `ln(1 + 5e8)`.
const LARGEST_LOG: f32 = 20.0;

/// What the values of a matrix are, as far as they tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Whole numbers from 0 on: raw counts.
    Counts,
    /// Numbers from 0 to 20, not all whole: the logarithm of normalised counts.
    LogNormalized,
    /// Numbers from 0 on, some above 20, not all whole: normalised counts without a logarithm.
    Normalized,
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counts => "raw counts",
            Self::LogNormalized => "log-normalised values",
            Self::Normalized => "normalised values without logarithm",
        })
    }
}

/// Tells what a matrix holds, in one or two passes.
///
/// * `obs_names`, `var_names`: for the message; a name that is missing is replaced by the index.
///
/// # Errors
/// [`Error::Scaled`] with the first value that is negative or not finite: a scaled or centred matrix, which the
/// reference takes in silence.
pub fn scale(x: &Csr, obs_names: &[String], var_names: &[String]) -> Result<Scale> {
    if Counts::new(x).is_ok() {
        return Ok(Scale::Counts);
    }
    if let Some((obs, var, value)) = first_offender(x, |v| (0.0..=f32::MAX).contains(&v)) {
        let (obs, var) = (Place::new(obs, obs_names), Place::new(var, var_names));
        return Err(Error::Scaled { obs, var, value });
    }
    match first_offender(x, |v| v <= LARGEST_LOG) {
        None => Ok(Scale::LogNormalized),
        Some(_) => Ok(Scale::Normalized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Result<Scale> {
        let n = values.len();
        let x = Csr::new(1, n, vec![0, n], (0..n as u32).collect(), values.to_vec()).unwrap();
        scale(&x, &["AAAC".to_owned()], &[])
    }

    #[test]
    fn counts_logarithms_and_normalised_values_are_told_apart() {
        assert_eq!(of(&[1.0, 0.0, 300.0]).unwrap(), Scale::Counts);
        assert_eq!(of(&[0.7, 2.0, 5.1]).unwrap(), Scale::LogNormalized);
        assert_eq!(of(&[0.7, 2.0, 130.4]).unwrap(), Scale::Normalized);
    }

    #[test]
    fn scaled_matrices_are_refused_with_the_place() {
        let error = of(&[1.0, -0.25]).unwrap_err();
        let message = "`X` holds -0.25 for cell \"AAAC\", gene 1: neither a count nor a logarithm of one";
        assert_eq!(error.to_string(), message);
        assert!(error.help().unwrap().contains("scaled"));
        assert!(matches!(of(&[f32::NAN]), Err(Error::Scaled { .. })));
        assert!(matches!(of(&[f32::INFINITY]), Err(Error::Scaled { .. })));
    }
}
