//! What was chosen on validation cells, on disk beside the answers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sc_fm::train::EpochRecord;
use serde::{Deserialize, Serialize};

/// What a model was given after a look at the validation cells of a seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    /// The layer, of an embedding.
    pub(super) layer: Option<String>,
    /// The strength of the penalty, of a logistic regression.
    pub(super) c: Option<f64>,
    /// The learning rate, of a tuned model that has several to choose from.
    #[serde(default)]
    pub(super) learning_rate: Option<f64>,
    /// The epoch, of a tuned model.
    #[serde(default)]
    pub(super) epoch: Option<usize>,
    /// Every epoch of a tuned model.
    #[serde(default)]
    pub(super) history: Vec<EpochRecord>,
    /// Cross-entropy of the validation cells; none where nothing was chosen.
    pub(super) loss: Option<f64>,
    /// How many there were to choose from.
    pub(super) n_tried: usize,
}

impl Choice {
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, out: &Path, model: usize, seed: u64) -> Result<()> {
        let path = path(out, model, seed);
        let folder = path.parent().expect("it is in a folder of its own");
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let bytes = serde_json::to_vec(self)?;
        Ok(sc_io::atomic::write_aside(&path, true, |file| std::io::Write::write_all(file, &bytes))?)
    }

    /// The choice, if it is there and whole.
    pub(super) fn read(out: &Path, model: usize, seed: u64) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(out, model, seed)).ok()?).ok()
    }
}

fn path(out: &Path, model: usize, seed: u64) -> PathBuf {
    out.join("choices").join(format!("model{model}-seed{seed}.json"))
}
