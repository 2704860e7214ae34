//! Documents that drift: links to nowhere, examples and models that are not there, a version without a change-log entry.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(root.join(file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        let folder = root.join(file).parent().unwrap_or(root).to_owned();
        for link in links(&text) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = link.contains("://") || path.is_empty();
            if !elsewhere && !folder.join(path).exists() {
                broken.push(format!("{} links to {link}, which is not there", file.display()));
            }
        }
        for example in examples(&text) {
            if !root.join("examples").join(format!("{example}.rs")).is_file() {
                broken.push(format!("{} runs the example {example}, which is not there", file.display()));
            }
        }
    }
    let changes =
        std::fs::read_to_string(root.join("docs/CHANGELOG.md")).context("cannot read docs/CHANGELOG.md")?;
    let version = env!("CARGO_PKG_VERSION");
    if !changes.lines().any(|line| line.starts_with("## ") && line.contains(version)) {
        broken.push(format!("docs/CHANGELOG.md has no entry for version {version}"));
    }
    Ok(broken)
}

/// Targets of inline Markdown links and images.
fn links(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.trim()).collect()
}

/// Names behind `--example`.
fn examples(text: &str) -> Vec<&str> {
    let after = text.split("--example ").skip(1);
    let name =
        |rest: &'_ str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    after.map(|rest| &rest[..name(rest)]).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_examples_are_found() {
        let text =
            "See [a](docs/A.md#part) and ![b](b.png).\n`cargo run --release --example benchmark -- --x`\n";
        assert_eq!(links(text), ["docs/A.md#part", "b.png"]);
        assert_eq!(examples(text), ["benchmark"]);
    }
}
