//! The programs as a user meets them: what they print, write and refuse.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod away;
mod cellreasoner;
mod foundation_models;
mod llm_benchmark;
mod pretrain;
#[allow(dead_code, reason = "the client's own tests also need what these leave")]
#[path = "../../../../crates/sc-llm/tests/endpoint/server.rs"]
mod server;
#[path = "../../../tests/programs/support.rs"]
mod support;
