//! Decoding that can end in a label only.

pub mod generate;
pub mod trie;
