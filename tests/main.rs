//! One binary for the whole flow: golden values against the reference tools, hostile files, determinism, programs.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod golden;
mod support;
