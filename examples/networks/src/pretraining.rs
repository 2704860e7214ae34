//! Pretraining: which model, on which files, and the folder that comes out.

mod args;
mod start;

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sc_eval::Manifest;
use sc_fm::pretrain::{PretrainParams, Pretrained, pretrain, pretrain_files};
use sc_fm::train::{AdamParams, LoopParams, Schedule, Select, TrainProgress, Warmup};
use serde_json::json;

use crate::memory;
pub use args::PretrainArgs;
use sc_examples::end::Usage;
use sc_examples::progress::{bar, say};
use start::{Cells, start};

/// Pretrains, writes the model, and returns the history as a table.
///
/// # Errors
/// As the steps.
pub fn run(args: &PretrainArgs) -> Result<String> {
    let out = &args.out;
    let (done, state) = (out.join("training.json"), out.join("state"));
    if done.exists() && !args.force {
        bail!(Usage(format!(
            "{} holds a pretrained model: name another --out, or pass --force",
            out.display()
        )));
    }
    if let Some(n) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().context("cannot start the threads")?;
    }
    if args.force && state.is_dir() {
        fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;

    let (model, cells) = start(args)?;
    let (network, _) = model.as_geneformer().context("this model is not a Geneformer")?;
    let config = network.config();
    say(&format!(
        "Geneformer of {} layers, {} values, {} tokens at most, a vocabulary of {}",
        config.num_hidden_layers, config.hidden_size, config.max_position_embeddings, config.vocab_size
    ));
    let defaults = PretrainParams::default();
    let params = PretrainParams {
        train: LoopParams {
            epochs: args.epochs,
            batch_size: args.batch_size,
            schedule: Schedule { warmup: Warmup::Ratio(0.05), ..Schedule::linear(args.learning_rate) },
            optimizer: AdamParams::adamw(args.weight_decay),
            seed: args.seed,
            select: if args.validation > 0.0 { Select::Loss } else { Select::Last },
            save_every: Some(200),
            checkpointing: args.checkpointing,
            memory: memory::available(),
            ..defaults.train
        },
        validation: args.validation,
        ..defaults
    };
    let clock = Instant::now();
    let bar = bar(1);
    let mut epoch = 0;
    let watch = &mut |now: &TrainProgress| {
        if now.epoch > epoch {
            epoch = now.epoch;
            let minutes = now.elapsed.as_secs_f64() / 60.0;
            say(&format!("epoch {epoch} of {}, {minutes:.0} min, loss {:.3}", now.n_epochs, now.loss));
        }
        bar.set_length(now.n_steps as u64);
        bar.set_position(now.step as u64);
        let left = now.remaining().map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
        bar.set_message(format!(
            "epoch {}/{}, loss {:.3}, {:.1} cells/s{left}",
            now.epoch,
            now.n_epochs,
            now.loss,
            now.items_per_second()
        ));
        ControlFlow::Continue(())
    };
    let pretrained = match &cells {
        Cells::Files(files) => pretrain_files(&model, files, &params, Some(&state), watch)?,
        Cells::Tokens(tokens) => pretrain(&model, tokens, &params, Some(&state), watch)?,
    };
    bar.finish_and_clear();
    pretrained.model().save(out, true)?;

    let mut manifest = Manifest::new("pretrain", env!("CARGO_PKG_VERSION"));
    manifest.command = std::env::args().collect();
    if let Some(name) = manifest.command.first_mut() {
        "pretrain".clone_into(name);
    }
    manifest.seed = Some(args.seed);
    manifest.threads = rayon::current_num_threads();
    for path in &args.input {
        manifest.input(path)?;
    }
    let mut document = json!({
        "parameters": format!("{params:?}"),
        "best_epoch": pretrained.best_epoch().epoch,
        "history": pretrained.history(),
        "manifest": manifest,
    });
    document.sort_all_objects();
    let bytes = serde_json::to_vec_pretty(&document)?;
    sc_io::atomic::write_aside(&done, true, |file| file.write_all(&bytes))?;
    fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))?;
    say(&format!("{:.0} s; model: {}", clock.elapsed().as_secs_f64(), out.display()));
    Ok(table(&pretrained))
}

/// A line for each epoch.
fn table(pretrained: &Pretrained) -> String {
    let mut text = "epoch  loss of training  loss of validation  masked genes found  seconds\n".to_owned();
    for epoch in pretrained.history() {
        let (loss, accuracy) = match &epoch.validation {
            Some(scores) => (format!("{:.4}", scores.loss), format!("{:.4}", scores.accuracy)),
            None => ("–".to_owned(), "–".to_owned()),
        };
        let kept = if epoch.epoch == pretrained.best_epoch().epoch { " *" } else { "" };
        text += &format!(
            "{:>5}  {:>16.4}  {loss:>18}  {accuracy:>18}  {:>7.1}{kept}\n",
            epoch.epoch, epoch.train_loss, epoch.seconds
        );
    }
    text
}
