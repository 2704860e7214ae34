//! scGPT: a transformer over the genes of a cell with their binned values (Cui et al. 2024),
//! <https://doi.org/10.1038/s41592-024-02201-0>.
//!
//! Same numbers as the reference to 1e-4 (`tests/golden/models/scgpt.rs`). It differs on purpose in these points: there
//! is no padding, so nothing depends on the batch (the reference's average pooling takes padding in); each cell has the
//! batch norm of its own label, not that of the first cell of its batch; a checkpoint is taken whole, its attention
//! under any of the four names that it has in released files.

mod batch_norm;
mod config;
mod decoders;
mod in_training;
mod input;
mod new_head;
mod random;
mod values;

use std::path::Path;

use candle_core::{DType, Tensor};

pub use batch_norm::NormStatistics;
pub use config::{CellEmbStyle, InputEmbStyle, ScgptConfig};
pub use decoders::Expression;
pub use input::{Cell, ScgptBatch};

use super::batch::cell_of_rows;
use super::parts::{Parts, TorchLayer};
use super::source::Source;
use super::{CellEncoder, Error, Hidden, Layer, LoadOptions, load, pooling};
use crate::Result;
use crate::checkpoint::Weights;
use crate::nn::gemm::{Kernel, Precision};
use crate::nn::{EncoderLayer, LayerDropout, LayerNorm, NormOrder, TrainingStep, embedding};
use crate::tokenize::scgpt::ScgptVocabulary;
use batch_norm::{BatchNorm, Observed};
use decoders::{CellDecoder, ClassDecoder, ExpressionDecoder};
use values::ValueEncoder;

/// The site of the dropout of values.
const VALUE_SITE: u32 = 1;

/// The special tokens that the model meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specials {
    /// `<pad>`, which no cell may have.
    pub pad: u32,
    /// `<cls>`, with which a cell begins.
    pub cls: u32,
}

/// The network, with those decoders that its checkpoint holds.
#[derive(Clone, Debug)]
pub struct Scgpt {
    config: ScgptConfig,
    specials: Specials,
    genes: Table,
    values: ValueEncoder,
    norm: Option<BatchNorm>,
    layers: Vec<EncoderLayer>,
    batches: Option<Table>,
    expression: Option<ExpressionDecoder>,
    cell_expression: Option<CellDecoder>,
    classes: Option<ClassDecoder>,
    discriminator: Option<ClassDecoder>,
    source: Source,
}

/// An embedding with a norm behind it.
#[derive(Clone, Debug)]
struct Table {
    entries: Tensor,
    norm: LayerNorm,
}

impl Table {
    fn take(
        parts: &mut Parts<'_>,
        name: &str,
        n: usize,
        width: usize,
    ) -> Result<Self, crate::checkpoint::Error> {
        let entries = parts.embedding(&format!("{name}.embedding"), n, width)?;
        Ok(Self { entries, norm: parts.layer_norm(&format!("{name}.enc_norm"), width, 1e-5)? })
    }

    fn forward(&self, ids: &[u32]) -> candle_core::Result<Tensor> {
        self.norm.forward(&embedding(&self.entries, ids)?)
    }

    fn len(&self) -> usize {
        self.entries.dims()[0]
    }
}

/// The states of packed cells, with the embeddings of their genes.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `rows × embsize`: the genes themselves, the same in every cell.
    pub genes: Tensor,
    /// The states after the layers.
    pub hidden: Hidden,
    /// Statistics that the batch norm took of this batch, if it took any.
    observed: Vec<Observed>,
}

impl Scgpt {
    /// From a folder with `args.json` and the weights, and its vocabulary.
    ///
    /// # Errors
    /// [`Error::Dictionary`] if the vocabulary is not the model's; those of [`ScgptConfig::read`],
    /// [`Weights::open_with`] and [`Scgpt::from_weights`].
    pub fn load(folder: &Path, vocabulary: &ScgptVocabulary, options: &LoadOptions) -> Result<Self> {
        let folder = load::folder(folder)?;
        let config = ScgptConfig::read(&folder.join("args.json"))?;
        let mut weights = load::weights(&folder, options)?;
        let specials = Specials { pad: vocabulary.pad(), cls: vocabulary.cls() };
        Self::from_weights(config, vocabulary.n_tokens(), specials, &mut weights, options.precision)
    }

    /// From tensors with the reference's names, `module.` in front or not. The attention may be called `in_proj` and
    /// `out_proj`, `Wqkv`, or have `_impl` in its name; the rows are the same in all three.
    ///
    /// Decoders and norms are taken if there is any tensor of them.
    ///
    /// # Errors
    /// Those of [`ScgptConfig::validate`]; [`Error::Dictionary`] if the gene embedding has not `n_tokens` entries; those
    /// of [`Weights::build`] if tensors are missing, have other shapes, or are no part of the model.
    pub fn from_weights(
        config: ScgptConfig,
        n_tokens: usize,
        specials: Specials,
        weights: &mut Weights,
        precision: Precision,
    ) -> Result<Self> {
        config.validate()?;
        *weights = std::mem::take(weights).renamed(|name| Some(canonical_name(name)));
        match weights.shape("encoder.embedding.weight") {
            Some(&[expected, _]) if expected != n_tokens => {
                Err(Error::Dictionary { found: n_tokens, expected }.into())
            }
            _ => {
                let mut model = weights.build(|weights| {
                    Self::take(config, n_tokens, specials, &mut Parts { weights, precision })
                })?;
                model.source = Source::new(weights.taken(), precision);
                Ok(model)
            }
        }
    }

    fn take(config: ScgptConfig, n_tokens: usize, specials: Specials, parts: &mut Parts<'_>) -> Result<Self> {
        let width = config.embsize;
        let genes = Table::take(parts, "encoder", n_tokens, width)?;
        let values = ValueEncoder::take(&config, parts)?;
        let norm = BatchNorm::take(width, parts.weights)?;
        let order = if config.pre_norm { NormOrder::PreReplacing } else { NormOrder::Post };
        let layer = TorchLayer { width, inner: config.d_hid, n_heads: config.nheads, order };
        let layers =
            (0..config.nlayers).map(|i| parts.torch_layer(&format!("transformer_encoder.layers.{i}"), layer));
        let layers = layers.collect::<Result<Vec<EncoderLayer>, _>>()?;
        let n_batches = parts.n_rows("batch_encoder.embedding.weight");
        let batches = parts.any("batch_encoder.");
        let batches = batches.then(|| Table::take(parts, "batch_encoder", n_batches, width)).transpose()?;
        let labelled = if batches.is_some() { 2 * width } else { width };
        let expression = parts.any("decoder.");
        let expression = expression.then(|| ExpressionDecoder::take(parts, labelled, width)).transpose()?;
        let cell_expression = parts.any("mvc_decoder.");
        let cell_expression =
            cell_expression.then(|| CellDecoder::take(parts, labelled, width)).transpose()?;
        let classes = parts.any("cls_decoder.").then(|| ClassDecoder::classes(parts, width)).transpose()?;
        let discriminator = parts.any("grad_reverse_discriminator.");
        let discriminator = discriminator.then(|| ClassDecoder::batches(parts, width)).transpose()?;
        Ok(Self {
            config,
            specials,
            genes,
            values,
            norm,
            layers,
            batches,
            expression,
            cell_expression,
            classes,
            discriminator,
            source: Source::default(),
        })
    }

    /// The shape of the model.
    pub fn config(&self) -> &ScgptConfig {
        &self.config
    }

    /// The tensors that the model is made of, under their names in PyTorch's layout of the attention.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The special tokens that it meets.
    pub(crate) fn specials(&self) -> Specials {
        self.specials
    }

    /// What the model computes in.
    pub fn dtype(&self) -> DType {
        self.genes.entries.dtype()
    }

    /// The kernel of the layers' products on the CPU.
    pub(crate) fn kernel(&self) -> Option<Kernel> {
        self.layers.first().map(|layer| layer.output.kernel())
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.genes.len()
    }

    /// Number of batch labels that the model was trained with.
    pub fn n_batch_labels(&self) -> Option<usize> {
        self.batches.as_ref().map(Table::len).or_else(|| self.norm.as_ref()?.n_labels())
    }

    /// The embedding of each gene, `rows × embsize`.
    ///
    /// # Errors
    /// [`Error::EmptyCell`], [`Error::Token`], [`Error::Padding`].
    pub fn gene_embeddings(&self, batch: &ScgptBatch) -> Result<Tensor> {
        batch.tokens().check(usize::MAX, self.n_tokens(), Some(self.specials.pad))?;
        Ok(self.genes.forward(batch.tokens().ids())?)
    }

    /// The embedding of each value, `rows × embsize`; `rows × 1` where values are factors.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn value_embeddings(&self, batch: &ScgptBatch) -> Result<Tensor> {
        batch.check_values(self.config.input_emb_style, self.values.n_categories())?;
        let entries = &self.genes.entries;
        Ok(self.values.forward(&batch.tensor(entries.device())?, entries.dtype())?)
    }

    /// The states of cells after `layer`. Layers above are not computed.
    ///
    /// # Errors
    /// Those of [`gene_embeddings`](Self::gene_embeddings) and [`value_embeddings`](Self::value_embeddings);
    /// [`Error::BatchLabels`] and [`Error::BatchLabel`] for a model with statistics of each batch; [`Error::Layer`].
    pub fn encode(&self, batch: &ScgptBatch, layer: Layer) -> Result<Encoded> {
        self.encode_with(batch, layer, None)
    }

    /// [`encode`](Self::encode), in a step of training with the `dropout` of the configuration: behind the norm of the
    /// encoder of continuous values; and in each layer of the weights of the attention, of what the attention gives,
    /// behind the function of the feed-forward part, and of what that part gives. The same places as in the reference.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode) and [`Dropout::forward`](crate::nn::Dropout::forward).
    pub fn encode_with(
        &self,
        batch: &ScgptBatch,
        layer: Layer,
        training: Option<&TrainingStep>,
    ) -> Result<Encoded> {
        self.encode_observing(batch, layer, training, NormStatistics::Stored)
    }

    fn add_values(
        &self,
        genes: &Tensor,
        batch: &ScgptBatch,
        training: Option<&TrainingStep>,
    ) -> Result<Tensor> {
        let mut values = self.value_embeddings(batch)?;
        if let (ValueEncoder::Continuous { .. }, Some(step)) = (&self.values, training) {
            values = step.dropout(VALUE_SITE, self.config.dropout).forward(&values, batch.packing())?;
        }
        Ok(match self.values {
            ValueEncoder::Scaling => genes.broadcast_mul(&values)?,
            _ => (genes + values)?,
        })
    }

    fn normed(&self, total: Tensor, batch: &ScgptBatch) -> Result<Tensor> {
        match &self.norm {
            Some(norm) => norm.forward(&total, batch),
            None => Ok(total),
        }
    }

    fn layers(
        &self,
        mut states: Tensor,
        batch: &ScgptBatch,
        depth: usize,
        training: Option<&TrainingStep>,
    ) -> Result<Tensor> {
        let rate = self.config.dropout;
        for (i, layer) in self.layers[..depth].iter().enumerate() {
            let dropout = training.map(|step| LayerDropout {
                step,
                attention: rate,
                output: rate,
                inner: rate,
                layer: i,
            });
            states = layer.forward_with(&states, batch.packing(), dropout.as_ref())?;
        }
        Ok(states)
    }

    /// What stands for each cell, by the configuration's `cell_emb_style`: `cells × embsize`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn cell_embeddings(&self, encoded: &Encoded, batch: &ScgptBatch) -> Result<Tensor> {
        let (states, packing) = (&encoded.hidden.states, batch.packing());
        match self.config.cell_emb_style {
            CellEmbStyle::Cls => Ok(pooling::select(states, packing.iter().map(|rows| rows.start))?),
            CellEmbStyle::AvgPool => Ok(pooling::mean(states, packing.iter())?),
            CellEmbStyle::WPool => {
                let values = batch.tensor(states.device())?.to_dtype(states.dtype())?.unsqueeze(1)?;
                let sums = pooling::sum(&states.broadcast_mul(&values)?, packing.iter())?;
                Ok(pooling::unit_length(&sums)?)
            }
        }
    }

    /// The expression of each gene from its state, `rows`.
    ///
    /// # Errors
    /// [`Error::NoHead`]; [`Error::BatchLabels`] and [`Error::BatchLabel`] for a model with batch labels.
    pub fn expression(&self, encoded: &Encoded, batch: &ScgptBatch) -> Result<Expression> {
        self.decode(&encoded.hidden.states, batch)
    }

    fn decode(&self, states: &Tensor, batch: &ScgptBatch) -> Result<Expression> {
        let decoder = self.expression.as_ref().ok_or(Error::NoHead { head: "decoder of expression" })?;
        let labels = self.label_embeddings(batch)?;
        let rows = cell_of_rows(batch.packing());
        match labels {
            Some(labels) => Ok(decoder.forward(&Tensor::cat(&[states, &embedding(&labels, &rows)?], 1)?)?),
            None => Ok(decoder.forward(states)?),
        }
    }

    /// The embedding of the batch label of each cell, for models that have one.
    fn label_embeddings(&self, batch: &ScgptBatch) -> Result<Option<Tensor>> {
        let Some(table) = &self.batches else { return Ok(None) };
        let labels = batch.labels(table.len())?;
        Ok(Some(table.forward(&labels)?))
    }

    /// The expression of each gene from the embedding of its cell and of the gene itself, `rows`.
    ///
    /// * `cells`: `cells × embsize`, from [`cell_embeddings`](Self::cell_embeddings).
    ///
    /// # Errors
    /// [`Error::NoHead`]; [`Error::BatchLabels`] and [`Error::BatchLabel`] for a model with batch labels.
    pub fn expression_of_cells(
        &self,
        cells: &Tensor,
        encoded: &Encoded,
        batch: &ScgptBatch,
    ) -> Result<Expression> {
        let head = "decoder of expression from the cell";
        let decoder = self.cell_expression.as_ref().ok_or(Error::NoHead { head })?;
        let cells = match self.label_embeddings(batch)? {
            Some(labels) => Tensor::cat(&[cells, &labels], 1)?,
            None => cells.clone(),
        };
        let rows = embedding(&cells, &cell_of_rows(batch.packing()))?;
        Ok(decoder.forward(&rows, &encoded.genes)?)
    }

    /// Logits of the classes of each cell, `cells × classes`, from [`cell_embeddings`](Self::cell_embeddings).
    ///
    /// # Errors
    /// [`Error::NoHead`].
    pub fn class_logits(&self, cells: &Tensor) -> Result<Tensor> {
        Ok(self.classes.as_ref().ok_or(Error::NoHead { head: "classifier" })?.forward(cells)?)
    }

    /// Logits of the batch labels of each cell, `cells × labels`. The gradient with respect to `cells` has its sign
    /// reversed, so that training the discriminator takes the batch out of the embedding.
    ///
    /// # Errors
    /// [`Error::NoHead`].
    pub fn batch_logits(&self, cells: &Tensor) -> Result<Tensor> {
        let head = "discriminator of batches";
        let discriminator = self.discriminator.as_ref().ok_or(Error::NoHead { head })?;
        // 2x − x is x to the bit, and its derivative is −1 where the 2x is held fixed.
        let reversed = ((cells.detach() * 2.0)? - cells)?;
        Ok(discriminator.forward(&reversed)?)
    }

    /// The expression of given genes in cells of given embeddings, `rows`: the first token of each cell is replaced by
    /// the embedding.
    ///
    /// * `cells`: `cells × embsize`; `with_values`: whether the model sees the values of the batch, or the genes alone.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode) and [`expression`](Self::expression).
    pub fn generate(&self, cells: &Tensor, batch: &ScgptBatch, with_values: bool) -> Result<Expression> {
        let genes = self.gene_embeddings(batch)?;
        let total = if with_values { self.add_values(&genes, batch, None)? } else { genes };
        let total = self.normed(total, batch)?;
        let mut parts = vec![];
        for (cell, rows) in batch.packing().iter().enumerate() {
            parts.push(cells.narrow(0, cell, 1)?);
            parts.push(total.narrow(0, rows.start + 1, rows.len() - 1)?);
        }
        let states = if parts.is_empty() { total } else { Tensor::cat(&parts, 0)? };
        self.decode(&self.layers(states, batch, self.layers.len(), None)?, batch)
    }
}

/// The embeddings of [`Scgpt::cell_embeddings`] after the last layer, at length 1.
impl CellEncoder for Scgpt {
    type Cell<'c> = Cell<'c>;

    fn width(&self) -> usize {
        self.config.embsize
    }

    fn n_tokens(&self, cell: Cell<'_>) -> usize {
        cell.genes.len()
    }

    /// Besides the errors of [`Scgpt::encode`]: [`Error::Special`] if a cell does not begin with `<cls>`,
    /// [`Error::EmptyCell`] if nothing is behind it.
    fn check(&self, cells: &[Cell<'_>]) -> Result<()> {
        let batch = ScgptBatch::new(cells)?;
        batch.tokens().check(usize::MAX, Scgpt::n_tokens(self), Some(self.specials.pad))?;
        batch.check_values(self.config.input_emb_style, self.values.n_categories())?;
        if let Some(n_labels) = self.norm.as_ref().and_then(BatchNorm::n_labels) {
            batch.labels(n_labels)?;
        }
        let expected = self.specials.cls;
        for (cell, Cell { genes, .. }) in cells.iter().enumerate() {
            match genes {
                [first, ..] if *first != expected => {
                    return Err(Error::Special { cell, found: *first, expected, name: "<cls>" }.into());
                }
                [_] => return Err(Error::EmptyCell { cell }.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn encode(&self, cells: &[Cell<'_>]) -> Result<Tensor> {
        self.check(cells)?;
        let batch = ScgptBatch::new(cells)?;
        let encoded = Scgpt::encode(self, &batch, Layer::Last)?;
        let cells = self.cell_embeddings(&encoded, &batch)?.to_dtype(DType::F32)?;
        Ok(pooling::unit_length(&cells)?)
    }
}

/// The name that PyTorch's own layers give a tensor.
fn canonical_name(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let name = name.replace(".self_attn._impl.", ".self_attn.");
    name.replace(".self_attn.Wqkv.", ".self_attn.in_proj_")
}

#[cfg(test)]
mod tests;
