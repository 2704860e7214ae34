use ndarray::Array2;
use sc_io::Csr;

use crate::error::Place;
use crate::{Error, Result};

/// A cells × genes matrix that is sparse over a background: a value that is not written out is its gene's background.
///
/// Standardising turns every zero of a gene into the same number, `-mean / sd`. Kept once per gene, it leaves a matrix as
/// sparse as the counts were, at a twentieth of the memory of the dense one. Every value is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    x: Csr,
    background: Vec<f32>,
}

impl Scaled {
    /// A matrix from the values written out and the background, one value per column.
    ///
    /// # Errors
    /// [`Error::Length`] if the background does not fit, [`Error::NotFinite`] for NaN and infinities.
    pub fn new(x: Csr, background: Vec<f32>) -> Result<Self> {
        if background.len() != x.n_cols() {
            return Err(Error::Length {
                what: "the background",
                found: background.len(),
                expected: x.n_cols(),
            });
        }
        if let Some((obs, var, value)) = crate::expression::first_offender(&x, f32::is_finite) {
            return Err(Error::NotFinite { obs: Place::new(obs, &[]), var: Place::new(var, &[]), value });
        }
        if let Some(var) = background.iter().position(|v| !v.is_finite()) {
            let value = background[var];
            return Err(Error::NotFinite { obs: Place::new(0, &[]), var: Place::new(var, &[]), value });
        }
        Ok(Self { x, background })
    }

    pub(crate) fn from_checked(x: Csr, background: Vec<f32>) -> Self {
        Self { x, background }
    }

    /// Number of cells.
    pub fn n_rows(&self) -> usize {
        self.x.n_rows()
    }

    /// Number of genes.
    pub fn n_cols(&self) -> usize {
        self.x.n_cols()
    }

    /// Number of values written out.
    pub fn nnz(&self) -> usize {
        self.x.nnz()
    }

    /// Columns and values of row `i` that are written out; columns increase.
    ///
    /// # Panics
    /// If `i >= n_rows`.
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        self.x.row(i)
    }

    /// The value of every column where none is written out.
    pub fn background(&self) -> &[f32] {
        &self.background
    }

    /// Writes row `i` out in full.
    ///
    /// # Panics
    /// If `i` is out of bounds or `out` has another length than a row.
    pub fn write_row(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.background);
        let (columns, values) = self.row(i);
        columns.iter().zip(values).for_each(|(&j, &v)| out[j as usize] = v);
    }

    /// Every value, row by row: `n_rows × n_cols`.
    pub fn to_dense(&self) -> Array2<f32> {
        let mut dense = Array2::zeros((self.n_rows(), self.n_cols()));
        for (i, mut row) in dense.rows_mut().into_iter().enumerate() {
            self.write_row(i, row.as_slice_mut().expect("rows of a fresh array are contiguous"));
        }
        dense
    }

    /// The rows `rows`, in that order.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self { x: self.x.select_rows(rows), background: self.background.clone() }
    }

    /// Takes the matrix apart: `(indptr, indices, values, background)`.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u32>, Vec<f32>, Vec<f32>) {
        let (indptr, indices, values) = self.x.into_parts();
        (indptr, indices, values, self.background)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn values_lie_on_top_of_the_background() {
        let x = Csr::new(2, 3, vec![0, 1, 1], vec![1], vec![5.0]).unwrap();
        let z = Scaled::new(x, vec![-1.0, -2.0, -3.0]).unwrap();
        assert_eq!(z.to_dense(), array![[-1.0, 5.0, -3.0], [-1.0, -2.0, -3.0]]);
        assert_eq!(z.select_rows(&[1]).to_dense(), array![[-1.0, -2.0, -3.0]]);
        assert_eq!(z.into_parts(), (vec![0, 1, 1], vec![1], vec![5.0], vec![-1.0, -2.0, -3.0]));
    }

    #[test]
    fn a_background_must_fit_and_all_must_be_finite() {
        let x = |v| Csr::new(1, 2, vec![0, 1], vec![1], vec![v]).unwrap();
        assert!(matches!(Scaled::new(x(1.0), vec![0.0]), Err(Error::Length { .. })));
        assert!(matches!(Scaled::new(x(f32::NAN), vec![0.0; 2]), Err(Error::NotFinite { .. })));
        assert!(matches!(Scaled::new(x(1.0), vec![0.0, f32::INFINITY]), Err(Error::NotFinite { .. })));
    }
}
