//! Files: one idea each, nothing large, nothing unfinished.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A source file with more lines holds a second idea.
const MAX_LINES: usize = 500;
/// A larger file is data, and data live elsewhere.
const MAX_BYTES: u64 = 1_000_000;

/// Words that promise what is not there, put together here so that this file does not hold them.
fn unfinished() -> [String; 3] {
    [("TO", "DO"), ("FIX", "ME"), ("XX", "X")].map(|(a, b)| format!("{a}{b}"))
}

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in files {
        let path = root.join(file);
        let name = file.display();
        let bytes = std::fs::metadata(&path).with_context(|| format!("cannot read {name}"))?.len();
        if bytes > MAX_BYTES {
            broken.push(format!("{name} has {bytes} bytes, more than {MAX_BYTES}"));
        }
        if file.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            broken.extend(of_source(&name.to_string(), &text));
        }
    }
    Ok(broken)
}

fn of_source(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        broken.push(format!("{name} has {lines} lines, more than {MAX_LINES}: look for its second idea"));
    }
    if name.ends_with("/mod.rs") {
        broken.push(format!("{name}: modules are foo.rs beside foo/, not foo/mod.rs"));
    }
    for (number, line) in text.lines().enumerate() {
        let words = unfinished();
        if let Some(word) =
            words.iter().find(|word| line.split(|c: char| !c.is_alphanumeric()).any(|w| w == *word))
        {
            broken.push(format!("{name}:{}: {word}", number + 1));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unfinished_sources_are_named() {
        assert_eq!(of_source("a.rs", &"\n".repeat(MAX_LINES + 1)).len(), 1);
        let [word, ..] = unfinished();
        assert_eq!(
            of_source("a.rs", &format!("fn f() {{}}\n// {word}: more\n")),
            [format!("a.rs:2: {word}")]
        );
        assert_eq!(of_source("a/mod.rs", "").len(), 1);
        assert!(of_source("a.rs", "fn f() {}\n").is_empty());
    }
}
