//! The probability of every label after a text.

use std::ops::Range;

use sc_fm::nn::log_sum_exp;

use super::checks::check_logits;
use super::read::LOGIT_ROWS;
use super::{Error, LanguageModel, State};
use crate::Result;
use crate::decode::trie::{InnerNode, Posterior, Trie};

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
    /// As [`read`](Self::read); [`Error::Count`] for logits of some tokens alone;
    /// [`Error::Impossible`](crate::Error::Impossible).
    pub fn label_scores(
        &self,
        state: &State,
        logits: &[f32],
        trie: &Trie,
        n_tokens: usize,
        scoring: Scoring,
    ) -> Result<Posterior> {
        let mut scores = self.label_scores_of(&[state], &[logits], trie, n_tokens, scoring)?;
        Ok(scores.pop().expect("scores of the text"))
    }

    /// [`label_scores`](Self::label_scores) of several texts, to the same bits; faster, because the weights are read for all
    /// of them at once.
    ///
    /// # Errors
    /// As [`label_scores`](Self::label_scores); [`Error::Count`] for other logits than states.
    pub fn label_scores_of(
        &self,
        states: &[&State],
        logits: &[&[f32]],
        trie: &Trie,
        n_tokens: usize,
        scoring: Scoring,
    ) -> Result<Vec<Posterior>> {
        if states.len() != logits.len() {
            let (found, expected) = (logits.len(), states.len());
            return Err(Error::Count { what: "texts have logits", found, expected }.into());
        }
        let expected = self.vocabulary().n_tokens();
        for (text, (state, logits)) in states.iter().zip(logits).enumerate() {
            if logits.len() != expected {
                return Err(Error::Count { what: "logits of a text", found: logits.len(), expected }.into());
            }
            self.check_prompt(text, state)?;
            check_logits(text, state.len(), logits)?;
        }
        let n_tokens = n_tokens.min(expected);
        match scoring {
            Scoring::Tree => self.by_tree(states, logits, trie, n_tokens),
            Scoring::Batched | Scoring::Serial => {
                let score = |(state, logits): (&&State, &&[f32])| {
                    self.by_label(state, logits, trie, n_tokens, scoring)
                };
                states.iter().zip(logits).map(score).collect()
            }
        }
    }

    fn by_tree(
        &self,
        states: &[&State],
        logits: &[&[f32]],
        trie: &Trie,
        n_tokens: usize,
    ) -> Result<Vec<Posterior>> {
        let (nodes, vocabulary) = (trie.inner_nodes(), self.vocabulary());
        let n_nodes = nodes.iter().map(|node| node.node + 1).max().unwrap_or(1);
        // For each text, by number of the node: the log-probabilities of the tokens that may follow.
        let root = |logits: &&[f32]| {
            let mut scores = vec![Vec::new(); n_nodes];
            scores[0] = log_probs(logits, trie.cursor().allowed(), n_tokens);
            scores
        };
        let mut scores: Vec<Vec<Vec<f64>>> = logits.iter().map(root).collect();
        for part in parts(&nodes) {
            let tokens: Vec<u32> = nodes[part.clone()].iter().map(|node| node.token).collect();
            let parent = |node: &InnerNode| node.parent.map(|parent| parent - part.start);
            let parents: Vec<Option<usize>> = nodes[part.clone()].iter().map(parent).collect();
            let n_texts = (MOST_NODES / tokens.len()).max(1);
            for (states, first) in states.chunks(n_texts).zip((0..).step_by(n_texts)) {
                let mut states: Vec<State> = states.iter().map(|&state| state.clone()).collect();
                let hidden = self.read_trees(&mut states, &tokens, &parents)?;
                for start in (0..states.len() * tokens.len()).step_by(LOGIT_ROWS) {
                    let n_rows = LOGIT_ROWS.min(states.len() * tokens.len() - start);
                    let logits = self.logits(&hidden.narrow(0, start, n_rows)?, &vocabulary)?;
                    for (row, logits) in (start..).zip(logits.rows()) {
                        let (text, node) = (row / tokens.len(), &nodes[part.start + row % tokens.len()]);
                        let logits = logits.to_slice().expect("a row of a matrix in row order");
                        check_logits(first + text, states[text].len() + 1, logits)?;
                        scores[first + text][node.node] =
                            log_probs(logits, trie.at(node.node).allowed(), n_tokens);
                    }
                }
            }
        }
        let posterior = |scores: &Vec<Vec<f64>>| {
            trie.posterior(|prefix, _| {
                let cursor = prefix.iter().try_fold(trie.cursor(), |cursor, token| cursor.child(token));
                let node = cursor.expect("the trie asks for ways through itself").node();
                Ok(scores[node].clone())
            })
        };
        scores.iter().map(posterior).collect()
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

/// The nodes in runs of whole branches, as many as have room; a branch begins where a node follows the root.
fn parts(nodes: &[InnerNode]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut begin = 0;
    for end in 1..=nodes.len() {
        if nodes.get(end).is_some_and(|node| node.parent.is_some()) {
            continue;
        }
        match parts.last_mut() {
            Some(part) if end - part.start <= MOST_NODES => part.end = end,
            _ => parts.push(begin..end),
        }
        begin = end;
    }
    parts
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
