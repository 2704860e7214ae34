#![doc = include_str!("../README.md")]

pub mod checkpoint;
pub mod classify;
pub mod compute;
pub mod embed;
pub mod error;
pub mod models;
pub mod nn;
pub mod perturb;
pub mod pretrain;
pub mod registry;
pub mod tokenize;
pub mod train;

pub use compute::Compute;
pub use error::Error;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
