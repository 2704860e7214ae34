//! Decoding that can end in a label only.

pub mod generate;
#[cfg(feature = "local")]
pub mod template;
pub mod trie;
