//! k nearest neighbours, by exact search.

mod distances;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::planes::all_finite;
use super::training::{Classes, Training};
use super::{Classifier, Metric};
use crate::{Error, Features, Prediction, Result};
use distances::{Distances, QUERIES, padded_width};

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
/// the earlier one is nearer. Neighbours are found by sums in f32, and weighted by sums in f64. Meant for a few dozen
/// dimensions, such as principal components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knn {
    pub(crate) classes: Classes,
    codes: Vec<u32>,
    n_neighbors: usize,
    weights: NeighborWeights,
    metric: Metric,
    /// Training rows as [`write_padded`] leaves them.
    rows: Vec<f32>,
    /// Values of a padded row.
    width: usize,
}

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
        let width = width(x.n_cols(), self.metric);
        let mut rows = vec![0f32; codes.len() * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            write_padded(x, i, self.metric, Side::Training, row);
        }
        let Self { n_neighbors, weights, metric } = *self;
        Ok(Knn { classes, codes, n_neighbors, weights, metric, rows, width })
    }
}

fn width(n_features: usize, metric: Metric) -> usize {
    match metric {
        Metric::Euclidean => padded_width(n_features),
        // Two more, for cells at the origin.
        Metric::Cosine => padded_width(n_features.saturating_add(2)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Training,
    Query,
}

/// Row `i` of `x`, padded with zeros; for the cosine scaled to length 1, so that half the squared distance is 1 minus the
/// cosine. A cell at the origin becomes a direction of its own, at a right angle to all others.
fn write_padded(x: &Features, i: usize, metric: Metric, side: Side, row: &mut [f32]) {
    let n_cols = x.n_cols();
    row.fill(0.0);
    x.write_row(i, &mut row[..n_cols]);
    if metric == Metric::Cosine {
        let length = row[..n_cols].iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if length > 0.0 {
            row[..n_cols].iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        } else {
            row[n_cols + usize::from(side == Side::Query)] = 1.0;
        }
    }
}

impl Knn {
    /// Weights of the votes of the cells `nearest`.
    fn weigh(&self, query: &[f32], nearest: &[(f32, u32)], weights: &mut Vec<f64>) {
        weights.clear();
        if self.weights == NeighborWeights::Uniform {
            weights.resize(nearest.len(), 1.0);
            return;
        }
        weights.extend(nearest.iter().map(|&(_, i)| {
            let row = &self.rows[i as usize * self.width..(i as usize + 1) * self.width];
            let square: f64 =
                row.iter().zip(query).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
            match self.metric {
                Metric::Euclidean => 1.0 / square.sqrt(),
                Metric::Cosine => 2.0 / square,
            }
        }));
        if weights.contains(&f64::INFINITY) {
            weights.iter_mut().for_each(|w| *w = f64::from(u8::from(w.is_infinite())));
        }
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
        let expected = width(self.classes.n_features(), self.metric);
        if self.width != expected || n.checked_mul(expected) != Some(self.rows.len()) {
            let (found, width) = (self.rows.len(), self.width);
            return Err(format!("{found} values in rows of {width} are not {n} cells in rows of {expected}"));
        }
        all_finite("training cells", &self.rows)
    }
}

impl Classifier for Knn {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let (k, n) = (self.classes.n_present(), self.codes.len());
        let mut shares = vec![0.0f64; x.n_rows() * k];
        shares.par_chunks_mut(QUERIES * k).enumerate().for_each(|(chunk, shares)| {
            let n_queries = shares.len() / k;
            let mut queries = vec![0f32; n_queries * self.width];
            for (offset, query) in queries.chunks_exact_mut(self.width).enumerate() {
                write_padded(x, chunk * QUERIES + offset, self.metric, Side::Query, query);
            }
            let mut distances = vec![0f32; n_queries * n];
            let (rows, width) = (self.rows.as_slice(), self.width);
            let task = Distances { rows, queries: &queries, width, out: &mut distances };
            pulp::Arch::new().dispatch(task);
            let (mut nearest, mut weights) = (Vec::with_capacity(n), Vec::new());
            let queries = queries.chunks_exact(self.width).zip(distances.chunks_exact(n));
            for ((query, distances), shares) in queries.zip(shares.chunks_exact_mut(k)) {
                nearest.clear();
                nearest.extend(distances.iter().copied().zip(0u32..));
                let last = self.n_neighbors - 1;
                nearest.select_nth_unstable_by(last, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                nearest.truncate(self.n_neighbors);
                // Sums of weights run over the cells in their order.
                nearest.sort_unstable_by_key(|&(_, i)| i);
                self.weigh(query, &nearest, &mut weights);
                for (&(_, i), weight) in nearest.iter().zip(&weights) {
                    shares[self.codes[i as usize] as usize] += weight;
                }
                let sum: f64 = weights.iter().sum();
                shares.iter_mut().for_each(|share| *share /= sum);
            }
        });
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

    #[test]
    fn more_neighbours_than_cells_are_refused() {
        let x = dense(&[[0.0], [1.0]]);
        assert!(KnnParams { n_neighbors: 3, ..Default::default() }.fit(&x, &[0, 1], 2).is_err());
        assert!(KnnParams { n_neighbors: 0, ..Default::default() }.fit(&x, &[0, 1], 2).is_err());
    }
}
