//! Decoding held to labels, templates and grammars, or to nothing.

pub mod generate;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "local")]
pub mod template;
pub mod trie;
