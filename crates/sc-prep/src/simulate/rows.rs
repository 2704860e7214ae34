//! Matrices rewritten row by row, and the counts that come out.

use rayon::prelude::*;
use sc_io::Csr;

use crate::Counts;
use crate::chunks::chunks;
use crate::subset::Checked;

/// Raw counts that a perturbation made, with their matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedCounts(Csr);

impl SimulatedCounts {
    /// The counts, proven by how they were made.
    pub fn counts(&self) -> Counts<'_> {
        Counts::assumed(&self.0)
    }

    /// Takes the matrix out.
    pub fn into_csr(self) -> Csr {
        self.0
    }

    pub(super) fn computed(x: Csr) -> Self {
        Self(x)
    }
}

/// One row in the making: columns, which increase, and values.
#[derive(Default)]
pub(super) struct Row {
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Row {
    /// Writes a value out unless it is 0.
    #[inline]
    pub(super) fn push(&mut self, column: u32, value: f32) {
        if value != 0.0 {
            self.columns.push(column);
            self.values.push(value);
        }
    }
}

/// The rows of the subset, each as `rewrite(row, columns, values, out)` writes it; in parallel.
pub(super) fn rewritten(
    x: &Csr,
    subset: &Checked<'_>,
    rewrite: impl Fn(usize, &[u32], &[f32], &mut Row) + Sync,
) -> Csr {
    let n_rows = subset.rows.len();
    let pieces: Vec<(Row, Vec<usize>)> = chunks(n_rows, 16)
        .map(|range| {
            let (mut out, mut ends) = (Row::default(), Vec::with_capacity(range.len()));
            for row in range.map(|i| subset.rows.get(i)) {
                let (columns, values) = x.row(row);
                rewrite(row, columns, values, &mut out);
                ends.push(out.columns.len());
            }
            (out, ends)
        })
        .collect();
    let stored = pieces.iter().map(|(row, _)| row.columns.len()).sum();
    let (mut indices, mut values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
    let mut indptr = Vec::with_capacity(n_rows + 1);
    indptr.push(0);
    for (piece, ends) in pieces {
        indptr.extend(ends.iter().map(|end| indices.len() + end));
        indices.extend_from_slice(&piece.columns);
        values.extend_from_slice(&piece.values);
    }
    Csr::new(n_rows, x.n_cols(), indptr, indices, values).expect("columns were pushed in increasing order")
}
