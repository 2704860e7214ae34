//! The gate: what CI runs, and what anybody can run before.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{repository, tidy};

/// Cargo's arguments, step by step; a step whose name ends in `docs` denies warnings of rustdoc.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    // A feature that only builds together with others is no feature.
    ("sc-eval, default features", &["clippy", "-p", "sc-eval", "--lib", "--", "-D", "warnings"]),
    (
        "sc-eval, classifiers alone",
        &["clippy", "-p", "sc-eval", "--lib", "-F", "classifiers", "--", "-D", "warnings"],
    ),
    ("sc-eval, grid alone", &["clippy", "-p", "sc-eval", "--lib", "-F", "grid", "--", "-D", "warnings"]),
    ("sc-eval, report alone", &["clippy", "-p", "sc-eval", "--lib", "-F", "report", "--", "-D", "warnings"]),
    ("sc-eval, linfa alone", &["clippy", "-p", "sc-eval", "--lib", "-F", "linfa", "--", "-D", "warnings"]),
    (
        "sc-eval, smartcore alone",
        &["clippy", "-p", "sc-eval", "--lib", "-F", "smartcore", "--", "-D", "warnings"],
    ),
    ("tests", &["test", "--workspace", "--all-features"]),
    ("docs", &["doc", "--workspace", "--all-features", "--no-deps"]),
];

pub(crate) fn run() -> Result<()> {
    for (name, arguments) in STEPS {
        let start = Instant::now();
        println!("── {name}: cargo {}", arguments.join(" "));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(*arguments).current_dir(repository());
        if name.ends_with("docs") {
            cargo.env("RUSTDOCFLAGS", "-D warnings");
        }
        let status = cargo.status().context("cannot start cargo")?;
        if !status.success() {
            bail!("{name} failed");
        }
        println!("── {name}: {:.0} s", start.elapsed().as_secs_f64());
    }
    println!("── tidy");
    tidy::run()?;
    let data =
        std::env::var_os("SC_TEST_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    if !data.is_dir() {
        println!(
            "left out: the tests on real data files; they run where SC_TEST_DATA names a folder that holds them"
        );
    }
    println!("everything passes");
    Ok(())
}
