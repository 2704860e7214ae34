//! A small Geneformer for data without Ensembl ids: its vocabulary is the genes of the training cells.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use sc_fm::embed::{FoundationModel, OpenParams};
use sc_fm::models::LoadOptions;
use sc_fm::nn::gemm::Precision;
use sc_fm::pretrain::{PretrainParams, pretrain};
use sc_fm::tokenize::Tokens;
use sc_fm::train::{LoopParams, Schedule, TrainProgress, Warmup};
use sha2::{Digest, Sha256};

use super::Settings;
use super::embeddings::hex;
use crate::genes::{self, Shape};
use sc_examples::progress::say;

/// Seed of the weights.
const SEED: u64 = 0;

/// What the model is, in words.
pub(super) const WORDS: &str = "3 layers of 64 values, 4 heads; tokens are the genes of the training cells, their medians those \
                                of the training cells";

/// The model with random weights.
///
/// # Errors
/// If no cell has a count.
pub(super) fn model(medians: &BTreeMap<String, f64>, precision: Precision) -> Result<FoundationModel> {
    let shape = Shape { n_layers: 3, width: 64, n_heads: 4, max_length: (medians.len() + 2).min(4096) };
    shape.geneformer(genes::vocabulary(medians)?, SEED, precision)
}

/// The model after it learnt from cells, without their labels, which of their genes follow on which; from disk, if it did
/// before.
///
/// * `identity`: what the model and the cells are, and with which seed they are shuffled and masked.
///
/// # Errors
/// As [`pretrain`]; if the model cannot be kept.
pub(super) fn pretrained(
    model: &FoundationModel,
    tokens: &Tokens,
    (identity, seed): (&str, u64),
    settings: &Settings,
    bar: &ProgressBar,
) -> Result<FoundationModel> {
    let kernel = settings.precision.kernel();
    let defaults = PretrainParams::default();
    let params = PretrainParams {
        train: LoopParams {
            epochs: settings.pretrain_epochs,
            batch_size: 8,
            schedule: Schedule { warmup: Warmup::Ratio(0.05), ..Schedule::linear(1e-3) },
            seed,
            ..defaults.train
        },
        ..defaults
    };
    let key = hex(Sha256::new_with_prefix(format!("{identity} {kernel} {params:?}")));
    let folder = settings.cache.join(format!("pretrained-{}", &key[..32]));
    let load = LoadOptions { precision: settings.precision.gemm(), ..Default::default() };
    let open = || FoundationModel::open(&folder, &OpenParams { load: load.clone(), ..Default::default() });
    let name = format!("small Geneformer, seed {seed}");
    if folder.is_dir()
        && let Ok(model) = open()
    {
        say(&format!("{name}: pretrained before, taken from {}", folder.display()));
        return Ok(model);
    }
    let n_cells = tokens.n_cells();
    say(&format!(
        "{name}: no checkpoint is named, so it is pretrained on the {n_cells} training cells, without labels"
    ));
    let state = folder.with_extension("state");
    let start = Instant::now();
    let watch = &mut |now: &TrainProgress| {
        bar.set_length(now.n_steps as u64);
        bar.set_position(now.step as u64);
        let left = now.remaining().map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
        bar.set_message(format!(
            "{name}: pretraining, epoch {}/{}, loss {:.3}, {:.1} cells/s{left}",
            now.epoch,
            now.n_epochs,
            now.loss,
            now.items_per_second()
        ));
        ControlFlow::Continue(())
    };
    let done = pretrain(model, tokens, &params, Some(&state), watch)?;
    let (first, last) = (&done.history()[0], done.best_epoch());
    say(&format!(
        "{name}: {} epochs in {:.1} s, loss of the masked genes from {:.3} to {:.3}",
        last.epoch,
        start.elapsed().as_secs_f64(),
        first.train_loss,
        last.train_loss
    ));
    done.model().save(&folder, true)?;
    std::fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))?;
    Ok(open()?)
}
