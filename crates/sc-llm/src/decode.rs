//! Decoding that can end in a label only.

pub mod trie;
