//! Features in bins: the one structure behind forests and boosting, in a layout for sparse and two for dense ones.
//!
//! Where most rows of a column share one value (the background; zero counts after standardising are exactly that),
//! [`Runs`] keep an entry for each of the others: at 9 % density an eleventh of the matrix. Where they do not, there is
//! a byte for every value: [`Packed`] has several columns side by side, for boosting, which looks at all of them;
//! [`Bytes`] has one after the other, for forests, which look at a few. Bins are the same in all.

mod bytes;
mod columns;
mod packed;
mod runs;

pub(crate) use bytes::Bytes;
pub(crate) use columns::{BinnedColumn, Slots};
pub(crate) use packed::{LANES, Packed};
pub(crate) use runs::Runs;

use crate::Features;

/// The bins of all columns and the entries of all rows, by column and bin.
pub(crate) struct Binned {
    pub(crate) slots: Slots,
    pub(crate) runs: Runs,
}

/// Binned features in the layout that suits them.
pub(crate) enum Table<D> {
    Runs(Binned),
    Dense(D),
}

/// A layout that keeps every value, in a byte.
pub(crate) trait Dense {
    /// * `columns`: of at most [`MAX_BINS`] bins each.
    fn new(slots: Slots, columns: &[BinnedColumn]) -> Self;
}

/// Most bins that a byte can number.
pub(crate) const MAX_BINS: usize = 256;

/// Share of entries from which bytes are worked through faster than sorted entries.
const DENSE: f64 = 0.3;

impl Binned {
    /// Bins every column into at most `max_bins` bins of about equally many rows; a column with fewer distinct values
    /// keeps each in its own bin.
    #[cfg(test)]
    pub(crate) fn new(x: &Features, max_bins: usize) -> Self {
        let (slots, columns) = columns::bin(x, max_bins);
        Self { runs: runs::collect(&slots, &columns), slots }
    }
}

impl<D: Dense> Table<D> {
    /// Bins every column into at most `max_bins` bins of about equally many rows; a column with fewer distinct values
    /// keeps each in its own bin. The layout follows from the share of rows that are not at their column's background.
    pub(crate) fn new(x: &Features, max_bins: usize) -> Self {
        let (slots, columns) = columns::bin(x, max_bins);
        let n_entries: usize = columns.iter().map(|column| column.entries.len()).sum();
        let dense = n_entries as f64 >= DENSE * slots.n_rows as f64 * slots.n_columns() as f64;
        if dense && n_entries > 0 && max_bins <= MAX_BINS {
            Self::Dense(D::new(slots, &columns))
        } else {
            Self::Runs(Binned { runs: runs::collect(&slots, &columns), slots })
        }
    }
}

/// A dense layout for features of any density.
#[cfg(test)]
pub(crate) fn dense<D: Dense>(x: &Features, max_bins: usize) -> D {
    let (slots, columns) = columns::bin(x, max_bins);
    D::new(slots, &columns)
}
