//! Dense columns: one byte per value, column by column.

use rayon::prelude::*;

use super::{BinnedColumn, Dense, Slots};

/// The bin of every row, column by column.
pub(crate) struct Bytes {
    pub(crate) slots: Slots,
    bins: Vec<u8>,
}

impl Dense for Bytes {
    fn new(slots: Slots, columns: &[BinnedColumn]) -> Self {
        let mut bins = vec![0; columns.len() * slots.n_rows];
        bins.par_chunks_mut(slots.n_rows.max(1)).zip(columns).for_each(|(bins, column)| {
            bins.fill(column.background as u8);
            column.entries.iter().for_each(|&(bin, row)| bins[row as usize] = bin as u8);
        });
        Self { slots, bins }
    }
}

impl Bytes {
    /// The bins of all rows in column `j`.
    pub(crate) fn column(&self, j: usize) -> &[u8] {
        &self.bins[j * self.slots.n_rows..(j + 1) * self.slots.n_rows]
    }
}
