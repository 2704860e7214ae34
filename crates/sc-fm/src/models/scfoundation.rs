//! scFoundation: a transformer over the expressed genes of a cell, and a Performer over all genes (Hao et al. 2024),
//! <https://doi.org/10.1038/s41592-024-02305-7>.
//!
//! Same numbers as the reference to 1e-4 (`tests/golden/models/scfoundation.rs`). It differs on purpose in these points:
//! cells are embedded together without padding (the reference takes one at a time); nothing depends on the batch, unless
//! [`Company::Together`] asks for it; values that the reference would
//! take for a mask or padding (102 and 103), and cells without genes, are refused.
//!
//! The weights are under a licence of their own: research that is not commercial, and no derivative works, of which a
//! fine-tuned model is one.

mod config;
mod input;
mod performer;
mod values;

use std::path::Path;

use candle_core::{DType, Tensor};

pub use config::{PartConfig, ScfoundationConfig};
pub use input::{Cell, ScfoundationBatch};

use super::parts::{Parts, TorchLayer};
use super::{CellEncoder, Error, Hidden, LoadOptions, pooling};
use crate::Result;
use crate::checkpoint::torch::TorchFile;
use crate::checkpoint::{OpenParams, Weights};
use crate::nn::gemm::{Kernel, Precision};
use crate::nn::{Activation, EncoderLayer, LayerNorm, Linear, NormOrder, embedding};
use performer::PerformerLayer;
use values::ValueEmbedding;

/// One of the models of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// For embeddings of cells.
    #[default]
    Cell,
    /// For values at another depth of reading (`rde`).
    ReadDepth,
    /// For embeddings of genes.
    Gene,
}

impl Model {
    /// Its key in the checkpoint.
    pub fn key(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::ReadDepth => "rde",
            Self::Gene => "gene",
        }
    }
}

/// What stands for a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The states of S and T, the maximum and the mean over the genes, side by side: four times the width.
    #[default]
    All,
    /// The maximum over genes and totals.
    Max,
}

/// Which cells the decoder looks at at once. Its attention subtracts the maximum of all keys that it sees and then adds
/// 1e-4, so that results differ a little with the company of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Company {
    /// Each cell alone: the same result in any batch, and the reference's `gene` mode.
    #[default]
    Alone,
    /// All cells of the batch: the reference's `gene_batch` mode.
    Together,
}

/// The network.
#[derive(Clone, Debug)]
pub struct Scfoundation {
    config: ScfoundationConfig,
    values: ValueEmbedding,
    /// `(positions + 1) × width`; the last belongs to padding.
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
    decoder: Decoder,
}

#[derive(Clone, Debug)]
struct Decoder {
    input: Linear,
    layers: Vec<PerformerLayer>,
    norm: LayerNorm,
    output_norm: LayerNorm,
    output: Option<Linear>,
}

impl Scfoundation {
    /// One of the models of a checkpoint (`models.ckpt`), with the configuration that it holds.
    ///
    /// # Errors
    /// Those of [`ScfoundationConfig::from_checkpoint`], [`TorchFile::open`], [`Weights::open_with`] and
    /// [`Scfoundation::from_weights`].
    pub fn load(path: &Path, model: Model, options: &LoadOptions) -> Result<Self> {
        let (config, mut weights) = Self::read(path, model, options)?;
        Self::from_weights(config, &mut weights, options.precision)
    }

    /// The configuration and the tensors of one of the models of a checkpoint.
    pub(crate) fn read(
        path: &Path,
        model: Model,
        options: &LoadOptions,
    ) -> Result<(ScfoundationConfig, Weights)> {
        let file = TorchFile::open(path)?;
        let nothing = crate::checkpoint::pickle::Value::None;
        let config = file.value().get(model.key()).and_then(|model| model.get("config")).unwrap_or(&nothing);
        let config = ScfoundationConfig::from_checkpoint(path, config)?;
        let inside = vec![model.key().to_owned(), "state_dict".to_owned()];
        let params = OpenParams { dtype: Some(options.dtype), device: options.device.clone(), inside };
        Ok((config, Weights::open_with(path, &params)?))
    }

    /// From tensors with the reference's names, with or without `model.` in front.
    ///
    /// # Errors
    /// Those of [`ScfoundationConfig::validate`]; those of [`Weights::build`] if tensors are missing, have other shapes,
    /// or are no part of the model.
    pub fn from_weights(
        config: ScfoundationConfig,
        weights: &mut Weights,
        precision: Precision,
    ) -> Result<Self> {
        config.validate()?;
        let bare = |name: &str| Some(name.strip_prefix("model.").unwrap_or(name).to_owned());
        *weights = std::mem::take(weights).renamed(bare);
        weights.ignore("decoder.performer.calls_since_last_redraw", "a count of training steps");
        weights.build(|weights| Self::take(config, &mut Parts { weights, precision }))
    }

    fn take(config: ScfoundationConfig, parts: &mut Parts<'_>) -> Result<Self> {
        let (encoder, decoder) = (&config.encoder, &config.decoder);
        let width = encoder.hidden_dim;
        let order = if encoder.norm_first { NormOrder::Pre } else { NormOrder::Post };
        let layer = TorchLayer { width, inner: 4 * width, n_heads: encoder.heads, order };
        let layers =
            (0..encoder.depth).map(|i| parts.torch_layer(&format!("encoder.transformer_encoder.{i}"), layer));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let performers = (0..decoder.depth)
            .map(|i| PerformerLayer::take(&config, parts, &format!("decoder.performer.net.layers.{i}")));
        let performers = performers.collect::<Result<Vec<_>, _>>()?;
        let narrow = decoder.hidden_dim;
        let output = parts.any("to_final.");
        let decoder = Decoder {
            input: parts.linear("decoder_embed", narrow, width)?,
            layers: performers,
            norm: parts.layer_norm("decoder.norm", narrow, 1e-5)?,
            output_norm: parts.layer_norm("norm", narrow, 1e-5)?,
            output: output.then(|| parts.linear("to_final", 1, narrow)).transpose()?,
        };
        Ok(Self {
            values: ValueEmbedding::take(&config, parts)?,
            positions: parts.embedding("pos_emb", config.seq_len + 1, width)?,
            layers,
            norm: parts.layer_norm("encoder.norm", width, 1e-5)?,
            decoder,
            config,
        })
    }

    /// The shape of the model.
    pub fn config(&self) -> &ScfoundationConfig {
        &self.config
    }

    /// What the model computes in.
    pub fn dtype(&self) -> DType {
        self.positions.dtype()
    }

    /// The kernel of the layers' products on the CPU.
    pub(crate) fn kernel(&self) -> Option<Kernel> {
        self.layers.first().map(|layer| layer.output.kernel())
    }

    /// The share of each bin in each value, `rows × bin_num`.
    ///
    /// # Errors
    /// Those of [`Scfoundation::encode`].
    pub fn bin_shares(&self, batch: &ScfoundationBatch) -> Result<Tensor> {
        batch.check(&self.config)?;
        Ok(self.values.shares(&batch.tensor(self.positions.device())?)?)
    }

    /// The embedding of each value, `rows × width`, before its position is added.
    ///
    /// # Errors
    /// Those of [`Scfoundation::encode`].
    pub fn value_embeddings(&self, batch: &ScfoundationBatch) -> Result<Tensor> {
        batch.check(&self.config)?;
        Ok(self.values.forward(&batch.tensor(self.positions.device())?)?)
    }

    /// The states of the expressed genes and the totals after the encoder, `rows × width`.
    ///
    /// # Errors
    /// [`Error::EmptyCell`], [`Error::Token`], [`Error::Order`], [`Error::Special`] if T and S are not the last two,
    /// [`Error::Value`].
    pub fn encode(&self, batch: &ScfoundationBatch) -> Result<Hidden> {
        let values = self.value_embeddings(batch)?;
        let positions = embedding(&self.positions, batch.tokens().ids())?;
        let mut states = (values + positions)?;
        for layer in &self.layers {
            states = layer.forward(&states, batch.packing())?;
        }
        Ok(Hidden { states: self.norm.forward(&states)?, packing: batch.packing().clone() })
    }

    /// What stands for each cell: `cells × 4 · width`, or `cells × width`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn cell_embeddings(&self, encoded: &Hidden, pooling: Pooling) -> Result<Tensor> {
        let (states, packing) = (&encoded.states, &encoded.packing);
        if pooling == Pooling::Max {
            return Ok(pooling::max(states, packing.iter())?);
        }
        let genes = || packing.iter().map(|rows| rows.start..rows.end - 2);
        let parts = [
            pooling::select(states, packing.iter().map(|rows| rows.end - 1))?,
            pooling::select(states, packing.iter().map(|rows| rows.end - 2))?,
            pooling::max(states, genes())?,
            pooling::mean(states, genes())?,
        ];
        Ok(Tensor::cat(&parts, 1)?)
    }

    /// The embedding of every gene of the list in each cell, `genes × decoder width` for a cell.
    ///
    /// The decoder sees every gene: for those that are expressed the state of the encoder, for the others the
    /// embedding of the value 0.
    ///
    /// # Errors
    /// Those of [`Scfoundation::encode`].
    pub fn gene_embeddings(&self, batch: &ScfoundationBatch, company: Company) -> Result<Vec<Tensor>> {
        let encoded = self.encode(batch)?;
        let zero = self.values.zero()?;
        let cells = batch.tokens().cells().zip(batch.packing().iter());
        let inputs = cells.map(|(genes, rows)| {
            self.decoder_input(&zero, genes, &encoded.states.narrow(0, rows.start, rows.len())?)
        });
        match company {
            Company::Alone => inputs.map(|input| Ok(self.decode(vec![input?])?.remove(0))).collect(),
            Company::Together => self.decode(inputs.collect::<Result<_>>()?),
        }
    }

    fn decoder_input(&self, zero: &Tensor, genes: &[u32], states: &Tensor) -> Result<Tensor> {
        let seq_len = self.config.seq_len;
        // Row 0 is the value 0; the rows of the encoder are behind it.
        let mut rows = vec![0u32; seq_len];
        genes.iter().zip(1..).for_each(|(&gene, row)| rows[gene as usize] = row);
        let all = embedding(&Tensor::cat(&[zero, states], 0)?, &rows)?;
        let all = (all + self.positions.narrow(0, 0, seq_len)?)?;
        Ok(self.decoder.input.forward(&all, Activation::Identity)?)
    }

    fn decode(&self, mut cells: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let decoder = &self.decoder;
        for layer in &decoder.layers {
            cells = layer.forward(&cells)?;
        }
        let genes = |x: &Tensor| {
            let x = decoder.output_norm.forward(&decoder.norm.forward(x)?)?;
            Ok(x.narrow(0, 0, self.config.n_genes())?)
        };
        cells.iter().map(genes).collect()
    }

    /// The expression of every gene of the list in each cell, `cells × genes`.
    ///
    /// # Errors
    /// Those of [`Scfoundation::encode`], [`Error::NoHead`].
    pub fn expression(&self, batch: &ScfoundationBatch, company: Company) -> Result<Tensor> {
        let head = "decoder of expression";
        let output = self.decoder.output.as_ref().ok_or(Error::NoHead { head })?;
        let genes = self.gene_embeddings(batch, company)?;
        let cells = genes.iter().map(|genes| output.forward(genes, Activation::Identity)?.squeeze(1));
        let cells = cells.collect::<candle_core::Result<Vec<_>>>()?;
        match cells.is_empty() {
            true => Ok(Tensor::zeros((0, self.config.n_genes()), DType::F32, self.positions.device())?),
            false => Ok(Tensor::stack(&cells, 0)?),
        }
    }

    /// The embedding of cells by `pooling`.
    pub fn encoder(&self, pooling: Pooling) -> ScfoundationEncoder<'_> {
        ScfoundationEncoder { model: self, pooling }
    }
}

/// A model with the choice of a pooling; see [`Scfoundation::encoder`].
#[derive(Clone, Copy, Debug)]
pub struct ScfoundationEncoder<'m> {
    model: &'m Scfoundation,
    pooling: Pooling,
}

impl CellEncoder for ScfoundationEncoder<'_> {
    type Cell<'c> = Cell<'c>;

    fn width(&self) -> usize {
        let width = self.model.config.encoder.hidden_dim;
        match self.pooling {
            Pooling::All => 4 * width,
            Pooling::Max => width,
        }
    }

    fn n_tokens(&self, cell: Cell<'_>) -> usize {
        cell.genes.len()
    }

    fn check(&self, cells: &[Cell<'_>]) -> Result<()> {
        Ok(ScfoundationBatch::new(cells)?.check(&self.model.config)?)
    }

    fn encode(&self, cells: &[Cell<'_>]) -> Result<Tensor> {
        let Hidden { states, packing } = self.model.encode(&ScfoundationBatch::new(cells)?)?;
        let encoded = Hidden { states: states.to_dtype(DType::F32)?, packing };
        self.model.cell_embeddings(&encoded, self.pooling)
    }
}

#[cfg(test)]
pub(crate) mod tests;
