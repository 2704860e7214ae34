//! What the reference implementations compute, on small models with random weights.
#![cfg(feature = "local")]
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod models;
mod support;
