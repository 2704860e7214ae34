//! Where each cell begins in a matrix of tokens.

use std::ops::Range;
use std::sync::Arc;

/// Cells of any length laid one after another: cell `i` owns the rows `offsets[i]..offsets[i + 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    offsets: Arc<[usize]>,
}

impl Packing {
    /// From the number of tokens of each cell.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self { offsets: std::iter::once(0).chain(ends).collect() }
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of rows, tokens of all cells together.
    pub fn n_rows(&self) -> usize {
        self.offsets[self.n_cells()]
    }

    /// The rows of a cell.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn rows(&self, cell: usize) -> Range<usize> {
        self.offsets[cell]..self.offsets[cell + 1]
    }

    /// The rows of every cell, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Tokens of the longest cell; 0 without cells.
    pub fn longest(&self) -> usize {
        self.iter().map(|rows| rows.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_follow_one_another_and_may_be_empty() {
        let packing = Packing::new([3, 0, 2]);
        assert_eq!((packing.n_cells(), packing.n_rows(), packing.longest()), (3, 5, 3));
        assert_eq!(packing.iter().collect::<Vec<_>>(), [0..3, 3..3, 3..5]);
        assert_eq!(packing.rows(2), 3..5);
        assert_eq!(Packing::new([]).n_rows(), 0);
    }
}
