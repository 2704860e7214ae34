//! Counts of (truth, prediction) pairs: all that most classification metrics need.

use ndarray::Array2;

use crate::{Error, Result};

/// The most classes a confusion matrix takes; its table is this number squared, times eight bytes.
pub const MAX_CLASSES: usize = 16_384;

/// Counts over which `f64` still holds every integer; beyond it a metric would no longer be exact.
const MAX_TOTAL: u64 = 1 << 53;

/// How many cells of each true class (row) were given each class (column).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    n_classes: usize,
    counts: Vec<u64>,
}

/// What the entries of a normalised confusion matrix are a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// The cells of the true class: rows sum to 1, the diagonal is the recall. scikit-learn's `"true"`.
    Truth,
    /// The cells given the class: columns sum to 1, the diagonal is the precision. scikit-learn's `"pred"`.
    Predicted,
    /// All cells. scikit-learn's `"all"`.
    All,
}

/// Counts the pairs of true and predicted class.
///
/// * `truth`, `predicted`: class index of each cell, below `n_classes`.
///
/// Equals scikit-learn's `confusion_matrix(labels=range(n_classes))`: a class that is neither true nor predicted has a
/// row and a column of zeros.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::ClassCode`]; [`Error::Parameter`] above [`MAX_CLASSES`].
///
/// ```
/// let counts = sc_eval::metrics::classification::confusion_matrix(&[0, 0, 1], &[0, 1, 1], 2)?;
/// assert_eq!(counts.row(0), [1, 1]);
/// assert_eq!(counts.row(1), [0, 1]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn confusion_matrix(truth: &[u32], predicted: &[u32], n_classes: usize) -> Result<ConfusionMatrix> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "truth" });
    }
    if predicted.len() != truth.len() {
        return Err(Error::Length { what: "predicted", found: predicted.len(), expected: truth.len() });
    }
    let mut matrix = ConfusionMatrix::zeros(n_classes)?;
    for (&t, &p) in truth.iter().zip(predicted) {
        if t as usize >= n_classes {
            return Err(Error::ClassCode { what: "truth", code: t, n_classes });
        }
        if p as usize >= n_classes {
            return Err(Error::ClassCode { what: "predicted", code: p, n_classes });
        }
        matrix.counts[t as usize * n_classes + p as usize] += 1;
    }
    Ok(matrix)
}

impl ConfusionMatrix {
    /// A matrix from its counts in row-major order, `n_classes × n_classes`, row = truth.
    ///
    /// # Errors
    /// [`Error::Length`] if the counts are no square of `n_classes`, [`Error::Empty`] if all are zero,
    /// [`Error::Parameter`] above [`MAX_CLASSES`] or beyond 2⁵³ cells.
    pub fn from_counts(n_classes: usize, counts: Vec<u64>) -> Result<Self> {
        let expected = Self::zeros(n_classes)?.counts.len();
        if counts.len() != expected {
            return Err(Error::Length { what: "counts", found: counts.len(), expected });
        }
        let matrix = Self { n_classes, counts };
        match matrix.checked_total() {
            Some(0) => Err(Error::Empty { what: "counts" }),
            Some(_) => Ok(matrix),
            None => Err(too_many_cells()),
        }
    }

    pub(crate) fn zeros(n_classes: usize) -> Result<Self> {
        if n_classes > MAX_CLASSES {
            let expected = "at most 16384 classes";
            return Err(Error::Parameter { name: "n_classes", value: n_classes.to_string(), expected });
        }
        Ok(Self { n_classes, counts: vec![0; n_classes * n_classes] })
    }

    /// Row-major counts, to be rewritten in place by a resampling.
    pub(crate) fn counts_mut(&mut self) -> &mut [u64] {
        &mut self.counts
    }

    /// Number of classes, those without cells included.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Counts in row-major order, `n_classes × n_classes`.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Cells of class `truth` that were given class `predicted`.
    ///
    /// # Panics
    /// If a class is out of bounds.
    pub fn get(&self, truth: usize, predicted: usize) -> u64 {
        self.row(truth)[predicted]
    }

    /// The cells of class `truth` by predicted class.
    ///
    /// # Panics
    /// If the class is out of bounds.
    pub fn row(&self, truth: usize) -> &[u64] {
        assert!(truth < self.n_classes, "class {truth} of {}", self.n_classes);
        &self.counts[truth * self.n_classes..(truth + 1) * self.n_classes]
    }

    /// Number of cells.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of cells that were given their true class.
    pub fn correct(&self) -> u64 {
        (0..self.n_classes).map(|class| self.counts[class * (self.n_classes + 1)]).sum()
    }

    /// Cells of each true class.
    pub fn support(&self) -> Vec<u64> {
        (0..self.n_classes).map(|class| self.row(class).iter().sum()).collect()
    }

    /// Cells given each class.
    pub fn predicted(&self) -> Vec<u64> {
        let mut sums = vec![0; self.n_classes];
        for truth in 0..self.n_classes {
            for (sum, &n) in sums.iter_mut().zip(self.row(truth)) {
                *sum += n;
            }
        }
        sums
    }

    /// The counts as shares, `n_classes × n_classes`; 0 where there is nothing to be a share of, as in scikit-learn.
    pub fn normalized(&self, normalize: Normalize) -> Array2<f64> {
        let (support, predicted, total) = (self.support(), self.predicted(), self.total());
        Array2::from_shape_fn((self.n_classes, self.n_classes), |(t, p)| {
            let whole = match normalize {
                Normalize::Truth => support[t],
                Normalize::Predicted => predicted[p],
                Normalize::All => total,
            };
            if whole == 0 { 0.0 } else { self.get(t, p) as f64 / whole as f64 }
        })
    }

    /// Adds the counts of another set of cells with the same classes.
    ///
    /// # Errors
    /// [`Error::Length`] if the number of classes differs, [`Error::Parameter`] beyond 2⁵³ cells; the counts are then
    /// as they were.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.n_classes != self.n_classes {
            let (found, expected) = (other.n_classes, self.n_classes);
            return Err(Error::Length { what: "the merged confusion matrix", found, expected });
        }
        if self.total() + other.total() > MAX_TOTAL {
            return Err(too_many_cells());
        }
        for (sum, &n) in self.counts.iter_mut().zip(&other.counts) {
            *sum += n;
        }
        Ok(())
    }

    /// Number of cells unless it is beyond the bound.
    fn checked_total(&self) -> Option<u64> {
        let total = self.counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n))?;
        (total <= MAX_TOTAL).then_some(total)
    }

    /// The classes that are true or predicted somewhere, ascending.
    pub(crate) fn present_classes(&self) -> Vec<usize> {
        let (support, predicted) = (self.support(), self.predicted());
        (0..self.n_classes).filter(|&class| support[class] + predicted[class] > 0).collect()
    }

    /// The counts among `classes` only.
    pub(crate) fn select_classes(&self, classes: &[usize]) -> Self {
        let counts = classes.iter().flat_map(|&t| classes.iter().map(move |&p| (t, p)));
        Self { n_classes: classes.len(), counts: counts.map(|(t, p)| self.get(t, p)).collect() }
    }

    /// The same counts without the classes that are neither true nor predicted.
    pub(crate) fn without_absent_classes(&self) -> Self {
        self.select_classes(&self.present_classes())
    }
}

fn too_many_cells() -> Error {
    let expected = "counts that sum to at most 2^53";
    Error::Parameter { name: "counts", value: "more".into(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_truth_and_columns_are_predictions() {
        let m = confusion_matrix(&[0, 0, 1, 1, 2], &[0, 0, 1, 0, 3], 4).unwrap();
        assert_eq!(m.counts(), [2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!((m.support(), m.predicted()), (vec![2, 2, 1, 0], vec![3, 1, 0, 1]));
        assert_eq!((m.total(), m.correct(), m.get(2, 3)), (5, 3, 1));
    }

    #[test]
    fn shares_of_an_empty_row_or_column_are_zero() {
        let m = confusion_matrix(&[0, 0], &[0, 1], 2).unwrap();
        assert_eq!(m.normalized(Normalize::Truth), ndarray::array![[0.5, 0.5], [0.0, 0.0]]);
        assert_eq!(m.normalized(Normalize::Predicted), ndarray::array![[1.0, 1.0], [0.0, 0.0]]);
        assert_eq!(m.normalized(Normalize::All), ndarray::array![[0.5, 0.5], [0.0, 0.0]]);
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let message = |r: Result<ConfusionMatrix>| r.unwrap_err().to_string();
        assert_eq!(message(confusion_matrix(&[], &[], 2)), "truth is empty");
        assert_eq!(message(confusion_matrix(&[0], &[], 2)), "predicted has 0 entries, expected 1");
        let code = "predicted holds class 2, but there are 2 classes";
        assert_eq!(message(confusion_matrix(&[0], &[2], 2)), code);
        assert!(confusion_matrix(&[2], &[0], 2).is_err());
        assert!(confusion_matrix(&[0], &[0], usize::MAX).is_err());
        assert!(ConfusionMatrix::from_counts(2, vec![1; 3]).is_err());
        assert!(ConfusionMatrix::from_counts(2, vec![0; 4]).is_err());
        assert!(ConfusionMatrix::from_counts(2, vec![u64::MAX; 4]).is_err());
        assert!(ConfusionMatrix::from_counts(1, vec![3]).is_ok());
    }

    #[test]
    fn absent_classes_leave_without_a_trace() {
        let m = confusion_matrix(&[1, 4], &[1, 2], 6).unwrap();
        let small = m.without_absent_classes();
        assert_eq!((small.n_classes(), small.counts()), (3, &[1, 0, 0, 0, 0, 0, 0, 1, 0][..]));
    }

    #[test]
    fn merging_needs_the_same_classes() {
        let mut m = confusion_matrix(&[0], &[1], 2).unwrap();
        m.merge(&m.clone()).unwrap();
        assert_eq!(m.get(0, 1), 2);
        assert!(m.merge(&confusion_matrix(&[0], &[1], 3).unwrap()).is_err());
        let full = ConfusionMatrix::from_counts(2, vec![MAX_TOTAL, 0, 0, 0]).unwrap();
        assert!(m.merge(&full).is_err());
    }
}
