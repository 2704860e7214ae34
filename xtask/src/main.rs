//! Development tasks, run as `cargo xtask <task>`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod ci;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>
  ci     everything that must pass: fmt, clippy, features alone, tests, docs, tidy
  tidy   the rules of the house: who may depend on whom, file sizes, documents that drift";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let result = match task.as_deref() {
        Some("ci") => ci::run(),
        Some("tidy") => tidy::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: of the one that `cargo xtask` was called in, wherever this program was compiled.
fn repository() -> PathBuf {
    let called = std::env::var_os("CARGO_MANIFEST_DIR");
    let xtask = called.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().unwrap_or(&xtask).to_owned()
}
