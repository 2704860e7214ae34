//! A trie of labels over token ids.

mod posterior;
mod walk;

pub use posterior::Posterior;
pub use walk::Walk;

use std::collections::VecDeque;
use std::ops::Range;

use crate::{Error, Result};

/// The labels of a closed set, as the tokens that spell them, each closed by an end token.
///
/// The end token makes a label a leaf even where a longer label goes on. Take the token that the prompt's template
/// puts behind an answer: a quotation mark, a line break, the model's end of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trie {
    // Nodes are numbered breadth first, so the children of a node are neighbours: node `n` has the places
    // `first[n]..first[n + 1]` of `tokens`, in rising order of tokens, and the child at place `p` is node `p + 1`.
    first: Vec<usize>,
    tokens: Vec<u32>,
    label: Vec<Option<usize>>,
    n_labels: usize,
    max_len: usize,
}

impl Trie {
    /// A trie of the labels' tokens.
    ///
    /// * `labels`: the tokens of each label as it stands behind the prompt, without special tokens. Results name a
    ///   label by its place in this list.
    /// * `end`: the token that ends an answer; in no label.
    ///
    /// # Errors
    /// [`Error::NoLabels`], [`Error::EmptyLabel`], [`Error::SameLabel`], [`Error::EndInLabel`].
    pub fn new<L: AsRef<[u32]>>(labels: &[L], end: u32) -> Result<Self> {
        for (label, tokens) in labels.iter().map(AsRef::as_ref).enumerate() {
            if tokens.is_empty() {
                return Err(Error::EmptyLabel { label });
            }
            if let Some(position) = tokens.iter().position(|&token| token == end) {
                return Err(Error::EndInLabel { label, position, end });
            }
        }
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let spelled: Vec<Vec<u32>> =
            labels.iter().map(|label| label.as_ref().iter().copied().chain([end]).collect()).collect();
        let trie = Self::of_closed(&spelled.iter().map(Vec::as_slice).collect::<Vec<_>>());
        // An end token stands in no label, so none can begin another.
        trie.map_err(|(first, second)| Error::SameLabel { first, second })
    }

    /// A trie of sequences of tokens that end by themselves: none is empty, there is one at least.
    ///
    /// # Errors
    /// Two of which one begins with the other.
    pub(crate) fn of_closed(labels: &[&[u32]]) -> Result<Self, (usize, usize)> {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&label| labels[label]);
        if let Some(pair) = order.windows(2).find(|pair| labels[pair[1]].starts_with(labels[pair[0]])) {
            return Err((pair[0], pair[1]));
        }

        let mut trie = Self {
            first: Vec::new(),
            tokens: Vec::new(),
            label: Vec::new(),
            n_labels: labels.len(),
            max_len: labels.iter().map(|label| label.len()).max().unwrap_or(0),
        };
        // A node is a range of the sorted labels: those that share its prefix of `depth` tokens.
        let mut nodes: VecDeque<(Range<usize>, usize)> = VecDeque::from([(0..order.len(), 0)]);
        while let Some((range, depth)) = nodes.pop_front() {
            trie.first.push(trie.tokens.len());
            let shared = &order[range.clone()];
            if depth == labels[shared[0]].len() {
                trie.label.push(Some(shared[0]));
                continue;
            }
            trie.label.push(None);
            let mut start = range.start;
            for child in shared.chunk_by(|&a, &b| labels[a][depth] == labels[b][depth]) {
                trie.tokens.push(labels[child[0]][depth]);
                nodes.push_back((start..start + child.len(), depth + 1));
                start += child.len();
            }
        }
        trie.first.push(trie.tokens.len());
        Ok(trie)
    }

    /// Number of labels.
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    /// Number of inner nodes: the questions that [`Trie::posterior`] asks the model.
    pub fn n_inner_nodes(&self) -> usize {
        self.label.len() - self.n_labels
    }

    /// Tokens of the longest label, its end token included: the steps that decoding takes at most.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// The tokens that may follow `prefix`, in rising order: the end token if `prefix` is a label, nothing behind an
    /// end token; `None` if no label starts like this.
    pub fn allowed(&self, prefix: &[u32]) -> Option<&[u32]> {
        prefix.iter().try_fold(self.cursor(), Cursor::child).map(|cursor| cursor.allowed())
    }

    /// The inner nodes but the root, each behind the one that it follows, branch after branch.
    #[cfg(feature = "local")]
    pub(crate) fn inner_nodes(&self) -> Vec<InnerNode> {
        let mut nodes = Vec::with_capacity(self.n_inner_nodes());
        let mut open = vec![(self.cursor(), None)];
        while let Some((cursor, number)) = open.pop() {
            if let Some(number) = number {
                let (parent, token): (Option<usize>, u32) = number;
                nodes.push(InnerNode { node: cursor.node, parent, token });
            }
            let place = nodes.len().checked_sub(1);
            for child in (0..cursor.allowed().len()).rev() {
                let next = cursor.nth_child(child);
                if next.label().is_none() {
                    open.push((next, Some((place, cursor.allowed()[child]))));
                }
            }
        }
        nodes
    }

    /// The tokens among which there is a choice somewhere, rising.
    #[cfg(feature = "local")]
    pub(crate) fn choices(&self) -> Vec<u32> {
        let children = self.first.windows(2).map(|ends| &self.tokens[ends[0]..ends[1]]);
        let mut tokens = children.filter(|children| children.len() > 1).collect::<Vec<_>>().concat();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// A place in the trie, at a node.
    #[cfg(feature = "local")]
    pub(crate) fn at(&self, node: usize) -> Cursor<'_> {
        Cursor { trie: self, node }
    }

    /// The tokens of each label, the end token included.
    #[cfg(feature = "local")]
    pub(crate) fn labels(&self) -> Vec<Vec<u32>> {
        let mut labels = vec![Vec::new(); self.n_labels];
        let mut open = vec![(self.cursor(), Vec::new())];
        while let Some((cursor, tokens)) = open.pop() {
            for (place, token) in cursor.allowed().iter().enumerate() {
                let mut tokens = tokens.clone();
                tokens.push(*token);
                open.push((cursor.nth_child(place), tokens));
            }
            if let Some(label) = cursor.label() {
                labels[label] = tokens;
            }
        }
        labels
    }

    /// A place in the trie, at its root.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { trie: self, node: 0 }
    }
}

/// A node in whose place the model is asked.
#[cfg(feature = "local")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct InnerNode {
    /// Its number in the trie.
    pub(crate) node: usize,
    /// The place in the list of the node that it follows; `None` for the root.
    pub(crate) parent: Option<usize>,
    /// The token that leads to it.
    pub(crate) token: u32,
}

/// A place in a trie, to decode step by step without walking the prefix again.
///
/// ```
/// use sc_llm::decode::trie::Trie;
///
/// let trie = Trie::new(&[[7, 4], [7, 5]], 0)?;
/// let mut cursor = trie.cursor();
/// assert_eq!(cursor.forced(), Some(7));
/// for token in [7, 5, 0] {
///     cursor = cursor.child(&token).expect("5 may follow 7, and the label ends there");
/// }
/// assert_eq!(cursor.label(), Some(1));
/// # Ok::<(), sc_llm::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    trie: &'a Trie,
    node: usize,
}

impl<'a> Cursor<'a> {
    /// The tokens that may follow, in rising order; none at a label's end.
    pub fn allowed(self) -> &'a [u32] {
        &self.trie.tokens[self.children()]
    }

    /// The only token that may follow, if there is no choice.
    pub fn forced(self) -> Option<u32> {
        match self.allowed() {
            &[token] => Some(token),
            _ => None,
        }
    }

    /// The place behind `token`; `None` if it may not follow.
    pub fn child(self, token: &u32) -> Option<Self> {
        let place = self.allowed().binary_search(token).ok()?;
        Some(self.nth_child(place))
    }

    /// The number of the node.
    #[cfg(feature = "local")]
    pub(crate) fn node(self) -> usize {
        self.node
    }

    /// The label that ends here, behind its end token.
    pub fn label(self) -> Option<usize> {
        self.trie.label[self.node]
    }

    fn nth_child(self, place: usize) -> Self {
        Self { node: self.children().start + place + 1, ..self }
    }

    fn children(self) -> Range<usize> {
        self.trie.first[self.node]..self.trie.first[self.node + 1]
    }
}

/// Asks the model for the scores of `allowed` after `prefix`; there is one for each, and none is NaN.
fn ask<E: From<Error>>(
    scores: &mut impl FnMut(&[u32], &[u32]) -> Result<Vec<f64>, E>,
    prefix: &[u32],
    allowed: &[u32],
) -> Result<Vec<f64>, E> {
    let scores = scores(prefix, allowed)?;
    if scores.len() != allowed.len() {
        let (found, expected) = (scores.len(), allowed.len());
        return Err(Error::ScoreCount { prefix: prefix.to_vec(), found, expected }.into());
    }
    match scores.iter().position(|score| score.is_nan()) {
        Some(place) => Err(Error::ScoreIsNan { prefix: prefix.to_vec(), token: allowed[place] }.into()),
        None => Ok(scores),
    }
}

#[cfg(test)]
mod tests;
