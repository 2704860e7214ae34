//! A small Geneformer for data without Ensembl ids: its vocabulary is the genes of the training cells.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use sc_fm::embed::{FoundationModel, OpenParams};
use sc_fm::models::LoadOptions;
use sc_fm::models::geneformer::{Geneformer, GeneformerConfig, InputFormat};
use sc_fm::nn::gemm::Precision;
use sc_fm::pretrain::{PretrainParams, pretrain};
use sc_fm::tokenize::Tokens;
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_fm::train::{Schedule, TrainProgress, Warmup};
use sc_io::Csr;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Settings;
use super::embeddings::hex;
use sc_examples::progress::say;

/// Special tokens, in the order of the second series.
const SPECIALS: [&str; 4] = ["<pad>", "<mask>", "<cls>", "<eos>"];

/// Seed of the weights.
const SEED: u64 = 0;

/// What the model is, in words.
pub(super) const WORDS: &str = "3 layers of 64 values, 4 heads; tokens are the genes of the training cells, their medians those \
                                of the training cells";

/// Genes with their medians over some cells: of the counts per 10,000 where there are any. Genes without a count have
/// none.
///
/// * `genes`: name of each column, in upper case as tokenisers compare them; columns of one name are one gene, with the
///   median of all their values.
pub(super) fn medians(counts: &Csr, genes: &[String], cells: &[usize]) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for &cell in cells {
        let (columns, stored) = counts.row(cell);
        let total: f64 = stored.iter().map(|&value| f64::from(value)).sum();
        for (&column, &value) in columns.iter().zip(stored).filter(|(_, value)| **value > 0.0) {
            let value = f64::from(value) / total * 10_000.0;
            values.entry(genes[column as usize].to_uppercase()).or_default().push(value);
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        let half = values.len() / 2;
        if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] }
    };
    values.into_iter().map(|(gene, values)| (gene, median(values))).collect()
}

/// The model with random weights.
///
/// # Errors
/// If no cell has a count.
pub(super) fn model(medians: &BTreeMap<String, f64>, precision: Precision) -> Result<FoundationModel> {
    let tokens = SPECIALS.iter().copied().chain(medians.keys().map(String::as_str));
    let tokens = tokens.zip(0..).map(|(key, token)| (key.to_owned(), token));
    let vocabulary = Vocabulary::new(tokens, medians.iter().map(|(gene, &median)| (gene.clone(), median)))?;
    let config: GeneformerConfig = serde_json::from_value(json!({
        "model_type": "bert",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": vocabulary.n_tokens(),
        "max_position_embeddings": (medians.len() + 2).min(4096),
        "hidden_act": "relu",
    }))?;
    let mut weights = Geneformer::random_weights(&config, SEED, &LoadOptions::default().device)?;
    let network = Geneformer::from_weights(config, InputFormat::of(&vocabulary), &mut weights, precision)?;
    Ok(FoundationModel::geneformer(network, vocabulary)?)
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
    let params = PretrainParams {
        epochs: settings.pretrain_epochs,
        batch_size: 8,
        schedule: Schedule { warmup: Warmup::Ratio(0.05), ..Schedule::linear(1e-3) },
        seed,
        ..Default::default()
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
    say(&format!("{name}: no checkpoint is named, so it is pretrained on the {n_cells} training cells, without labels"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_the_cells_named_where_there_are_counts() {
        let x = ndarray::array![[1.0, 3.0, 0.0, 0.0], [2.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 9.0]];
        let genes = ["a", "B", "b", "c"].map(str::to_owned);
        let found = medians(&Csr::from_dense(x.view()), &genes, &[0, 1]);
        let expected = [("A".to_owned(), 3750.0), ("B".to_owned(), 6250.0)];
        assert_eq!(found, BTreeMap::from(expected));
        assert_eq!(model(&found, Precision::F32).unwrap().vocabulary().unwrap().n_tokens(), 6);
    }
}
