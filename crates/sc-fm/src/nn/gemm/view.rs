//! A matrix seen through strides.

use std::ops::Range;

use super::micro::PANEL;

/// A matrix in memory that may be transposed or part of a wider one: element `(i, j)` is at `i · row + j · column`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<'a> View<'a> {
    /// `rows × columns` values, row after row.
    ///
    /// # Panics
    /// If `data` is shorter.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With the distance between rows and that between columns, in values.
    ///
    /// # Panics
    /// If an element lies beyond `data`.
    pub fn strided(data: &'a [f32], (rows, columns): (usize, usize), (row, column): (usize, usize)) -> Self {
        let last = |n: usize, stride: usize| (n - 1).checked_mul(stride);
        let fits = rows == 0
            || columns == 0
            || last(rows, row)
                .zip(last(columns, column))
                .and_then(|(i, j)| i.checked_add(j))
                .is_some_and(|last| last < data.len());
        assert!(
            fits,
            "{rows} x {columns} values, {row} and {column} apart, lie beyond a slice of {}",
            data.len()
        );
        Self { data, rows, columns, row, column }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The transpose; nothing is moved.
    #[must_use]
    pub fn t(self) -> Self {
        let Self { data, rows, columns, row, column } = self;
        Self { data, rows: columns, columns: rows, row: column, column: row }
    }

    /// Some of the columns; nothing is moved.
    ///
    /// # Panics
    /// If there are no such columns.
    #[must_use]
    pub fn columns_of(self, columns: Range<usize>) -> Self {
        assert!(columns.start <= columns.end && columns.end <= self.columns, "the matrix has these columns");
        // A part without elements may begin behind the last.
        let data = self.data.get(columns.start * self.column..).unwrap_or_default();
        Self { data, columns: columns.len(), ..self }
    }

    /// Copies the elements of column `j` from row `first` on.
    #[inline]
    pub(super) fn copy_column(&self, first: usize, j: usize, into: &mut [f32]) {
        let data = &self.data[first * self.row + j * self.column..];
        match self.row {
            // Whole panels, the most of all, take a few moves instead of a call.
            1 => match (into.as_chunks_mut::<PANEL>(), data.first_chunk::<PANEL>()) {
                (([whole], []), Some(data)) => *whole = *data,
                _ => into.copy_from_slice(&data[..into.len()]),
            },
            row => into.iter_mut().enumerate().for_each(|(i, value)| *value = data[i * row]),
        }
    }

    /// The values of some rows, one after another: as they lie, or in a copy.
    pub(super) fn rows_or_copy<'b>(&self, rows: Range<usize>, copy: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        if self.column == 1 && (self.row == self.columns || rows.len() == 1) && self.columns > 0 {
            return &self.data[rows.start * self.row..][..rows.len() * self.columns];
        }
        copy.resize(rows.len() * self.columns, 0.0);
        for (into, row) in copy.chunks_exact_mut(self.columns.max(1)).zip(rows) {
            self.t().copy_column(0, row, into);
        }
        copy
    }

    /// The elements `columns` of row `i`, if they lie side by side.
    pub(super) fn in_row(&self, i: usize, columns: Range<usize>) -> Option<&'a [f32]> {
        (self.column == 1).then(|| &self.data[i * self.row..][columns])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_and_a_part_of_a_matrix_are_views_of_the_same_values() {
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let view = View::new(&data, 3, 4);
        let column = |view: View<'_>, first, j| {
            let mut values = [0.0; 2];
            view.copy_column(first, j, &mut values);
            values
        };
        assert_eq!((column(view, 1, 2), column(view.t(), 1, 2)), ([6.0, 10.0], [9.0, 10.0]));
        assert_eq!(view.in_row(1, 1..3), Some([5.0, 6.0].as_slice()));
        assert_eq!(view.t().in_row(1, 1..3), None);
        let part = View::strided(&data[1..], (3, 2), (4, 1));
        assert_eq!(column(part, 1, 1), [6.0, 10.0]);
        let repeated = View::strided(&data, (4, 2), (0, 3));
        assert_eq!(column(repeated, 2, 1), [3.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "3 x 4 values, 4 and 1 apart, lie beyond a slice of 11")]
    fn a_view_stays_inside_its_slice() {
        View::new(&[0.0; 11], 3, 4);
    }
}
