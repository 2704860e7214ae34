//! Compressed sparse matrices, proven well-formed once, on construction.
//!
//! `Csr` and `Csc` differ in what the compressed axis is, so both wrap one `Compressed`: major axis (rows of a CSR,
//! columns of a CSC) by minor axis.

use ndarray::{Array2, ArrayView2};

#[cfg(test)]
mod tests;

/// Why three arrays are not a compressed sparse matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSparse {
    /// `indptr` must hold one entry more than the compressed axis is long.
    #[error("indptr has {found} entries, expected {expected}")]
    IndptrLength {
        /// Entries found.
        found: usize,
        /// Length of the compressed axis, plus one.
        expected: usize,
    },
    /// The first entry of `indptr` must be 0.
    #[error("indptr starts at {found}, expected 0")]
    IndptrStart {
        /// The first entry.
        found: usize,
    },
    /// `indptr` must never decrease.
    #[error("indptr decreases at {at}: {before} then {after}")]
    IndptrOrder {
        /// Position of the smaller entry.
        at: usize,
        /// The entry before it.
        before: usize,
        /// The smaller entry.
        after: usize,
    },
    /// The last entry of `indptr` must be the number of stored values.
    #[error("indptr ends at {found}, but {indices} indices and {values} values are stored")]
    StoredLength {
        /// The last entry of `indptr`.
        found: usize,
        /// Number of indices.
        indices: usize,
        /// Number of values.
        values: usize,
    },
    /// An index must lie inside the other axis.
    #[error("index {index} in row or column {major} is outside 0..{bound}")]
    IndexBound {
        /// Row of a CSR, column of a CSC.
        major: usize,
        /// The index found.
        index: u64,
        /// Length of the other axis.
        bound: usize,
    },
    /// The indices of a row (CSR) or column (CSC) must increase strictly.
    #[error("indices in row or column {major} do not increase: {before} then {after}")]
    IndexOrder {
        /// Row of a CSR, column of a CSC.
        major: usize,
        /// An index.
        before: u32,
        /// The index stored behind it.
        after: u32,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Compressed {
    n_major: usize,
    n_minor: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Compressed {
    fn new(
        n_major: usize,
        n_minor: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        let m = Self { n_major, n_minor, indptr, indices, values };
        m.check_shape()?;
        for major in 0..n_major {
            let row = &m.indices[m.indptr[major]..m.indptr[major + 1]];
            for pair in row.windows(2) {
                if pair[0] >= pair[1] {
                    return Err(InvalidSparse::IndexOrder { major, before: pair[0], after: pair[1] });
                }
            }
            m.check_bound(major, row.last().copied())?;
        }
        Ok(m)
    }

    /// As [`Compressed::new`], with the indices of each row or column in any order; the same index twice is an error.
    fn from_unsorted(
        n_major: usize,
        n_minor: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        let mut m = Self { n_major, n_minor, indptr, indices, values };
        m.check_shape()?;
        let mut order: Vec<(u32, f32)> = Vec::new();
        for major in 0..n_major {
            let span = m.indptr[major]..m.indptr[major + 1];
            let row = &m.indices[span.clone()];
            if !row.windows(2).all(|pair| pair[0] < pair[1]) {
                order.clear();
                order.extend(row.iter().copied().zip(m.values[span.clone()].iter().copied()));
                order.sort_by_key(|&(index, _)| index);
                for (at, &(index, value)) in span.clone().zip(&order) {
                    m.indices[at] = index;
                    m.values[at] = value;
                }
                if let Some(pair) = order.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(InvalidSparse::IndexOrder { major, before: pair[0].0, after: pair[1].0 });
                }
            }
            m.check_bound(major, m.indices[span].last().copied())?;
        }
        Ok(m)
    }

    fn check_shape(&self) -> Result<(), InvalidSparse> {
        check_offsets(self.n_major, &self.indptr, self.indices.len(), self.values.len())
    }

    fn check_bound(&self, major: usize, largest: Option<u32>) -> Result<(), InvalidSparse> {
        match largest {
            Some(index) if index as usize >= self.n_minor => {
                Err(InvalidSparse::IndexBound { major, index: index.into(), bound: self.n_minor })
            }
            _ => Ok(()),
        }
    }

    fn major(&self, i: usize) -> (&[u32], &[f32]) {
        let span = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[span.clone()], &self.values[span])
    }

    /// The same values, compressed along the other axis (a counting sort: indices come out in order).
    fn transposed(&self) -> Self {
        let mut indptr = vec![0usize; self.n_minor + 1];
        for &j in &self.indices {
            indptr[j as usize + 1] += 1;
        }
        for j in 0..self.n_minor {
            indptr[j + 1] += indptr[j];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.indices.len()];
        let mut values = vec![0f32; self.values.len()];
        for i in 0..self.n_major {
            let (js, vs) = self.major(i);
            for (&j, &v) in js.iter().zip(vs) {
                let at = next[j as usize];
                indices[at] = i as u32;
                values[at] = v;
                next[j as usize] = at + 1;
            }
        }
        Self { n_major: self.n_minor, n_minor: self.n_major, indptr, indices, values }
    }

    fn select_major(&self, rows: &[usize]) -> Self {
        let stored = rows.iter().map(|&i| self.indptr[i + 1] - self.indptr[i]).sum();
        let mut indptr = Vec::with_capacity(rows.len() + 1);
        let mut indices = Vec::with_capacity(stored);
        let mut values = Vec::with_capacity(stored);
        indptr.push(0);
        for &i in rows {
            let (js, vs) = self.major(i);
            indices.extend_from_slice(js);
            values.extend_from_slice(vs);
            indptr.push(indices.len());
        }
        Self { n_major: rows.len(), n_minor: self.n_minor, indptr, indices, values }
    }

    /// Keeps `columns` of the minor axis, in the order given.
    fn select_minor(&self, columns: &[usize]) -> Self {
        const DROPPED: u32 = u32::MAX;
        let mut new_index = vec![DROPPED; self.n_minor];
        for (new, &old) in columns.iter().enumerate() {
            new_index[old] = new as u32;
        }
        let in_order = columns.windows(2).all(|pair| pair[0] < pair[1]);
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut row: Vec<(u32, f32)> = Vec::new();
        for i in 0..self.n_major {
            let (js, vs) = self.major(i);
            let kept =
                js.iter().zip(vs).map(|(&j, &v)| (new_index[j as usize], v)).filter(|e| e.0 != DROPPED);
            row.clear();
            row.extend(kept);
            if !in_order {
                row.sort_unstable_by_key(|e| e.0);
            }
            indices.extend(row.iter().map(|e| e.0));
            values.extend(row.iter().map(|e| e.1));
            indptr.push(indices.len());
        }
        Self { n_major: self.n_major, n_minor: columns.len(), indptr, indices, values }
    }
}

/// Whether `indptr` are the offsets of `n_major` rows or columns into so many indices and values.
pub(crate) fn check_offsets(
    n_major: usize,
    indptr: &[usize],
    indices: usize,
    values: usize,
) -> Result<(), InvalidSparse> {
    let (found, expected) = (indptr.len(), n_major.saturating_add(1));
    if found != expected {
        return Err(InvalidSparse::IndptrLength { found, expected });
    }
    if indptr[0] != 0 {
        return Err(InvalidSparse::IndptrStart { found: indptr[0] });
    }
    if let Some(at) = indptr.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(InvalidSparse::IndptrOrder { at: at + 1, before: indptr[at], after: indptr[at + 1] });
    }
    let found = indptr[n_major];
    if found != indices || found != values {
        return Err(InvalidSparse::StoredLength { found, indices, values });
    }
    Ok(())
}

/// A sparse matrix compressed by row. Within a row, column indices increase strictly.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr(Compressed);

/// A sparse matrix compressed by column. Within a column, row indices increase strictly.
#[derive(Clone, Debug, PartialEq)]
pub struct Csc(Compressed);

impl Csr {
    /// Checks the three arrays in one pass and takes them over.
    ///
    /// * `indptr`: `n_rows + 1` offsets, from 0, never decreasing, ending at the number of stored values.
    /// * `indices`: the column of each stored value, strictly increasing within a row.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn new(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        Compressed::new(n_rows, n_cols, indptr, indices, values).map(Self)
    }

    /// As [`Csr::new`], but sorts the columns within each row first.
    ///
    /// # Errors
    /// As [`Csr::new`]; the same column twice in a row is an error, not a sum.
    pub fn from_unsorted(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        Compressed::from_unsorted(n_rows, n_cols, indptr, indices, values).map(Self)
    }

    /// The values that are not zero (NaN is not zero).
    pub fn from_dense(x: ArrayView2<'_, f32>) -> Self {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in x.rows() {
            for (j, &v) in row.iter().enumerate() {
                if v != 0.0 {
                    indices.push(j as u32);
                    values.push(v);
                }
            }
            indptr.push(indices.len());
        }
        Self(Compressed { n_major: x.nrows(), n_minor: x.ncols(), indptr, indices, values })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.0.n_major
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.0.n_minor
    }

    /// Number of stored values, explicit zeros included.
    pub fn nnz(&self) -> usize {
        self.0.values.len()
    }

    /// Row offsets, `n_rows + 1`.
    pub fn indptr(&self) -> &[usize] {
        &self.0.indptr
    }

    /// Column of each stored value.
    pub fn indices(&self) -> &[u32] {
        &self.0.indices
    }

    /// The stored values.
    pub fn values(&self) -> &[f32] {
        &self.0.values
    }

    /// The stored values, to rewrite in place; which ones are stored cannot change.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.0.values
    }

    /// Columns and values of row `i`.
    ///
    /// # Panics
    /// If `i >= n_rows`.
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        self.0.major(i)
    }

    /// The values of row `i`, to rewrite in place.
    ///
    /// # Panics
    /// If `i >= n_rows`.
    pub fn row_values_mut(&mut self, i: usize) -> &mut [f32] {
        let span = self.0.indptr[i]..self.0.indptr[i + 1];
        &mut self.0.values[span]
    }

    /// The rows `rows`, in that order; a row may be asked for more than once.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self(self.0.select_major(rows))
    }

    /// The columns `columns`, in that order, each at most once.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select_columns(&self, columns: &[usize]) -> Self {
        Self(self.0.select_minor(columns))
    }

    /// The same matrix, compressed by column.
    pub fn to_csc(&self) -> Csc {
        Csc(self.0.transposed())
    }

    /// Every value, row by row: `n_rows × n_cols`.
    pub fn to_dense(&self) -> Array2<f32> {
        let mut dense = Array2::zeros((self.n_rows(), self.n_cols()));
        for (i, mut out) in dense.rows_mut().into_iter().enumerate() {
            let (js, vs) = self.row(i);
            for (&j, &v) in js.iter().zip(vs) {
                out[j as usize] = v;
            }
        }
        dense
    }

    /// Takes the matrix apart: `(indptr, indices, values)`.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
        (self.0.indptr, self.0.indices, self.0.values)
    }
}

impl Csc {
    /// Checks the three arrays in one pass and takes them over; as [`Csr::new`] with rows and columns exchanged.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn new(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        Compressed::new(n_cols, n_rows, indptr, indices, values).map(Self)
    }

    /// As [`Csc::new`], but sorts the rows within each column first.
    ///
    /// # Errors
    /// As [`Csc::new`]; the same row twice in a column is an error, not a sum.
    pub fn from_unsorted(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, InvalidSparse> {
        Compressed::from_unsorted(n_cols, n_rows, indptr, indices, values).map(Self)
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.0.n_minor
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.0.n_major
    }

    /// Number of stored values, explicit zeros included.
    pub fn nnz(&self) -> usize {
        self.0.values.len()
    }

    /// Column offsets, `n_cols + 1`.
    pub fn indptr(&self) -> &[usize] {
        &self.0.indptr
    }

    /// Row of each stored value.
    pub fn indices(&self) -> &[u32] {
        &self.0.indices
    }

    /// The stored values.
    pub fn values(&self) -> &[f32] {
        &self.0.values
    }

    /// Rows and values of column `j`.
    ///
    /// # Panics
    /// If `j >= n_cols`.
    pub fn column(&self, j: usize) -> (&[u32], &[f32]) {
        self.0.major(j)
    }

    /// The rows `rows`, in that order, each at most once.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self(self.0.select_minor(rows))
    }

    /// The columns `columns`, in that order; a column may be asked for more than once.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select_columns(&self, columns: &[usize]) -> Self {
        Self(self.0.select_major(columns))
    }

    /// The same matrix, compressed by row.
    pub fn to_csr(&self) -> Csr {
        Csr(self.0.transposed())
    }
}
