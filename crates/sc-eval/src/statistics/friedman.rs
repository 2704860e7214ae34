//! Many models on several data sets: Friedman's test and Nemenyi's critical difference.

use ndarray::ArrayView2;

use super::distributions::{chi2_sf, f_sf, studentized_range_quantile, studentized_range_sf};
use super::ranks::{doubled_ranks, tie_term};
use crate::{Error, Result};

/// The ranks of models over data sets, and whether they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Friedman {
    /// Mean rank of each model over the data sets; 1 is best, ties share ranks.
    pub average_ranks: Vec<f64>,
    /// Friedman's statistic, corrected for ties; NaN if every data set ties all models.
    pub chi_squared: f64,
    /// Its p by the chi-squared distribution, which finds too little for few data sets.
    pub p_chi_squared: f64,
    /// Iman and Davenport's statistic; infinite if all data sets agree on the order.
    pub f: f64,
    /// Its p by the F distribution: the one to report (Demšar 2006).
    pub p: f64,
    /// Number of data sets.
    pub n_sets: usize,
}

/// Ranks models within each data set and tests whether all are alike.
///
/// * `scores`: data sets × models (or donors, or folds × models), higher is better; at least 2 of each.
///
/// `chi_squared` and its p equal scipy's `friedmanchisquare`; the rest follows Demšar (2006).
///
/// # Errors
/// [`Error::Parameter`] for fewer than two data sets or models, [`Error::Value`] at a NaN.
///
/// ```
/// use ndarray::array;
/// use sc_eval::statistics::friedman;
///
/// let scores = array![[0.9, 0.8, 0.7], [0.95, 0.85, 0.8], [0.7, 0.75, 0.6], [0.8, 0.7, 0.5]];
/// let test = friedman(scores.view())?;
/// assert_eq!(test.average_ranks, [1.25, 1.75, 3.0]);
/// assert!(test.p < 0.05);
/// assert!((test.critical_difference(0.05)? - 1.657).abs() < 1e-3);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn friedman(scores: ArrayView2<'_, f64>) -> Result<Friedman> {
    let (n_sets, n_models) = scores.dim();
    for (name, n) in [("data sets", n_sets), ("models", n_models)] {
        if n < 2 {
            return Err(Error::Parameter { name, value: n.to_string(), expected: "at least 2" });
        }
    }
    if let Some(at) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::Value { what: "scores", at, value: f64::NAN, expected: "a number" });
    }
    let mut sums = vec![0u64; n_models];
    let mut ties = 0.0;
    for row in scores.rows() {
        // Ranks ascend, and the best is to be the first.
        let ranks = doubled_ranks(&row.iter().map(|score| -score).collect::<Vec<_>>());
        ties += tie_term(&ranks);
        sums.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += rank);
    }
    let (n, k) = (n_sets as f64, n_models as f64);
    let correction = 1.0 - ties / (n * k * (k * k - 1.0));
    let squares: f64 = sums.iter().map(|&sum| (sum as f64 / 2.0) * (sum as f64 / 2.0)).sum();
    let uncorrected = 12.0 / (k * n * (k + 1.0)) * squares - 3.0 * n * (k + 1.0);
    let chi_squared = if correction == 0.0 { f64::NAN } else { uncorrected / correction };
    // n (k - 1) is the largest value; rounding must not go beyond.
    let left = n * (k - 1.0) - chi_squared;
    let f = if left <= 1e-9 { f64::INFINITY } else { (n - 1.0) * chi_squared / left };
    Ok(Friedman {
        average_ranks: sums.iter().map(|&sum| sum as f64 / 2.0 / n).collect(),
        chi_squared,
        p_chi_squared: chi2_sf(chi_squared, k - 1.0),
        f,
        p: if f.is_nan() { f64::NAN } else { f_sf(f, k - 1.0, (k - 1.0) * (n - 1.0)) },
        n_sets,
    })
}

impl Friedman {
    /// The distance of mean ranks beyond which two models differ (Nemenyi 1963), all pairs considered at once.
    ///
    /// * `alpha`: chance of finding any difference where there is none, between 0 and 1, e.g. 0.05.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn critical_difference(&self, alpha: f64) -> Result<f64> {
        if !(alpha > 0.0 && alpha < 1.0) {
            let expected = "a chance between 0 and 1";
            return Err(Error::Parameter { name: "alpha", value: alpha.to_string(), expected });
        }
        let q = studentized_range_quantile(alpha, self.average_ranks.len(), f64::INFINITY);
        Ok(q / std::f64::consts::SQRT_2 * self.rank_error())
    }

    /// p of Nemenyi's test of models `a` and `b`, all pairs considered at once.
    ///
    /// # Panics
    /// If a model is out of bounds.
    pub fn nemenyi_p(&self, a: usize, b: usize) -> f64 {
        let distance = (self.average_ranks[a] - self.average_ranks[b]).abs();
        let q = distance / self.rank_error() * std::f64::consts::SQRT_2;
        studentized_range_sf(q, self.average_ranks.len(), f64::INFINITY)
    }

    /// The groups of models that cannot be told apart: the bars of a critical-difference diagram.
    ///
    /// Each holds model indices from best to worst mean rank whose first and last differ by at most the critical
    /// difference; groups of one, and those within another, are left out.
    ///
    /// # Errors
    /// Those of [`Friedman::critical_difference`].
    pub fn groups(&self, alpha: f64) -> Result<Vec<Vec<usize>>> {
        let critical = self.critical_difference(alpha)?;
        let ranks = &self.average_ranks;
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_by(|&a, &b| ranks[a].total_cmp(&ranks[b]));
        let (mut groups, mut covered) = (Vec::new(), 0);
        for start in 0..order.len() {
            let near = |&&model: &&usize| ranks[model] - ranks[order[start]] <= critical;
            let end = start + order[start..].iter().take_while(near).count();
            if end - start > 1 && end > covered {
                groups.push(order[start..end].to_vec());
                covered = end;
            }
        }
        Ok(groups)
    }

    /// Standard error of the difference of two mean ranks where all models are alike.
    fn rank_error(&self) -> f64 {
        let k = self.average_ranks.len() as f64;
        (k * (k + 1.0) / (6.0 * self.n_sets as f64)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn data_sets_that_agree_leave_no_doubt() {
        let scores = Array2::from_shape_fn((6, 3), |(set, model)| set as f64 + model as f64);
        let test = friedman(scores.view()).unwrap();
        assert_eq!(test.average_ranks, [3.0, 2.0, 1.0]);
        assert_eq!((test.chi_squared, test.f, test.p), (12.0, f64::INFINITY, 0.0));
        assert!(test.nemenyi_p(0, 2) < 0.01 && test.nemenyi_p(0, 1) > 0.05);
    }

    #[test]
    fn models_that_tie_everywhere_have_no_statistic_and_one_group() {
        let test = friedman(Array2::<f64>::ones((4, 3)).view()).unwrap();
        assert_eq!(test.average_ranks, [2.0; 3]);
        assert!(test.chi_squared.is_nan() && test.p.is_nan() && test.p_chi_squared.is_nan());
        assert_eq!(test.groups(0.05).unwrap(), [[0, 1, 2]]);
        assert_eq!(test.nemenyi_p(0, 1), 1.0);
    }

    #[test]
    fn groups_overlap_but_do_not_nest() {
        let ranks = vec![4.0, 1.0, 2.0, 3.0, 9.0];
        let test = Friedman {
            average_ranks: ranks,
            chi_squared: 0.0,
            p_chi_squared: 1.0,
            f: 0.0,
            p: 1.0,
            n_sets: 10,
        };
        let critical = test.critical_difference(0.05).unwrap();
        assert!((critical - 1.929).abs() < 2e-3, "{critical}");
        assert_eq!(test.groups(0.05).unwrap(), [[1, 2], [2, 3], [3, 0]]);
    }

    #[test]
    fn one_model_or_data_set_and_missing_scores_are_refused() {
        let message = |scores: Array2<f64>| friedman(scores.view()).unwrap_err().to_string();
        assert_eq!(message(array![[1.0, 2.0]]), "`data sets` is 1, expected at least 2");
        assert_eq!(message(array![[1.0], [2.0]]), "`models` is 1, expected at least 2");
        let nan = "scores is NaN at 2 (counted from 0), expected a number";
        assert_eq!(message(array![[1.0, 2.0], [f64::NAN, 1.0]]), nan);
        let test = friedman(array![[1.0, 2.0], [2.0, 1.0]].view()).unwrap();
        assert!(test.critical_difference(0.0).is_err() && test.groups(1.0).is_err());
    }
}
