//! Constrained decoding, greedy or by chance.

use super::{Trie, ask};
use crate::decode::generate::{Chooser, Sampling};
use crate::{Error, Result};

/// Where decoding ended.
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
        scores: impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>, E>,
    ) -> Result<Walk, E> {
        self.draw(Sampling::Greedy, 0, scores)
    }

    /// Goes from the root to a label, at each step to an allowed token that `sampling` picks; where it can pick none, for
    /// all scores are minus infinity, to the lowest token. Temperature, `top_k` and `top_p` are among the allowed tokens.
    ///
    /// * `item`: number of the text, which picks its stream of chance.
    /// * `scores`: as for [`Trie::walk`].
    ///
    /// # Errors
    /// [`Error::Sampling`], and those of [`Trie::walk`].
    pub fn draw<E: From<Error>>(
        &self,
        sampling: Sampling,
        item: u64,
        mut scores: impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>, E>,
    ) -> Result<Walk, E> {
        sampling.validate()?;
        let mut chooser = Chooser::new(sampling, item);
        let mut walk = Walk { label: 0, tokens: Vec::with_capacity(self.max_len), n_questions: 0 };
        let mut cursor = self.cursor();
        loop {
            if let Some(label) = cursor.label() {
                walk.label = label;
                return Ok(walk);
            }
            let allowed = cursor.allowed();
            let mut place = 0;
            if allowed.len() > 1 {
                walk.n_questions += 1;
                let scores = ask(&mut scores, &walk.tokens, allowed)?;
                place = chooser.choose(&scores).map_or(0, |place| place as usize);
            }
            walk.tokens.push(allowed[place]);
            cursor = cursor.nth_child(place);
        }
    }
}
