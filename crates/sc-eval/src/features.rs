//! The matrix that classifiers learn from: dense, or sparse over a background.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Features, cells × features, `f32`, every value finite.
///
/// Standardised expression is not sparse (a zero count becomes `-mean / sd`), but all zeros of one gene become the
/// *same* value. So it is stored as what differs from one background value per gene: a twentieth of the memory, and of
/// the work in every product.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    n_rows: usize,
    n_cols: usize,
    store: Store,
    names: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Store {
    /// Row-major values.
    Dense(Vec<f32>),
    /// Values that are written out by row; every other value of a column is its background.
    Sparse { indptr: Vec<usize>, indices: Vec<u32>, values: Vec<f32>, background: Vec<f32> },
}

impl Features {
    /// Features from a dense matrix, cells × features; the values are copied.
    ///
    /// # Errors
    /// [`Error::NotFinite`] at the first NaN or infinity.
    pub fn dense(x: ArrayView2<'_, f32>) -> Result<Self> {
        if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::NotFinite { row, column, value });
        }
        let store = Store::Dense(x.iter().copied().collect());
        Ok(Self { n_rows: x.nrows(), n_cols: x.ncols(), store, names: None })
    }

    /// Features from a matrix compressed by row whose unwritten values are `background[column]`.
    ///
    /// * `indptr`: `n_rows + 1` offsets; `indices`: column of each value, strictly increasing within a row.
    /// * `background`: one value per column; zeros for an ordinary sparse matrix.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Parameter`] if the arrays do not describe a matrix, [`Error::NotFinite`] at the
    /// first NaN or infinity.
    pub fn sparse(
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
        background: Vec<f32>,
    ) -> Result<Self> {
        let n_cols = background.len();
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
            let ordered = columns.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered || columns.last().is_some_and(|&c| c as usize >= n_cols) {
                let expected = "columns in bounds that increase within each row";
                return Err(Error::Parameter { name: "indices", value: format!("row {row}"), expected });
            }
            if let Some(at) = values[span[0]..span[1]].iter().position(|v| !v.is_finite()) {
                let (column, value) = (columns[at] as usize, values[span[0] + at]);
                return Err(Error::NotFinite { row, column, value });
            }
        }
        if let Some(column) = background.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { row: 0, column, value: background[column] });
        }
        let store = Store::Sparse { indptr, indices, values, background };
        Ok(Self { n_rows, n_cols, store, names: None })
    }

    /// The same features, their columns named: by genes, as a rule.
    ///
    /// A model that is fitted on named features keeps the names, and refuses other named features than those, or the
    /// same in another order. Features without names are taken as they come.
    ///
    /// # Errors
    /// [`Error::Length`] unless there is one name per column.
    pub fn with_names(mut self, names: Vec<String>) -> Result<Self> {
        if names.len() != self.n_cols {
            let what = "the list of feature names";
            return Err(Error::Length { what, found: names.len(), expected: self.n_cols });
        }
        self.names = Some(names);
        Ok(self)
    }

    /// Names of the columns, if they were given.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Number of cells.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of features.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Writes row `i` out in full into `out`, `n_cols` values.
    ///
    /// # Panics
    /// If `i` is out of bounds or `out` has another length.
    pub fn write_row(&self, i: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.n_cols, "one slot per feature");
        match &self.store {
            Store::Dense(values) => out.copy_from_slice(&values[i * self.n_cols..(i + 1) * self.n_cols]),
            Store::Sparse { indptr, indices, values, background } => {
                out.copy_from_slice(background);
                let span = indptr[i]..indptr[i + 1];
                for (&j, &v) in indices[span.clone()].iter().zip(&values[span]) {
                    out[j as usize] = v;
                }
            }
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The written values by column, and the value of all others.
    pub(crate) fn columns(&self) -> (Lines, Vec<f32>) {
        match &self.store {
            Store::Dense(values) => {
                let start = (0..=self.n_rows).map(|i| i * self.n_cols).collect();
                let index = (0..self.n_rows).flat_map(|_| 0..self.n_cols as u32).collect();
                let rows = Lines { start, index, value: values.clone() };
                (rows.transposed(self.n_cols), vec![0.0; self.n_cols])
            }
            Store::Sparse { indptr, indices, values, background } => {
                let rows = Lines { start: indptr.clone(), index: indices.clone(), value: values.clone() };
                (rows.transposed(self.n_cols), background.clone())
            }
        }
    }
}

/// Sparse lines (rows or columns): offsets, positions along the line, values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lines {
    pub(crate) start: Vec<usize>,
    pub(crate) index: Vec<u32>,
    pub(crate) value: Vec<f32>,
}

impl Lines {
    /// Positions and values of line `i`.
    pub(crate) fn line(&self, i: usize) -> (&[u32], &[f32]) {
        let span = self.start[i]..self.start[i + 1];
        (&self.index[span.clone()], &self.value[span])
    }

    /// Number of lines.
    pub(crate) fn len(&self) -> usize {
        self.start.len() - 1
    }

    /// Proves that these are lines of length `n`, for a value that was read from a file.
    pub(crate) fn check(&self, n: usize) -> Result<(), String> {
        let (found, expected) = (self.value.len(), self.index.len());
        if found != expected {
            return Err(format!("there are {found} values at {expected} positions"));
        }
        let ends = (self.start.first(), self.start.last());
        if ends != (Some(&0), Some(&found)) || !self.start.is_sorted() {
            return Err(format!("the offsets of the lines do not rise from 0 to {found}"));
        }
        for at in 0..self.len() {
            let (index, value) = self.line(at);
            let ascend = index.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascend || index.last().is_some_and(|&j| j as usize >= n) {
                return Err(format!("the positions of line {at} do not ascend within {n}"));
            }
            if let Some(value) = value.iter().find(|v| !v.is_finite()) {
                return Err(format!("line {at} holds {value}"));
            }
        }
        Ok(())
    }

    /// The lines `kept`, in that order.
    pub(crate) fn select(&self, kept: &[usize]) -> Self {
        let mut selected = Self { start: vec![0], index: Vec::new(), value: Vec::new() };
        for &i in kept {
            let (index, value) = self.line(i);
            selected.index.extend_from_slice(index);
            selected.value.extend_from_slice(value);
            selected.start.push(selected.index.len());
        }
        selected
    }

    /// The same values by the other axis, which is `n` long; positions ascend.
    pub(crate) fn transposed(&self, n: usize) -> Self {
        let mut start = vec![0usize; n + 1];
        for &j in &self.index {
            start[j as usize + 1] += 1;
        }
        for j in 0..n {
            start[j + 1] += start[j];
        }
        let mut next = start.clone();
        let (mut index, mut value) = (vec![0u32; self.index.len()], vec![0f32; self.index.len()]);
        for i in 0..self.len() {
            let (js, vs) = self.line(i);
            for (&j, &v) in js.iter().zip(vs) {
                let at = next[j as usize];
                (index[at], value[at]) = (i as u32, v);
                next[j as usize] += 1;
            }
        }
        Self { start, index, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_background_with_the_written_values_on_top() {
        let x = Features::sparse(vec![0, 1, 1], vec![1], vec![5.0], vec![-1.0, -2.0, -3.0]).unwrap();
        let mut row = [0.0; 3];
        x.write_row(0, &mut row);
        assert_eq!(row, [-1.0, 5.0, -3.0]);
        x.write_row(1, &mut row);
        assert_eq!(row, [-1.0, -2.0, -3.0]);
    }

    #[test]
    fn nan_is_refused_with_its_place() {
        let nan = Features::dense(ndarray::array![[0.0, 1.0], [f32::NAN, 0.0]].view()).unwrap_err();
        assert_eq!(nan.to_string(), "feature 0 of row 1 is NaN");
        let nan = Features::sparse(vec![0, 1], vec![1], vec![f32::INFINITY], vec![0.0; 2]).unwrap_err();
        assert_eq!(nan.to_string(), "feature 1 of row 0 is inf");
    }

    #[test]
    fn there_is_one_name_per_column() {
        let x = Features::dense(ndarray::array![[0.0, 1.0]].view()).unwrap();
        let short = x.clone().with_names(vec!["CD3D".into()]).unwrap_err();
        assert_eq!(short.to_string(), "the list of feature names has 1 entries, expected 2");
        let named = x.with_names(vec!["CD3D".into(), "MS4A1".into()]).unwrap();
        assert_eq!(named.names().unwrap(), ["CD3D", "MS4A1"]);
    }

    #[test]
    fn arrays_that_are_no_matrix_are_refused() {
        assert!(Features::sparse(vec![], vec![], vec![], vec![0.0]).is_err());
        assert!(Features::sparse(vec![0, 2], vec![0], vec![1.0], vec![0.0]).is_err());
        assert!(Features::sparse(vec![0, 1], vec![7], vec![1.0], vec![0.0]).is_err());
        assert!(Features::sparse(vec![0, 2], vec![1, 0], vec![1.0; 2], vec![0.0; 2]).is_err());
    }
}
