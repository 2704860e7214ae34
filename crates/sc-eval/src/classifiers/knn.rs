//! k nearest neighbours by Euclidean distance.

use super::Classifier;
use super::training::{Classes, Training, by_row};
use crate::{Error, Features, Prediction, Result};

/// How to fit a [`Knn`].
#[derive(Clone, Debug, PartialEq)]
pub struct KnnParams {
    /// Neighbours that vote, each with the same weight. Default 15.
    pub n_neighbors: usize,
}

impl Default for KnnParams {
    fn default() -> Self {
        Self { n_neighbors: 15 }
    }
}

/// A fitted nearest-neighbour classifier: class frequencies among the nearest training cells.
///
/// As scikit-learn's `KNeighborsClassifier` (uniform weights, exact search): the lower class index wins a tie, and of
/// equally distant cells the earlier one is nearer. Meant for a few dozen dimensions, such as principal components.
pub struct Knn {
    classes: Classes,
    codes: Vec<u32>,
    n_neighbors: usize,
    /// Training rows, padded to a multiple of [`LANES`] values.
    rows: Vec<f32>,
    width: usize,
}

/// Partial sums of a distance, whatever the SIMD width of the machine.
const LANES: usize = 16;

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
        let width = x.n_cols().next_multiple_of(LANES).max(LANES);
        let mut rows = vec![0f32; codes.len() * width];
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            x.write_row(i, &mut row[..x.n_cols()]);
        }
        Ok(Knn { classes, codes, n_neighbors: self.n_neighbors, rows, width })
    }
}

impl Classifier for Knn {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let k = self.classes.n_present();
        let buffers = || (vec![0f32; self.width], Vec::with_capacity(self.codes.len()));
        let probabilities = by_row(x, k, buffers, |(query, nearest), row, out| {
            query[..row.len()].copy_from_slice(row);
            nearest.clear();
            pulp::Arch::new().dispatch(Distances { rows: &self.rows, query, out: nearest });
            let last = self.n_neighbors - 1;
            nearest.select_nth_unstable_by(last, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for &(_, i) in &nearest[..self.n_neighbors] {
                out[self.codes[i as usize] as usize] += 1.0;
            }
            out.iter_mut().for_each(|votes| *votes /= self.n_neighbors as f64);
        });
        Ok(self.classes.with_probabilities(&probabilities))
    }
}

/// The squared distance of the query to every row, with the row's index. A struct, because closures are not always
/// inlined into the code for the machine's instructions.
struct Distances<'a> {
    rows: &'a [f32],
    query: &'a [f32],
    out: &'a mut Vec<(f32, u32)>,
}

impl pulp::NullaryFnOnce for Distances<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows, query, out } = self;
        for (row, i) in rows.chunks_exact(query.len()).zip(0u32..) {
            let mut sums = [0f32; LANES];
            for (a, b) in row.chunks_exact(LANES).zip(query.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    let difference = a[lane] - b[lane];
                    sums[lane] += difference * difference;
                }
            }
            out.push((sums.iter().sum(), i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_cells_vote() {
        let x = ndarray::array![[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [5.0, 5.0], [5.1, 5.0]];
        let x = Features::dense(x.view()).unwrap();
        let model = KnnParams { n_neighbors: 3 }.fit(&x, &[0, 0, 0, 1, 1], 2).unwrap();
        let query = Features::dense(ndarray::array![[5.0, 5.1], [0.05, 0.05]].view()).unwrap();
        let answer = model.predict(&query).unwrap();
        assert_eq!(answer.codes, [1, 0]);
        assert!((answer.probabilities.unwrap()[[0, 1]] - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn more_neighbours_than_cells_are_refused() {
        let x = Features::dense(ndarray::array![[0.0], [1.0]].view()).unwrap();
        assert!(KnnParams { n_neighbors: 3 }.fit(&x, &[0, 1], 2).is_err());
        assert!(KnnParams { n_neighbors: 0 }.fit(&x, &[0, 1], 2).is_err());
    }
}
