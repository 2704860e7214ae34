//! The probability of every label.

use libm::exp;

use super::{Trie, ask};
use crate::{Error, Result};

/// How far the probabilities of a step may add up to more than 1: models compute their logarithms in f32 or less.
const TOLERANCE: f64 = 1e-3;

/// What a model thinks of every label, in the order in which the labels were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// `log p(label, end | prompt)`: the sum over the label's tokens and the end token. Minus infinity where the
    /// model excludes a token.
    pub log_prob: Vec<f64>,
    /// The same as probabilities that add up to 1 over the labels.
    pub probability: Vec<f64>,
}

impl Posterior {
    /// From the sums over labels.
    pub(crate) fn new(log_prob: Vec<f64>) -> Result<Self> {
        let probability = softmax(&log_prob).ok_or(Error::Impossible { n_labels: log_prob.len() })?;
        Ok(Self { log_prob, probability })
    }

    /// The most probable label; of equals, the first.
    pub fn best(&self) -> usize {
        let better = |best: usize, label: usize| match self.log_prob[label] > self.log_prob[best] {
            true => label,
            false => best,
        };
        (0..self.log_prob.len()).fold(0, better)
    }

    /// The posterior of groups: `p(group) = Σ p(member)`, for labels that may be said in several ways.
    ///
    /// * `group_of`: the group of each label, below `n_groups`; a label without one is left out, and a group without
    ///   labels has probability 0.
    pub fn merge(&self, group_of: &[usize], n_groups: usize) -> Self {
        let mut members = vec![Vec::new(); n_groups];
        for (&group, &log_prob) in group_of.iter().zip(&self.log_prob) {
            if let Some(members) = members.get_mut(group) {
                members.push(log_prob);
            }
        }
        let log_prob: Vec<f64> = members.iter().map(|members| log_sum_exp(members)).collect();
        let probability = softmax(&log_prob).unwrap_or_else(|| vec![0.0; n_groups]);
        Self { log_prob, probability }
    }
}

/// `log Σ exp(x)`, summed in order; of one value, the value.
fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match x {
        [only] => *only,
        _ if max == f64::NEG_INFINITY => max,
        _ => max + libm::log(x.iter().map(|x| exp(x - max)).sum()),
    }
}

impl Trie {
    /// The probability of every label, exact: `p(label) ∝ exp(Σ log p(token | prompt, tokens before))` over its tokens
    /// and the end token. Tokens that labels share are scored once; each sum is taken along the label, so it has the
    /// same bits as scoring the label alone.
    ///
    /// * `log_probs`: given the tokens so far and the tokens that may follow, the log-probability of each of these,
    ///   in order, over the whole vocabulary. Asked [`Trie::n_inner_nodes`] times, depth first: from one question to
    ///   the next the prefix is cut back and grows by one token, as a cache of keys and values likes it.
    ///
    /// # Errors
    /// What `log_probs` returns; [`Error::ScoreCount`], [`Error::ScoreIsNan`] and [`Error::NotLogProbabilities`] for
    /// scores that do not fit, [`Error::Impossible`] if every label has probability 0.
    pub fn posterior<E: From<Error>>(
        &self,
        mut log_probs: impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>, E>,
    ) -> Result<Posterior, E> {
        let mut log_prob = vec![f64::NEG_INFINITY; self.n_labels];
        let mut path = Vec::with_capacity(self.max_len);
        let mut open = vec![(self.cursor(), 0, 0, 0.0)];
        while let Some((cursor, token, depth, sum)) = open.pop() {
            if depth > 0 {
                path.truncate(depth - 1);
                path.push(token);
            }
            if let Some(label) = cursor.label() {
                log_prob[label] = sum;
                continue;
            }
            let allowed = cursor.allowed();
            let scores = ask(&mut log_probs, &path, allowed)?;
            check_mass(&scores, &path, allowed)?;
            for (place, (&token, score)) in allowed.iter().zip(&scores).enumerate().rev() {
                open.push((cursor.nth_child(place), token, depth + 1, sum + score));
            }
        }
        Ok(Posterior::new(log_prob)?)
    }
}

/// Different tokens cannot have more than all of the probability; logits taken for log-probabilities mostly do.
fn check_mass(log_probs: &[f64], prefix: &[u32], allowed: &[u32]) -> Result<()> {
    let mut mass = 0.0;
    for (&log_prob, &token) in log_probs.iter().zip(allowed) {
        mass += if log_prob > TOLERANCE { f64::INFINITY } else { exp(log_prob.min(0.0)) };
        if mass > 1.0 + TOLERANCE {
            return Err(Error::NotLogProbabilities { prefix: prefix.to_vec(), token });
        }
    }
    Ok(())
}

/// `exp(x - max) / Σ exp(x - max)`, summed in order; `None` if all are minus infinity.
fn softmax(x: &[f64]) -> Option<Vec<f64>> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return None;
    }
    let weights: Vec<f64> = x.iter().map(|x| exp(x - max)).collect();
    let total: f64 = weights.iter().sum();
    Some(weights.into_iter().map(|weight| weight / total).collect())
}
