//! Whether cells of a type that the model never saw are told from the types it knows, from one score per cell.
//!
//! Conventions of the literature on out-of-distribution detection (Hendrycks & Gimpel 2017, Liang et al. 2018): a
//! higher score says *novel*; the rates of [`fpr_at_tpr`] and [`detection_error`] take **known cells as the positives**,
//! so "FPR at 95 % TPR" is the share of novel cells that pass as known where at least 95 % of the known cells do.
//!
//! ```
//! use sc_eval::metrics::anomaly::anomaly_scores;
//!
//! let novel = [false, false, false, true, true];
//! let scores = anomaly_scores(&novel, &[0.1, 0.2, 0.6, 0.5, 0.9])?;
//! assert_eq!(scores.auroc, 5.0 / 6.0);
//! assert_eq!(scores.fpr_at_95_tpr, 0.5);
//! # Ok::<(), sc_eval::Error>(())
//! ```

use crate::metrics::classification::ranking::{Ranking, Tie};
use crate::metrics::classification::{area, step_area};
use crate::{Error, Result};

/// How well novel cells are told from known ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnomalyScores {
    /// Probability that a novel cell scores above a known one, ties counting half; 0.5 is chance.
    pub auroc: f64,
    /// Average precision with the known cells as positives; their share is chance.
    pub aupr_in: f64,
    /// Average precision with the novel cells as positives; their share is chance.
    pub aupr_out: f64,
    /// Share of novel cells that pass as known where at least 95 % of the known cells do; lower is better.
    pub fpr_at_95_tpr: f64,
    /// Mean of the shares of known and of novel cells that are taken for the other kind, at the best threshold; 0 is
    /// perfect, 0.5 is chance.
    pub detection_error: f64,
    /// Number of known cells.
    pub n_known: u64,
    /// Number of novel cells.
    pub n_novel: u64,
}

/// All scores at once.
///
/// * `novel`: which cells are of an unknown type; `scores`: higher is more likely novel, e.g. one minus the largest
///   probability, an entropy, or a reconstruction error. Infinite scores are allowed.
///
/// # Errors
/// [`Error::Empty`], [`Error::Length`], [`Error::Value`] at a NaN, [`Error::OneKind`] unless there are cells of both
/// kinds.
pub fn anomaly_scores(novel: &[bool], scores: &[f32]) -> Result<AnomalyScores> {
    let by_novelty = ranking(novel, scores)?;
    let mut by_familiarity = Ranking::default();
    by_familiarity.sort(scores.iter().map(|score| -score).zip(novel.iter().map(|novel| !novel)));
    let (n_novel, n_known) = by_novelty.totals();
    Ok(AnomalyScores {
        auroc: area(&by_novelty),
        aupr_in: step_area(&by_familiarity),
        aupr_out: step_area(&by_novelty),
        fpr_at_95_tpr: pass_rate(&by_novelty, 0.95),
        detection_error: least_error(&by_novelty),
        n_known,
        n_novel,
    })
}

/// Share of novel cells that pass as known, at the lowest threshold at which at least the share `tpr` of the known
/// cells do. Cells of equal score pass together, and nothing is interpolated.
///
/// # Errors
/// Those of [`anomaly_scores`]; [`Error::Parameter`] unless `tpr` is above 0 and at most 1.
pub fn fpr_at_tpr(novel: &[bool], scores: &[f32], tpr: f64) -> Result<f64> {
    if !(tpr > 0.0 && tpr <= 1.0) {
        let expected = "a rate above 0 and at most 1";
        return Err(Error::Parameter { name: "tpr", value: tpr.to_string(), expected });
    }
    Ok(pass_rate(&ranking(novel, scores)?, tpr))
}

/// The least mean of the two error rates over all thresholds, both kinds weighing the same whatever their numbers.
///
/// # Errors
/// Those of [`anomaly_scores`].
pub fn detection_error(novel: &[bool], scores: &[f32]) -> Result<f64> {
    Ok(least_error(&ranking(novel, scores)?))
}

fn ranking(novel: &[bool], scores: &[f32]) -> Result<Ranking> {
    let ranking = Ranking::new(novel, scores)?;
    let (n_novel, n_known) = ranking.totals();
    if n_novel == 0 || n_known == 0 {
        let kind = if n_known == 0 { "novel" } else { "known" };
        return Err(Error::OneKind { n_cells: novel.len(), kind });
    }
    Ok(ranking)
}

/// Shares of known and of novel cells that score at most each distinct score, ascending.
fn passing(ranking: &Ranking) -> impl Iterator<Item = (f64, f64)> {
    let (n_novel, n_known) = ranking.totals();
    let (mut known, mut novel) = (0, 0);
    ranking.ascending().map(move |tie: Tie| {
        known += tie.negatives;
        novel += tie.positives;
        (known as f64 / n_known as f64, novel as f64 / n_novel as f64)
    })
}

fn pass_rate(ranking: &Ranking, tpr: f64) -> f64 {
    passing(ranking).find(|(known, _)| *known >= tpr).map_or(1.0, |(_, novel)| novel)
}

fn least_error(ranking: &Ranking) -> f64 {
    // Letting nothing pass errs on half, as does letting everything pass.
    passing(ranking).map(|(known, novel)| 0.5 * (1.0 - known) + 0.5 * novel).fold(0.5, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_cells_are_told_apart_without_error_and_equal_ones_by_chance() {
        let novel = [true, false, true, false];
        let apart = anomaly_scores(&novel, &[3.0, 1.0, f32::INFINITY, 1.0]).unwrap();
        assert_eq!((apart.auroc, apart.aupr_in, apart.aupr_out), (1.0, 1.0, 1.0));
        assert_eq!((apart.fpr_at_95_tpr, apart.detection_error), (0.0, 0.0));
        let equal = anomaly_scores(&novel, &[2.0; 4]).unwrap();
        assert_eq!((equal.auroc, equal.aupr_in, equal.aupr_out), (0.5, 0.5, 0.5));
        assert_eq!((equal.fpr_at_95_tpr, equal.detection_error), (1.0, 0.5));
        assert_eq!((equal.n_known, equal.n_novel), (2, 2));
    }

    #[test]
    fn the_known_cells_set_the_threshold() {
        let novel: Vec<bool> = (0..30).map(|i| i >= 20).collect();
        let scores: Vec<f32> =
            (0..30).map(|i| if i < 20 { i as f32 } else { 2.0 * i as f32 - 23.0 }).collect();
        // The 19th of 20 known cells scores 18, and one novel cell scores 17.
        assert_eq!(fpr_at_tpr(&novel, &scores, 0.95).unwrap(), 0.1);
        assert_eq!(fpr_at_tpr(&novel, &scores, 1.0).unwrap(), 0.2);
    }

    #[test]
    fn cells_of_one_kind_and_rates_of_none_are_refused() {
        let error = anomaly_scores(&[false, false], &[0.1, 0.2]).unwrap_err();
        assert_eq!(error.to_string(), "all 2 cells are known: there is nothing to tell apart");
        assert!(detection_error(&[true], &[0.1]).is_err());
        assert!(fpr_at_tpr(&[true, false], &[0.1, 0.2], 0.0).is_err());
        assert!(fpr_at_tpr(&[true, false], &[0.1, f32::NAN], 0.5).is_err());
    }
}
