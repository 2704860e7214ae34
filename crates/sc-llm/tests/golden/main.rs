//! What the reference implementations compute, on small models with random weights.
#![cfg(feature = "local")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where something is not there, and says what it left out"
)]

mod models;
#[allow(dead_code, reason = "the other test reads real data too")]
#[path = "../tokenizer/support.rs"]
mod places;
mod support;
