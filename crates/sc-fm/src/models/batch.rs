//! Token ids of several cells, laid one after another.

use super::Error;
use crate::nn::Packing;

/// The token ids of packed cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    packing: Packing,
}

impl TokenBatch {
    /// Packs the cells in the order given, each without padding.
    pub fn new<C: AsRef<[u32]>>(cells: &[C]) -> Self {
        let packing = Packing::new(cells.iter().map(|cell| cell.as_ref().len()));
        Self { ids: cells.iter().flat_map(|cell| cell.as_ref()).copied().collect(), packing }
    }

    /// The ids of all cells, one after another.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Where each cell begins.
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// The ids of each cell, in order.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.packing.iter().map(|rows| &self.ids[rows])
    }

    /// Refuses empty cells, cells of more than `longest` tokens, ids outside `0..n_tokens` and padding, if there is such.
    pub(crate) fn check(&self, longest: usize, n_tokens: usize, padding: Option<u32>) -> Result<(), Error> {
        for (cell, ids) in self.cells().enumerate() {
            if ids.is_empty() {
                return Err(Error::EmptyCell { cell });
            }
            if ids.len() > longest {
                return Err(Error::TooLong { cell, length: ids.len(), longest });
            }
            if let Some(position) = ids.iter().position(|&id| id as usize >= n_tokens || Some(id) == padding)
            {
                return Err(match Some(ids[position]) == padding {
                    true => Error::Padding { cell, position },
                    false => Error::Token { cell, position, token: ids[position], n_tokens },
                });
            }
        }
        Ok(())
    }
}

/// For each row its place in its cell: 0, 1, 2, …, 0, 1, ….
pub(crate) fn positions(packing: &Packing) -> Vec<u32> {
    packing.iter().flat_map(|rows| 0..rows.len() as u32).collect()
}

/// For each row the number of its cell.
pub(crate) fn cell_of_rows(packing: &Packing) -> Vec<u32> {
    packing.iter().enumerate().flat_map(|(cell, rows)| rows.map(move |_| cell as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_packed_in_order() {
        let batch = TokenBatch::new(&[vec![5, 6], vec![7]]);
        assert_eq!(batch.ids(), [5, 6, 7]);
        assert_eq!(batch.cells().collect::<Vec<_>>(), [&[5, 6][..], &[7]]);
        assert_eq!(positions(batch.packing()), [0, 1, 0]);
        assert_eq!(cell_of_rows(batch.packing()), [0, 0, 1]);
    }

    #[test]
    fn cells_that_the_model_cannot_take_are_named() {
        let check = |cells: &[&[u32]]| TokenBatch::new(cells).check(3, 10, Some(0)).unwrap_err();
        assert!(matches!(check(&[&[1], &[]]), Error::EmptyCell { cell: 1 }));
        assert!(matches!(check(&[&[1, 2, 3, 4]]), Error::TooLong { cell: 0, length: 4, longest: 3 }));
        let error = check(&[&[1], &[9, 10]]);
        assert!(matches!(error, Error::Token { cell: 1, position: 1, token: 10, n_tokens: 10 }), "{error}");
        let error = check(&[&[4, 0, 0]]);
        assert!(matches!(error, Error::Padding { cell: 0, position: 1 }), "{error}");
        assert!(error.help().unwrap().contains("without padding"));
    }
}
