//! One binary for the whole flow: golden values against the reference tools, hostile files, determinism, programs.

mod golden;
mod support;
