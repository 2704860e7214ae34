//! The programs as a user meets them: what they print, write and refuse.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod away;
mod cellreasoner;
mod foundation_models;
mod key;
mod killed;
mod llm_benchmark;
mod pretrain;
#[allow(dead_code, reason = "a server that sc-llm tests more of")]
#[path = "../../../../crates/sc-llm/tests/endpoint/server.rs"]
mod server;
#[path = "../../../tests/programs/support.rs"]
mod support;
