//! What stands on top of the encoder: the masked language model and the classifiers.

use candle_core::Tensor;

use super::GeneformerConfig;
use crate::Result;
use crate::models::parts::Parts;
use crate::models::{Error, Hidden, pooling};
use crate::nn::{Activation, LayerNorm, Linear, Packing, TrainingStep};

/// The site of the dropout before a classifier.
pub(super) const HEAD_SITE: u32 = 2;

/// Those heads that a checkpoint holds.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    mlm: Option<Mlm>,
    pooler: Option<Linear>,
    classifier: Option<Linear>,
}

/// Dense, function, norm, and the word embeddings as decoder.
#[derive(Clone, Debug)]
struct Mlm {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Linear,
}

impl Heads {
    pub(super) fn take(config: &GeneformerConfig, word: &Tensor, parts: &mut Parts<'_>) -> Result<Self> {
        let width = config.hidden_size;
        let mlm = parts.any("cls.").then(|| Mlm::take(config, word, parts)).transpose()?;
        let pooler = parts.any("pooler.").then(|| parts.linear("pooler.dense", width, width));
        let pooler = pooler.transpose()?;
        let classifier = parts.any("classifier.");
        let classifier = classifier.then(|| parts.linear("classifier", config.n_labels(), width));
        Ok(Self { mlm, pooler, classifier: classifier.transpose()? })
    }

    pub(super) fn mlm_logits(&self, states: &Tensor) -> Result<Tensor> {
        let head = self.mlm()?;
        Ok(head.decoder.forward(&head.transform(states)?, Activation::Identity)?)
    }

    /// The loss of `states`, of which each has a label.
    pub(super) fn mlm_loss(&self, states: &Tensor, labels: &[Option<u32>]) -> Result<Tensor> {
        let head = self.mlm()?;
        Ok(head.decoder.cross_entropy(&head.transform(states)?, labels)?)
    }

    fn mlm(&self) -> Result<&Mlm, Error> {
        self.mlm.as_ref().ok_or(Error::NoHead { head: "masked language model" })
    }

    pub(super) fn pooled(&self, last: &Hidden) -> Result<Tensor> {
        let pooler = self.pooler.as_ref().ok_or(Error::NoHead { head: "pooler" })?;
        if let Some(cell) = last.packing.iter().position(|rows| rows.is_empty()) {
            return Err(Error::EmptyCell { cell }.into());
        }
        let first = pooling::select(&last.states, last.packing.iter().map(|rows| rows.start))?;
        Ok(pooler.forward(&first, Activation::Tanh)?)
    }

    /// * `dropout`: in a step of training, the step and the share that is dropped of what goes into the classifier.
    pub(super) fn cell_logits(&self, last: &Hidden, dropout: Option<(&TrainingStep, f64)>) -> Result<Tensor> {
        let classifier = self.classifier.as_ref().ok_or(Error::NoHead { head: "classifier" })?;
        let mut pooled = self.pooled(last)?;
        if let Some((step, rate)) = dropout {
            let one_each = Packing::new(vec![1; last.packing.n_cells()]);
            pooled = step.dropout(HEAD_SITE, rate).forward(&pooled, &one_each)?;
        }
        Ok(classifier.forward(&pooled, Activation::Identity)?)
    }

    /// * `dropout`: as for [`cell_logits`](Self::cell_logits).
    pub(super) fn gene_logits(&self, last: &Hidden, dropout: Option<(&TrainingStep, f64)>) -> Result<Tensor> {
        let head = "classifier of genes";
        let classifier = self.classifier.as_ref().filter(|_| self.pooler.is_none());
        let classifier = classifier.ok_or(Error::NoHead { head })?;
        let states = match dropout {
            Some((step, rate)) => step.dropout(HEAD_SITE, rate).forward(&last.states, &last.packing)?,
            None => last.states.clone(),
        };
        Ok(classifier.forward(&states, Activation::Identity)?)
    }
}

impl Mlm {
    /// What the decoder takes.
    fn transform(&self, states: &Tensor) -> candle_core::Result<Tensor> {
        self.norm.forward(&self.dense.forward(states, self.activation)?)
    }

    fn take(config: &GeneformerConfig, word: &Tensor, parts: &mut Parts<'_>) -> Result<Self> {
        let width = config.hidden_size;
        let dense = parts.linear("cls.predictions.transform.dense", width, width)?;
        let eps = config.layer_norm_eps;
        let norm = parts.layer_norm("cls.predictions.transform.LayerNorm", width, eps)?;
        let bias = parts.take("cls.predictions.bias", &[config.vocab_size])?;
        parts.weights.tied("cls.predictions.decoder.weight", word, "embeddings.word_embeddings.weight")?;
        parts.weights.tied("cls.predictions.decoder.bias", &bias, "cls.predictions.bias")?;
        let decoder = parts.linear_of(word.clone(), Some(bias));
        Ok(Self { dense, activation: config.hidden_act.activation(), norm, decoder })
    }
}
