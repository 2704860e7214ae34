//! Rows of a matrix, dense or sparse, to compare cells by.

use ndarray::ArrayView2;

use crate::{Error, Result};

/// The values of cells, dense or compressed by row; every value finite.
#[derive(Clone, Copy, Debug)]
pub struct CellRows<'a>(Store<'a>);

#[derive(Clone, Copy, Debug)]
enum Store<'a> {
    Dense(ArrayView2<'a, f32>),
    Sparse { indptr: &'a [usize], indices: &'a [u32], values: &'a [f32] },
}

impl<'a> CellRows<'a> {
    /// A dense matrix, cells × features.
    ///
    /// # Errors
    /// [`Error::NotFinite`] at the first NaN or infinity.
    pub fn dense(x: ArrayView2<'a, f32>) -> Result<Self> {
        match x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            Some(((row, column), &value)) => Err(Error::NotFinite { row, column, value }),
            None => Ok(Self(Store::Dense(x))),
        }
    }

    /// A matrix compressed by row: offsets, columns, values. A column that is not written out is 0.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`] or [`Error::Parameter`] if the arrays do not describe a matrix (columns must
    /// increase within a row), [`Error::NotFinite`] at the first NaN or infinity.
    pub fn sparse(indptr: &'a [usize], indices: &'a [u32], values: &'a [f32]) -> Result<Self> {
        let n_rows = indptr.len().checked_sub(1).ok_or(Error::Empty { what: "indptr" })?;
        if indices.len() != values.len() {
            return Err(Error::Length { what: "values", found: values.len(), expected: indices.len() });
        }
        if indptr[0] != 0 || indptr[n_rows] != indices.len() || !indptr.is_sorted() {
            let expected = "offsets that rise from 0 to the number of values";
            return Err(Error::Parameter { name: "indptr", value: "not monotone".into(), expected });
        }
        for (row, span) in indptr.windows(2).enumerate() {
            let columns = &indices[span[0]..span[1]];
            if !columns.is_sorted_by(|a, b| a < b) {
                let expected = "columns that increase within each row";
                return Err(Error::Parameter { name: "indices", value: format!("row {row}"), expected });
            }
            if let Some(at) = values[span[0]..span[1]].iter().position(|v| !v.is_finite()) {
                let (column, value) = (columns[at] as usize, values[span[0] + at]);
                return Err(Error::NotFinite { row, column, value });
            }
        }
        Ok(Self(Store::Sparse { indptr, indices, values }))
    }

    /// Number of cells.
    pub fn n_rows(&self) -> usize {
        match self.0 {
            Store::Dense(x) => x.nrows(),
            Store::Sparse { indptr, .. } => indptr.len() - 1,
        }
    }

    /// The columns and values of row `i` that are not 0, by ascending column.
    pub(super) fn for_each(&self, i: usize, mut visit: impl FnMut(u32, f32)) {
        match self.0 {
            Store::Dense(x) => {
                x.row(i).iter().zip(0u32..).filter(|(v, _)| **v != 0.0).for_each(|(&v, j)| visit(j, v));
            }
            Store::Sparse { indptr, indices, values } => {
                let span = indptr[i]..indptr[i + 1];
                let stored = indices[span.clone()].iter().zip(&values[span]);
                stored.filter(|(_, v)| **v != 0.0).for_each(|(&j, &v)| visit(j, v));
            }
        }
    }

    /// The columns and values of row `i` that are not 0.
    pub(super) fn entries(&self, i: usize) -> Vec<(u32, f32)> {
        let mut entries = Vec::new();
        self.for_each(i, |j, v| entries.push((j, v)));
        entries
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn dense_and_sparse_rows_are_the_same_without_their_zeros() {
        let x = array![[0.0f32, 2.0, 0.0], [1.0, 0.0, -3.0]];
        let dense = CellRows::dense(x.view()).unwrap();
        let sparse = CellRows::sparse(&[0, 2, 4], &[0, 1, 0, 2], &[0.0, 2.0, 1.0, -3.0]).unwrap();
        for i in 0..2 {
            assert_eq!(dense.entries(i), sparse.entries(i));
        }
    }

    #[test]
    fn arrays_that_are_no_matrix_are_refused() {
        assert!(CellRows::sparse(&[], &[], &[]).is_err());
        assert!(CellRows::sparse(&[0, 2], &[0], &[1.0]).is_err());
        assert!(CellRows::sparse(&[0, 1], &[0], &[]).is_err());
        assert!(CellRows::sparse(&[0, 2], &[1, 1], &[1.0, 1.0]).is_err());
        assert!(CellRows::sparse(&[0, 1], &[3], &[f32::NAN]).is_err());
        assert!(CellRows::dense(array![[f32::INFINITY]].view()).is_err());
    }
}
