use super::Error;
use crate::embed::{EmbedParams, FoundationModel, Kind};
use crate::models::LoraParams;
use crate::train::{AdamParams, Decline, Fingerprint, LoopParams, Schedule, Select, Warmup};

/// What is trained.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// The whole model and a head.
    Full,
    /// Adapters of low rank and a head; the body stays as it is.
    Lora(LoraParams),
    /// A linear layer on the embeddings of [`FineTuneParams::embed`], each value of which is brought to mean 0 and
    /// deviation 1 over the training cells.
    LinearProbe,
}

impl Method {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Lora(_) => "Lora",
            Self::LinearProbe => "LinearProbe",
        }
    }
}

/// How a classifier is trained. [`FineTuneParams::new`] has the defaults of each model and method.
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuneParams {
    /// What is trained.
    pub method: Method,
    /// Passes over the training cells.
    pub epochs: usize,
    /// Cells whose loss is computed together.
    pub batch_size: usize,
    /// Batches of a step of the optimizer, which is that of one batch of all their cells. Default 1.
    pub accumulate: usize,
    /// Whether cells of similar length go together, as in Hugging Face's `group_by_length`. Default false.
    pub group_by_length: bool,
    /// The learning rate and how it changes.
    pub schedule: Schedule,
    /// The optimizer.
    pub optimizer: AdamParams,
    /// Largest length of the gradient; longer ones are made shorter. Default 1; `None`: they are taken as they are.
    pub max_grad_norm: Option<f64>,
    /// Seed of the new head, the order of the cells and dropout. Default 42 for Geneformer, 0 for scGPT.
    pub seed: u64,
    /// Whether every class weighs the same in the loss, however many cells it has. Default false.
    pub class_weights: bool,
    /// Which epoch is kept. Default: that of the smallest validation loss.
    pub select: Select,
    /// So many epochs without a better one end the training. Default: it goes on to the last.
    pub early_stopping: Option<usize>,
    /// Share of the past in a running mean of the weights, that is evaluated and kept in their place; above 0 and below 1.
    /// Default: none.
    pub ema: Option<f64>,
    /// Layers of a Geneformer that stay as they are, from the first on; its embeddings are trained all the same, as in the
    /// reference. Default 0.
    pub freeze_layers: usize,
    /// Whether nothing is kept of a layer for the way back but its input, the rest being computed again: the same bits in
    /// less memory and more time. Geneformer alone. Default false.
    pub checkpointing: bool,
    /// Steps between two states on disk, where there is a folder for them; there is one after each epoch in any case.
    /// Default: no other.
    pub save_every: Option<usize>,
    /// Bytes that the training may take, by an estimate before it starts. Default: any.
    pub memory: Option<usize>,
    /// How cells are tokenised, and which embedding a probe stands on. Its `memory` is that of evaluation.
    pub embed: EmbedParams,
}

impl FineTuneParams {
    /// The defaults.
    ///
    /// | | epochs | batch | optimizer | learning rate |
    /// |---|---|---|---|---|
    /// | Geneformer, `Full` | 3 | 12 | AdamW, decay 0.001 | 5e-5, linear |
    /// | scGPT, `Full` | 10 | 32 | Adam | 1e-4, × 0.9 each epoch |
    /// | `Lora` | as `Full` | as `Full` | as `Full` | 5e-4, then as `Full` |
    /// | `LinearProbe` | 30 | 32 | AdamW, decay 0.01 | 5e-3, linear |
    ///
    /// `Full` is the protocol of each reference. (Geneformer's V1 had 500 steps of warm-up: see [`Schedule::warmup`]. scGPT
    /// drew the genes of long cells anew in each epoch; here cells are cropped once, when they are tokenised.)
    pub fn new(kind: Kind, method: Method) -> Self {
        let is_scgpt = kind == Kind::Scgpt;
        let mut params = Self {
            epochs: if is_scgpt { 10 } else { 3 },
            batch_size: if is_scgpt { 32 } else { 12 },
            accumulate: 1,
            group_by_length: false,
            schedule: match is_scgpt {
                true => Schedule {
                    learning_rate: 1e-4,
                    warmup: Warmup::Steps(0),
                    decline: Decline::EachEpoch { factor: 0.9 },
                },
                false => Schedule::linear(5e-5),
            },
            optimizer: if is_scgpt { AdamParams::adam(1e-8) } else { AdamParams::adamw(0.001) },
            max_grad_norm: Some(1.0),
            seed: if is_scgpt { 0 } else { 42 },
            class_weights: false,
            select: Select::Loss,
            early_stopping: None,
            ema: None,
            freeze_layers: 0,
            checkpointing: false,
            save_every: None,
            memory: None,
            embed: EmbedParams::default(),
            method,
        };
        match params.method {
            Method::Full => {}
            Method::Lora(_) => params.schedule.learning_rate = 5e-4,
            Method::LinearProbe => {
                (params.epochs, params.batch_size) = (30, 32);
                params.schedule = Schedule::linear(5e-3);
                params.optimizer = AdamParams::adamw(0.01);
            }
        }
        params
    }
}

impl FineTuneParams {
    /// Refuses what cannot be.
    pub(super) fn validate(&self, model: &FoundationModel, no_validation: bool) -> Result<(), crate::Error> {
        let refuse =
            |field, found: String, expected: String| Err(Error::Param { field, found, expected }.into());
        if model.kind() == Kind::Scfoundation && self.method != Method::LinearProbe {
            return Err(Error::Unsupported { kind: model.kind(), method: self.method.name() }.into());
        }
        self.looped().validate()?;
        if self.freeze_layers > 0 {
            let of_geneformer = model.kind() == Kind::Geneformer && self.method == Method::Full;
            let n_layers = if of_geneformer { model.n_layers() } else { 0 };
            if self.freeze_layers > n_layers {
                return refuse(
                    "freeze_layers",
                    self.freeze_layers.to_string(),
                    format!("at most {n_layers}"),
                );
            }
        }
        if self.checkpointing && model.kind() != Kind::Geneformer {
            return refuse("checkpointing", "true".to_owned(), format!("false for {}", model.kind()));
        }
        match no_validation && self.select != Select::Last {
            true => Err(Error::NoValidation.into()),
            false => Ok(()),
        }
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
        add("task", "classification of cells".to_owned());
        add("method", format!("{:?}", self.method));
        add("class_weights", self.class_weights.to_string());
        add("freeze_layers", self.freeze_layers.to_string());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_each_reference() {
        let geneformer = FineTuneParams::new(Kind::Geneformer, Method::Full);
        assert_eq!((geneformer.epochs, geneformer.batch_size, geneformer.seed), (3, 12, 42));
        assert_eq!((geneformer.schedule.at(0, 10, 0), geneformer.schedule.at(5, 10, 1)), (5e-5, 2.5e-5));
        assert!(geneformer.optimizer.decoupled);
        let scgpt = FineTuneParams::new(Kind::Scgpt, Method::Full);
        assert_eq!((scgpt.epochs, scgpt.batch_size, scgpt.seed), (10, 32, 0));
        assert!((scgpt.schedule.at(500, 1000, 2) - 0.81e-4).abs() < 1e-12 && !scgpt.optimizer.decoupled);
        assert_eq!(FineTuneParams::new(Kind::Scfoundation, Method::LinearProbe).epochs, 30);
    }
}
