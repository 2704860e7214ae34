//! A model with the choice of an embedding, over tokens.

use candle_core::{DType, Tensor};

use super::model::Network;
use super::{Choice, Error, Kind, Mode};
use crate::Result;
use crate::models::geneformer::{self, GeneformerEncoder, InputFormat};
use crate::models::scfoundation::{self, ScfoundationEncoder};
use crate::models::scgpt::{self, CellEmbStyle, ScgptBatch};
use crate::models::{CellEncoder, Layer, Scgpt, pooling};
use crate::tokenize::Tokens;

/// One of the models, ready to embed.
pub(crate) enum Encoder<'m> {
    Geneformer(GeneformerEncoder<'m>),
    Scgpt(&'m Scgpt, Choice),
    Scfoundation(ScfoundationEncoder<'m>),
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
            Network::Scfoundation { model, .. } => {
                let kind = Kind::Scfoundation;
                let mode = mode.unwrap_or(Mode::All);
                let pooling = match mode {
                    Mode::All => scfoundation::Pooling::All,
                    Mode::Max => scfoundation::Pooling::Max,
                    _ => return Err(Error::Mode { kind, mode, expected: "all and max" }.into()),
                };
                match layer {
                    None | Some(Layer::Last) => {}
                    Some(found) => return Err(Error::Layer { kind, found }.into()),
                }
                Ok((Self::Scfoundation(model.encoder(pooling)), Choice { mode, layer: Layer::Last }))
            }
        }
    }

    /// Values of an embedding.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Geneformer(encoder) => encoder.width(),
            Self::Scgpt(model, _) => model.config().embsize,
            Self::Scfoundation(encoder) => encoder.width(),
        }
    }

    /// Refuses cells that the model cannot take, counted as in the tokens.
    pub(crate) fn check(&self, tokens: &Tokens) -> Result<()> {
        let all: Vec<usize> = (0..tokens.n_cells()).collect();
        match self {
            Self::Geneformer(encoder) => encoder.check(&ids(tokens, &all)),
            Self::Scgpt(model, _) => model.check(&scgpt_cells(tokens, &all)?),
            Self::Scfoundation(encoder) => encoder.check(&scfoundation_cells(tokens, &all)?),
        }
    }

    /// The embeddings of some cells, `cells × width`, `F32`.
    pub(crate) fn encode(&self, tokens: &Tokens, cells: &[usize]) -> Result<Tensor> {
        match self {
            Self::Geneformer(encoder) => encoder.encode(&ids(tokens, cells)),
            Self::Scfoundation(encoder) => encoder.encode(&scfoundation_cells(tokens, cells)?),
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
pub(crate) fn scgpt_cells<'t>(tokens: &'t Tokens, cells: &[usize]) -> Result<Vec<scgpt::Cell<'t>>, Error> {
    with_values(tokens, cells, Kind::Scgpt, |genes, values| scgpt::Cell { genes, values, batch_label: None })
}

/// Positions and values of some cells.
pub(crate) fn scfoundation_cells<'t>(
    tokens: &'t Tokens,
    cells: &[usize],
) -> Result<Vec<scfoundation::Cell<'t>>, Error> {
    with_values(tokens, cells, Kind::Scfoundation, |genes, values| scfoundation::Cell { genes, values })
}

fn with_values<'t, C>(
    tokens: &'t Tokens,
    cells: &[usize],
    kind: Kind,
    cell: impl Fn(&'t [u32], &'t [f32]) -> C,
) -> Result<Vec<C>, Error> {
    let values = |place: usize| tokens.cell_values(place).ok_or(Error::NoValues { kind });
    cells.iter().map(|&place| Ok(cell(tokens.cell(place), values(place)?))).collect()
}
