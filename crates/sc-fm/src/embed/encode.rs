//! A model with the choice of an embedding, over tokens.

use candle_core::{DType, Tensor};

use super::model::Network;
use super::{Choice, Error, Kind, Mode};
use crate::Result;
use crate::models::geneformer::{self, GeneformerEncoder, InputFormat};
use crate::models::scgpt::{Cell, CellEmbStyle, ScgptBatch};
use crate::models::{CellEncoder, Layer, Scgpt, pooling};
use crate::tokenize::Tokens;

/// One of the models, ready to embed.
pub(crate) enum Encoder<'m> {
    Geneformer(GeneformerEncoder<'m>),
    Scgpt(&'m Scgpt, Choice),
}

impl<'m> Encoder<'m> {
    /// Decides what is to be computed.
    pub(crate) fn new(
        network: &'m Network,
        mode: Option<Mode>,
        layer: Option<Layer>,
    ) -> Result<(Self, Choice)> {
        match network {
            Network::Geneformer { model, .. } => {
                let kind = Kind::Geneformer;
                let default = if model.format() == InputFormat::V1 { Mode::Cell } else { Mode::Cls };
                let choice =
                    Choice { mode: mode.unwrap_or(default), layer: layer.unwrap_or(Layer::SecondToLast) };
                let pooling = match choice.mode {
                    Mode::Cell => geneformer::Pooling::Cell,
                    Mode::Cls => geneformer::Pooling::Cls,
                    mode => return Err(Error::Mode { kind, mode, expected: "cell and cls" }.into()),
                };
                Ok((Self::Geneformer(model.encoder(pooling, choice.layer)?), choice))
            }
            Network::Scgpt { model, .. } => {
                let mode = match (mode, model.config().cell_emb_style) {
                    (Some(mode @ (Mode::Cell | Mode::Cls)), _) => mode,
                    (None, CellEmbStyle::Cls) => Mode::Cls,
                    (None, _) => Mode::Cell,
                    (Some(mode), _) => {
                        return Err(Error::Mode { kind: Kind::Scgpt, mode, expected: "cell and cls" }.into());
                    }
                };
                let choice = Choice { mode, layer: layer.unwrap_or(Layer::Last) };
                choice.layer.depth(model.config().nlayers)?;
                Ok((Self::Scgpt(model, choice), choice))
            }
        }
    }

    /// Values of an embedding.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Geneformer(encoder) => encoder.width(),
            Self::Scgpt(model, _) => model.config().embsize,
        }
    }

    /// Refuses cells that the model cannot take, counted as in the tokens.
    pub(crate) fn check(&self, tokens: &Tokens) -> Result<()> {
        let all: Vec<usize> = (0..tokens.n_cells()).collect();
        match self {
            Self::Geneformer(encoder) => encoder.check(&ids(tokens, &all)),
            Self::Scgpt(model, _) => model.check(&scgpt_cells(tokens, &all)?),
        }
    }

    /// The embeddings of some cells, `cells × width`, `F32`.
    pub(crate) fn encode(&self, tokens: &Tokens, cells: &[usize]) -> Result<Tensor> {
        match self {
            Self::Geneformer(encoder) => encoder.encode(&ids(tokens, cells)),
            Self::Scgpt(model, choice) => {
                let batch = ScgptBatch::new(&scgpt_cells(tokens, cells)?)?;
                let states = model.encode(&batch, choice.layer)?.hidden.states.to_dtype(DType::F32)?;
                let rows = batch.packing().iter();
                Ok(match choice.mode {
                    Mode::Cls => {
                        pooling::unit_length(&pooling::select(&states, rows.map(|rows| rows.start))?)?
                    }
                    _ => pooling::mean(&states, rows.map(|rows| rows.start + 1..rows.end))?,
                })
            }
        }
    }
}

/// The ids of some cells.
pub(crate) fn ids<'t>(tokens: &'t Tokens, cells: &[usize]) -> Vec<&'t [u32]> {
    cells.iter().map(|&cell| tokens.cell(cell)).collect()
}

/// Ids and values of some cells.
pub(crate) fn scgpt_cells<'t>(tokens: &'t Tokens, cells: &[usize]) -> Result<Vec<Cell<'t>>, Error> {
    let cell = |&cell: &usize| {
        let values = tokens.cell_values(cell).ok_or(Error::NoValues { kind: Kind::Scgpt })?;
        Ok(Cell { genes: tokens.cell(cell), values, batch_label: None })
    };
    cells.iter().map(cell).collect()
}
