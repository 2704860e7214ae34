//! What everything that was fitted said about the cells of the other file, on disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Away;
use crate::foundation::embeddings::hex;

/// The folder of the answers about one file, by one plan.
pub(in crate::foundation) struct Answers {
    folder: PathBuf,
    key: String,
    n_cells: usize,
    n_classes: usize,
}

/// An answer on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    key: String,
    /// The class of each cell, among those of the first data set.
    codes: Vec<u32>,
}

impl Answers {
    /// * `out`: the folder of the results.
    /// * `plan`: the hash of the plan by which everything was fitted.
    pub(super) fn new(out: &Path, plan: &str, away: &Away<'_>, n_classes: usize) -> Self {
        let key = hex(Sha256::new_with_prefix(format!("{plan} {}", away.sha256)));
        Self { folder: folder(out).join(&key[..16]), key, n_cells: away.n_cells(), n_classes }
    }

    /// The classes that a method with a seed gave the cells, if the answer is there and whole.
    pub(super) fn read(&self, method: usize, seed: u64) -> Option<Vec<u32>> {
        let answer: Answer = serde_json::from_slice(&fs::read(self.path(method, seed)).ok()?).ok()?;
        let fits = answer.key == self.key
            && answer.codes.len() == self.n_cells
            && answer.codes.iter().all(|&code| (code as usize) < self.n_classes);
        fits.then_some(answer.codes)
    }

    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, method: usize, seed: u64, codes: Vec<u32>) -> Result<()> {
        let folder = &self.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let bytes = serde_json::to_vec(&Answer { key: self.key.clone(), codes })?;
        let path = self.path(method, seed);
        Ok(sc_io::atomic::write_aside(&path, true, |file| std::io::Write::write_all(file, &bytes))?)
    }

    fn path(&self, method: usize, seed: u64) -> PathBuf {
        self.folder.join(format!("model{method}-seed{seed}.json"))
    }
}

/// Where the answers about all files are.
fn folder(out: &Path) -> PathBuf {
    out.join("away")
}

/// Removes the answers of an earlier run.
///
/// # Errors
/// If they are there and cannot be removed.
pub(in crate::foundation) fn clear(out: &Path) -> Result<()> {
    let folder = folder(out);
    match folder.is_dir() {
        true => fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display())),
        false => Ok(()),
    }
}
