//! The gate: what CI runs, and what anybody can run before.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{repository, tidy};

/// Stands for every feature of the workspace that builds without a vendor's toolkit.
const ALL_FEATURES: &str = "--features=all";
/// Features that need such a toolkit when they are built.
const NEED_A_TOOLKIT: &[&str] = &["cuda"];

/// Cargo's arguments, step by step; a step whose name ends in `docs` denies warnings of rustdoc.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("clippy", &["clippy", "--workspace", "--all-targets", ALL_FEATURES, "--", "-D", "warnings"]),
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
    (
        "sc-llm, no features",
        &["clippy", "-p", "sc-llm", "--lib", "--no-default-features", "--", "-D", "warnings"],
    ),
    (
        "sc-llm, endpoint alone",
        &[
            "clippy",
            "-p",
            "sc-llm",
            "--lib",
            "--no-default-features",
            "-F",
            "endpoint",
            "--",
            "-D",
            "warnings",
        ],
    ),
    ("tests", &["test", "--workspace", ALL_FEATURES]),
    ("docs", &["doc", "--workspace", ALL_FEATURES, "--no-deps"]),
];

pub(crate) fn run() -> Result<()> {
    let all_features = all_features()?;
    for (name, arguments) in STEPS {
        let start = Instant::now();
        let arguments = arguments.iter().map(|argument| match *argument {
            ALL_FEATURES => all_features.as_str(),
            other => other,
        });
        let arguments: Vec<&str> = arguments.collect();
        println!("── {name}: cargo {}", arguments.join(" "));
        let mut cargo = cargo();
        cargo.args(&arguments).current_dir(repository());
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

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `--features=crate/feature,...` with the features of all members of the workspace but those in [`NEED_A_TOOLKIT`].
fn all_features() -> Result<String> {
    let metadata = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .context("cannot start cargo")?;
    if !metadata.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&metadata.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut features = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package without a name")?;
        let of_package = package["features"].as_object().context("a package without features")?;
        let wanted = of_package.keys().filter(|feature| !NEED_A_TOOLKIT.contains(&feature.as_str()));
        features.extend(wanted.map(|feature| format!("{name}/{feature}")));
    }
    Ok(format!("--features={}", features.join(",")))
}
