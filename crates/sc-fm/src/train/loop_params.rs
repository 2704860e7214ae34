use super::error::check;
use super::{AdamParams, Error, Fingerprint, Schedule, Select};

/// How a training goes, whatever is trained: passes, steps, the choice of an epoch, and what is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopParams {
    /// Passes over the training cells. Default 3.
    pub epochs: usize,
    /// Cells whose loss is computed together. Default 12.
    pub batch_size: usize,
    /// Batches of a step of the optimizer, which is that of one batch of all their cells. Default 1.
    pub accumulate: usize,
    /// Whether cells of similar length go together, as in Hugging Face's `group_by_length`. Default false.
    pub group_by_length: bool,
    /// The learning rate and how it changes. Default 5e-5, linear.
    pub schedule: Schedule,
    /// The optimizer. Default AdamW with a decay of 0.001.
    pub optimizer: AdamParams,
    /// Largest length of the gradient; longer ones are made shorter. Default 1; `None`: they are taken as they are.
    pub max_grad_norm: Option<f64>,
    /// Seed of a new head, the order of the cells, dropout, and whatever else is drawn. Default 42.
    pub seed: u64,
    /// Which epoch is kept. Default: that of the smallest validation loss.
    pub select: Select,
    /// So many epochs without a better one end the training. Default: it goes on to the last.
    pub early_stopping: Option<usize>,
    /// Share of the past in a running mean of the weights, that is evaluated and kept in their place; above 0 and below 1.
    /// Default: none.
    pub ema: Option<f64>,
    /// Whether nothing is kept of a layer for the way back but its input, the rest being computed again: the same bits in
    /// less memory and more time. Geneformer alone. Default false.
    pub checkpointing: bool,
    /// Steps between two states on disk, where there is a folder for them; there is one after each epoch in any case.
    /// Default: no other.
    pub save_every: Option<usize>,
    /// Bytes that the training may take, by an estimate before it starts. Default: any.
    pub memory: Option<usize>,
}

impl Default for LoopParams {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 12,
            accumulate: 1,
            group_by_length: false,
            schedule: Schedule::linear(5e-5),
            optimizer: AdamParams::adamw(0.001),
            max_grad_norm: Some(1.0),
            seed: 42,
            select: Select::Loss,
            early_stopping: None,
            ema: None,
            checkpointing: false,
            save_every: None,
            memory: None,
        }
    }
}

impl LoopParams {
    /// Refuses what is no training.
    ///
    /// # Errors
    /// [`Error::Param`].
    pub fn validate(&self) -> Result<(), Error> {
        let sizes =
            [("epochs", self.epochs), ("batch_size", self.batch_size), ("accumulate", self.accumulate)];
        for (field, n) in sizes {
            check(field, n, (1..=1 << 24).contains(&n), "1 to 16,777,216")?;
        }
        self.schedule.validate()?;
        self.optimizer.validate()?;
        if let Some(norm) = self.max_grad_norm {
            check("max_grad_norm", norm, norm.is_finite() && norm > 0.0, "a finite number above 0, or none")?;
        }
        if let Some(share) = self.ema {
            check("ema", share, share > 0.0 && share < 1.0, "above 0 and below 1, or none")?;
        }
        if let Some(patience) = self.early_stopping {
            let is_good = patience > 0 && self.select != Select::Last;
            let expected = "1 or more, and a choice of epoch other than the last";
            check("early_stopping", patience, is_good, expected)?;
        }
        if let Some(steps) = self.save_every {
            check("save_every", steps, steps > 0, "1 or more, or none")?;
        }
        Ok(())
    }

    /// Copies of the trained numbers beside gradients and moments: the epoch that is kept, a running mean.
    pub(crate) fn n_copies(&self) -> usize {
        usize::from(self.select != Select::Last) + usize::from(self.ema.is_some())
    }

    /// Everything that decides about the bits of the result.
    pub fn fingerprint(&self) -> Fingerprint {
        let entries = [
            ("version", concat!("sc-fm ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("epochs", self.epochs.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("accumulate", self.accumulate.to_string()),
            ("group_by_length", self.group_by_length.to_string()),
            ("seed", self.seed.to_string()),
            ("optimizer", format!("{:?}", self.optimizer)),
            ("schedule", format!("{:?}", self.schedule)),
            ("max_grad_norm", format!("{:?}", self.max_grad_norm)),
            ("select", format!("{:?}", self.select)),
            ("early_stopping", format!("{:?}", self.early_stopping)),
            ("ema", format!("{:?}", self.ema)),
        ];
        entries.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
