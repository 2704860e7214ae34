//! Trains a model with the cells of a seed, and asks it about the test cells.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use ndarray::Array2;
use sc_eval::protocol::FoldOutput;
use sc_eval::{Labels, Prediction};
use sc_fm::classify::FineTuned;
use sc_fm::tokenize::Tokens;
use sc_fm::train::TrainProgress;
use sc_io::row_store::{RowStore, Shape};

use super::away::Learnt;
use super::choice::Choice;
use super::methods::Ask;
use super::prepared::Sets;
use super::tuning::{Cells, Trainee, Tuning, TuningSettings};
use sc_examples::fold::Failure;
use sc_examples::progress::say;

/// What all trainings of a run share.
pub(super) struct Tuner<'a> {
    pub(super) settings: &'a TuningSettings,
    pub(super) labels: &'a Labels,
    /// Names of the models.
    pub(super) names: Vec<&'a str>,
    /// Folder of the results.
    pub(super) out: &'a Path,
    pub(super) bar: &'a ProgressBar,
    /// The seed whose tuned models embed all cells, for the maps.
    pub(super) map_seed: Option<u64>,
}

impl Tuner<'_> {
    /// Trains with each learning rate, keeps what has the smallest validation loss, and predicts.
    ///
    /// * `what`: the number of the model, and what of it is trained.
    /// * `ask`: asks what was trained about other cells.
    ///
    /// # Errors
    /// As [`Trainee::tune`] and as `ask`; if results cannot be written.
    pub(super) fn run(
        &self,
        trainee: &Trainee,
        what: (usize, Tuning),
        sets: &Sets,
        seed: u64,
        ask: Ask<'_>,
    ) -> Result<(FoldOutput, Choice), Failure> {
        let (source, tuning) = what;
        let name = format!("{}, {}, seed {seed}", self.names[source], tuning.words());
        let labels: Vec<Option<&str>> = self
            .labels
            .codes()
            .iter()
            .map(|&code| Some(self.labels.classes()[code as usize].as_str()))
            .collect();
        // As published, the epoch is chosen on the test cells.
        let validation = if sets.validation.is_empty() { &sets.test } else { &sets.validation };
        let cells = Cells { labels: &labels, train: &sets.train, validation };
        let rates = self.settings.rates(tuning, trainee.small);
        let start = Instant::now();
        let mut best: Option<(FineTuned, Option<f64>)> = None;
        for (place, &rate) in rates.iter().enumerate() {
            let params = self.settings.params(tuning, rate, trainee, seed);
            let state = self.folder("state").join(format!("{}-{place}", file_name(what, seed)));
            let told =
                rate.filter(|_| rates.len() > 1).map_or_else(String::new, |rate| format!(", rate {rate}"));
            let progress = |now: &TrainProgress| self.bar.set_message(message(&format!("{name}{told}"), now));
            let tuned = trainee.tune(&cells, &params, &state, &progress).with_context(|| name.clone())?;
            say(&format!("{name}{told}: {}", words(&tuned)));
            if best.as_ref().is_none_or(|(best, _)| loss(&tuned) < loss(best)) {
                best = Some((tuned, rate));
            }
        }
        let (tuned, rate) = best.context("there is a learning rate at least")?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let prediction = self.predict(&tuned, &trainee.tokens, &sets.test)?;
        let predict_seconds = start.elapsed().as_secs_f64();
        if self.settings.save_models {
            tuned.save(self.folder("models").join(file_name(what, seed)), true)?;
        }
        if self.map_seed == Some(seed) && tuning.changes_embeddings() {
            self.embed(&tuned, trainee, what)?;
        }
        ask(&Learnt::Tuned(&tuned, &trainee.input))?;
        let choice = Choice {
            learning_rate: rate.filter(|_| rates.len() > 1),
            epoch: Some(tuned.best_epoch().epoch),
            history: tuned.history().to_vec(),
            loss: loss(&tuned).is_finite().then(|| loss(&tuned)),
            n_tried: rates.len() * tuned.history().len(),
            ..Default::default()
        };
        Ok((FoldOutput { prediction, fit_seconds, predict_seconds }, choice))
    }

    /// Probabilities in the order of the labels' classes. A cell that the model sees no gene of gets the shares of the
    /// classes among all cells.
    pub(super) fn predict(&self, tuned: &FineTuned, tokens: &Tokens, rows: &[usize]) -> Result<Prediction> {
        let found = tuned.predict_proba_tokens(tokens, rows)?.probabilities;
        let classes = self.labels.classes();
        let column = |class: &String| tuned.classes().iter().position(|name| name == class);
        let columns: Vec<Option<usize>> = classes.iter().map(column).collect();
        let shares = self.labels.counts();
        let probabilities = Array2::from_shape_fn((rows.len(), classes.len()), |(cell, class)| match columns
            [class]
            .map(|column| found[[cell, column]])
        {
            Some(p) if !p.is_nan() => p as f32,
            None if !found[[cell, 0]].is_nan() => 0.0,
            _ => shares[class] as f32 / self.labels.len() as f32,
        });
        Ok(Prediction::from_probabilities(probabilities))
    }

    /// Embeds all cells by the tuned model, as they were embedded before.
    fn embed(&self, tuned: &FineTuned, trainee: &Trainee, what: (usize, Tuning)) -> Result<()> {
        self.bar.set_message(format!("{}, {}: embedding all cells", self.names[what.0], what.1.words()));
        let n_rows = self.labels.len();
        let after = tuned.model().embed_tokens(&trainee.tokens, n_rows, &trainee.input)?;
        let shape = Shape { n_rows, n_cols: after.values.ncols(), block_rows: n_rows.max(1) };
        let path = after_path(self.out, what);
        std::fs::create_dir_all(self.folder("embeddings"))
            .with_context(|| format!("cannot create {}", self.folder("embeddings").display()))?;
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
        let mut store = RowStore::open(&path, shape, "after-tuning")?;
        let values = after.values.as_standard_layout();
        Ok(store.put(0, values.as_slice().context("rows lie one behind the other")?)?)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.out.join("training").join(name)
    }
}

/// All cells as a tuned model embeds them, if it did.
pub(super) fn after(out: &Path, what: (usize, Tuning), shape: (usize, usize)) -> Option<Array2<f32>> {
    let shape = Shape { n_rows: shape.0, n_cols: shape.1, block_rows: shape.0.max(1) };
    let path = after_path(out, what);
    path.is_file().then(|| RowStore::open(&path, shape, "after-tuning").ok()?.read().ok()).flatten()
}

fn after_path(out: &Path, (source, tuning): (usize, Tuning)) -> PathBuf {
    let name = format!("model{source}-{}.npy", tuning.words().replace(' ', "-"));
    out.join("training").join("embeddings").join(name)
}

fn file_name((source, tuning): (usize, Tuning), seed: u64) -> String {
    format!("model{source}-{}-seed{seed}", tuning.words().replace(' ', "-"))
}

/// The validation loss of the epoch that was kept.
fn loss(tuned: &FineTuned) -> f64 {
    tuned.best_epoch().validation.map_or(f64::INFINITY, |scores| scores.loss)
}

fn words(tuned: &FineTuned) -> String {
    let (best, all) = (tuned.best_epoch(), tuned.history());
    let seconds: f64 = all.iter().map(|epoch| epoch.seconds).sum();
    let validation = match best.validation {
        Some(scores) => format!(", validation loss {:.4}, accuracy {:.3}", scores.loss, scores.accuracy),
        None => String::new(),
    };
    format!("epoch {} of {}{validation}; {seconds:.1} s", best.epoch, all.len())
}

fn message(name: &str, now: &TrainProgress) -> String {
    let left = now.remaining().map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
    format!(
        "{name}: epoch {}/{}, step {}/{}, loss {:.3}, {:.1} cells/s{left}",
        now.epoch,
        now.n_epochs,
        now.step,
        now.n_steps,
        now.loss,
        now.items_per_second()
    )
}
