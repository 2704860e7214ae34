//! What every fit does first: check the labels, and number the classes that are there.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Features, Prediction, Result};

/// Training labels renumbered to the classes that occur, and the way back.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    /// Class of each row, `0..n_present()`.
    pub(crate) codes: Vec<u32>,
    /// Features that the model was fitted on.
    pub(crate) classes: Classes,
}

/// The classes that a model can predict, among all that the caller knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Classes {
    /// The caller's index of each class that occurs in training, ascending.
    present: Vec<u32>,
    n_classes: usize,
    n_features: usize,
    /// Names of the features, if the training features had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature_names: Option<Vec<String>>,
    /// Names of all classes that the caller knows, if they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_names: Option<Vec<String>>,
}

/// Most classes that a model read from a file may have: each costs memory for every cell that is predicted.
const MAX_CLASSES: usize = 1 << 16;

impl Training {
    pub(crate) fn new(x: &Features, y: &[u32], n_classes: usize) -> Result<Self> {
        if x.n_rows() == 0 {
            return Err(Error::Empty { what: "training features" });
        }
        if y.len() != x.n_rows() {
            return Err(Error::Length { what: "training labels", found: y.len(), expected: x.n_rows() });
        }
        if let Some(&code) = y.iter().find(|&&code| code as usize >= n_classes) {
            return Err(Error::ClassCode { what: "training labels", code, n_classes });
        }
        let mut occurs = vec![false; n_classes];
        for &code in y {
            occurs[code as usize] = true;
        }
        let present: Vec<u32> = (0..n_classes as u32).filter(|&code| occurs[code as usize]).collect();
        let mut renumbered = vec![0u32; n_classes];
        for (new, &code) in present.iter().enumerate() {
            renumbered[code as usize] = new as u32;
        }
        let codes = y.iter().map(|&code| renumbered[code as usize]).collect();
        let feature_names = x.names().map(<[String]>::to_vec);
        let classes =
            Classes { present, n_classes, n_features: x.n_cols(), feature_names, class_names: None };
        Ok(Self { codes, classes })
    }

    /// Number of training rows of each class that occurs.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.n_present()];
        for &code in &self.codes {
            counts[code as usize] += 1;
        }
        counts
    }

    /// Share of each class that occurs among the training rows.
    pub(crate) fn frequencies(&self) -> Vec<f64> {
        self.counts().into_iter().map(|n| n as f64 / self.codes.len() as f64).collect()
    }
}

impl Classes {
    /// Classes that are known otherwise than from training labels; see [`Classes::check`].
    pub(crate) fn new(present: Vec<u32>, n_classes: usize, n_features: usize) -> Self {
        Self { present, n_classes, n_features, feature_names: None, class_names: None }
    }

    /// Number of classes that the caller knows.
    pub(crate) fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The caller's index of each class that occurs in training, ascending.
    pub(crate) fn present(&self) -> &[u32] {
        &self.present
    }

    pub(crate) fn n_present(&self) -> usize {
        self.present.len()
    }

    /// Names of the features that the model was fitted on.
    pub(crate) fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref()
    }

    /// Names of all classes that the caller knows.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Names the classes; one name each.
    pub(crate) fn set_class_names(&mut self, names: Vec<String>) -> Result<()> {
        if names.len() != self.n_classes {
            let what = "the list of class names";
            return Err(Error::Length { what, found: names.len(), expected: self.n_classes });
        }
        self.class_names = Some(names);
        Ok(())
    }

    /// Proves what the other methods rely on, for a value that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.n_classes > MAX_CLASSES {
            return Err(format!("{} classes are more than the {MAX_CLASSES} of a file", self.n_classes));
        }
        let ascending = self.present.windows(2).all(|pair| pair[0] < pair[1]);
        let last = self.present.last().map(|&code| code as usize);
        if !ascending || last.is_none_or(|code| code >= self.n_classes) {
            let n = self.present.len();
            return Err(format!(
                "the {n} classes that occur are not an ascending choice of {}",
                self.n_classes
            ));
        }
        let lists = [
            ("class names", &self.class_names, self.n_classes),
            ("feature names", &self.feature_names, self.n_features),
        ];
        for (what, names, expected) in lists {
            if let Some(names) = names.as_ref().filter(|names| names.len() != expected) {
                return Err(format!("there are {} {what}, expected {expected}", names.len()));
            }
        }
        Ok(())
    }

    /// Number of features that the model was fitted on.
    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    pub(crate) fn check_features(&self, x: &Features) -> Result<()> {
        if x.n_cols() != self.n_features {
            let what = "a row of features";
            return Err(Error::Length { what, found: x.n_cols(), expected: self.n_features });
        }
        let (Some(found), Some(expected)) = (x.names(), self.feature_names()) else { return Ok(()) };
        match found.iter().zip(expected).position(|(found, expected)| found != expected) {
            None => Ok(()),
            Some(column) => Err(Error::FeatureName {
                column,
                found: found[column].clone(),
                expected: expected[column].clone(),
            }),
        }
    }

    /// From probabilities of the present classes (row-major, rows × present) to the caller's classes.
    pub(crate) fn with_probabilities(&self, present: &[f64]) -> Prediction {
        let width = self.n_present();
        let mut all = Array2::<f32>::zeros((present.len() / width, self.n_classes));
        for (row, mut out) in present.chunks_exact(width).zip(all.rows_mut()) {
            for (&p, &code) in row.iter().zip(&self.present) {
                out[code as usize] = p as f32;
            }
        }
        // The winner is chosen before rounding to f32, where near-ties could be lost.
        let codes = present.chunks_exact(width).map(|row| self.present[argmax(row)]).collect();
        Prediction { codes, probabilities: Some(all) }
    }

    /// From indices of present classes to the caller's classes.
    pub(crate) fn with_codes(&self, present: impl Iterator<Item = usize>) -> Prediction {
        Prediction { codes: present.map(|code| self.present[code]).collect(), probabilities: None }
    }
}

/// Index of the largest value; the lowest index wins a tie.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = at;
        }
    }
    best
}

/// Rows that one task of a parallel loop takes. Fixed, so that sums over chunks do not depend on the threads.
pub(crate) const ROW_CHUNK: usize = 64;

/// One line of `width` values per row of `x`, from the row written out in full; rows in parallel.
///
/// * `buffers`: makes what `answer` works with; each task has its own.
pub(crate) fn by_row<B>(
    x: &Features,
    width: usize,
    buffers: impl Fn() -> B + Sync,
    answer: impl Fn(&mut B, &[f32], &mut [f64]) + Sync,
) -> Vec<f64> {
    let mut lines = vec![0.0f64; x.n_rows() * width];
    lines.par_chunks_mut(ROW_CHUNK * width).enumerate().for_each(|(chunk, lines)| {
        let mut row = vec![0f32; x.n_cols()];
        let mut buffers = buffers();
        for (offset, line) in lines.chunks_exact_mut(width).enumerate() {
            x.write_row(chunk * ROW_CHUNK + offset, &mut row);
            answer(&mut buffers, &row, line);
        }
    });
    lines
}

/// `exp(z - max z)` over their sum, in place.
pub(crate) fn softmax(z: &mut [f64]) {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in z.iter_mut() {
        *value = libm::exp(*value - largest);
        sum += *value;
    }
    for value in z.iter_mut() {
        *value /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_classes_keep_their_index_and_get_probability_zero() {
        let x = Features::dense(ndarray::array![[0.0], [1.0], [2.0]].view()).unwrap();
        let training = Training::new(&x, &[3, 1, 3], 5).unwrap();
        assert_eq!(training.codes, [1, 0, 1]);
        assert_eq!(training.counts(), [1, 2]);
        let answer = training.classes.with_probabilities(&[0.25, 0.75]);
        assert_eq!(answer.codes, [3]);
        assert_eq!(answer.probabilities.unwrap().row(0).to_vec(), [0.0, 0.25, 0.0, 0.75, 0.0]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        let x = Features::dense(ndarray::array![[0.0], [1.0]].view()).unwrap();
        assert!(matches!(Training::new(&x, &[0], 2), Err(Error::Length { found: 1, expected: 2, .. })));
        assert!(matches!(Training::new(&x, &[0, 7], 2), Err(Error::ClassCode { code: 7, .. })));
        let training = Training::new(&x, &[0, 1], 2).unwrap();
        let wide = Features::dense(ndarray::array![[0.0, 1.0]].view()).unwrap();
        assert!(training.classes.check_features(&wide).is_err());
    }

    #[test]
    fn features_of_another_name_are_refused_and_nameless_ones_are_not() {
        let x = Features::dense(ndarray::array![[0.0, 1.0], [1.0, 2.0]].view()).unwrap();
        let named = |names: [&str; 2]| x.clone().with_names(names.map(String::from).to_vec()).unwrap();
        let classes = Training::new(&named(["CD3D", "NKG7"]), &[0, 1], 2).unwrap().classes;
        classes.check_features(&named(["CD3D", "NKG7"])).unwrap();
        classes.check_features(&x).unwrap();
        let swapped = classes.check_features(&named(["NKG7", "CD3D"])).unwrap_err();
        assert_eq!(
            swapped.to_string(),
            "feature 0 is called \"NKG7\", but the model was fitted on \"CD3D\" in its place"
        );
        assert!(swapped.help().is_some());
    }
}
