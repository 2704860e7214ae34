//! A model with a classifier on top: how it is made of another model, and what it says of cells.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use ndarray::Array2;

use super::Error;
use super::head;
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Cost, FoundationModel, Network, Run};
use crate::embed::{ids, scgpt_cells};
use crate::models::geneformer::GeneformerConfig;
use crate::models::scgpt::ScgptBatch;
use crate::models::{Geneformer, Layer, Scgpt, TokenBatch};
use crate::nn::TrainingStep;
use crate::tokenize::Tokens;

/// How models like a given one are built, with a head for some classes.
pub(super) struct Recipe<'m> {
    base: &'m FoundationModel,
    /// Of a Geneformer, with the names of the classes.
    config: Option<GeneformerConfig>,
}

/// A model with a head.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Geneformer(Box<Geneformer>),
    Scgpt(Box<Scgpt>),
}

/// A model whose head is asked.
#[derive(Clone, Copy)]
pub(super) enum BodyRef<'m> {
    Geneformer(&'m Geneformer),
    Scgpt(&'m Scgpt),
}

impl<'m> Recipe<'m> {
    pub(super) fn new(base: &'m FoundationModel, classes: &[String], method: &'static str) -> Result<Self> {
        let config = match &base.network {
            Network::Geneformer { model, .. } => {
                let id2label = (0..).zip(classes.iter().cloned()).collect();
                Some(GeneformerConfig { id2label, ..model.config().clone() })
            }
            Network::Scgpt { .. } => None,
            Network::Scfoundation { .. } => {
                return Err(Error::Unsupported { kind: base.kind(), method }.into());
            }
        };
        Ok(Self { base, config })
    }

    /// The tensors to begin with: those of the body under the names of its files, and a new head.
    pub(super) fn tensors(&self, n_classes: usize, seed: u64) -> Result<BTreeMap<String, Tensor>> {
        let is_head = |name: &str| HEADS.iter().any(|head| name.starts_with(head));
        let mut tensors = BTreeMap::new();
        match &self.base.network {
            Network::Geneformer { model, .. } => {
                let body = model.source().constants()?;
                let body = body.into_iter().filter(|(name, _)| !is_head(name));
                tensors.extend(body.map(|(name, tensor)| (format!("bert.{name}"), tensor)));
                tensors.extend(head::geneformer(model.config(), n_classes, seed)?);
            }
            Network::Scgpt { model, .. } => {
                let body = model.source().constants()?;
                tensors.extend(body.into_iter().filter(|(name, _)| !is_head(name)));
                tensors.extend(head::scgpt(model.config(), n_classes, seed)?);
            }
            Network::Scfoundation { .. } => {}
        }
        Ok(tensors)
    }

    /// The model of some tensors. Variables among them are trained by what its losses go back to.
    pub(super) fn build(&self, weights: &mut Weights) -> Result<Body> {
        match &self.base.network {
            Network::Geneformer { model, .. } => {
                let config = self.config.clone().expect("a Geneformer has a configuration");
                let precision = model.source().precision;
                let model = Geneformer::from_weights(config, model.format(), weights, precision)?;
                Ok(Body::Geneformer(Box::new(model)))
            }
            Network::Scgpt { model, .. } => {
                let (config, n_tokens) = (model.config().clone(), model.n_tokens());
                let precision = model.source().precision;
                let model = Scgpt::from_weights(config, n_tokens, model.specials(), weights, precision)?;
                Ok(Body::Scgpt(Box::new(model)))
            }
            Network::Scfoundation { .. } => {
                Err(Error::Unsupported { kind: self.base.kind(), method: "Full" }.into())
            }
        }
    }

    /// The base with another network.
    pub(super) fn model(&self, body: Body) -> FoundationModel {
        let network = match (body, &self.base.network) {
            (Body::Geneformer(model), Network::Geneformer { vocabulary, .. }) => {
                Network::Geneformer { model, vocabulary: vocabulary.clone() }
            }
            (Body::Scgpt(model), Network::Scgpt { vocabulary, input, .. }) => {
                Network::Scgpt { model, vocabulary: vocabulary.clone(), input: *input }
            }
            _ => unreachable!("a body is of the kind of its base"),
        };
        self.base.changed(network)
    }
}

/// Beginnings of the names of what a new head replaces, or a classifier has no use for.
const HEADS: [&str; 7] = [
    "cls.",
    "pooler.",
    "classifier.",
    "decoder.",
    "cls_decoder.",
    "mvc_decoder.",
    "grad_reverse_discriminator.",
];

impl Body {
    pub(super) fn as_ref(&self) -> BodyRef<'_> {
        match self {
            Self::Geneformer(model) => BodyRef::Geneformer(model),
            Self::Scgpt(model) => BodyRef::Scgpt(model),
        }
    }
}

impl<'m> BodyRef<'m> {
    /// The part of a model that has a head; none of scFoundation.
    pub(super) fn of(model: &'m FoundationModel) -> Option<Self> {
        match &model.network {
            Network::Geneformer { model, .. } => Some(Self::Geneformer(model)),
            Network::Scgpt { model, .. } => Some(Self::Scgpt(model)),
            Network::Scfoundation { .. } => None,
        }
    }

    /// Refuses cells that the model cannot take.
    pub(super) fn check(self, tokens: &Tokens, cells: &[usize]) -> Result<()> {
        match self {
            Self::Geneformer(model) => Ok(model.check(&TokenBatch::new(&ids(tokens, cells)))?),
            Self::Scgpt(model) => crate::models::CellEncoder::check(model, &scgpt_cells(tokens, cells)?),
        }
    }

    /// Logits of the classes, `cells × classes`, in a step of training or without.
    pub(super) fn logits(
        self,
        tokens: &Tokens,
        cells: &[usize],
        step: Option<&TrainingStep>,
    ) -> Result<Tensor> {
        match self {
            Self::Geneformer(model) => {
                let batch = TokenBatch::new(&ids(tokens, cells));
                let last = model.forward_with(&batch, Layer::Last, step)?;
                model.cell_logits_with(&last, step)
            }
            Self::Scgpt(model) => {
                let batch = ScgptBatch::new(&scgpt_cells(tokens, cells)?)?;
                let encoded = model.encode_with(&batch, Layer::Last, step)?;
                model.class_logits(&model.cell_embeddings(&encoded, &batch)?)
            }
        }
    }

    /// Logits of any number of cells, in the order given, without dropout. A row depends on its cell alone.
    pub(super) fn all_logits(
        self,
        tokens: &Tokens,
        cells: &[usize],
        n_classes: usize,
        cost: Cost,
        memory: usize,
    ) -> Result<Array2<f32>> {
        let lengths: Vec<usize> = cells.iter().map(|&cell| tokens.cell(cell).len()).collect();
        let mut logits = Array2::zeros((cells.len(), n_classes));
        let encode = |places: &[usize]| {
            let cells: Vec<usize> = places.iter().map(|&place| cells[place]).collect();
            Ok(self.logits(tokens, &cells, None)?.to_dtype(DType::F32)?.to_vec2::<f32>()?)
        };
        let take = |places: &[usize], rows: Vec<Vec<f32>>| {
            for (&place, row) in places.iter().zip(&rows) {
                logits.row_mut(place).assign(&ndarray::aview1(row));
            }
            Ok(())
        };
        Run { lengths: &lengths, cost, memory }
            .each(encode, take, |_, _, _| std::ops::ControlFlow::Continue(()))?;
        Ok(logits)
    }
}
