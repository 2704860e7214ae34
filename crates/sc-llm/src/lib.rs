#![doc = include_str!("../README.md")]

pub mod answer;
pub mod calibrate;
pub mod decode;
pub mod error;

pub use error::Error;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
