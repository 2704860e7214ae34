//! What SingleR says of cells, and which of it to doubt.

use ndarray::Array2;

use crate::{Error, Result};

/// Scores and labels of some cells.
#[derive(Clone, Debug, PartialEq)]
pub struct SingleRScores {
    /// Class index of each cell, after fine-tuning.
    pub codes: Vec<u32>,
    /// Score of each label before fine-tuning, cells × classes; NaN for a label without reference cells.
    pub scores: Array2<f64>,
    /// How far the best score is above the second, in the last round of fine-tuning; NaN with one label.
    pub delta: Vec<f64>,
}

/// What makes a normal distribution's MAD its standard deviation.
const MAD_TO_SD: f64 = 1.4826;

impl SingleRScores {
    /// How far the score of each cell's label is above the median of the scores of all labels.
    pub fn delta_from_median(&self) -> Vec<f64> {
        let rows = self.scores.rows().into_iter().zip(&self.codes);
        rows.map(|(row, &code)| {
            let present: Vec<f64> = row.iter().copied().filter(|score| !score.is_nan()).collect();
            row[code as usize] - median(present)
        })
        .collect()
    }

    /// The label of each cell, or `None` where it is poorly supported: its delta from the median lies more than `n_mads`
    /// median absolute deviations (times 1.4826) below the median of the deltas of all cells with its label.
    ///
    /// SingleR's `pruneScores`, where `n_mads` is 3 by default.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a number that is negative or not finite.
    pub fn pruned(&self, n_mads: f64) -> Result<Vec<Option<u32>>> {
        if !(n_mads >= 0.0 && n_mads.is_finite()) {
            let value = n_mads.to_string();
            return Err(Error::Parameter { name: "n_mads", value, expected: "at least 0" });
        }
        let deltas = self.delta_from_median();
        let mut pruned: Vec<Option<u32>> = self.codes.iter().copied().map(Some).collect();
        let mut order: Vec<usize> = (0..deltas.len()).collect();
        order.sort_by_key(|&cell| self.codes[cell]);
        for cells in order.chunk_by(|&a, &b| self.codes[a] == self.codes[b]) {
            let centre = median(cells.iter().map(|&cell| deltas[cell]).collect());
            let mad = median(cells.iter().map(|&cell| (deltas[cell] - centre).abs()).collect());
            let threshold = centre - n_mads * MAD_TO_SD * mad;
            for &cell in cells {
                if deltas[cell] < threshold {
                    pruned[cell] = None;
                }
            }
        }
        Ok(pruned)
    }
}

/// The median of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The quantile of at least one value, with linear interpolation (R's type 7); leaves them in another order.
pub(super) fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    let place = (values.len() - 1) as f64 * quantile;
    let low = place.floor() as usize;
    let (_, &mut value, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let share = place - low as f64;
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(next) if share > 0.0 => next * share + value * (1.0 - share),
        _ => value,
    }
}

/// Place of the largest score, the first of equal ones, and how far it is above the second.
pub(super) fn best(scores: &[f64]) -> (usize, f64) {
    let (mut place, mut second) = (0, f64::NAN);
    for (at, &score) in scores.iter().enumerate().skip(1) {
        if score > scores[place] {
            second = scores[place];
            place = at;
        } else if second.is_nan() || score > second {
            second = score;
        }
    }
    (place, scores[place] - second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        let values = [0.3, 0.1, 0.9, 0.4];
        for (q, expected) in [(0.0, 0.1), (0.5, 0.35), (0.8, 0.6), (1.0, 0.9)] {
            assert!((quantile(&mut values.clone(), q) - expected).abs() < 1e-15, "{q}");
        }
        assert_eq!(quantile(&mut [2.0], 0.8), 2.0);
    }

    #[test]
    fn the_second_score_is_found_wherever_it_stands() {
        assert_eq!(best(&[0.5, 0.25, 0.75]), (2, 0.25));
        assert_eq!(best(&[0.75, 0.25, 0.5]), (0, 0.25));
        assert_eq!(best(&[0.5, 0.5]), (0, 0.0));
        assert!(best(&[0.5]).1.is_nan());
    }

    #[test]
    fn a_cell_far_below_its_like_is_pruned() {
        let mut rows = vec![[0.8, 0.2]; 9];
        for (i, row) in rows.iter_mut().enumerate() {
            row[0] += 0.01 * i as f64;
        }
        rows.push([0.3, 0.2]);
        let scores = Array2::from_shape_fn((10, 2), |(i, j)| rows[i][j]);
        let answer = SingleRScores { codes: vec![0; 10], scores, delta: vec![0.0; 10] };
        let pruned = answer.pruned(3.0).unwrap();
        assert_eq!(pruned[9], None);
        assert!(pruned[..9].iter().all(|&label| label == Some(0)));
        assert_eq!(answer.pruned(1e6).unwrap()[9], Some(0));
        let error = answer.pruned(-1.0).unwrap_err();
        assert_eq!(error.to_string(), "`n_mads` is -1, expected at least 0");
    }
}
