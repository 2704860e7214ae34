use super::Error;
use crate::embed::EmbedParams;
use crate::train::{AdamParams, Fingerprint, LoopParams, Schedule, Select, Warmup};

/// How a model is pretrained.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainParams {
    /// Passes over the training cells. Default 3.
    pub epochs: usize,
    /// Cells whose loss is computed together. Default 12.
    pub batch_size: usize,
    /// Batches of a step of the optimizer, which is that of one batch of all their cells. Default 1.
    pub accumulate: usize,
    /// Whether cells of similar length go together, as in the reference. Default true.
    pub group_by_length: bool,
    /// Share of the tokens that are chosen; above 0 and below 1. Default 0.15.
    pub mask_share: f64,
    /// The learning rate and how it changes. Default 1e-3, linear, with 10,000 steps of warm-up, as V1's.
    pub schedule: Schedule,
    /// The optimizer. Default AdamW with a decay of 0.001.
    pub optimizer: AdamParams,
    /// Largest length of the gradient; longer ones are made shorter. Default 1; `None`: they are taken as they are.
    pub max_grad_norm: Option<f64>,
    /// Seed of a new head, the order of the cells, what is hidden, and dropout. Default 0.
    pub seed: u64,
    /// Share of the cells that are left out of training, drawn cell by cell, and hidden the same after each epoch. At
    /// least 0 and below 1. Default 0.
    pub validation: f64,
    /// Which epoch is kept: the last (default), or that of the smallest validation loss.
    pub select: Select,
    /// So many epochs without a better one end the training. Default: it goes on to the last.
    pub early_stopping: Option<usize>,
    /// Share of the past in a running mean of the weights, that is evaluated and kept in their place; above 0 and below 1.
    /// Default: none.
    pub ema: Option<f64>,
    /// Whether nothing is kept of a layer for the way back but its input, the rest being computed again: the same bits in
    /// less memory and more time. Default false.
    pub checkpointing: bool,
    /// Steps between two states on disk, where there is a folder for them; there is one after each epoch in any case.
    /// Default 1,000.
    pub save_every: Option<usize>,
    /// Bytes that the training may take, by an estimate before it starts. Default: any.
    pub memory: Option<usize>,
    /// Rows of a file that are read, tokenised and shuffled together. Default 4,096.
    pub chunk_rows: usize,
    /// How cells are tokenised. Its `memory` is that of evaluation.
    pub embed: EmbedParams,
}

impl Default for PretrainParams {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 12,
            accumulate: 1,
            group_by_length: true,
            mask_share: 0.15,
            schedule: Schedule { warmup: Warmup::Steps(10_000), ..Schedule::linear(1e-3) },
            optimizer: AdamParams::adamw(0.001),
            max_grad_norm: Some(1.0),
            seed: 0,
            validation: 0.0,
            select: Select::Last,
            early_stopping: None,
            ema: None,
            checkpointing: false,
            save_every: Some(1000),
            memory: None,
            chunk_rows: 4096,
            embed: EmbedParams::default(),
        }
    }
}

impl PretrainParams {
    pub(super) fn validate(&self) -> Result<(), crate::Error> {
        let check = |field, found: String, is_good: bool, expected| match is_good {
            true => Ok(()),
            false => Err(Error::Param { field, found, expected }),
        };
        let rows = self.chunk_rows;
        check("chunk_rows", rows.to_string(), (1..=1 << 24).contains(&rows), "1 to 16,777,216")?;
        let inside = |share: f64| share > 0.0 && share < 1.0;
        check("mask_share", self.mask_share.to_string(), inside(self.mask_share), "above 0 and below 1")?;
        let share = self.validation;
        check("validation", share.to_string(), share == 0.0 || inside(share), "at least 0 and below 1")?;
        let is_known = self.select != Select::MacroF1;
        check("select", format!("{:?}", self.select), is_known, "Last or Loss: the classes are tokens")?;
        if share == 0.0 && self.select != Select::Last {
            return Err(Error::NoValidation.into());
        }
        Ok(self.looped().validate()?)
    }

    pub(super) fn looped(&self) -> LoopParams {
        LoopParams {
            epochs: self.epochs,
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            by_length: self.group_by_length,
            seed: self.seed,
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            max_grad_norm: self.max_grad_norm,
            select: self.select,
            early_stopping: self.early_stopping,
            ema: self.ema,
            save_every: self.save_every,
        }
    }

    /// Everything that decides about the bits of the result, but for model and cells.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut all = self.looped().fingerprint();
        let mut add = |name: &str, value: String| all.insert(name.to_owned(), value);
        add("task", "masked language model".to_owned());
        add("mask_share", self.mask_share.to_string());
        add("validation", self.validation.to_string());
        all
    }
}
