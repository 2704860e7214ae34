//! The rules of the house, checked on what is tracked by git.

mod arrows;
mod documents;
mod files;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repository;

pub(crate) fn run() -> Result<()> {
    let root = repository();
    let files = tracked(&root)?;
    let mut broken = arrows::check(&root)?;
    broken.extend(files::check(&root, &files)?);
    broken.extend(documents::check(&root, &files)?);
    if broken.is_empty() {
        return Ok(());
    }
    for rule in &broken {
        eprintln!("tidy: {rule}");
    }
    bail!("{} rules of the house are broken", broken.len());
}

/// Tracked files and those git would track, relative to the root.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    if !git.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&git.stderr).trim());
    }
    let names = String::from_utf8(git.stdout).context("a file name is not UTF-8")?;
    let names = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(names.filter(|name| root.join(name).is_file()).collect())
}
