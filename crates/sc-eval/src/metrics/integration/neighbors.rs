//! The neighbours that metrics of a graph read.

use ndarray::{ArrayView2, s};

use crate::{Error, Result};

/// The `k` nearest neighbours of each cell, borrowed from whoever found them.
///
/// The nearest come first. As in scib-metrics and scanpy's `n_neighbors`, a cell counts among its own neighbours and
/// is usually its own first; [`lisi`](super::lisi) leaves it out, [`kbet`](super::kbet) counts it.
#[derive(Clone, Copy, Debug)]
pub struct Neighbors<'a> {
    indices: ArrayView2<'a, u32>,
    distances: ArrayView2<'a, f32>,
}

impl<'a> Neighbors<'a> {
    /// Checks the arrays.
    ///
    /// * `indices`: cells × k, indices of cells.
    /// * `distances`: cells × k, not negative.
    ///
    /// # Errors
    /// [`Error::Empty`] without cells or neighbours; [`Error::Length`] if the shapes differ;
    /// [`Error::CellOutOfBounds`] at an index that is no cell; [`Error::NotFinite`] at a NaN or infinity;
    /// [`Error::Parameter`] at a negative distance.
    pub fn new(indices: ArrayView2<'a, u32>, distances: ArrayView2<'a, f32>) -> Result<Self> {
        let (n_cells, k) = indices.dim();
        if n_cells == 0 || k == 0 {
            return Err(Error::Empty { what: "the array of neighbours" });
        }
        if distances.nrows() != n_cells {
            let what = "the axis of cells of the distances";
            return Err(Error::Length { what, found: distances.nrows(), expected: n_cells });
        }
        if distances.ncols() != k {
            let what = "the axis of neighbours of the distances";
            return Err(Error::Length { what, found: distances.ncols(), expected: k });
        }
        if let Some(&cell) = indices.iter().find(|&&cell| cell as usize >= n_cells) {
            return Err(Error::CellOutOfBounds {
                what: "the array of neighbours",
                cell: cell as usize,
                n_cells,
            });
        }
        for ((row, column), &value) in distances.indexed_iter() {
            if !value.is_finite() {
                return Err(Error::NotFinite { row, column, value });
            }
            if value < 0.0 {
                let (name, expected) = ("a distance", "0 or more");
                return Err(Error::Parameter { name, value: value.to_string(), expected });
            }
        }
        Ok(Self { indices, distances })
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.indices.nrows()
    }

    /// Neighbours of each cell.
    pub fn n_neighbors(&self) -> usize {
        self.indices.ncols()
    }

    /// The first `k` neighbours of each cell; scib-metrics' pipeline finds 90 and uses 15, 50 and all of them.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `k` is at least 1 and at most [`Neighbors::n_neighbors`].
    pub fn first(&self, k: usize) -> Result<Self> {
        if k == 0 || k > self.n_neighbors() {
            let expected = "at least 1 and at most the number of neighbours";
            return Err(Error::Parameter { name: "k", value: k.to_string(), expected });
        }
        Ok(Self {
            indices: self.indices.slice_move(s![.., ..k]),
            distances: self.distances.slice_move(s![.., ..k]),
        })
    }

    /// Index and distance of each neighbour of a cell.
    pub(crate) fn of(&self, cell: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.indices.row(cell).into_iter().copied().zip(self.distances.row(cell).into_iter().copied())
    }

    /// Index of each neighbour of a cell.
    pub(crate) fn indices(&self, cell: usize) -> impl Iterator<Item = usize> + '_ {
        self.indices.row(cell).into_iter().map(|&i| i as usize)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn each_fault_is_named() {
        let message = |indices: ndarray::Array2<u32>, distances: ndarray::Array2<f32>| {
            Neighbors::new(indices.view(), distances.view()).unwrap_err().to_string()
        };
        let empty = ndarray::Array2::zeros((2, 0));
        assert_eq!(message(empty, array![[0.0]]), "the array of neighbours is empty");
        let rows = message(array![[0], [1]], array![[0.0]]);
        assert_eq!(rows, "the axis of cells of the distances has 1 entries, expected 2");
        let columns = message(array![[0, 1], [1, 0]], array![[0.0], [0.0]]);
        assert_eq!(columns, "the axis of neighbours of the distances has 1 entries, expected 2");
        let index = message(array![[0], [2]], array![[0.0], [0.0]]);
        assert_eq!(index, "the array of neighbours holds cell 2, but there are 2 cells");
        let nan = message(array![[0], [1]], array![[0.0], [f32::NAN]]);
        assert_eq!(nan, "feature 0 of row 1 is NaN");
        let negative = message(array![[0], [1]], array![[0.0], [-1.0]]);
        assert_eq!(negative, "`a distance` is -1, expected 0 or more");
    }

    #[test]
    fn the_first_neighbours_are_a_view() {
        let (indices, distances) = (array![[0u32, 1], [1, 0]], array![[0.0f32, 2.0], [0.0, 2.0]]);
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        assert_eq!(neighbors.first(1).unwrap().of(1).collect::<Vec<_>>(), [(1, 0.0)]);
        let error = neighbors.first(3).unwrap_err();
        assert_eq!(error.to_string(), "`k` is 3, expected at least 1 and at most the number of neighbours");
    }
}
