//! Rows of a matrix on disk, whichever way it is stored.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;

use super::super::element_error;
use super::super::encoding::{self, Encoding};
use super::super::read::{Read, array, sparse};
use super::columns::Columns;
use crate::hdf5::{Fault, Object, Parts};
use crate::matrix::check_offsets;
use crate::{Csr, Error, InvalidSparse, Problem, Result};

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// Sparse, by row: any rows are read directly.
    Csr,
    /// Sparse, by column: the whole matrix is passed over for every 8 million stored values, so that ranges of rows should
    /// be asked for in order.
    Csc,
    /// Every value stored.
    Dense,
}

/// A matrix on disk, read some rows at a time.
///
/// In memory are the offsets of the rows (8 bytes a row; for [`Storage::Csc`] also those of the columns), the rows that
/// are asked for, and at most 64 MiB of what was inflated last for each array. Any number of threads may read from one
/// `Rows` at once; what a range of rows holds depends on nothing else.
#[derive(Debug)]
pub struct Rows<'b> {
    path: PathBuf,
    element: String,
    n_rows: usize,
    n_cols: usize,
    stored: Stored<'b>,
}

#[derive(Debug)]
enum Stored<'b> {
    Csr { indptr: Vec<usize>, indices: Box<Parts<'b>>, values: Box<Parts<'b>> },
    Csc(Box<Columns<'b>>),
    Dense(Box<Parts<'b>>),
}

impl<'b> Rows<'b> {
    /// `fits` says whether a matrix of so many rows and columns belongs here; it is asked before memory is taken.
    pub(super) fn open(
        path: &Path,
        object: &Object<'b>,
        fits: impl Fn(usize, usize) -> Result<()>,
    ) -> Read<Self> {
        let fits = |rows, columns| fits(rows, columns).map_err(|e| object.fault(e));
        let encoding = encoding::expect(object)?;
        let (stored, n_rows, n_cols) = match encoding {
            Encoding::Csr | Encoding::Csc => {
                let (n_rows, n_cols) = sparse::shape(object)?;
                fits(n_rows, n_cols)?;
                let n_major = if encoding == Encoding::Csr { n_rows } else { n_cols };
                let indptr = offsets(object, n_major)?;
                let indices = sparse::array(object, "indices")?.parts()?;
                let values = sparse::array(object, "data")?.parts()?;
                let length = |parts: &Parts<'_>| parts.dataset().dims()[0] as usize;
                check_offsets(n_major, &indptr, length(&indices), length(&values))
                    .map_err(|e| Fault::new(object.member_path(sparse::part(&e)), e))?;
                let stored = match encoding {
                    Encoding::Csr => {
                        Stored::Csr { indptr, indices: Box::new(indices), values: Box::new(values) }
                    }
                    _ => {
                        let columns = Columns::open(object.path(), n_rows, indptr, indices, values)?;
                        Stored::Csc(Box::new(columns))
                    }
                };
                (stored, n_rows, n_cols)
            }
            Encoding::Array => {
                let dataset = object.dataset()?;
                let (n_rows, n_cols) = array::shape(&dataset)?;
                fits(n_rows, n_cols)?;
                (Stored::Dense(Box::new(dataset.parts()?)), n_rows, n_cols)
            }
            _ => {
                let found = "something else".to_owned();
                let expected = "a sparse matrix or a dense array";
                return Err(object.fault(Problem::Kind { found, expected }));
            }
        };
        Ok(Self { path: path.to_owned(), element: object.path().to_owned(), n_rows, n_cols, stored })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// How the matrix is stored.
    pub fn storage(&self) -> Storage {
        match self.stored {
            Stored::Csr { .. } => Storage::Csr,
            Stored::Csc(_) => Storage::Csc,
            Stored::Dense(_) => Storage::Dense,
        }
    }

    /// The rows from `rows.start` up to, and without, `rows.end`. Of a dense matrix, zeros are not stored.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for rows that the matrix does not have; [`Error::Element`] for what is damaged, counted from
    /// the start of the matrix: a row, a column or a position.
    pub fn rows(&self, rows: Range<usize>) -> Result<Csr> {
        if rows.start > rows.end || rows.end > self.n_rows {
            let index = rows.start.max(rows.end.saturating_sub(1));
            return Err(Error::OutOfBounds { axis: "n_rows", index, bound: self.n_rows });
        }
        self.read(rows).map_err(|fault| element_error(&self.path, fault))
    }

    fn read(&self, rows: Range<usize>) -> Read<Csr> {
        match &self.stored {
            Stored::Csr { indptr, indices, values } => {
                let span = indptr[rows.start]..indptr[rows.end];
                let (indices, values) = rayon::join(
                    || indices.numbers::<u32>(span.clone()),
                    || values.numbers::<f32>(span.clone()),
                );
                let indptr = indptr[rows.start..=rows.end].iter().map(|at| at - span.start).collect();
                Csr::from_unsorted(rows.len(), self.n_cols, indptr, indices?, values?)
                    .map_err(|e| self.blamed(counted_from(e, rows.start)))
            }
            Stored::Csc(columns) => columns.rows(rows, self.n_cols),
            Stored::Dense(parts) => {
                let values = parts.numbers::<f32>(rows.clone())?;
                let dense = ArrayView2::from_shape((rows.len(), self.n_cols), &values);
                let dense = dense.expect("as many values were read as the rows have");
                Ok(Csr::from_dense(dense))
            }
        }
    }

    fn blamed(&self, error: InvalidSparse) -> Fault {
        Fault::new(format!("{}/{}", self.element, sparse::part(&error)), error)
    }

    /// All rows in order, `n` at a time (at least one); the last chunk may have fewer. Each comes with the range of its
    /// rows.
    pub fn chunks(&self, n: usize) -> Chunks<'_> {
        Chunks { rows: self, next: 0, n: n.max(1) }
    }
}

/// The rows of a matrix, some at a time; see [`Rows::chunks`]. The first error is the last item.
#[derive(Debug)]
pub struct Chunks<'r> {
    rows: &'r Rows<'r>,
    next: usize,
    n: usize,
}

impl Iterator for Chunks<'_> {
    type Item = Result<(Range<usize>, Csr)>;

    fn next(&mut self) -> Option<Self::Item> {
        let n_rows = self.rows.n_rows;
        if self.next >= n_rows {
            return None;
        }
        let range = self.next..self.next.saturating_add(self.n).min(n_rows);
        let chunk = self.rows.rows(range.clone());
        self.next = if chunk.is_ok() { range.end } else { n_rows };
        Some(chunk.map(|csr| (range, csr)))
    }
}

/// `indptr`, whose length is checked before it is read.
fn offsets(group: &Object<'_>, n_major: usize) -> Read<Vec<usize>> {
    let dataset = sparse::array(group, "indptr")?;
    let (found, expected) = (dataset.dims()[0], n_major as u64 + 1);
    if found != expected {
        let (found, expected) = (found as usize, expected as usize);
        return Err(dataset.fault(InvalidSparse::IndptrLength { found, expected }));
    }
    dataset.parts()?.numbers(0..n_major + 1)
}

/// The error of a part of a matrix that starts at this row.
fn counted_from(error: InvalidSparse, first: usize) -> InvalidSparse {
    match error {
        InvalidSparse::IndexBound { major, index, bound } => {
            InvalidSparse::IndexBound { major: major + first, index, bound }
        }
        InvalidSparse::IndexOrder { major, before, after } => {
            InvalidSparse::IndexOrder { major: major + first, before, after }
        }
        other => other,
    }
}
