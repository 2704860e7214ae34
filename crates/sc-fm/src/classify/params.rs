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
    /// How the training goes. See [`FineTuneParams::new`] for what differs from the defaults of [`LoopParams`].
    pub train: LoopParams,
    /// Whether every class weighs the same in the loss, however many cells it has. Default false.
    pub class_weights: bool,
    /// Layers of a Geneformer that stay as they are, from the first on; its embeddings are trained all the same, as in the
    /// reference. Default 0.
    pub freeze_layers: usize,
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
        let mut train = match kind {
            Kind::Scgpt => LoopParams {
                epochs: 10,
                batch_size: 32,
                schedule: Schedule {
                    learning_rate: 1e-4,
                    warmup: Warmup::Steps(0),
                    decline: Decline::EachEpoch { factor: 0.9 },
                },
                optimizer: AdamParams::adam(1e-8),
                seed: 0,
                ..LoopParams::default()
            },
            _ => LoopParams::default(),
        };
        match method {
            Method::Full => {}
            Method::Lora(_) => train.schedule.learning_rate = 5e-4,
            Method::LinearProbe => {
                (train.epochs, train.batch_size) = (30, 32);
                train.schedule = Schedule::linear(5e-3);
                train.optimizer = AdamParams::adamw(0.01);
            }
        }
        Self { method, train, class_weights: false, freeze_layers: 0, embed: EmbedParams::default() }
    }

    /// The defaults of a classifier of genes ([`fine_tune_genes`](super::fine_tune_genes)): those of a Geneformer, with
    /// one epoch as in the reference.
    pub fn for_genes(method: Method) -> Self {
        let mut params = Self::new(Kind::Geneformer, method);
        params.train.epochs = 1;
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
        self.train.validate()?;
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
        if self.train.checkpointing && model.kind() != Kind::Geneformer {
            return refuse("checkpointing", "true".to_owned(), format!("false for {}", model.kind()));
        }
        match no_validation && self.train.select != Select::Last {
            true => Err(Error::NoValidation.into()),
            false => Ok(()),
        }
    }

    /// As [`validate`](Self::validate), where the head is one that Geneformer alone has.
    pub(super) fn validate_for(
        &self,
        head: &'static str,
        model: &FoundationModel,
        no_validation: bool,
    ) -> Result<(), crate::Error> {
        if model.kind() != Kind::Geneformer {
            return Err(Error::OfGeneformer { head, kind: model.kind() }.into());
        }
        if self.method == Method::LinearProbe {
            let (field, found, expected) = ("method", "LinearProbe".to_owned(), "Full or Lora".to_owned());
            return Err(Error::Param { field, found, expected }.into());
        }
        self.validate(model, no_validation)
    }

    /// Everything that decides about the bits of the result, but for model and cells.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut all = self.train.fingerprint();
        let mut add = |name: &str, value: String| all.insert(name.to_owned(), value);
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
        assert_eq!(
            (geneformer.train.epochs, geneformer.train.batch_size, geneformer.train.seed),
            (3, 12, 42)
        );
        let schedule = &geneformer.train.schedule;
        assert_eq!((schedule.at(0, 10, 0), schedule.at(5, 10, 1)), (5e-5, 2.5e-5));
        assert!(geneformer.train.optimizer.decoupled);
        let scgpt = FineTuneParams::new(Kind::Scgpt, Method::Full);
        assert_eq!((scgpt.train.epochs, scgpt.train.batch_size, scgpt.train.seed), (10, 32, 0));
        assert!(
            (scgpt.train.schedule.at(500, 1000, 2) - 0.81e-4).abs() < 1e-12
                && !scgpt.train.optimizer.decoupled
        );
        assert_eq!(FineTuneParams::new(Kind::Scfoundation, Method::LinearProbe).train.epochs, 30);
    }
}
