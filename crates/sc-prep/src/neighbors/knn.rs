//! Nearest rows of one matrix to the rows of another, in parallel over blocks of queries.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::exact::ExactSearch;
use super::screen::{BLOCK, Tiles};
use crate::error::Error;

/// The largest magnitude of a coordinate: squared distances in f64, and distances in f32, stay finite.
const LARGEST: f32 = 1e18;

/// The nearest rows of a matrix to each query.
#[derive(Clone, Debug, PartialEq)]
pub struct Knn {
    /// Rows of the searched matrix, nearest first, equal distances by index: `n_query × k`.
    pub indices: Array2<u32>,
    /// Euclidean distance to each of them.
    pub distances: Array2<f32>,
}

/// The `k` rows of `train` nearest to each row of `query`, by euclidean distance: scikit-learn's
/// `NearestNeighbors(algorithm="brute").kneighbors`.
///
/// * `train`: `n_train × n_dims`; `query`: `n_query × n_dims`.
/// * A query that is itself a row of `train` finds that row at distance 0.
///
/// Neighbours are ranked by distances computed in f64 from the coordinates as they are; equal distances by index.
/// The same bits come out on any machine and any number of threads.
///
/// # Errors
/// * [`Error::Empty`]: `train` has no row or no column.
/// * [`Error::Parameter`]: `k` is 0. [`Error::TooManyNeighbors`]: `k` exceeds the rows of `train`.
/// * [`Error::Length`]: `query` has another number of columns than `train`.
/// * [`Error::Coordinate`]: a value is NaN, infinite or beyond 1e18; the first one is named.
///
/// ```
/// use ndarray::array;
/// use sc_prep::neighbors::knn;
///
/// let train = array![[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]];
/// let found = knn(train.view(), array![[1.0, 0.0]].view(), 2)?;
/// assert_eq!(found.indices.row(0).to_vec(), [0, 2]);
/// assert_eq!(found.distances[[0, 0]], 1.0);
/// # Ok::<(), sc_prep::Error>(())
/// ```
pub fn knn(train: ArrayView2<'_, f32>, query: ArrayView2<'_, f32>, k: usize) -> Result<Knn, Error> {
    check("train", train)?;
    if k == 0 {
        return Err(Error::Parameter { name: "k", value: k.to_string(), expected: "at least 1" });
    }
    if k > train.nrows() {
        return Err(Error::TooManyNeighbors { name: "k", requested: k, available: train.nrows() });
    }
    if query.ncols() != train.ncols() {
        let (found, expected) = (query.ncols(), train.ncols());
        return Err(Error::Length { what: "a row of query", found, expected });
    }
    check_values("query", query)?;
    Ok(search(train, query, k, false))
}

/// The `n_neighbors - 1` nearest other rows of each row.
pub(super) fn neighbors_of_each(x: ArrayView2<'_, f32>, n_neighbors: usize) -> Result<Knn, Error> {
    check("the embedding", x)?;
    if n_neighbors > x.nrows() {
        let (name, requested, available) = ("n_neighbors", n_neighbors, x.nrows());
        return Err(Error::TooManyNeighbors { name, requested, available });
    }
    Ok(search(x, x, n_neighbors - 1, true))
}

pub(crate) fn check(matrix: &'static str, x: ArrayView2<'_, f32>) -> Result<(), Error> {
    if x.nrows() == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    if x.ncols() == 0 {
        return Err(Error::Empty { what: "dimensions" });
    }
    if u32::try_from(x.nrows()).is_err() {
        return Err(Error::Parameter {
            name: "number of cells",
            value: x.nrows().to_string(),
            expected: "less than 2^32",
        });
    }
    check_values(matrix, x)
}

fn check_values(matrix: &'static str, x: ArrayView2<'_, f32>) -> Result<(), Error> {
    // No range contains NaN.
    match x.indexed_iter().find(|(_, v)| !(-LARGEST..=LARGEST).contains(*v)) {
        Some(((row, column), &value)) => Err(Error::Coordinate { matrix, row, column, value }),
        None => Ok(()),
    }
}

fn search(train: ArrayView2<'_, f32>, query: ArrayView2<'_, f32>, k: usize, skip_self: bool) -> Knn {
    let (n_query, n_dims) = query.dim();
    let (train, query) = (train.as_standard_layout(), query.as_standard_layout());
    let train = train.as_slice().expect("standard layout is contiguous");
    let query = query.as_slice().expect("standard layout is contiguous");
    let tiles = Tiles::new(train, query, n_dims);
    let arch = pulp::Arch::new();
    let mut indices = vec![0u32; n_query * k];
    let mut distances = vec![0f32; n_query * k];
    indices
        .par_chunks_mut(BLOCK * k)
        .zip(distances.par_chunks_mut(BLOCK * k))
        .zip(query.par_chunks(BLOCK * n_dims))
        .enumerate()
        .for_each(|(block, ((indices, distances), query))| {
            let first_query = skip_self.then_some(block * BLOCK);
            arch.dispatch(ExactSearch { tiles: &tiles, train, query, first_query, k, indices, distances });
        });
    let shape = (n_query, k);
    Knn {
        indices: Array2::from_shape_vec(shape, indices).expect("k indices were made for each query"),
        distances: Array2::from_shape_vec(shape, distances).expect("k distances were made for each query"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    /// Every pair, in f64, by the definition.
    fn naive(train: ArrayView2<'_, f32>, query: ArrayView2<'_, f32>, k: usize) -> Vec<Vec<u32>> {
        let distance = |a: ndarray::ArrayView1<'_, f32>, b: ndarray::ArrayView1<'_, f32>| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let nearest = |q| {
            let mut all: Vec<(f64, u32)> =
                train.rows().into_iter().zip(0..).map(|(t, i)| (distance(t, q), i)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all[..k].iter().map(|e| e.1).collect()
        };
        query.rows().into_iter().map(nearest).collect()
    }

    fn found(train: &Array2<f32>, query: &Array2<f32>, k: usize) -> Vec<Vec<u32>> {
        let found = knn(train.view(), query.view(), k).unwrap();
        found.indices.rows().into_iter().map(|r| r.to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whole coordinates make ties, and f64 sums without rounding, so the order is fully determined.
        #[test]
        fn whole_coordinates_give_the_order_of_the_definition(
            n in 1usize..200, dims in 1usize..12, shift in prop::sample::select(vec![0i32, 1000, 100_000]),
            values in prop::collection::vec(-4i32..5, 200 * 12), k in 1usize..20,
        ) {
            let x = Array2::from_shape_fn((n, dims), |(i, j)| (values[i * dims + j] + shift) as f32);
            let k = k.min(n);
            prop_assert_eq!(found(&x, &x, k), naive(x.view(), x.view(), k));
        }

        #[test]
        fn magnitudes_from_denormal_to_huge_do_not_lose_a_neighbour(
            n in 2usize..150, exponents in prop::collection::vec(-44i32..18, 150 * 3), k in 1usize..6,
        ) {
            let x = Array2::from_shape_fn((n, 3), |(i, j)| 10f32.powi(exponents[i * 3 + j]) * (i % 7) as f32);
            let k = k.min(n);
            prop_assert_eq!(found(&x, &x, k), naive(x.view(), x.view(), k));
        }
    }

    #[test]
    fn a_cluster_far_from_the_origin_is_resolved() {
        // In f32, the expanded square would lose all digits here.
        let x = Array2::from_shape_fn((500, 4), |(i, j)| {
            let far = if i < 250 { 3.0e6 } else { -3.0e6 };
            far + ((i * 37 + j * 11) % 101) as f32 * 0.25
        });
        assert_eq!(found(&x, &x, 10), naive(x.view(), x.view(), 10));
    }

    #[test]
    fn duplicates_are_ordered_by_index() {
        let x = Array2::from_elem((130, 2), 7.5f32);
        assert_eq!(found(&x, &array![[7.5, 7.5]], 4), [[0, 1, 2, 3]]);
        let others = neighbors_of_each(x.view(), 4).unwrap();
        assert_eq!(others.indices.row(1).to_vec(), [0, 2, 3]);
        assert!(others.distances.iter().all(|&d| d == 0.0));
    }

    #[test]
    fn columns_may_be_strided() {
        let x = Array2::from_shape_fn((5, 40), |(j, i)| ((i * 13 + j * 7) % 29) as f32);
        let owned = x.t().as_standard_layout().into_owned();
        assert_eq!(knn(x.t(), x.t(), 3), knn(owned.view(), owned.view(), 3));
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x = Array2::from_shape_fn((300, 7), |(i, j)| libm::sinf((i * 7 + j) as f32));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| neighbors_of_each(x.view(), 15).unwrap())
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn nan_is_refused_with_its_place() {
        let x = array![[0.0, 1.0], [2.0, f32::NAN], [f32::INFINITY, 0.0]];
        let error = knn(x.view(), x.view(), 1).unwrap_err();
        assert!(matches!(error, Error::Coordinate { matrix: "train", row: 1, column: 1, .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "row 1, column 1 of train is NaN, expected a finite number within ±1e18"
        );
        assert!(error.help().is_some());
        let good = array![[0.0, 1.0]];
        let error = knn(good.view(), x.view(), 1).unwrap_err();
        assert!(matches!(error, Error::Coordinate { matrix: "query", row: 1, .. }));
    }

    #[test]
    fn what_cannot_be_searched_is_refused() {
        let x = array![[0.0f32, 1.0], [2.0, 3.0]];
        let none = Array2::<f32>::zeros((0, 2));
        assert_eq!(knn(none.view(), x.view(), 1), Err(Error::Empty { what: "cells" }));
        let flat = Array2::<f32>::zeros((2, 0));
        assert_eq!(knn(flat.view(), flat.view(), 1), Err(Error::Empty { what: "dimensions" }));
        let many = Error::TooManyNeighbors { name: "k", requested: 3, available: 2 };
        assert_eq!(knn(x.view(), x.view(), 3), Err(many));
        assert!(matches!(knn(x.view(), x.view(), 0), Err(Error::Parameter { name: "k", .. })));
        let wide = Array2::<f32>::zeros((1, 3));
        let error = Error::Length { what: "a row of query", found: 3, expected: 2 };
        assert_eq!(knn(x.view(), wide.view(), 1), Err(error));
        assert_eq!(knn(x.view(), none.view(), 1).unwrap().indices.dim(), (0, 1));
    }
}
