//! What the reference implementations compute, on small models and on released files.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod checkpoint;
mod embed;
mod gguf;
mod models;
mod perturb;
mod registry;
mod support;
mod tokenize;
mod train;
