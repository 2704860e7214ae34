//! What is trained of a model, and how.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sc_fm::classify::{FineTuneParams, FineTuned, Method, fine_tune_tokens};
use sc_fm::embed::{EmbedParams, FoundationModel, Kind};
use sc_fm::models::LoraParams;
use sc_fm::tokenize::Tokens;
use sc_fm::train::{Schedule, TrainProgress};

use crate::memory;
use sc_examples::run::at_least_1;

/// What of a model is trained, beside classifiers on its embeddings as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tuning {
    /// A linear layer on the embeddings, by gradient descent
    LinearProbe,
    /// Adapters of low rank in the attention, and a new head
    Lora,
    /// All weights, and a new head
    FineTuned,
}

impl Tuning {
    /// Its name in tables.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::LinearProbe => "linear probe",
            Self::Lora => "LoRA",
            Self::FineTuned => "fine-tuned",
        }
    }

    /// Whether embeddings differ afterwards.
    pub(super) fn changes_embeddings(self) -> bool {
        self != Self::LinearProbe
    }
}

/// Flags of the training.
#[derive(Args, Clone, Debug)]
pub(super) struct TuningArgs {
    /// What is trained of each model, beside classifiers on frozen embeddings; `none` for these alone [default: all; of
    /// scFoundation the linear probe]
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub(super) tune: Vec<TuneFlag>,
    /// Passes over the training cells of a fine-tuning and of LoRA; the best by validation loss is kept [default: 3; 5 for
    /// the small model]
    #[arg(long, value_name = "N", value_parser = at_least_1)]
    pub(super) epochs: Option<usize>,
    /// Learning rates of a fine-tuning; of several the best by validation loss is kept [default: 5e-5; 1e-3 for the small
    /// model]
    #[arg(long, value_name = "RATE", num_args = 1.., value_delimiter = ',', value_parser = rate)]
    pub(super) learning_rate: Vec<f64>,
    /// Learning rates of LoRA, in the same way [default: 5e-4; 3e-3 for the small model]
    #[arg(long, value_name = "RATE", num_args = 1.., value_delimiter = ',', value_parser = rate)]
    pub(super) lora_learning_rate: Vec<f64>,
    /// Cells of a training step
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_1)]
    pub(super) batch_size: usize,
    /// Rank of LoRA's matrices
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least_1)]
    pub(super) lora_rank: usize,
    /// Keep of each layer of a Geneformer its input alone and compute it twice: a third of the memory, a quarter more time, the
    /// same results
    #[arg(long)]
    pub(super) checkpointing: bool,
    /// Keep the tuned models of all seeds in the folder of the results
    #[arg(long)]
    pub(super) save_models: bool,
}

/// A value of `--tune`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TuneFlag {
    /// Nothing
    None,
    /// A linear layer on the embeddings, by gradient descent
    LinearProbe,
    /// Adapters of low rank in the attention, and a new head
    Lora,
    /// All weights, and a new head
    FineTuned,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("expected a number such as 5e-5, found {text:?}"))?;
    let fits = rate > 0.0 && rate < 1.0;
    fits.then_some(rate).ok_or_else(|| format!("expected a rate above 0 and below 1, found {text}"))
}

/// What is trained, and with which numbers.
#[derive(Clone, Debug)]
pub struct TuningSettings {
    /// In the order of the tables; each once.
    pub wanted: Vec<Tuning>,
    /// Passes over the training cells, where they were said.
    pub epochs: Option<usize>,
    /// Learning rates to choose from, where they were said.
    pub learning_rates: Vec<f64>,
    /// Those of LoRA.
    pub lora_learning_rates: Vec<f64>,
    /// Cells of a step.
    pub batch_size: usize,
    /// Rank of adapters.
    pub lora_rank: usize,
    /// Whether layers keep their inputs alone.
    pub checkpointing: bool,
    /// Whether tuned models are kept.
    pub save_models: bool,
}

impl TuningArgs {
    pub(super) fn settings(&self) -> TuningSettings {
        let named = |flag| match flag {
            TuneFlag::None => None,
            TuneFlag::LinearProbe => Some(Tuning::LinearProbe),
            TuneFlag::Lora => Some(Tuning::Lora),
            TuneFlag::FineTuned => Some(Tuning::FineTuned),
        };
        let all = [Tuning::LinearProbe, Tuning::Lora, Tuning::FineTuned];
        let asked: Vec<Tuning> = match self.tune.is_empty() {
            true => all.to_vec(),
            false => self.tune.iter().filter_map(|&flag| named(flag)).collect(),
        };
        TuningSettings {
            wanted: all.into_iter().filter(|tuning| asked.contains(tuning)).collect(),
            epochs: self.epochs,
            learning_rates: self.learning_rate.clone(),
            lora_learning_rates: self.lora_learning_rate.clone(),
            batch_size: self.batch_size,
            lora_rank: self.lora_rank,
            checkpointing: self.checkpointing,
            save_models: self.save_models,
        }
    }
}

impl TuningSettings {
    /// What is trained of a model of this kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = Tuning> {
        let can = move |tuning: &Tuning| kind != Kind::Scfoundation || *tuning == Tuning::LinearProbe;
        self.wanted.iter().copied().filter(can)
    }

    /// The learning rates that are tried; none for a probe, whose own stays.
    pub(super) fn rates(&self, tuning: Tuning, small: bool) -> Vec<Option<f64>> {
        let (told, usual) = match tuning {
            Tuning::LinearProbe => return vec![None],
            Tuning::Lora => (&self.lora_learning_rates, if small { 3e-3 } else { 5e-4 }),
            Tuning::FineTuned => (&self.learning_rates, if small { 1e-3 } else { 5e-5 }),
        };
        if told.is_empty() { vec![Some(usual)] } else { told.iter().copied().map(Some).collect() }
    }

    /// The parameters of a training.
    pub(super) fn params(
        &self,
        tuning: Tuning,
        rate: Option<f64>,
        trainee: &Trainee,
        seed: u64,
    ) -> FineTuneParams {
        let method = match tuning {
            Tuning::LinearProbe => Method::LinearProbe,
            Tuning::Lora => Method::Lora(LoraParams {
                rank: self.lora_rank,
                alpha: 2.0 * self.lora_rank as f64,
                ..Default::default()
            }),
            Tuning::FineTuned => Method::Full,
        };
        let mut params = FineTuneParams::new(trainee.model.kind(), method);
        params.train.seed = seed;
        params.embed = trainee.input.clone();
        if let Some(rate) = rate {
            params.train.epochs = self.epochs.unwrap_or(if trainee.small { 5 } else { 3 });
            params.train.batch_size = self.batch_size;
            params.train.schedule = Schedule::linear(rate);
            params.train.checkpointing = self.checkpointing && trainee.model.kind() == Kind::Geneformer;
            params.train.save_every = Some(100);
            params.train.memory = memory::available();
        }
        params
    }
}

/// A model that is trained, with the cells as it takes them.
pub(super) struct Trainee {
    /// As it is before.
    pub(super) model: FoundationModel,
    /// Of all cells.
    pub(super) tokens: Tokens,
    /// How they were made, and what stands for a cell.
    pub(super) input: EmbedParams,
    /// Whether it is the small model of the data's own genes.
    pub(super) small: bool,
}

/// Which cells a training learns from, and which decide between epochs.
pub(super) struct Cells<'c> {
    pub(super) labels: &'c [Option<&'c str>],
    pub(super) train: &'c [usize],
    pub(super) validation: &'c [usize],
}

impl Trainee {
    /// Cells among `rows` that the model sees a gene of.
    fn seen(&self, rows: &[usize]) -> Vec<usize> {
        let there = self.tokens.rows();
        rows.iter().copied().filter(|row| there.binary_search(row).is_ok()).collect()
    }

    /// Trains a copy of the model.
    ///
    /// * `state`: the folder from which an interrupted training goes on; it is gone afterwards.
    ///
    /// # Errors
    /// As [`fine_tune_tokens`].
    pub(super) fn tune(
        &self,
        cells: &Cells<'_>,
        params: &FineTuneParams,
        state: &Path,
        progress: &dyn Fn(&TrainProgress),
    ) -> Result<FineTuned> {
        let (train, validation) = (self.seen(cells.train), self.seen(cells.validation));
        let watch = &mut |now: &TrainProgress| {
            progress(now);
            ControlFlow::Continue(())
        };
        let (model, tokens) = (&self.model, &self.tokens);
        let tuned =
            fine_tune_tokens(model, tokens, cells.labels, &train, &validation, params, Some(state), watch)?;
        if state.is_dir() {
            std::fs::remove_dir_all(state).with_context(|| format!("cannot remove {}", state.display()))?;
        }
        Ok(tuned)
    }
}
