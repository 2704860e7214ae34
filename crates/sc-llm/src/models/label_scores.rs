//! The probability of every label after a text.

use sc_fm::nn::log_sum_exp;

use super::read::check_logits;
use super::{LanguageModel, State};
use crate::Result;
use crate::decode::trie::{Posterior, Trie};

/// How the model is asked. All three ways give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scoring {
    /// All nodes of the trie in one pass, each seeing the text and its own way from the root: the fastest.
    #[default]
    Tree,
    /// Each label as a text of its own that goes on from the prompt, all of them together.
    Batched,
    /// One label after another, token by token: the plain definition.
    Serial,
}

/// Nodes that go through the layers at a time, unless one branch has more.
const MOST_NODES: usize = 1024;

impl LanguageModel {
    /// What the model thinks of every label after a text: `log p(label, end | text)`, exact, over its whole vocabulary.
    ///
    /// * `state`, `logits`: the text, and what [`read`](Self::read) returned after it; the text stays as it is.
    /// * `trie`: the labels, tokenised as they stand behind the text.
    /// * `n_tokens`: tokens of the tokeniser; those above them have no probability.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Impossible`](crate::Error::Impossible).
    pub fn label_scores(
        &self,
        state: &State,
        logits: &[f32],
        trie: &Trie,
        n_tokens: usize,
        scoring: Scoring,
    ) -> Result<Posterior> {
        check_logits(0, state.len(), logits)?;
        let n_tokens = n_tokens.min(logits.len());
        match scoring {
            Scoring::Tree => self.by_tree(state, logits, trie, n_tokens),
            Scoring::Batched | Scoring::Serial => self.by_label(state, logits, trie, n_tokens, scoring),
        }
    }

    fn by_tree(&self, state: &State, logits: &[f32], trie: &Trie, n_tokens: usize) -> Result<Posterior> {
        let nodes = trie.inner_nodes();
        // By number of the node: the log-probabilities of the tokens that may follow.
        let mut scores = vec![Vec::new(); nodes.iter().map(|node| node.node + 1).max().unwrap_or(0).max(1)];
        scores[0] = log_probs(logits, trie.cursor().allowed(), n_tokens);
        let (mut state, vocabulary) = (state.clone(), self.vocabulary());
        let mut start = 0;
        while start < nodes.len() {
            // As many whole branches as have room; a branch begins where a node follows the root.
            let begins =
                (start + 1..=nodes.len()).filter(|&i| nodes.get(i).is_none_or(|node| node.parent.is_none()));
            let mut end = nodes.len();
            for begin in begins {
                if begin - start > MOST_NODES && end != nodes.len() {
                    break;
                }
                end = begin;
                if begin - start >= MOST_NODES {
                    break;
                }
            }
            let part = &nodes[start..end];
            let tokens: Vec<u32> = part.iter().map(|node| node.token).collect();
            let parents: Vec<Option<usize>> =
                part.iter().map(|node| node.parent.map(|parent| parent - start)).collect();
            let hidden = self.read_tree(&mut state, &tokens, &parents)?;
            for (chunk, first) in part.chunks(64).zip((0..).step_by(64)) {
                let logits = self.logits(&hidden.narrow(0, first, chunk.len())?, &vocabulary)?;
                for (node, logits) in chunk.iter().zip(logits.rows()) {
                    let logits = logits.to_slice().expect("a row of a matrix in row order");
                    check_logits(0, state.len() + 1, logits)?;
                    scores[node.node] = log_probs(logits, trie.at(node.node).allowed(), n_tokens);
                }
            }
            start = end;
        }
        trie.posterior(|prefix, _| {
            let cursor = prefix.iter().try_fold(trie.cursor(), |cursor, token| cursor.child(token));
            let node = cursor.expect("the trie asks for ways through itself").node();
            Ok(scores[node].clone())
        })
    }

    fn by_label(
        &self,
        state: &State,
        logits: &[f32],
        trie: &Trie,
        n_tokens: usize,
        scoring: Scoring,
    ) -> Result<Posterior> {
        let labels = trie.labels();
        // Without the end token, after which nothing is asked.
        let texts: Vec<&[u32]> = labels.iter().map(|label| &label[..label.len() - 1]).collect();
        let mut states = vec![state.clone(); texts.len()];
        let after: Vec<Vec<Vec<f32>>> = match scoring {
            Scoring::Serial => {
                let mut after = Vec::with_capacity(texts.len());
                for (text, state) in texts.iter().zip(&mut states) {
                    let step = |token| -> Result<Vec<f32>> {
                        let mut all =
                            self.read(std::slice::from_mut(state), &[std::slice::from_ref(token)])?;
                        Ok(all.pop().unwrap_or_default())
                    };
                    after.push(text.iter().map(step).collect::<Result<_>>()?);
                }
                after
            }
            _ => {
                let all = self.all_logits(&mut states, &texts)?;
                all.iter().map(|logits| logits.rows().into_iter().map(|row| row.to_vec()).collect()).collect()
            }
        };
        let mut log_prob = Vec::with_capacity(labels.len());
        for (label, after) in labels.iter().zip(&after) {
            let rows = std::iter::once(logits).chain(after.iter().map(Vec::as_slice));
            let mut sum = 0.0;
            for (token, row) in label.iter().zip(rows) {
                check_logits(0, state.len(), row)?;
                sum += log_probs(row, &[*token], n_tokens)[0];
            }
            log_prob.push(sum);
        }
        Posterior::new(log_prob)
    }
}

/// The log-probabilities of some tokens.
fn log_probs(logits: &[f32], tokens: &[u32], n_tokens: usize) -> Vec<f64> {
    let total = log_sum_exp(&logits[..n_tokens]);
    let log_prob = |&token: &u32| match (token as usize) < n_tokens {
        true => f64::from(logits[token as usize]) - total,
        false => f64::NEG_INFINITY,
    };
    tokens.iter().map(log_prob).collect()
}
