use sc_io::Csr;

use super::first_offender;
use crate::error::Place;
use crate::{Error, Result};

/// Log-normalised expression, `n_obs × n_vars`: `ln(1 + count · target_sum / total of the cell)`.
///
/// Made by [`log1p`](crate::log1p), or from a matrix that a file already holds in this form.
#[derive(Clone, Debug, PartialEq)]
pub struct LogNormalized {
    x: Csr,
    target_sum: Option<f64>,
}

impl LogNormalized {
    /// The largest value accepted, `ln(f32::MAX)`: above it the expression itself would not be a finite `f32`.
    pub const MAX: f32 = 88.722_84;

    /// Takes over a matrix that is already log-normalised; its target sum is not known.
    ///
    /// # Errors
    /// [`Error::NotLogNormalized`] with the first value that is NaN, negative or above [`LogNormalized::MAX`].
    pub fn new(x: Csr) -> Result<Self> {
        Self::named(x, &[], &[])
    }

    /// As [`LogNormalized::new`]; an error names the cell and the gene.
    ///
    /// # Errors
    /// As [`LogNormalized::new`].
    pub fn named(x: Csr, obs_names: &[String], var_names: &[String]) -> Result<Self> {
        match first_offender(&x, |v| (0.0..=Self::MAX).contains(&v)) {
            None => Ok(Self { x, target_sum: None }),
            Some((obs, var, value)) => {
                let (obs, var) = (Place::new(obs, obs_names), Place::new(var, var_names));
                Err(Error::NotLogNormalized { obs, var, value })
            }
        }
    }

    /// For values that were computed here, from counts.
    pub(crate) fn computed(x: Csr, target_sum: f64) -> Self {
        Self { x, target_sum: Some(target_sum) }
    }

    /// The same scale with another matrix, whose values the caller knows to be in range.
    pub(crate) fn with_matrix(&self, x: Csr) -> Self {
        Self { x, target_sum: self.target_sum }
    }

    /// The matrix.
    pub fn csr(&self) -> &Csr {
        &self.x
    }

    /// Takes the matrix out.
    pub fn into_csr(self) -> Csr {
        self.x
    }

    /// Sum to which each cell was scaled before the logarithm; `None` if the matrix came from elsewhere.
    pub fn target_sum(&self) -> Option<f64> {
        self.target_sum
    }

    /// Number of cells.
    pub fn n_obs(&self) -> usize {
        self.x.n_rows()
    }

    /// Number of genes.
    pub fn n_vars(&self) -> usize {
        self.x.n_cols()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_logarithm_gives_are_refused_with_advice() {
        for bad in [-0.1, f32::NAN, f32::INFINITY, 100.0] {
            let x = Csr::new(1, 2, vec![0, 2], vec![0, 1], vec![1.0, bad]).unwrap();
            let error = LogNormalized::new(x).unwrap_err();
            assert!(matches!(error, Error::NotLogNormalized { .. }), "{error}");
            assert!(error.help().is_some());
        }
        let x = Csr::new(1, 2, vec![0, 2], vec![0, 1], vec![0.0, LogNormalized::MAX]).unwrap();
        assert_eq!(LogNormalized::new(x).unwrap().target_sum(), None);
    }
}
