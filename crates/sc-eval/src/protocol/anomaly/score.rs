//! How strange a cell is, from what a classifier says of it. Higher is stranger.

use ndarray::{ArrayView1, ArrayView2};

use crate::metrics::classification::check_probabilities;
use crate::{Error, Result};

/// `1 - max p`: strange is a cell that no class claims (Hendrycks and Gimpel 2017); 0 to `1 - 1/k` for `k` classes.
///
/// * `probabilities`: cells × classes, rows summing to 1.
///
/// # Errors
/// [`Error::Empty`] without classes or cells; [`Error::Probability`] or [`Error::ProbabilitySum`] for rows that are none.
///
/// ```
/// let p = ndarray::array![[1.0f32, 0.0], [0.5, 0.5]];
/// assert_eq!(sc_eval::protocol::anomaly::max_probability(p.view())?, [0.0, 0.5]);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn max_probability(probabilities: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
    by_row(probabilities, |row| 1.0 - top_two(row).0)
}

/// `-Σ p ln p` in nats: strange is a cell whose probability is spread over many classes; 0 to `ln k`.
///
/// # Errors
/// As [`max_probability`].
pub fn entropy(probabilities: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
    let term = |&p: &f32| if p > 0.0 { f64::from(p) * libm::log(f64::from(p)) } else { 0.0 };
    by_row(probabilities, |row| -row.iter().map(term).sum::<f64>())
}

/// `1 - (p₁ - p₂)` of the two most probable classes: strange is a cell between two classes; 0 to 1.
///
/// # Errors
/// As [`max_probability`].
pub fn margin(probabilities: ArrayView2<'_, f32>) -> Result<Vec<f32>> {
    by_row(probabilities, |row| {
        let (first, second) = top_two(row);
        1.0 - (first - second)
    })
}

/// `-T ln Σ exp(v / T)`: strange is a cell with low decision values for all classes (Liu et al. 2020, energy score).
///
/// * `decision_values`: logits, cells × classes, before any softmax, which takes away what this score looks at: from
///   probabilities it would be 0 for every cell.
/// * `temperature`: `T`, above 0; 1 as a rule.
///
/// # Errors
/// [`Error::Empty`] without classes or cells, [`Error::NotFinite`] at a NaN or infinite value, [`Error::Parameter`] for a
/// temperature that is not above 0.
pub fn free_energy(decision_values: ArrayView2<'_, f32>, temperature: f64) -> Result<Vec<f32>> {
    if !(temperature > 0.0 && temperature.is_finite()) {
        let expected = "a finite number above 0";
        return Err(Error::Parameter { name: "temperature", value: temperature.to_string(), expected });
    }
    if decision_values.is_empty() {
        return Err(Error::Empty { what: "decision_values" });
    }
    if let Some(((row, column), &value)) = decision_values.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let energy = |row: ArrayView1<'_, f32>| {
        let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|&v| libm::exp((f64::from(v) - largest) / temperature)).sum();
        -(largest + temperature * libm::log(sum)) as f32
    };
    Ok(decision_values.rows().into_iter().map(energy).collect())
}

fn by_row(p: ArrayView2<'_, f32>, score: impl Fn(ArrayView1<'_, f32>) -> f64) -> Result<Vec<f32>> {
    if p.is_empty() {
        return Err(Error::Empty { what: "probabilities" });
    }
    check_probabilities(p, p.nrows())?;
    Ok(p.rows().into_iter().map(|row| score(row) as f32).collect())
}

/// The two largest values; the second is 0 if there is one class.
fn top_two(row: ArrayView1<'_, f32>) -> (f64, f64) {
    row.iter().map(|&p| f64::from(p)).fold((0.0, 0.0), |(first, second), p| {
        if p > first { (p, first) } else { (first, f64::max(second, p)) }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn a_sure_cell_is_familiar_and_an_unsure_one_strange() {
        let p = array![[1.0f32, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]];
        assert_eq!(max_probability(p.view()).unwrap(), [0.0, 0.5, 0.5]);
        assert_eq!(margin(p.view()).unwrap(), [0.0, 1.0, 0.75]);
        let nats = entropy(p.view()).unwrap();
        assert_eq!(nats[..2], [0.0, std::f32::consts::LN_2]);
        assert!((nats[2] - 1.5 * std::f32::consts::LN_2).abs() < 1e-7);
    }

    #[test]
    fn energy_is_low_where_a_logit_is_high_and_never_overflows() {
        let v = array![[0.0f32, 0.0], [1000.0, 0.0], [-3e38, -3e38]];
        let energy = free_energy(v.view(), 1.0).unwrap();
        assert_eq!(energy, [-std::f32::consts::LN_2, -1000.0, 3e38]);
        let warm = free_energy(v.slice(ndarray::s![..1, ..]), 2.0).unwrap();
        assert_eq!(warm, [-2.0 * std::f32::consts::LN_2]);
    }

    #[test]
    fn what_is_no_probability_or_logit_is_refused() {
        assert!(matches!(max_probability(array![[0.7f32, 0.7]].view()), Err(Error::ProbabilitySum { .. })));
        assert!(matches!(entropy(array![[f32::NAN, 1.0]].view()), Err(Error::Probability { .. })));
        assert!(matches!(margin(Array2::zeros((0, 2)).view()), Err(Error::Empty { .. })));
        assert!(matches!(free_energy(array![[f32::NAN]].view(), 1.0), Err(Error::NotFinite { .. })));
        assert!(matches!(free_energy(Array2::zeros((1, 0)).view(), 1.0), Err(Error::Empty { .. })));
        let cold = free_energy(array![[1.0f32]].view(), 0.0).unwrap_err();
        assert_eq!(cold.to_string(), "`temperature` is 0, expected a finite number above 0");
    }
}
