//! The neighbourhood graph: exact nearest neighbours, and umap's fuzzy union of them.
//!
//! Part of the flow: reduce ► **neighbours** ► cluster, lay out.
//!
//! On the same coordinates, neighbours are those of scanpy's `pp.neighbors`, and connectivities those that umap-learn
//! computes from exact distances, to 5e-7. scanpy's distances are rounded to about 1e-6, which a narrow neighbourhood
//! magnifies: its connectivities on PBMC 3k are up to 1.1e-5 away from either (`tests/golden/graph`). Differences:
//!
//! * The search is exact at every size; scanpy turns to an approximate index at 8,192 cells. Its cost is quadratic.
//! * Neighbours at equal distance come in order of their index, and a cell is never its own neighbour. scanpy drops
//!   the first column of its search, which for duplicated cells can be another cell than the one asked about.
//! * More neighbours than cells is an error; scanpy takes half of the cells instead and warns.
//! * `tl.umap` of scanpy 1.11 zeroes the smallest connectivities in place, in the matrix stored in `obsp`; ours stay.

mod connectivities;
mod exact;
mod knn;
mod nearest;
mod screen;
mod width;

pub(crate) use knn::check as check_coordinates;
pub use knn::{Knn, knn};

use ndarray::{Array2, ArrayView2};
use sc_io::Csr;

use crate::error::Error;

/// Parameters of [`neighbors`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborsParams {
    /// Size of the neighbourhood, the cell itself included, as in scanpy. Default 15; at least 2.
    pub n_neighbors: usize,
}

impl Default for NeighborsParams {
    fn default() -> Self {
        Self { n_neighbors: 15 }
    }
}

impl NeighborsParams {
    /// Checks the ranges that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::Parameter`] for fewer than 2 neighbours.
    pub fn validate(&self) -> Result<(), Error> {
        if self.n_neighbors < 2 {
            return Err(Error::Parameter {
                name: "n_neighbors",
                value: self.n_neighbors.to_string(),
                expected: "at least 2: a cell and one neighbour",
            });
        }
        Ok(())
    }
}

/// The neighbourhood graph of some cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    /// The neighbours of each cell, nearest first, the cell itself left out: `n_obs × (n_neighbors - 1)`.
    pub indices: Array2<u32>,
    /// Euclidean distance to each of them, in the same order.
    pub distances: Array2<f32>,
    /// How surely two cells are neighbours, in `(0, 1]`: symmetric, `n_obs × n_obs`, as `obsp["connectivities"]`.
    pub connectivities: Csr,
    /// What made this graph.
    pub params: NeighborsParams,
}

impl Neighbors {
    /// Number of cells.
    pub fn n_obs(&self) -> usize {
        self.indices.nrows()
    }

    /// The distances as scanpy stores them in `obsp["distances"]`: `n_obs × n_obs`, `n_neighbors - 1` values a row.
    ///
    /// A duplicated cell lies at distance 0, so an explicit 0 can be among the values.
    pub fn distances_csr(&self) -> Csr {
        let (n, k) = self.indices.dim();
        let indptr = (0..=n).map(|i| i * k).collect();
        let indices = self.indices.iter().copied().collect();
        let values = self.distances.iter().copied().collect();
        Csr::from_unsorted(n, n, indptr, indices, values)
            .expect("the neighbours of a cell are distinct cells")
    }
}

/// Finds the `n_neighbors - 1` nearest cells of each cell and weighs them: scanpy's `pp.neighbors`.
///
/// * `x`: one row for each cell, usually 50 principal components: `n_obs × n_dims`.
/// * returns: neighbours, euclidean distances, and umap's fuzzy simplicial set (local connectivity 1, set operation
///   mix ratio 1) as connectivities.
///
/// The same bits come out on any machine and any number of threads.
///
/// # Errors
/// * [`Error::Empty`]: no cell, or no dimension.
/// * [`Error::TooManyNeighbors`]: `n_neighbors` is larger than the number of cells.
/// * [`Error::Coordinate`]: a value is NaN, infinite or beyond 1e18; the first one is named.
///
/// ```
/// use ndarray::array;
/// use sc_prep::neighbors::{NeighborsParams, neighbors};
///
/// let x = array![[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.0, 4.0]];
/// let graph = neighbors(x.view(), &NeighborsParams { n_neighbors: 2 })?;
/// assert_eq!(graph.indices.column(0).to_vec(), [1, 0, 1, 2]);
/// assert_eq!(graph.distances.column(0).to_vec(), [1.0, 1.0, 2.0, 4.0]);
/// # Ok::<(), sc_prep::Error>(())
/// ```
pub fn neighbors(x: ArrayView2<'_, f32>, params: &NeighborsParams) -> Result<Neighbors, Error> {
    params.validate()?;
    let found = knn::neighbors_of_each(x, params.n_neighbors)?;
    let connectivities = connectivities::fuzzy_simplicial_set(&found, params.n_neighbors);
    tracing::info!("{} neighbours for each of {} cells", params.n_neighbors - 1, x.nrows());
    Ok(Neighbors {
        indices: found.indices,
        distances: found.distances,
        connectivities,
        params: params.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn distances_are_stored_by_column_index() {
        let x = array![[5.0f32], [0.0], [1.0], [3.0]];
        let graph = neighbors(x.view(), &NeighborsParams { n_neighbors: 3 }).unwrap();
        assert_eq!(graph.indices.row(0).to_vec(), [3, 2]);
        let stored = graph.distances_csr();
        assert_eq!(stored.row(0), (&[2u32, 3][..], &[4.0f32, 2.0][..]));
        assert_eq!(stored.nnz(), 8);
    }

    #[test]
    fn connectivities_are_symmetric_without_a_diagonal_and_at_most_one() {
        let x = Array2::from_shape_fn((60, 3), |(i, j)| ((i * 31 + j * 17) % 23) as f32 + i as f32 * 0.1);
        let w = neighbors(x.view(), &NeighborsParams::default()).unwrap().connectivities;
        assert_eq!(w.to_csc().to_csr(), w);
        let dense = w.to_dense();
        assert_eq!(dense.t(), dense);
        assert!(dense.diag().iter().all(|&v| v == 0.0));
        assert!(w.values().iter().all(|&v| v > 0.0 && v <= 1.0));
        assert!((0..60).all(|i| w.row(i).1.contains(&1.0)), "the nearest neighbour is connected for sure");
    }

    #[test]
    fn one_neighbour_is_too_few_and_more_than_all_cells_too_many() {
        let x = array![[0.0f32], [1.0], [2.0]];
        let few = neighbors(x.view(), &NeighborsParams { n_neighbors: 1 });
        assert!(matches!(few, Err(Error::Parameter { name: "n_neighbors", .. })));
        let many = neighbors(x.view(), &NeighborsParams { n_neighbors: 4 });
        assert_eq!(many, Err(Error::TooManyNeighbors { name: "n_neighbors", requested: 4, available: 3 }));
        assert!(many.unwrap_err().help().is_some());
        assert!(neighbors(x.view(), &NeighborsParams { n_neighbors: 3 }).is_ok());
    }
}
