//! Rows of a matrix that is stored by column.
//!
//! One pass over the matrix finds how many values each row has; after that, every pass collects as many rows as have
//! [`PASS`] values, so that the number of passes depends on the size of the matrix and not on that of the chunks.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::super::read::Read;
use crate::hdf5::{Fault, Parts};
use crate::{Csr, InvalidSparse};

/// Values that are read at a time.
const BLOCK: usize = 1 << 20;
/// Values that one pass collects, unless a single request is larger: 64 MiB with their columns.
const PASS: usize = 1 << 23;

#[derive(Debug)]
pub(super) struct Columns<'b> {
    element: String,
    /// Offsets of the columns.
    indptr: Vec<usize>,
    /// Offsets that the rows would have.
    row_offsets: Vec<usize>,
    indices: Parts<'b>,
    values: Parts<'b>,
    /// The rows that the last pass collected.
    last: Mutex<Option<(Range<usize>, Csr)>>,
}

impl<'b> Columns<'b> {
    pub(super) fn open(
        element: &str,
        n_rows: usize,
        indptr: Vec<usize>,
        indices: Parts<'b>,
        values: Parts<'b>,
    ) -> Read<Self> {
        let row_offsets = vec![0; n_rows + 1];
        let element = element.to_owned();
        let mut columns = Self { element, indptr, row_offsets, indices, values, last: Mutex::default() };
        let stored = columns.stored();
        for block in blocks(stored) {
            let rows = columns.indices.numbers::<u32>(block.clone())?;
            for (at, &row) in block.zip(&rows) {
                let Some(count) = columns.row_offsets[1..].get_mut(row as usize) else {
                    let (major, index) = (columns.column_of(at), u64::from(row));
                    return Err(columns.fault(InvalidSparse::IndexBound { major, index, bound: n_rows }));
                };
                *count += 1;
            }
        }
        for row in 0..n_rows {
            columns.row_offsets[row + 1] += columns.row_offsets[row];
        }
        Ok(columns)
    }

    fn stored(&self) -> usize {
        self.indptr[self.indptr.len() - 1]
    }

    /// The column of the value at this position.
    fn column_of(&self, at: usize) -> usize {
        self.indptr.partition_point(|&start| start <= at) - 1
    }

    fn fault(&self, error: InvalidSparse) -> Fault {
        Fault::new(format!("{}/indices", self.element), error)
    }

    pub(super) fn rows(&self, rows: Range<usize>, n_cols: usize) -> Read<Csr> {
        // A panic elsewhere leaves the last pass as it was.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, csr)) = &*last
            && known.start <= rows.start
            && rows.end <= known.end
        {
            return Ok(part(csr, rows.start - known.start..rows.end - known.start));
        }
        let most = self.row_offsets[rows.start].saturating_add(PASS);
        let fit = self.row_offsets.partition_point(|&offset| offset <= most) - 1;
        let pass = rows.start..rows.end.max(fit);
        *last = None;
        let csr = self.collect(pass.clone(), n_cols)?;
        if pass == rows {
            return Ok(csr);
        }
        let wanted = part(&csr, 0..rows.len());
        *last = Some((pass, csr));
        Ok(wanted)
    }

    /// One pass: the columns come in order, so that the values of every row do.
    fn collect(&self, rows: Range<usize>, n_cols: usize) -> Read<Csr> {
        let first = self.row_offsets[rows.start];
        let indptr: Vec<usize> =
            self.row_offsets[rows.start..=rows.end].iter().map(|offset| offset - first).collect();
        let total = indptr[rows.len()];
        let (mut columns, mut values) = (vec![0u32; total], vec![0f32; total]);
        let mut next = indptr.clone();
        let mut column = 0;
        for block in blocks(if total == 0 { 0 } else { self.stored() }) {
            let places = self.indices.numbers::<u32>(block.clone())?;
            if !places.iter().any(|&row| rows.contains(&(row as usize))) {
                continue;
            }
            let stored = self.values.numbers::<f32>(block.clone())?;
            for ((at, &row), &value) in block.zip(&places).zip(&stored) {
                if !rows.contains(&(row as usize)) {
                    continue;
                }
                while self.indptr[column + 1] <= at {
                    column += 1;
                }
                let local = row as usize - rows.start;
                let slot = next[local];
                let twice = slot > indptr[local] && columns[slot - 1] == column as u32;
                // A file that changes while it is read may have more values in a row than it had.
                if twice || slot == indptr[local + 1] {
                    return Err(self.fault(InvalidSparse::IndexOrder {
                        major: column,
                        before: row,
                        after: row,
                    }));
                }
                (columns[slot], values[slot]) = (column as u32, value);
                next[local] = slot + 1;
            }
        }
        Csr::new(rows.len(), n_cols, indptr, columns, values).map_err(|e| self.fault(e))
    }
}

fn blocks(stored: usize) -> impl Iterator<Item = Range<usize>> {
    (0..stored).step_by(BLOCK).map(move |start| start..stored.min(start + BLOCK))
}

fn part(csr: &Csr, rows: Range<usize>) -> Csr {
    csr.select_rows(&rows.collect::<Vec<_>>())
}
