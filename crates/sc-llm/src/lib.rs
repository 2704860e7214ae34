#![doc = include_str!("../README.md")]

#[cfg(feature = "local")]
pub mod annotate;
pub mod answer;
pub mod calibrate;
pub mod cellreasoner;
pub mod chat;
pub mod decode;
#[cfg(feature = "endpoint")]
pub mod endpoint;
pub mod error;
pub mod evidence;
#[cfg(feature = "local")]
pub mod gguf;
#[cfg(feature = "local")]
pub mod models;
pub mod prompt;
#[cfg(feature = "local")]
pub mod sft;
#[cfg(feature = "local")]
pub mod tokenizer;

pub use error::Error;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
