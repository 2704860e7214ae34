//! Whether the answer of a model is one at all.

use crate::metrics::classification::check_probabilities;
use crate::{Error, Prediction, Result};

/// Checks that a model answered about `n_cells` cells, with classes and probabilities that exist.
pub(crate) fn check_prediction(answer: &Prediction, n_cells: usize, n_classes: usize) -> Result<()> {
    if answer.codes.len() != n_cells {
        return Err(Error::Length { what: "the prediction", found: answer.codes.len(), expected: n_cells });
    }
    if let Some(&code) = answer.codes.iter().find(|&&code| code as usize >= n_classes) {
        return Err(Error::ClassCode { what: "the prediction", code, n_classes });
    }
    let Some(probabilities) = &answer.probabilities else { return Ok(()) };
    let columns = probabilities.ncols();
    if columns != n_classes {
        let what = "the axis of classes of the probabilities";
        return Err(Error::Length { what, found: columns, expected: n_classes });
    }
    check_probabilities(probabilities.view(), n_cells)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn check(codes: &[u32], probabilities: Option<Array2<f32>>) -> Result<()> {
        check_prediction(&Prediction { codes: codes.to_vec(), probabilities }, 2, 2)
    }

    #[test]
    fn an_answer_of_the_right_shape_passes() {
        check(&[0, 1], None).unwrap();
        check(&[0, 1], Some(array![[1.0, 0.0], [0.5004, 0.5]])).unwrap();
    }

    #[test]
    fn each_wrong_answer_is_named() {
        let message = |codes: &[u32], p| check(codes, p).unwrap_err().to_string();
        assert_eq!(message(&[0], None), "the prediction has 1 entries, expected 2");
        assert_eq!(message(&[0, 2], None), "the prediction holds class 2, but there are 2 classes");
        let p = message(&[0, 1], Some(array![[1.0, 0.0]]));
        assert_eq!(p, "the axis of cells of the probabilities has 1 entries, expected 2");
        let p = message(&[0, 1], Some(array![[1.0], [1.0]]));
        assert_eq!(p, "the axis of classes of the probabilities has 1 entries, expected 2");
        let p = message(&[0, 1], Some(array![[1.0, 0.0], [0.5, f32::NAN]]));
        assert_eq!(p, "the probability of class 1 for cell 1 is NaN, expected 0 to 1");
        let p = message(&[0, 1], Some(array![[1.0, 0.0], [-0.5, 1.5]]));
        assert_eq!(p, "the probability of class 0 for cell 1 is -0.5, expected 0 to 1");
        let p = message(&[0, 1], Some(array![[0.5, 0.25], [0.5, 0.5]]));
        assert_eq!(p, "the probabilities of cell 0 sum to 0.75, expected 1");
    }
}
