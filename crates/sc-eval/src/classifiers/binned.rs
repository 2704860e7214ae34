//! Features in bins: the one structure behind forests and boosting, in two layouts.
//!
//! Where most rows of a column share one value (the background; zero counts after standardising are exactly that),
//! [`Runs`] keep an entry for each of the others: at 9 % density an eleventh of the matrix. Where they do not,
//! [`Packed`] keeps a byte for every value. Bins are the same in both.

mod columns;
mod packed;
mod runs;

pub(crate) use columns::Slots;
pub(crate) use packed::{LANES, Packed};
pub(crate) use runs::Runs;

use crate::Features;

/// The bins of all columns and the entries of all rows, by column and bin.
pub(crate) struct Binned {
    pub(crate) slots: Slots,
    pub(crate) runs: Runs,
}

/// Binned features in the layout that suits them.
pub(crate) enum Table {
    Runs(Binned),
    Packed(Packed),
}

/// Share of entries from which bytes are worked through faster than sorted entries.
const DENSE: f64 = 0.3;

impl Binned {
    /// Bins every column into at most `max_bins` bins of about equally many rows; a column with fewer distinct values
    /// keeps each in its own bin.
    pub(crate) fn new(x: &Features, max_bins: usize) -> Self {
        let (slots, columns) = columns::bin(x, max_bins);
        Self { runs: runs::collect(&slots, &columns), slots }
    }
}

impl Table {
    /// Bins as [`Binned::new`] does and chooses the layout by the share of rows that are not at their column's
    /// background.
    pub(crate) fn new(x: &Features, max_bins: usize) -> Self {
        let (slots, columns) = columns::bin(x, max_bins);
        let n_entries: usize = columns.iter().map(|column| column.entries.len()).sum();
        let dense = n_entries as f64 >= DENSE * slots.n_rows as f64 * slots.n_columns() as f64;
        if dense && n_entries > 0 && max_bins <= packed::MAX_BINS {
            Self::Packed(Packed::new(slots, &columns))
        } else {
            Self::Runs(Binned { runs: runs::collect(&slots, &columns), slots })
        }
    }
}
