//! Golden values against the reference tools, in one binary.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod golden;
mod leaks;
mod support;
