//! The programs as a user meets them: what they print, write and refuse.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod anomaly_detection;
mod bad_input;
mod benchmark;
mod clustering;
mod grid;
mod leak_check;
mod robustness;
mod sample_efficiency;
mod support;
