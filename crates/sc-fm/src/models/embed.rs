//! Any number of cells through any model.

use candle_core::Tensor;
use ndarray::Array2;

use crate::{Error, Result};

/// A model with a choice of what shall stand for a cell.
pub trait CellEncoder {
    /// What the model sees of a cell.
    type Cell<'c>: Copy;

    /// Values of an embedding.
    fn width(&self) -> usize;

    /// Tokens of a cell; what it costs grows with them.
    fn n_tokens(&self, cell: Self::Cell<'_>) -> usize;

    /// Whether the model can take all these cells.
    ///
    /// # Errors
    /// What is wrong with the first that it cannot take.
    fn check(&self, cells: &[Self::Cell<'_>]) -> Result<()>;

    /// The embeddings of cells, `cells × width`, `F32`. A row depends on its own cell alone, to the last bit.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and what the tensor library reports.
    fn encode(&self, cells: &[Self::Cell<'_>]) -> Result<Tensor>;
}

/// Embeds cells: `cells × width`, in the order given.
///
/// All cells are checked before the first is computed. They are packed longest first, up to `max_tokens` tokens at a
/// time (one cell at least): that decides about memory and speed alone, no bit of a result depends on it.
///
/// # Errors
/// Those of [`CellEncoder::check`], and what the tensor library reports.
pub fn embed<E: CellEncoder>(encoder: &E, cells: &[E::Cell<'_>], max_tokens: usize) -> Result<Array2<f32>> {
    encoder.check(cells)?;
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|&cell| std::cmp::Reverse(encoder.n_tokens(cells[cell])));
    let mut embeddings = Array2::zeros((cells.len(), encoder.width()));
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let (batch, later) =
            rest.split_at(fitting(rest.iter().map(|&i| encoder.n_tokens(cells[i])), max_tokens));
        rest = later;
        let batch_cells: Vec<_> = batch.iter().map(|&cell| cells[cell]).collect();
        let rows = encoder.encode(&batch_cells)?.to_vec2::<f32>().map_err(Error::Tensor)?;
        for (&cell, row) in batch.iter().zip(rows) {
            embeddings.row_mut(cell).assign(&ndarray::aview1(&row));
        }
    }
    Ok(embeddings)
}

/// How many of the cells have `max_tokens` tokens together; one at least.
fn fitting(n_tokens: impl Iterator<Item = usize>, max_tokens: usize) -> usize {
    let totals = n_tokens.scan(0usize, |total, n| {
        *total = total.saturating_add(n);
        Some(*total)
    });
    totals.take_while(|&total| total <= max_tokens).count().max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use candle_core::Device;

    use super::*;

    /// The embedding of a number is the number; batches are written down.
    #[derive(Default)]
    struct Echo(RefCell<Vec<Vec<usize>>>);

    impl CellEncoder for Echo {
        type Cell<'c> = usize;

        fn width(&self) -> usize {
            1
        }

        fn n_tokens(&self, cell: usize) -> usize {
            cell
        }

        fn check(&self, cells: &[usize]) -> Result<()> {
            match cells.iter().position(|&cell| cell == 0) {
                Some(cell) => Err(super::super::Error::EmptyCell { cell }.into()),
                None => Ok(()),
            }
        }

        fn encode(&self, cells: &[usize]) -> Result<Tensor> {
            self.0.borrow_mut().push(cells.to_vec());
            let values = cells.iter().map(|&cell| cell as f32).collect();
            Ok(Tensor::from_vec(values, (cells.len(), 1), &Device::Cpu)?)
        }
    }

    #[test]
    fn cells_are_packed_longest_first_and_returned_in_order() {
        let echo = Echo::default();
        let embeddings = embed(&echo, &[3, 9, 1, 4, 2], 7).unwrap();
        assert_eq!(embeddings.column(0).to_vec(), [3.0, 9.0, 1.0, 4.0, 2.0]);
        assert_eq!(*echo.0.borrow(), [vec![9], vec![4, 3], vec![2, 1]]);
    }

    #[test]
    fn a_bad_cell_is_named_before_anything_is_computed() {
        let echo = Echo::default();
        assert_eq!(embed(&echo, &[3, 0], 7).unwrap_err().to_string(), "cell 1 has no token of a gene");
        assert!(echo.0.borrow().is_empty());
        assert_eq!(embed(&echo, &[], 7).unwrap().dim(), (0, 1));
    }
}
