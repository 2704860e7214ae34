//! What a model says of cells: a class each and, where it has them, probabilities.

use ndarray::Array2;

/// The answer of a model for some cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Class index of each cell.
    pub codes: Vec<u32>,
    /// Probability of each class, cells × classes, rows summing to 1; `None` for a model that has none.
    pub probabilities: Option<Array2<f32>>,
}

impl Prediction {
    /// The most probable class of each cell; the lower index wins a tie.
    ///
    /// * `probabilities`: cells × classes.
    pub fn from_probabilities(probabilities: Array2<f32>) -> Self {
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            let mut best = 0;
            for (class, &p) in row.iter().enumerate() {
                if p > row[best] {
                    best = class;
                }
            }
            best as u32
        };
        let codes = probabilities.rows().into_iter().map(best).collect();
        Self { codes, probabilities: Some(probabilities) }
    }
}
