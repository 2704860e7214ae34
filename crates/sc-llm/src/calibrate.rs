//! From scores of labels to answers that know how sure they are.
//!
//! Scores are `S(label) = log p(label, end | prompt)`, cells × labels, as [`Trie::posterior`](crate::decode::trie::Trie::posterior)
//! gives them. In order:
//!
//! | step | function |
//! |---|---|
//! | several spellings of one label become one column | [`merge_spellings`] |
//! | what the model says without having seen a cell is taken off | [`without_prior`] |
//! | scores become probabilities, at a temperature | [`probabilities`], [`Temperature`] |
//! | cells of one cluster are taken together | [`of_cluster`] |
//! | below a probability no answer is given, so that few of the rest are wrong | [`Abstention`] |
//! | or a set of labels that holds the right one | [`ConformalSets`] |
//! | or the narrowest Cell Ontology term that is probable enough | [`BackOff`] |
//! | each label is given once | [`assign`] |
//!
//! What is fitted is fitted on labelled cells that are neither prompted with nor scored.

mod abstention;
mod assign;
mod back_off;
mod conformal;
mod error;
mod scores;
mod temperature;

pub use abstention::{Abstention, AbstentionParams};
pub use assign::assign;
pub use back_off::{Answer, BackOff};
pub use conformal::ConformalSets;
pub use error::Error;
pub use scores::{merge_spellings, of_cluster, probabilities, without_prior};
pub use temperature::Temperature;
