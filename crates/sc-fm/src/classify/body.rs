//! A model with a classifier on top: how it is made of another model, and its logits.

use candle_core::{DType, Tensor};
use ndarray::Array2;

use super::{Error, Method};
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Cost, FoundationModel, Kind, Network, Run, ids, scgpt_cells};
use crate::models::geneformer::{MultiTask, NewHead, TaskPooling};
use crate::models::scgpt::ScgptBatch;
use crate::models::{Geneformer, Hidden, Layer, LoraParams, Scgpt, TokenBatch};
use crate::nn::TrainingStep;
use crate::nn::gemm::Precision;
use crate::tokenize::Tokens;
use crate::train::Trainable;

/// What stands on top of a model.
#[derive(Clone, Copy)]
pub(super) enum Top<'m> {
    /// A classifier of cells, with these classes.
    Cells(&'m [String]),
    /// A classifier of tokens. Geneformer's alone.
    Genes(&'m [String]),
    /// A classifier of cells for each of several tasks. Geneformer's alone.
    Tasks {
        /// Classes of each task.
        sizes: &'m [usize],
        pooling: TaskPooling,
        /// Share that is dropped, in training, of what stands for a cell.
        dropout: f64,
    },
}

impl Top<'_> {
    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cells(_) => "a classifier of cells",
            Self::Genes(_) => GENES,
            Self::Tasks { .. } => TASKS,
        }
    }
}

/// In words, what Geneformer alone has.
pub(super) const GENES: &str = "a classifier of genes";
pub(super) const TASKS: &str = "a classifier for several tasks";

/// How models like a given one are built, with something on top, and with adapters.
pub(super) struct Recipe<'m> {
    base: &'m FoundationModel,
    top: Top<'m>,
    lora: Option<&'m LoraParams>,
}

/// A model with a head.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Geneformer(Box<Geneformer>),
    Genes(Box<Geneformer>),
    Tasks { model: Box<Geneformer>, heads: MultiTask, dropout: f64 },
    Scgpt(Box<Scgpt>),
}

/// A model whose head is asked.
#[derive(Clone, Copy)]
pub(super) enum BodyRef<'m> {
    Geneformer(&'m Geneformer),
    Genes(&'m Geneformer),
    Tasks { model: &'m Geneformer, heads: &'m MultiTask, dropout: f64 },
    Scgpt(&'m Scgpt),
}

impl<'m> Recipe<'m> {
    /// # Errors
    /// [`Error::Unsupported`], [`Error::HasAdapters`].
    pub(super) fn new(base: &'m FoundationModel, top: Top<'m>, method: &'m Method) -> Result<Self, Error> {
        let recipe = Self::with_adapters(base, top, method)?;
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
        top: Top<'m>,
        method: &'m Method,
    ) -> Result<Self, Error> {
        if matches!(base.network, Network::Scfoundation { .. }) {
            return Err(Error::Unsupported { kind: base.kind(), method: method.name() });
        }
        if let (Top::Genes(_) | Top::Tasks { .. }, false) = (top, base.kind() == Kind::Geneformer) {
            return Err(Error::OfGeneformer { head: top.name(), kind: base.kind() });
        }
        let lora = match method {
            Method::Lora(params) => Some(params),
            _ => None,
        };
        Ok(Self { base, top, lora })
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
                let mut config = model.config().clone();
                match self.top {
                    Top::Cells(classes) => {
                        NewHead::Cells { classes: classes.to_vec() }.put_on(
                            &mut weights,
                            &mut config,
                            seed,
                        )?;
                    }
                    Top::Genes(classes) => {
                        NewHead::Genes { classes: classes.to_vec() }.put_on(
                            &mut weights,
                            &mut config,
                            seed,
                        )?;
                    }
                    Top::Tasks { sizes, pooling, .. } => {
                        let new = MultiTask::new_weights(config.hidden_size, sizes, pooling, seed)?;
                        new.into_iter().for_each(|(name, tensor)| weights.insert(name, tensor));
                    }
                }
            }
            Network::Scgpt { model, .. } => {
                let (width, n_classes) = (model.config().embsize, self.classes().len());
                Scgpt::put_new_classifier(&mut weights, width, n_classes, SCGPT_LAYERS, seed)?;
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
            weights.set_adapters(lora.adapters());
        }
        match &self.base.network {
            Network::Geneformer { model, .. } => {
                let mut config = model.config().clone();
                // Without classes of its own the configuration says nothing of the heads, and stays as it is.
                if !self.classes().is_empty() {
                    config.id2label = (0..).zip(self.classes().iter().cloned()).collect();
                }
                let precision = model.source().precision;
                let heads = match self.top {
                    Top::Tasks { dropout, .. } => Some((take_heads(weights, precision)?, dropout)),
                    _ => None,
                };
                let model = Box::new(Geneformer::from_weights(config, model.format(), weights, precision)?);
                Ok(match (heads, self.top) {
                    (Some((heads, dropout)), _) => Body::Tasks { model, heads, dropout },
                    (None, Top::Genes(_)) => Body::Genes(model),
                    (None, _) => Body::Geneformer(model),
                })
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

    /// The names that a model's file has of its classes: none of several tasks.
    fn classes(&self) -> &'m [String] {
        match self.top {
            Top::Cells(classes) | Top::Genes(classes) => classes,
            Top::Tasks { .. } => &[],
        }
    }
}

/// A model of the same dictionary with another network.
pub(super) fn with_body(base: &FoundationModel, body: Body) -> FoundationModel {
    let network = match (body, &base.network) {
        (
            Body::Geneformer(model) | Body::Genes(model) | Body::Tasks { model, .. },
            Network::Geneformer { vocabulary, .. },
        ) => Network::Geneformer { model, vocabulary: vocabulary.clone() },
        (Body::Scgpt(model), Network::Scgpt { vocabulary, input, .. }) => {
            Network::Scgpt { model, vocabulary: vocabulary.clone(), input: *input }
        }
        _ => unreachable!("a body is of the kind of its base"),
    };
    base.changed(network)
}

/// Linear layers of scGPT's classifier, as in the reference.
const SCGPT_LAYERS: usize = 3;

impl Body {
    pub(super) fn as_ref(&self) -> BodyRef<'_> {
        match self {
            Self::Geneformer(model) => BodyRef::Geneformer(model),
            Self::Genes(model) => BodyRef::Genes(model),
            Self::Tasks { model, heads, dropout } => BodyRef::Tasks { model, heads, dropout: *dropout },
            Self::Scgpt(model) => BodyRef::Scgpt(model),
        }
    }
}

/// Whether a tensor is one of the heads of several tasks.
pub(super) fn is_task_head(name: &str) -> bool {
    ["classification_heads.", "attention_pool."].iter().any(|head| name.starts_with(head))
}

/// The heads of several tasks, out of the weights.
fn take_heads(weights: &mut Weights, precision: Precision) -> Result<MultiTask> {
    // In weights of their own: what is taken from the others is the model.
    let of_heads =
        |(name, tensor): (&str, &Tensor)| is_task_head(name).then(|| (name.to_owned(), tensor.clone()));
    let mut heads = Weights::new(weights.iter().filter_map(of_heads).collect::<Vec<_>>());
    weights.remove_all(is_task_head);
    Ok(MultiTask::take(&mut heads, precision)?)
}

impl<'m> BodyRef<'m> {
    /// The part of a model that can have a head for cells; none of scFoundation.
    pub(super) fn of(model: &'m FoundationModel) -> Option<Self> {
        match &model.network {
            Network::Geneformer { model, .. } => Some(Self::Geneformer(model)),
            Network::Scgpt { model, .. } => Some(Self::Scgpt(model)),
            Network::Scfoundation { .. } => None,
        }
    }

    /// The Geneformer below the head, if it is one.
    pub(super) fn geneformer(self) -> Option<&'m Geneformer> {
        match self {
            Self::Geneformer(model) | Self::Genes(model) | Self::Tasks { model, .. } => Some(model),
            Self::Scgpt(_) => None,
        }
    }

    /// Refuses cells that the model cannot take.
    pub(super) fn check(self, tokens: &Tokens, cells: &[usize]) -> Result<()> {
        match self {
            Self::Scgpt(model) => crate::models::CellEncoder::check(model, &scgpt_cells(tokens, cells)?),
            Self::Geneformer(model) | Self::Genes(model) | Self::Tasks { model, .. } => {
                Ok(model.check(&TokenBatch::new(&ids(tokens, cells)))?)
            }
        }
    }

    /// Logits, in a step of training or without: `cells × classes`; of genes `tokens × classes`; of several tasks those of
    /// all tasks side by side.
    pub(super) fn logits(
        self,
        tokens: &Tokens,
        cells: &[usize],
        step: Option<&TrainingStep>,
    ) -> Result<Tensor> {
        match self {
            Self::Scgpt(model) => {
                let batch = ScgptBatch::new(&scgpt_cells(tokens, cells)?)?;
                let encoded = model.encode_with(&batch, Layer::Last, step)?;
                model.class_logits(&model.cell_embeddings(&encoded, &batch)?)
            }
            Self::Geneformer(model) | Self::Genes(model) | Self::Tasks { model, .. } => {
                let batch = TokenBatch::new(&ids(tokens, cells));
                self.of_last(&model.forward_with(&batch, Layer::Last, step)?, step)
            }
        }
    }

    /// The logits that a Geneformer's head makes of the last states.
    pub(super) fn of_last(self, last: &Hidden, step: Option<&TrainingStep>) -> Result<Tensor> {
        match self {
            Self::Geneformer(model) => model.cell_logits_with(last, step),
            Self::Genes(model) => model.gene_logits_with(last, step),
            Self::Tasks { heads, dropout, .. } => {
                let step = step.map(|step| (step, dropout));
                Ok(Tensor::cat(&heads.logits(&heads.pooled_with(last, step)?)?, 1)?)
            }
            Self::Scgpt(_) => unreachable!("scGPT has no last states of this kind"),
        }
    }
}

/// Cells on their way through a model that is not trained.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) body: BodyRef<'a>,
    pub(super) tokens: &'a Tokens,
    pub(super) cost: Cost,
    /// Bytes for hidden values.
    pub(super) memory: usize,
}

impl Asked<'_> {
    /// Logits of any number of cells, `cells × n_logits`, in the order given. A row depends on its cell alone.
    pub(super) fn cells(&self, cells: &[usize], n_logits: usize) -> Result<Array2<f32>> {
        let mut logits = Array2::zeros((cells.len(), n_logits));
        self.each(cells, |places, rows| {
            for (&place, row) in places.iter().zip(&rows) {
                logits.row_mut(place).assign(&ndarray::aview1(row));
            }
        })?;
        Ok(logits)
    }

    /// Logits of the tokens of any number of cells, `tokens × n_logits` for each. They depend on the cell alone.
    pub(super) fn tokens(&self, cells: &[usize], n_logits: usize) -> Result<Vec<Array2<f32>>> {
        let mut logits = vec![Array2::zeros((0, n_logits)); cells.len()];
        self.each(cells, |places, rows| {
            let mut rows = rows.into_iter();
            for &place in places {
                let n_tokens = self.tokens.cell(cells[place]).len();
                let mut own = Array2::zeros((n_tokens, n_logits));
                for (mut row, values) in own.rows_mut().into_iter().zip(rows.by_ref()) {
                    row.assign(&ndarray::aview1(&values));
                }
                logits[place] = own;
            }
        })?;
        Ok(logits)
    }

    fn each(&self, cells: &[usize], mut take: impl FnMut(&[usize], Vec<Vec<f32>>)) -> Result<()> {
        let lengths: Vec<usize> = cells.iter().map(|&cell| self.tokens.cell(cell).len()).collect();
        let encode = |places: &[usize]| {
            let cells: Vec<usize> = places.iter().map(|&place| cells[place]).collect();
            Ok(self.body.logits(self.tokens, &cells, None)?.to_dtype(DType::F32)?.to_vec2::<f32>()?)
        };
        let take = |places: &[usize], rows: Vec<Vec<f32>>| {
            take(places, rows);
            Ok(())
        };
        Run { lengths: &lengths, cost: self.cost, memory: self.memory }
            .each(encode, take, |_, _, _| std::ops::ControlFlow::Continue(()))
    }
}
