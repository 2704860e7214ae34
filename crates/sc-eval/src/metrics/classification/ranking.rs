//! Cells in order of their score: what every curve and every area is read from.

use crate::{Error, Result};

/// Scores and truth in one sortable word each.
///
/// The upper bits hold the score in an encoding whose order is that of the numbers, the lowest bit whether the cell is
/// positive. Sorting plain integers is several times faster than sorting pairs by a comparison of floats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranking {
    keys: Vec<u64>,
}

/// The cells of one score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tie {
    pub(crate) score: f32,
    pub(crate) positives: u64,
    pub(crate) negatives: u64,
}

impl Ranking {
    /// Checks and sorts `scores`, where higher is more likely positive.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::Value`] at a NaN score.
    pub(crate) fn new(positive: &[bool], scores: &[f32]) -> Result<Self> {
        if positive.is_empty() {
            return Err(Error::Empty { what: "positive" });
        }
        if scores.len() != positive.len() {
            return Err(Error::Length { what: "scores", found: scores.len(), expected: positive.len() });
        }
        if let Some(at) = scores.iter().position(|score| score.is_nan()) {
            let value = f64::from(scores[at]);
            return Err(Error::Value { what: "scores", at, value, expected: "a number" });
        }
        let mut ranking = Self::default();
        ranking.sort(scores.iter().copied().zip(positive.iter().copied()));
        Ok(ranking)
    }

    /// Ranks other cells in the same memory; no score may be NaN.
    pub(crate) fn sort(&mut self, cells: impl Iterator<Item = (f32, bool)>) {
        self.keys.clear();
        self.keys.extend(cells.map(|(score, positive)| u64::from(ordered(score)) << 1 | u64::from(positive)));
        self.keys.sort_unstable();
    }

    /// The cells of each score, scores ascending.
    pub(crate) fn ascending(&self) -> impl Iterator<Item = Tie> {
        self.keys.chunk_by(|a, b| a >> 1 == b >> 1).map(tie)
    }

    /// The cells of each score, scores descending.
    pub(crate) fn descending(&self) -> impl Iterator<Item = Tie> {
        self.keys.chunk_by(|a, b| a >> 1 == b >> 1).rev().map(tie)
    }

    /// Number of positive and of negative cells.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let positives = self.keys.iter().map(|key| key & 1).sum();
        (positives, self.keys.len() as u64 - positives)
    }
}

fn tie(keys: &[u64]) -> Tie {
    let positives = keys.iter().map(|key| key & 1).sum();
    Tie { score: decoded((keys[0] >> 1) as u32), positives, negatives: keys.len() as u64 - positives }
}

/// The bits of a number, turned so that they ascend with it.
fn ordered(score: f32) -> u32 {
    // Adding 0 turns -0 into 0, which are one score.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn decoded(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_keeps_the_order_and_the_value() {
        let scores = [f32::NEG_INFINITY, -3.5, -f32::MIN_POSITIVE, 0.0, 1e-30, 0.5, 7.0, f32::INFINITY];
        assert!(scores.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert!(scores.iter().all(|&score| decoded(ordered(score)) == score));
        assert_eq!(ordered(-0.0), ordered(0.0));
    }

    #[test]
    fn equal_scores_are_one_step() {
        let ranking = Ranking::new(&[true, false, true, true], &[0.5, 0.5, 1.0, 0.5]).unwrap();
        let steps: Vec<_> = ranking.descending().map(|t| (t.score, t.positives, t.negatives)).collect();
        assert_eq!(steps, [(1.0, 1, 0), (0.5, 2, 1)]);
        assert_eq!(ranking.totals(), (3, 1));
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        let message =
            |positive: &[bool], scores: &[f32]| Ranking::new(positive, scores).unwrap_err().to_string();
        assert_eq!(message(&[], &[]), "positive is empty");
        assert_eq!(message(&[true], &[]), "scores has 0 entries, expected 1");
        assert_eq!(
            message(&[true, false], &[0.0, f32::NAN]),
            "scores is NaN at 1 (counted from 0), expected a number"
        );
    }
}
