//! k nearest neighbours, by exact search.

mod dense;
mod sparse;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::training::{Classes, Training};
use super::{Classifier, Metric};
use crate::{Error, Features, Prediction, Result};
use dense::Dense;
use sparse::Sparse;

/// How to fit a [`Knn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnnParams {
    /// Neighbours that vote. Default 15.
    pub n_neighbors: usize,
    /// How much each vote counts. Default uniform.
    pub weights: NeighborWeights,
    /// What near means. Default Euclidean.
    pub metric: Metric,
}

/// How much the vote of a neighbour counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighborWeights {
    /// As much as that of any other.
    #[default]
    Uniform,
    /// One over its distance; neighbours at distance 0 outvote all others.
    Distance,
}

impl Default for KnnParams {
    fn default() -> Self {
        Self { n_neighbors: 15, weights: NeighborWeights::Uniform, metric: Metric::Euclidean }
    }
}

/// A fitted nearest-neighbour classifier: class shares of the votes of the nearest training cells.
///
/// As scikit-learn's `KNeighborsClassifier` (exact search): the lower class index wins a tie, and of equally distant cells
/// the earlier one is nearer. Among cells that are written out, neighbours are found by sums in f32 and weighted by sums in
/// f64; among cells that are mostly background everything is f64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    pub(crate) classes: Classes,
    codes: Vec<u32>,
    n_neighbors: usize,
    weights: NeighborWeights,
    metric: Metric,
    cells: Cells,
}

/// The training cells, by how many of their values are written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cells {
    Dense(Dense),
    Sparse(Sparse),
}

/// Share of values that differ from the background from which on cells are written out in full.
const DENSE_SHARE: f64 = 0.25;
/// Rows that one task looks up.
const QUERIES: usize = 16;

/// What to do with a row of a chunk: its distance to every training cell, comparable among each other, and a function that
/// gives the distance to one of them.
type Visit<'a> = dyn FnMut(usize, &mut Vec<(f64, u32)>, &dyn Fn(u32) -> f64) + 'a;

impl KnnParams {
    /// Keeps the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, or more neighbours than cells.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Knn> {
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        if self.n_neighbors == 0 || self.n_neighbors > codes.len() {
            let value = self.n_neighbors.to_string();
            let expected = "at least 1 and at most the number of training cells";
            return Err(Error::Parameter { name: "n_neighbors", value, expected });
        }
        let design = Design::new(x);
        let all = (x.n_rows() * x.n_cols()) as f64;
        let cells = if design.rows.index.len() as f64 >= DENSE_SHARE * all {
            Cells::Dense(Dense::new(x, self.metric))
        } else {
            Cells::Sparse(Sparse::new(design))
        };
        let Self { n_neighbors, weights, metric } = *self;
        Ok(Knn { classes, codes, n_neighbors, weights, metric, cells })
    }
}

impl Knn {
    /// Votes of the nearest of the cells `pairs`, scaled to sum 1, into `shares`.
    fn vote(&self, pairs: &mut Vec<(f64, u32)>, distance: &dyn Fn(u32) -> f64, shares: &mut [f64]) {
        let last = self.n_neighbors - 1;
        pairs.select_nth_unstable_by(last, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        pairs.truncate(self.n_neighbors);
        // Sums of weights run over the cells in their order.
        pairs.sort_unstable_by_key(|&(_, i)| i);
        match self.weights {
            NeighborWeights::Uniform => pairs.iter_mut().for_each(|(weight, _)| *weight = 1.0),
            NeighborWeights::Distance => {
                pairs.iter_mut().for_each(|(weight, i)| *weight = 1.0 / distance(*i));
                if pairs.iter().any(|(weight, _)| weight.is_infinite()) {
                    pairs.iter_mut().for_each(|(w, _)| *w = if w.is_infinite() { 1.0 } else { 0.0 });
                }
            }
        }
        let sum: f64 = pairs.iter().map(|(weight, _)| weight).sum();
        for &(weight, i) in &*pairs {
            shares[self.codes[i as usize] as usize] += weight;
        }
        shares.iter_mut().for_each(|share| *share /= sum);
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let (n, k) = (self.codes.len(), self.classes.n_present());
        if self.n_neighbors == 0 || self.n_neighbors > n {
            return Err(format!("{} neighbours are asked for among {n} cells", self.n_neighbors));
        }
        if let Some(code) = self.codes.iter().find(|&&code| code as usize >= k) {
            return Err(format!("a training cell is of class {code} of {k}"));
        }
        match &self.cells {
            Cells::Dense(cells) => cells.check(n, self.classes.n_features(), self.metric),
            Cells::Sparse(cells) => cells.check(n, self.classes.n_features()),
        }
    }

    /// The vote shares of every row of `x`, rows × classes; `search` as [`Dense::search`].
    fn shares(&self, n_rows: usize, search: impl Fn(usize, usize, &mut Visit<'_>) + Sync) -> Vec<f64> {
        let k = self.classes.n_present();
        let mut shares = vec![0.0f64; n_rows * k];
        shares.par_chunks_mut(QUERIES * k).enumerate().for_each(|(chunk, shares)| {
            let n_queries = shares.len() / k;
            search(chunk * QUERIES, n_queries, &mut |offset, pairs, distance| {
                self.vote(pairs, distance, &mut shares[offset * k..(offset + 1) * k]);
            });
        });
        shares
    }
}

impl Classifier for Knn {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let shares = match &self.cells {
            Cells::Dense(cells) => self.shares(x.n_rows(), |first, n_queries, visit| {
                cells.search(x, self.metric, first, n_queries, visit);
            }),
            Cells::Sparse(cells) => {
                let prepared = cells.prepare(x);
                self.shares(x.n_rows(), |first, n_queries, visit| {
                    prepared.search(self.metric, first, n_queries, visit);
                })
            }
        };
        Ok(self.classes.with_probabilities(&shares))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense<const N: usize>(x: &[[f32; N]]) -> Features {
        Features::dense(ndarray::arr2(x).view()).unwrap()
    }

    #[test]
    fn the_nearest_cells_vote() {
        let x = dense(&[[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [5.0, 5.0], [5.1, 5.0]]);
        let params = KnnParams { n_neighbors: 3, ..Default::default() };
        let model = params.fit(&x, &[0, 0, 0, 1, 1], 2).unwrap();
        let answer = model.predict(&dense(&[[5.0, 5.1], [0.05, 0.05]])).unwrap();
        assert_eq!(answer.codes, [1, 0]);
        assert!((answer.probabilities.unwrap()[[0, 1]] - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn near_votes_count_more_and_those_at_no_distance_alone() {
        let x = dense(&[[0.0], [3.0], [5.0]]);
        let params = KnnParams { n_neighbors: 3, weights: NeighborWeights::Distance, ..Default::default() };
        let model = params.fit(&x, &[0, 1, 1], 2).unwrap();
        let answer = model.predict(&dense(&[[1.0], [3.0]])).unwrap().probabilities.unwrap();
        // 1 against 1/2 + 1/4.
        assert!((answer[[0, 0]] - 4.0 / 7.0).abs() < 1e-6, "{answer}");
        assert_eq!(answer.row(1).to_vec(), [0.0, 1.0]);
    }

    #[test]
    fn the_cosine_sees_directions_and_the_origin_is_at_a_right_angle_to_everybody() {
        let x = dense(&[[0.0, 0.0], [100.0, 0.0], [0.0, 0.01], [-1.0, 0.0]]);
        let params = KnnParams { n_neighbors: 1, metric: Metric::Cosine, ..Default::default() };
        let model = params.fit(&x, &[0, 1, 2, 3], 4).unwrap();
        let query = dense(&[[1.0, 0.5], [0.1, 3.0], [-1.0, -0.1], [0.0, 0.0], [0.0, -1.0]]);
        // The last two: of cells at the same distance the first.
        assert_eq!(model.predict(&query).unwrap().codes, [1, 2, 3, 0, 0]);
    }

    /// A few values over a background that is not zero, the same cells dense, and cells at the origin.
    fn both(n: usize, salt: usize) -> [Features; 2] {
        let full = ndarray::Array2::from_shape_fn((n, 30), |(i, j)| {
            let draw = (i * 7919 + j * 104_729 + salt) % 61;
            if i % 10 == 0 {
                0.0
            } else if draw < 8 {
                draw as f32 - 1.0
            } else {
                -0.25
            }
        });
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in full.rows() {
            for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != -0.25) {
                indices.push(j as u32);
                values.push(v);
            }
            indptr.push(indices.len());
        }
        let sparse = Features::sparse(indptr, indices, values, vec![-0.25; 30]).unwrap();
        [Features::dense(full.view()).unwrap(), sparse]
    }

    #[test]
    fn cells_that_are_mostly_background_have_the_same_neighbours_as_written_out() {
        let ([dense, sparse], [query, sparse_query]) = (both(60, 0), both(25, 3));
        let y: Vec<u32> = (0..60).map(|i| i % 3).collect();
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let params = KnnParams { n_neighbors: 60, weights: NeighborWeights::Distance, metric };
            let a = params.fit(&dense, &y, 3).unwrap();
            let b = params.fit(&sparse, &y, 3).unwrap();
            assert!(matches!((&a.cells, &b.cells), (Cells::Dense(_), Cells::Sparse(_))));
            b.check().unwrap();
            let a = a.predict(&query).unwrap().probabilities.unwrap();
            for query in [&query, &sparse_query] {
                let b = b.predict(query).unwrap().probabilities.unwrap();
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{metric:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_training_cell_is_its_own_neighbour_at_no_distance() {
        let y: Vec<u32> = (0..60).map(|i| i % 3).collect();
        for x in both(60, 0) {
            let params =
                KnnParams { n_neighbors: 5, weights: NeighborWeights::Distance, ..Default::default() };
            let answer = params.fit(&x, &y, 3).unwrap().predict(&x).unwrap().probabilities.unwrap();
            let alone = (0..60).filter(|i| i % 10 != 0).filter(|&i| answer[[i, i % 3]] == 1.0).count();
            assert_eq!(alone, 54);
        }
    }

    #[test]
    fn more_neighbours_than_cells_are_refused() {
        let x = dense(&[[0.0], [1.0]]);
        assert!(KnnParams { n_neighbors: 3, ..Default::default() }.fit(&x, &[0, 1], 2).is_err());
        assert!(KnnParams { n_neighbors: 0, ..Default::default() }.fit(&x, &[0, 1], 2).is_err());
    }
}
