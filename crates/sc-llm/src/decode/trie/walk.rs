//! Greedy constrained decoding.

use super::{Trie, ask};
use crate::{Error, Result};

/// Where greedy decoding ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The label.
    pub label: usize,
    /// Its tokens, the end token included.
    pub tokens: Vec<u32>,
    /// Times that the model was asked: the steps with more than one allowed token.
    pub n_questions: usize,
}

impl Trie {
    /// Goes from the root to a label, at each step to the allowed token with the highest score; of equal scores, to
    /// the lowest token. It always ends in a label, after at most [`Trie::max_len`] steps.
    ///
    /// * `scores`: given the tokens so far and the tokens that may follow, one score for each of these, in order:
    ///   logits or log-probabilities, infinite ones included. It is not asked where one token may follow.
    ///
    /// # Errors
    /// What `scores` returns; [`Error::ScoreCount`] and [`Error::ScoreIsNan`] for scores that do not fit.
    pub fn walk<E: From<Error>>(
        &self,
        mut scores: impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>, E>,
    ) -> Result<Walk, E> {
        let mut walk = Walk { label: 0, tokens: Vec::with_capacity(self.max_len), n_questions: 0 };
        let mut cursor = self.cursor();
        loop {
            if let Some(label) = cursor.label() {
                walk.label = label;
                return Ok(walk);
            }
            let allowed = cursor.allowed();
            let mut best = 0;
            if allowed.len() > 1 {
                walk.n_questions += 1;
                let scores = ask(&mut scores, &walk.tokens, allowed)?;
                for (place, score) in scores.iter().enumerate() {
                    if *score > scores[best] {
                        best = place;
                    }
                }
            }
            walk.tokens.push(allowed[best]);
            cursor = cursor.nth_child(best);
        }
    }
}
