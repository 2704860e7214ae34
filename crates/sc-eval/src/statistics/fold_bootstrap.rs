//! The bootstrap of a score averaged over folds, from counts alone.

use super::bootstrap::below;
use super::{BootstrapParams, Interval};
use crate::metrics::classification::ConfusionMatrix;
use crate::{Error, Result};

/// Percentile intervals of the *mean over folds* of some metrics.
///
/// * `folds`: the confusion matrix of each test fold.
/// * `metrics`: scores of a confusion matrix, e.g. [`ConfusionMatrix::accuracy`].
/// * returns: one interval per metric.
///
/// A replicate draws as many cells as each fold has, with replacement, from within the fold, and averages the metric
/// over the folds. The point estimate is thus the figure that cross-validation reports. What the interval covers is the
/// draw of test cells; not that other training cells would give another model. All metrics see the same replicates,
/// and the order of cells does not matter. A class that no drawn cell has or is given is as absent as in scikit-learn.
///
/// # Errors
/// [`Error::Empty`] without folds; [`Error::Parameter`] for parameters out of range or a fold beyond 2³² - 1 cells.
///
/// ```
/// use sc_eval::metrics::classification::{ConfusionMatrix, confusion_matrix};
/// use sc_eval::statistics::{BootstrapParams, bootstrap_folds};
///
/// let folds = [confusion_matrix(&[0, 0, 1, 1], &[0, 0, 1, 0], 2)?, confusion_matrix(&[0, 1, 1], &[0, 1, 1], 2)?];
/// let metrics = [ConfusionMatrix::accuracy, ConfusionMatrix::f1_macro];
/// let [accuracy, f1_macro] = bootstrap_folds(&folds, &BootstrapParams::default(), metrics)?;
/// assert!(accuracy.low < 0.875 && accuracy.high == 1.0);
/// assert!(f1_macro.low < f1_macro.high);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn bootstrap_folds<const M: usize>(
    folds: &[ConfusionMatrix],
    params: &BootstrapParams,
    metrics: [fn(&ConfusionMatrix) -> f64; M],
) -> Result<[Interval; M]> {
    params.validate()?;
    if folds.is_empty() {
        return Err(Error::Empty { what: "folds" });
    }
    let mut folds = folds.iter().map(Fold::new).collect::<Result<Vec<_>>>()?;
    let mut replicates: [Vec<f64>; M] = std::array::from_fn(|_| Vec::with_capacity(params.n_replicates));
    for index in 0..params.n_replicates {
        let mut rng = params.rng(index);
        let mut sums = [0.0; M];
        for fold in &mut folds {
            let drawn = fold.draw(|bound| below(&mut rng, bound));
            for (sum, metric) in sums.iter_mut().zip(metrics) {
                *sum += metric(drawn);
            }
        }
        for (values, sum) in replicates.iter_mut().zip(sums) {
            values.push(sum / folds.len() as f64);
        }
    }
    Ok(replicates.map(|values| params.interval(values)))
}

/// One fold, ready to be drawn from.
struct Fold {
    /// The place in the confusion matrix of every cell.
    places: Vec<u32>,
    n_cells: u32,
    /// Rewritten by every draw.
    drawn: ConfusionMatrix,
}

impl Fold {
    fn new(fold: &ConfusionMatrix) -> Result<Self> {
        // Absent classes stay absent whatever is drawn; without them a table of thousands of classes is small.
        let drawn = fold.without_absent_classes();
        let n_cells = u32::try_from(fold.total()).map_err(|_| Error::Parameter {
            name: "folds",
            value: fold.total().to_string(),
            expected: "at most 4294967295 cells in a fold",
        })?;
        let counts = drawn.counts().iter().zip(0u32..);
        let places = counts.flat_map(|(&n, place)| std::iter::repeat_n(place, n as usize)).collect();
        Ok(Self { places, n_cells, drawn })
    }

    fn draw(&mut self, mut below: impl FnMut(u32) -> u32) -> &ConfusionMatrix {
        let counts = self.drawn.counts_mut();
        counts.fill(0);
        for _ in 0..self.n_cells {
            counts[self.places[below(self.n_cells) as usize] as usize] += 1;
        }
        &self.drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classification::confusion_matrix;

    fn folds() -> [ConfusionMatrix; 2] {
        let first = ConfusionMatrix::from_counts(3, vec![90, 5, 5, 0, 40, 10, 1, 0, 9]).unwrap();
        let second = ConfusionMatrix::from_counts(3, vec![95, 5, 0, 5, 45, 0, 0, 0, 10]).unwrap();
        [first, second]
    }

    #[test]
    fn the_mean_over_folds_lies_within_its_interval() {
        let folds = folds();
        let metrics =
            [ConfusionMatrix::accuracy, ConfusionMatrix::f1_macro, ConfusionMatrix::balanced_accuracy];
        let intervals = bootstrap_folds(&folds, &BootstrapParams::default(), metrics).unwrap();
        for (interval, metric) in intervals.iter().zip(metrics) {
            let mean = (metric(&folds[0]) + metric(&folds[1])) / 2.0;
            assert!(interval.low < mean && mean < interval.high, "{mean} in {interval:?}");
        }
    }

    #[test]
    fn the_interval_of_accuracy_is_close_to_the_binomial_one() {
        let folds = folds();
        let [accuracy] =
            bootstrap_folds(&folds, &BootstrapParams::default(), [ConfusionMatrix::accuracy]).unwrap();
        let variance = |m: &ConfusionMatrix| m.accuracy() * (1.0 - m.accuracy()) / m.total() as f64;
        let error = (variance(&folds[0]) + variance(&folds[1])).sqrt() / 2.0;
        assert!(((accuracy.high - accuracy.low) / (2.0 * 1.96 * error) - 1.0).abs() < 0.1, "{accuracy:?}");
    }

    #[test]
    fn classes_without_cells_change_nothing() {
        let small = confusion_matrix(&[0, 0, 1, 1, 1], &[0, 1, 1, 1, 0], 2).unwrap();
        let large = confusion_matrix(&[7, 7, 9, 9, 9], &[7, 9, 9, 9, 7], 4000).unwrap();
        let run = |fold| {
            bootstrap_folds(&[fold], &BootstrapParams::default(), [ConfusionMatrix::f1_macro]).unwrap()
        };
        assert_eq!(run(small), run(large));
    }

    #[test]
    fn no_fold_is_an_error() {
        assert!(bootstrap_folds(&[], &BootstrapParams::default(), [ConfusionMatrix::accuracy]).is_err());
    }
}
