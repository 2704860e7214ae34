//! `X` and the layers: sparse by row, sparse by column, or dense; always `f32`, cells × genes.

mod sparse;

pub(crate) use sparse::check_offsets;
pub use sparse::{Csc, Csr, InvalidSparse};

use ndarray::Array2;

/// A cells × genes matrix in one of the three forms that AnnData stores.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// Sparse, by row: the form that every algorithm here takes.
    Csr(Csr),
    /// Sparse, by column.
    Csc(Csc),
    /// Every value stored, row by row.
    Dense(Array2<f32>),
}

impl Matrix {
    /// Number of rows (cells, for `X`).
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Csr(m) => m.n_rows(),
            Self::Csc(m) => m.n_rows(),
            Self::Dense(m) => m.nrows(),
        }
    }

    /// Number of columns (genes, for `X`).
    pub fn n_cols(&self) -> usize {
        match self {
            Self::Csr(m) => m.n_cols(),
            Self::Csc(m) => m.n_cols(),
            Self::Dense(m) => m.ncols(),
        }
    }

    /// The same values, sparse by row. Explicit zeros of a sparse form are kept, zeros of a dense one are not
    /// stored; NaN is a value.
    pub fn to_csr(&self) -> Csr {
        match self {
            Self::Csr(m) => m.clone(),
            Self::Csc(m) => m.to_csr(),
            Self::Dense(m) => Csr::from_dense(m.view()),
        }
    }

    /// [`Matrix::to_csr`] without a copy where the matrix already has that form.
    pub fn into_csr(self) -> Csr {
        match self {
            Self::Csr(m) => m,
            other => other.to_csr(),
        }
    }
}
