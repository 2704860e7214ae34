//! A model with a classifier on top: how it is made of another model, and what it says of cells.

use candle_core::{DType, Tensor};
use ndarray::Array2;

use super::{Error, Method};
use crate::Result;
use crate::checkpoint::{Adapters, Weights};
use crate::embed::{Cost, FoundationModel, Network, Run, ids, scgpt_cells};
use crate::models::geneformer::{GeneformerConfig, NewHead};
use crate::models::scgpt::ScgptBatch;
use crate::models::{Geneformer, Layer, LoraParams, Scgpt, TokenBatch};
use crate::nn::TrainingStep;
use crate::tokenize::Tokens;
use crate::train::Trainable;

/// How models like a given one are built, with a head for some classes, and with adapters.
pub(super) struct Recipe<'m> {
    base: &'m FoundationModel,
    classes: &'m [String],
    lora: Option<&'m LoraParams>,
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
    /// # Errors
    /// [`Error::Unsupported`], [`Error::HasAdapters`].
    pub(super) fn new(
        base: &'m FoundationModel,
        classes: &'m [String],
        method: &'m Method,
    ) -> Result<Self, Error> {
        let recipe = Self::with_adapters(base, classes, method)?;
        let has_adapters = match &base.network {
            Network::Geneformer { model, .. } => model.source().has_adapters(),
            Network::Scgpt { model, .. } => model.source().has_adapters(),
            Network::Scfoundation { .. } => false,
        };
        match has_adapters {
            true => Err(Error::HasAdapters { kind: base.kind() }),
            false => Ok(recipe),
        }
    }

    /// As [`Recipe::new`], of a model that may have adapters.
    pub(super) fn with_adapters(
        base: &'m FoundationModel,
        classes: &'m [String],
        method: &'m Method,
    ) -> Result<Self, Error> {
        if matches!(base.network, Network::Scfoundation { .. }) {
            return Err(Error::Unsupported { kind: base.kind(), method: method.name() });
        }
        let lora = match method {
            Method::Lora(params) => Some(params),
            _ => None,
        };
        Ok(Self { base, classes, lora })
    }

    /// The tensors of the body alone, under the names of its files.
    pub(super) fn body(&self) -> Result<Weights> {
        let mut weights = match &self.base.network {
            Network::Geneformer { model, .. } => model.weights()?,
            Network::Scgpt { model, .. } => model.weights()?,
            Network::Scfoundation { .. } => unreachable!("a recipe is of a model with a head"),
        };
        // What a new head replaces, or a classifier has no use for.
        weights.remove_all(|name| Trainable::Heads.includes(name));
        Ok(weights)
    }

    /// The tensors to begin with: the body, a new head, new adapters.
    pub(super) fn start(&self, seed: u64) -> Result<Weights> {
        let mut weights = self.body()?;
        match &self.base.network {
            Network::Geneformer { model, .. } => {
                let head = NewHead::Cells { classes: self.classes.to_vec() };
                head.put_on(&mut weights, &mut model.config().clone(), seed)?;
            }
            Network::Scgpt { model, .. } => {
                let width = model.config().embsize;
                Scgpt::put_new_classifier(&mut weights, width, self.classes.len(), SCGPT_LAYERS, seed)?;
            }
            Network::Scfoundation { .. } => unreachable!("a recipe is of a model with a head"),
        }
        if let Some(lora) = self.lora {
            lora.put_on(&mut weights, seed)?;
        }
        Ok(weights)
    }

    /// The model of some tensors. Variables among them are trained by what its losses go back to.
    pub(super) fn build(&self, weights: &mut Weights) -> Result<Body> {
        if let Some(lora) = self.lora {
            weights.set_adapters(Adapters { scale: lora.alpha / lora.rank as f64, dropout: lora.dropout });
        }
        match &self.base.network {
            Network::Geneformer { model, .. } => {
                let id2label = (0..).zip(self.classes.iter().cloned()).collect();
                let config = GeneformerConfig { id2label, ..model.config().clone() };
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
            Network::Scfoundation { .. } => unreachable!("a recipe is of a model with a head"),
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

/// Linear layers of scGPT's classifier, as in the reference.
const SCGPT_LAYERS: usize = 3;

impl Body {
    pub(super) fn as_ref(&self) -> BodyRef<'_> {
        match self {
            Self::Geneformer(model) => BodyRef::Geneformer(model),
            Self::Scgpt(model) => BodyRef::Scgpt(model),
        }
    }
}

impl<'m> BodyRef<'m> {
    /// The part of a model that can have a head; none of scFoundation.
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
