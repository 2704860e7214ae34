//! Geneformer: a BERT over the genes of a cell in order of rank (Theodoris et al. 2023),
//! <https://doi.org/10.1038/s41586-023-06139-9>.
//!
//! Same numbers as Hugging Face's BERT to 1e-4 (`tests/golden/geneformer.rs`). It differs on purpose in these points:
//! cells come back in the order given (the reference sorts by length); a pooling that the model does not have is an
//! error (V1 has no `<cls>`; the reference takes the mean in silence); cells outside the vocabulary, over the length or
//! without their special tokens are refused.

mod config;
mod encoder;
mod heads;
mod multi_task;
mod new_head;
mod save;

use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};

pub use config::{GeneformerConfig, HiddenAct};
pub use encoder::{GeneMeans, GeneformerEncoder, Pooling};
pub use multi_task::{MultiTask, TaskPooling};
pub use new_head::NewHead;

use super::batch::{TokenBatch, positions};
use super::checkpointing::{self, Chain};
use super::parts::Parts;
use super::source::Source;
use super::{Error, Hidden, Layer, LoadOptions, load, normal};
use crate::Result;
use crate::checkpoint::Weights;
use crate::nn::gemm::{Kernel, Precision};
use crate::nn::{
    AttentionParams, EncoderLayer, FeedForward, LayerDropout, LayerNorm, NormOrder, Packing, Projection,
    TrainingStep, embedding,
};
use crate::tokenize::vocabulary::Vocabulary;
use config::Start;
use heads::Heads;

/// The site of the embedding's dropout.
const EMBEDDING_SITE: u32 = 0;

/// What a cell's tokens look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// Genes alone.
    V1,
    /// `<cls>`, genes, `<eos>`.
    V2 {
        /// The token in front.
        cls: u32,
        /// The token at the end.
        eos: u32,
    },
}

impl InputFormat {
    /// V2 if the dictionary has `<cls>` and `<eos>`, otherwise V1.
    pub fn of(vocabulary: &Vocabulary) -> Self {
        match (vocabulary.token("<cls>"), vocabulary.token("<eos>")) {
            (Some(cls), Some(eos)) => Self::V2 { cls, eos },
            _ => Self::V1,
        }
    }
}

/// The network, with those heads that its checkpoint holds.
#[derive(Clone, Debug)]
pub struct Geneformer {
    config: GeneformerConfig,
    format: InputFormat,
    word: Tensor,
    position: Tensor,
    token_type: Tensor,
    norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    heads: Heads,
    source: Source,
}

impl Geneformer {
    /// From a folder with `config.json` and the weights (or a model's folder in a hub cache), and the dictionary of the
    /// same release.
    ///
    /// # Errors
    /// [`Error::Dictionary`] if the dictionary is not the model's; those of [`GeneformerConfig::read`],
    /// [`Weights::open_with`] and [`Geneformer::from_weights`].
    pub fn load(folder: &Path, vocabulary: &Vocabulary, options: &LoadOptions) -> Result<Self> {
        let folder = load::folder(folder)?;
        let config = GeneformerConfig::read(&folder.join("config.json"))?;
        if vocabulary.n_tokens() != config.vocab_size {
            let (found, expected) = (vocabulary.n_tokens(), config.vocab_size);
            return Err(Error::Dictionary { found, expected }.into());
        }
        Self::from_weights(
            config,
            InputFormat::of(vocabulary),
            &mut load::weights(&folder, options)?,
            options.precision,
        )
    }

    /// From tensors with Hugging Face's names, with or without `bert.` in front.
    ///
    /// A head is taken if there is any tensor of it: the masked language model (`cls.predictions`), the classifier of
    /// cells (`bert.pooler` and `classifier`), the classifier of genes (`classifier` alone). `position_ids` is left out;
    /// the tied `cls.predictions.decoder` is compared with what it repeats.
    ///
    /// # Errors
    /// Those of [`GeneformerConfig::validate`]; those of [`Weights::build`] if tensors are missing, have other shapes, or
    /// are no part of the model; [`NotTied`](crate::checkpoint::Error::NotTied).
    pub fn from_weights(
        config: GeneformerConfig,
        format: InputFormat,
        weights: &mut Weights,
        precision: Precision,
    ) -> Result<Self> {
        config.validate()?;
        let bare = |name: &str| Some(name.strip_prefix("bert.").unwrap_or(name).to_owned());
        *weights = std::mem::take(weights).renamed(bare);
        weights.ignore("embeddings.position_ids", "positions are counted");
        let mut model =
            weights.build(|weights| Self::take(config, format, &mut Parts { weights, precision }))?;
        model.source = Source::new(weights.taken(), precision);
        Ok(model)
    }

    fn take(config: GeneformerConfig, format: InputFormat, parts: &mut Parts<'_>) -> Result<Self> {
        let width = config.hidden_size;
        let mut table = |name: &str, entries: usize| {
            parts.embedding(&format!("embeddings.{name}_embeddings"), entries, width)
        };
        let word = table("word", config.vocab_size)?;
        let position = table("position", config.max_position_embeddings)?;
        let token_type = table("token_type", config.type_vocab_size)?.narrow(0, 0, 1)?;
        let norm = parts.layer_norm("embeddings.LayerNorm", width, config.layer_norm_eps)?;
        let layers = (0..config.num_hidden_layers).map(|i| layer(&config, i, parts));
        let layers = layers.collect::<Result<Vec<EncoderLayer>>>()?;
        let heads = Heads::take(&config, &word, parts)?;
        Ok(Self {
            config,
            format,
            word,
            position,
            token_type,
            norm,
            layers,
            heads,
            source: Source::default(),
        })
    }

    /// A model with random weights N(0, `initializer_range`²), zero biases and norms that do nothing, as training from
    /// scratch begins; with the head of the masked language model.
    ///
    /// # Errors
    /// Those of [`GeneformerConfig::validate`].
    pub fn random(config: GeneformerConfig, format: InputFormat, seed: u64) -> Result<Self> {
        let mut weights = Self::random_weights(&config, seed, &Device::Cpu)?;
        Self::from_weights(config, format, &mut weights, Precision::default())
    }

    /// The weights of [`Geneformer::random`]. Each tensor has a stream of its own, so a model with more layers begins
    /// with the same embeddings.
    ///
    /// # Errors
    /// Those of [`GeneformerConfig::validate`].
    pub fn random_weights(config: &GeneformerConfig, seed: u64, device: &Device) -> Result<Weights> {
        config.validate()?;
        let mut tensors = vec![];
        for (stream, (name, shape, start)) in (0..).zip(config.parameters()) {
            let tensor = match start {
                Start::Zeros => Tensor::zeros(shape, DType::F32, device)?,
                Start::Ones => Tensor::ones(shape, DType::F32, device)?,
                Start::Normal | Start::NormalButPadding => {
                    let n = shape.iter().product();
                    let mut values = normal::normal(n, config.initializer_range, seed, stream);
                    if start == Start::NormalButPadding {
                        let first = config.pad_token_id as usize * config.hidden_size;
                        values[first..first + config.hidden_size].fill(0.0);
                    }
                    Tensor::from_vec(values, shape, device)?
                }
            };
            tensors.push((name, tensor));
        }
        Ok(Weights::new(tensors))
    }

    /// The shape of the model.
    pub fn config(&self) -> &GeneformerConfig {
        &self.config
    }

    /// The tables of tokens and positions, by which together with its states a model can be told from others.
    pub(crate) fn tables(&self) -> [&Tensor; 2] {
        [&self.word, &self.position]
    }

    /// The tensors that the model is made of, without `bert.` in their names.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// What the model computes in.
    pub fn dtype(&self) -> DType {
        self.word.dtype()
    }

    /// The kernel of the layers' products on the CPU.
    pub(crate) fn kernel(&self) -> Option<Kernel> {
        self.layers.first().map(|layer| layer.output.kernel())
    }

    /// What a cell's tokens look like.
    pub fn format(&self) -> InputFormat {
        self.format
    }

    /// The hidden states of cells after `layer`: `rows × hidden_size`, a row for each token. Layers above are not
    /// computed.
    ///
    /// Special tokens may stand anywhere, as they do where tokens are masked.
    ///
    /// # Errors
    /// [`Error::EmptyCell`], [`Error::TooLong`], [`Error::Token`], [`Error::Padding`], [`Error::Layer`].
    pub fn forward(&self, batch: &TokenBatch, layer: Layer) -> Result<Hidden> {
        self.forward_with(batch, layer, None)
    }

    /// [`forward`](Self::forward), in a step of training with the dropout of the configuration.
    ///
    /// `hidden_dropout_prob` of the values is dropped behind the norm of the embedding, and of what the attention and the
    /// feed-forward part of each layer give, before it meets the residual; `attention_probs_dropout_prob` of the weights
    /// of the attention. The same places as in Hugging Face's BERT.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward) and [`Dropout::forward`](crate::nn::Dropout::forward).
    pub fn forward_with(
        &self,
        batch: &TokenBatch,
        layer: Layer,
        training: Option<&TrainingStep>,
    ) -> Result<Hidden> {
        let depth = layer.depth(self.layers.len())?;
        let mut states = self.embed(batch, training)?;
        for layer in 0..depth {
            states = self.through_layer(layer, &states, batch.packing(), training)?;
        }
        Ok(Hidden { states, packing: batch.packing().clone() })
    }

    /// The loss that `loss` makes of the states after `layer`, and the gradients of all variables: to the bit those of
    /// `loss(&self.forward_with(…)).backward()`, in less memory and more time.
    ///
    /// Between the passes nothing is kept of a layer but its input. The backward pass computes each layer once more, with
    /// the same dropout, as far down as there is something to train.
    ///
    /// # Errors
    /// Those of [`forward_with`](Self::forward_with) and of `loss`.
    pub fn checkpointed_gradients(
        &self,
        batch: &TokenBatch,
        layer: Layer,
        training: Option<&TrainingStep>,
        loss: impl FnOnce(&Hidden) -> Result<Tensor>,
    ) -> Result<(Tensor, GradStore)> {
        let depth = layer.depth(self.layers.len())?;
        let chain = Layers { model: self, batch, training, depth };
        checkpointing::gradients(&chain, |last| {
            loss(&Hidden { states: last.clone(), packing: batch.packing().clone() })
        })
    }

    /// The states of [`Layer::Index`]`(0)`.
    fn embed(&self, batch: &TokenBatch, training: Option<&TrainingStep>) -> Result<Tensor> {
        let config = &self.config;
        batch.check(config.max_position_embeddings, config.vocab_size, Some(config.pad_token_id))?;
        let packing = batch.packing();
        let words = embedding(&self.word, batch.ids())?;
        let positions = embedding(&self.position, &positions(packing))?;
        let states = self.norm.forward_residual(&words.broadcast_add(&self.token_type)?, &positions)?;
        Ok(match training {
            Some(step) => {
                step.dropout(EMBEDDING_SITE, config.hidden_dropout_prob).forward(&states, packing)?
            }
            None => states,
        })
    }

    /// One layer, counted from 0.
    fn through_layer(
        &self,
        layer: usize,
        states: &Tensor,
        packing: &Packing,
        training: Option<&TrainingStep>,
    ) -> Result<Tensor> {
        let dropout = training.map(|step| LayerDropout {
            step,
            attention: self.config.attention_probs_dropout_prob,
            output: self.config.hidden_dropout_prob,
            inner: 0.0,
            layer,
        });
        Ok(self.layers[layer].forward_with(states, packing, dropout.as_ref())?)
    }

    /// How much each token of a cell looks at each other in the layer behind `layer`: for each cell
    /// `heads × tokens × tokens`, each row of which sums to 1.
    ///
    /// * `layer`: whose states are looked at; the first layer of the network is behind [`Layer::Index`]`(0)`, and behind
    ///   the last there is none.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn attention_weights(&self, batch: &TokenBatch, layer: Layer) -> Result<Vec<Tensor>> {
        let n_layers = self.layers.len();
        let depth = layer.depth(n_layers)?;
        let behind =
            self.layers.get(depth).ok_or(Error::Layer { layer: Layer::Index(depth + 1), n_layers })?;
        let before = self.forward(batch, layer)?;
        Ok(behind.attention_weights(&before.states, &before.packing)?)
    }

    /// Logits of the masked language model, `rows × vocab_size`, from the states of [`Layer::Last`].
    ///
    /// # Errors
    /// [`Error::NoHead`].
    pub fn mlm_logits(&self, last: &Hidden) -> Result<Tensor> {
        self.heads.mlm_logits(&last.states)
    }

    /// Rows `rows` of [`mlm_logits`](Self::mlm_logits), as many × `vocab_size`, and no others: of the masked tokens, for
    /// instance, before the decoder multiplies them with the whole vocabulary.
    ///
    /// # Errors
    /// [`Error::NoHead`], and what the tensor library reports: a row that is none.
    pub fn mlm_logits_at(&self, last: &Hidden, rows: &[u32]) -> Result<Tensor> {
        self.heads.mlm_logits(&embedding(&last.states, rows)?)
    }

    /// The loss of the masked language model: the mean of `−log softmax(logits)[label]` over the tokens that have a label,
    /// from the states of [`Layer::Last`]. 0 where none has.
    ///
    /// * `labels`: for each row the token that it was, where that is to be told. Other rows do not go through the head,
    ///   and the logits are not kept ([`Linear::cross_entropy`](crate::nn::Linear::cross_entropy)).
    ///
    /// # Errors
    /// [`Error::NoHead`]; another number of labels than rows, and labels that are no token.
    pub fn mlm_loss(&self, last: &Hidden, labels: &[Option<u32>]) -> Result<Tensor> {
        if labels.len() != last.packing.n_rows() {
            let (found, rows) = (labels.len(), last.packing.n_rows());
            return Err(candle_core::Error::Msg(format!("{found} labels for {rows} rows")).bt().into());
        }
        let rows: Vec<u32> =
            (0..).zip(labels).filter(|(_, label)| label.is_some()).map(|(row, _)| row).collect();
        let labels: Vec<Option<u32>> = labels.iter().copied().filter(Option::is_some).collect();
        self.heads.mlm_loss(&embedding(&last.states, &rows)?, &labels)
    }

    /// `tanh(W h + b)` of each cell's first token, `cells × hidden_size`, from the states of [`Layer::Last`]. The first
    /// token of V1 is the gene of the highest rank.
    ///
    /// # Errors
    /// [`Error::NoHead`], [`Error::EmptyCell`].
    pub fn pooled(&self, last: &Hidden) -> Result<Tensor> {
        self.heads.pooled(last)
    }

    /// Logits of the classes of each cell, `cells × classes`, from the states of [`Layer::Last`].
    ///
    /// # Errors
    /// [`Error::NoHead`], [`Error::EmptyCell`].
    pub fn cell_logits(&self, last: &Hidden) -> Result<Tensor> {
        self.cell_logits_with(last, None)
    }

    /// [`cell_logits`](Self::cell_logits), in a step of training with the dropout of the configuration:
    /// `hidden_dropout_prob` of what goes into the classifier, as in Hugging Face's BERT.
    ///
    /// # Errors
    /// Those of [`cell_logits`](Self::cell_logits).
    pub fn cell_logits_with(&self, last: &Hidden, training: Option<&TrainingStep>) -> Result<Tensor> {
        self.heads.cell_logits(last, training.map(|step| (step, self.config.hidden_dropout_prob)))
    }

    /// Logits of the classes of each token, `rows × classes`, from the states of [`Layer::Last`].
    ///
    /// # Errors
    /// [`Error::NoHead`].
    pub fn gene_logits(&self, last: &Hidden) -> Result<Tensor> {
        self.gene_logits_with(last, None)
    }

    /// [`gene_logits`](Self::gene_logits), in a step of training with the dropout of the configuration:
    /// `hidden_dropout_prob` of what goes into the classifier, as in Hugging Face's BERT.
    ///
    /// # Errors
    /// Those of [`gene_logits`](Self::gene_logits).
    pub fn gene_logits_with(&self, last: &Hidden, training: Option<&TrainingStep>) -> Result<Tensor> {
        self.heads.gene_logits(last, training.map(|step| (step, self.config.hidden_dropout_prob)))
    }
}

/// The layers for a batch.
struct Layers<'a> {
    model: &'a Geneformer,
    batch: &'a TokenBatch,
    training: Option<&'a TrainingStep>,
    depth: usize,
}

impl Chain for Layers<'_> {
    fn first(&self) -> Result<Tensor> {
        self.model.embed(self.batch, self.training)
    }

    fn n_layers(&self) -> usize {
        self.depth
    }

    fn layer(&self, layer: usize, states: &Tensor) -> Result<Tensor> {
        self.model.through_layer(layer, states, self.batch.packing(), self.training)
    }
}

fn layer(config: &GeneformerConfig, index: usize, parts: &mut Parts<'_>) -> Result<EncoderLayer> {
    let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
    let name = format!("encoder.layer.{index}");
    let attention = format!("{name}.attention");
    let mut square = |part: &str| parts.linear(&format!("{attention}.{part}"), width, width);
    let (query, key, value) = (square("self.query")?, square("self.key")?, square("self.value")?);
    let output = square("output.dense")?;
    let first = parts.linear(&format!("{name}.intermediate.dense"), inner, width)?;
    let second = parts.linear(&format!("{name}.output.dense"), width, inner)?;
    Ok(EncoderLayer {
        projection: Projection::Split { query, key, value },
        output,
        attention_norm: parts.layer_norm(&format!("{attention}.output.LayerNorm"), width, eps)?,
        feed_forward: FeedForward::new(first, second, config.hidden_act.activation()),
        feed_forward_norm: parts.layer_norm(&format!("{name}.output.LayerNorm"), width, eps)?,
        order: NormOrder::Post,
        attention: AttentionParams { n_heads: config.num_attention_heads, causal: false },
    })
}

#[cfg(test)]
mod tests;
