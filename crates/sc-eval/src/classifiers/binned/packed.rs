//! Dense columns: one byte per value, a few columns side by side.

use rayon::prelude::*;

use super::{BinnedColumn, Dense, Slots};

/// Columns that are worked on together: their bins of one row lie side by side.
pub(crate) const LANES: usize = 4;

/// The bin of every row in every column, in blocks of [`LANES`] columns.
pub(crate) struct Packed {
    pub(crate) slots: Slots,
    /// Block by block, a line per row; lanes of the last block without a column hold 0.
    bins: Vec<[u8; LANES]>,
}

impl Dense for Packed {
    fn new(slots: Slots, columns: &[BinnedColumn]) -> Self {
        let n_rows = slots.n_rows;
        let mut bins = vec![[0; LANES]; columns.len().div_ceil(LANES) * n_rows];
        bins.par_chunks_mut(n_rows).zip(columns.par_chunks(LANES)).for_each(|(block, columns)| {
            for (lane, column) in columns.iter().enumerate() {
                block.iter_mut().for_each(|line| line[lane] = column.background as u8);
                column.entries.iter().for_each(|&(bin, row)| block[row as usize][lane] = bin as u8);
            }
        });
        Self { slots, bins }
    }
}

impl Packed {
    /// Number of blocks of columns.
    pub(crate) fn n_blocks(&self) -> usize {
        self.slots.n_columns().div_ceil(LANES)
    }

    /// The bins of all rows in block `block`.
    pub(crate) fn block(&self, block: usize) -> &[[u8; LANES]] {
        &self.bins[block * self.slots.n_rows..(block + 1) * self.slots.n_rows]
    }

    /// The columns of block `block`.
    pub(crate) fn columns(&self, block: usize) -> std::ops::Range<usize> {
        block * LANES..((block + 1) * LANES).min(self.slots.n_columns())
    }

    /// Number of bins of the column of block `block` that has most.
    pub(crate) fn n_bins(&self, block: usize) -> usize {
        self.columns(block).map(|j| self.slots.n_bins(j)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::Features;
    use crate::classifiers::binned::{Packed, Table};

    #[test]
    fn the_layout_follows_the_density_and_bins_are_those_of_the_values() {
        let x = ndarray::Array2::from_shape_fn((40, 6), |(i, j)| ((i * (j + 3)) % 7) as f32);
        let Table::<Packed>::Dense(packed) = Table::new(&Features::dense(x.view()).unwrap(), 256) else {
            panic!("six of seven values are not the most frequent one");
        };
        assert_eq!((packed.n_blocks(), packed.columns(1), packed.n_bins(1)), (2, 4..6, 7));
        for (i, row) in x.rows().into_iter().enumerate() {
            for (j, &value) in row.iter().enumerate() {
                assert_eq!(f32::from(packed.block(j / 4)[i][j % 4]), value);
            }
        }
        let few = x.mapv(|v| if v == 3.0 { v } else { 0.0 });
        assert!(matches!(Table::<Packed>::new(&Features::dense(few.view()).unwrap(), 256), Table::Runs(_)));
        let empty = Features::dense(ndarray::Array2::zeros((3, 0)).view()).unwrap();
        assert!(matches!(Table::<Packed>::new(&empty, 256), Table::Runs(_)));
    }
}
