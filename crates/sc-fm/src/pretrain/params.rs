use super::Error;
use crate::embed::EmbedParams;
use crate::train::{Fingerprint, LoopParams, Schedule, Select, Warmup};

/// How a model is pretrained.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainParams {
    /// How the training goes. Defaults other than those of [`LoopParams`]: V1's learning rate of 1e-3, linear, with 10,000
    /// steps of warm-up; cells of similar length go together, as in the reference; the seed, which also decides what is
    /// hidden, is 0; the last epoch is kept, and a state every 1,000 steps. `Select::MacroF1` is refused.
    pub train: LoopParams,
    /// Share of the tokens that are chosen; above 0 and below 1. Default 0.15.
    pub mask_share: f64,
    /// Share of the cells that are left out of training, drawn cell by cell, and hidden the same after each epoch. At
    /// least 0 and below 1. Default 0.
    pub validation: f64,
    /// Rows of a file that are read, tokenised and shuffled together. Default 4,096.
    pub chunk_rows: usize,
    /// How cells are tokenised. Its `memory` is that of evaluation.
    pub embed: EmbedParams,
}

impl Default for PretrainParams {
    fn default() -> Self {
        Self {
            train: LoopParams {
                group_by_length: true,
                schedule: Schedule { warmup: Warmup::Steps(10_000), ..Schedule::linear(1e-3) },
                seed: 0,
                select: Select::Last,
                save_every: Some(1000),
                ..LoopParams::default()
            },
            mask_share: 0.15,
            validation: 0.0,
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
        let is_known = self.train.select != Select::MacroF1;
        check(
            "select",
            format!("{:?}", self.train.select),
            is_known,
            "Last or Loss: the classes are tokens",
        )?;
        if share == 0.0 && self.train.select != Select::Last {
            return Err(Error::NoValidation.into());
        }
        Ok(self.train.validate()?)
    }

    /// Everything that decides about the bits of the result, but for model and cells.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut all = self.train.fingerprint();
        let mut add = |name: &str, value: String| all.insert(name.to_owned(), value);
        add("task", "masked language model".to_owned());
        add("mask_share", self.mask_share.to_string());
        add("validation", self.validation.to_string());
        all
    }
}
