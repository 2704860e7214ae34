use std::ops::ControlFlow;

use candle_core::DType;
use ndarray::Array2;
use sc_io::AnnData;

use super::cost::Cost;
use super::encode::Encoder;
use super::input::{Input, matrix};
use super::plan::{Run, Watch};
use super::{EmbedParams, Embedding, Error, Kind, LoadReport, MissingCells, Progress, unwatched};
use crate::Result;
use crate::models::{self, Geneformer, Scfoundation, Scgpt};
use crate::nn::gemm::Kernel;
use crate::tokenize::Tokens;
use crate::tokenize::scfoundation::GeneList;
use crate::tokenize::scgpt::{ScgptParams, ScgptVocabulary, ValueEncoding};
use crate::tokenize::vocabulary::Vocabulary;

/// Any of the models, with the dictionary that it was trained with: from a data set to an embedding.
#[derive(Clone, Debug)]
pub struct FoundationModel {
    pub(crate) network: Network,
    pub(super) report: LoadReport,
}

#[derive(Clone, Debug)]
pub(crate) enum Network {
    Geneformer { model: Box<Geneformer>, vocabulary: Vocabulary },
    Scgpt { model: Box<Scgpt>, vocabulary: ScgptVocabulary, input: ScgptParams },
    Scfoundation { model: Box<Scfoundation>, genes: GeneList },
}

impl FoundationModel {
    /// A Geneformer made elsewhere, with random weights for instance.
    ///
    /// # Errors
    /// [`tokenize::Error::VocabSize`](crate::tokenize::Error::VocabSize) if the dictionary is not the model's.
    pub fn geneformer(model: Geneformer, vocabulary: Vocabulary) -> Result<Self> {
        vocabulary.check_size(model.config().vocab_size)?;
        let network = Network::Geneformer { model: Box::new(model), vocabulary };
        Ok(Self { network, report: LoadReport::in_memory(Kind::Geneformer) })
    }

    /// An scGPT made elsewhere. Its input has 51 bins and at most `max_length` tokens, as in the released models 1,200.
    ///
    /// # Errors
    /// [`tokenize::Error::VocabSize`](crate::tokenize::Error::VocabSize) if the vocabulary is not the model's.
    pub fn scgpt(model: Scgpt, vocabulary: ScgptVocabulary, max_length: usize) -> Result<Self> {
        vocabulary.check_size(model.n_tokens())?;
        let encoding = match model.config().input_emb_style {
            models::scgpt::InputEmbStyle::Category => ValueEncoding::CATEGORY,
            _ => ValueEncoding::Continuous,
        };
        let input = ScgptParams { max_length, encoding, ..ScgptParams::default() };
        let network = Network::Scgpt { model: Box::new(model), vocabulary, input };
        Ok(Self { network, report: LoadReport::in_memory(Kind::Scgpt) })
    }

    /// An scFoundation made elsewhere, or one of another gene list than the released models'.
    ///
    /// # Errors
    /// [`Error::GeneList`] if the list is not the model's.
    pub fn scfoundation(model: Scfoundation, genes: GeneList) -> Result<Self> {
        let (found, expected) = (genes.n_genes(), model.config().n_genes());
        if found != expected {
            return Err(Error::GeneList { found, expected }.into());
        }
        let network = Network::Scfoundation { model: Box::new(model), genes };
        Ok(Self { network, report: LoadReport::in_memory(Kind::Scfoundation) })
    }

    /// The same kind of model with another network: it is no release, and no file holds it.
    pub(crate) fn changed(&self, network: Network) -> Self {
        let dictionaries = self.report.dictionaries.clone();
        Self { network, report: LoadReport { dictionaries, ..LoadReport::in_memory(self.kind()) } }
    }

    /// Which model it is.
    pub fn kind(&self) -> Kind {
        self.report.kind
    }

    /// The Geneformer and its dictionary, if it is one.
    pub fn as_geneformer(&self) -> Option<(&Geneformer, &Vocabulary)> {
        match &self.network {
            Network::Geneformer { model, vocabulary } => Some((model, vocabulary)),
            _ => None,
        }
    }

    /// What was loaded.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The key of `obsm` that embeddings of this model go to: `X_geneformer`, `X_scGPT`, `X_scfoundation`.
    pub fn obsm_key(&self) -> &'static str {
        self.kind().obsm_key()
    }

    /// Values of an embedding.
    ///
    /// # Errors
    /// [`Error::Mode`] and [`models::Error::Layer`] for a choice that the model does not have.
    pub fn width(&self, params: &EmbedParams) -> Result<usize> {
        Ok(self.encoder(params)?.0.width())
    }

    pub(super) fn encoder(&self, params: &EmbedParams) -> Result<(Encoder<'_>, super::Choice)> {
        Encoder::new(&self.network, params.mode, params.layer)
    }

    /// Layers that hidden states go through.
    pub(crate) fn n_layers(&self) -> usize {
        match &self.network {
            Network::Geneformer { model, .. } => model.config().num_hidden_layers,
            Network::Scgpt { model, .. } => model.config().nlayers,
            Network::Scfoundation { model, .. } => model.config().encoder.depth,
        }
    }

    /// What its tokens cost.
    pub(crate) fn cost(&self) -> Cost {
        let (width, inner, dtype) = match &self.network {
            Network::Geneformer { model, .. } => {
                (model.config().hidden_size, model.config().intermediate_size, model.dtype())
            }
            Network::Scgpt { model, .. } => (model.config().embsize, model.config().d_hid, model.dtype()),
            Network::Scfoundation { model, .. } => {
                let width = model.config().encoder.hidden_dim;
                (width, 4 * width, model.dtype())
            }
        };
        Cost { width, inner, dtype }
    }

    /// What it computes in.
    pub fn dtype(&self) -> DType {
        self.cost().dtype
    }

    /// The kernel of its matrix products on the CPU, which the choice of
    /// [`Precision`](crate::nn::gemm::Precision) and the processor decide.
    pub fn kernel(&self) -> &'static str {
        let kernel = match &self.network {
            Network::Geneformer { model, .. } => model.kernel(),
            Network::Scgpt { model, .. } => model.kernel(),
            Network::Scfoundation { model, .. } => model.kernel(),
        };
        kernel.map_or("none", Kernel::name)
    }

    /// The embedding of every cell of a data set in memory.
    ///
    /// # Errors
    /// What the tokenisers say of genes that the model does not know and of matrices that hold no counts
    /// ([`tokenize::Error`](crate::tokenize::Error)); [`Error::NoMatrix`], [`Error::NoCells`], [`Error::Mode`];
    /// [`models::Error::Layer`], [`models::Error::NoCls`]; what the tensor library reports.
    pub fn embed(&self, adata: &AnnData, params: &EmbedParams) -> Result<Embedding> {
        self.embed_with(adata, params, &mut unwatched)
    }

    /// [`embed`](Self::embed), with a callback that hears the progress and can stop.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and [`Error::Cancelled`].
    pub fn embed_with(
        &self,
        adata: &AnnData,
        params: &EmbedParams,
        watch: &mut Watch<'_>,
    ) -> Result<Embedding> {
        let (tokens, rows) = self.tokenize_rows(adata, params)?;
        self.embed_rows(&tokens, &rows, adata.n_obs(), params, watch)
    }

    /// The tokens of a data set, as [`embed`](Self::embed) makes them: for each cell that has a gene of the model.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn tokenize(&self, adata: &AnnData, params: &EmbedParams) -> Result<Tokens> {
        Ok(self.tokenize_rows(adata, params)?.0)
    }

    fn tokenize_rows(&self, adata: &AnnData, params: &EmbedParams) -> Result<(Tokens, Vec<usize>)> {
        let (x, var) = matrix(adata, &params.matrix)?;
        Input::new(&self.network, adata.obs(), var, params)?.part(&x, 0)
    }

    /// The embedding of tokens: a row for each of `n_rows` rows of their matrix, or for each cell, as
    /// [`EmbedParams::missing`] says. Of the other parameters `mode`, `layer` and `memory` are looked at.
    ///
    /// # Errors
    /// [`models::Error`] for cells that the model cannot take; [`Error::Rows`]; otherwise as [`embed`](Self::embed).
    pub fn embed_tokens(&self, tokens: &Tokens, n_rows: usize, params: &EmbedParams) -> Result<Embedding> {
        self.embed_rows(tokens, tokens.rows(), n_rows, params, &mut unwatched)
    }

    fn embed_rows(
        &self,
        tokens: &Tokens,
        rows: &[usize],
        n_rows: usize,
        params: &EmbedParams,
        watch: &mut Watch<'_>,
    ) -> Result<Embedding> {
        if let Some(&row) = rows.last().filter(|&&row| row >= n_rows) {
            return Err(Error::Rows { row, n_rows }.into());
        }
        let tally = tokens.report().cells;
        if tokens.n_cells() == 0 && n_rows > 0 {
            let (n_empty, n_filtered) = (tally.n_empty, tally.n_filtered);
            return Err(Error::NoCells { n_cells: n_rows, n_empty, n_filtered }.into());
        }
        let n_missing = n_rows - tokens.n_cells();
        let (values, choice) = self.embed_cells(tokens, params, &mut |fraction, cells, tokens| {
            watch(&Progress { cells: cells + n_missing, n_cells: n_rows, tokens, fraction, before: 0.0 })
        })?;
        let embedding = Embedding {
            values,
            rows: rows.to_vec(),
            missing: missing(rows, n_rows),
            choice,
            tokens: tokens.report().clone(),
            model: self.report.clone(),
            dtype: self.dtype(),
            kernel: self.kernel(),
        };
        Ok(match params.missing {
            MissingCells::Drop => embedding,
            MissingCells::Nan => embedding.aligned(n_rows),
        })
    }

    /// The embeddings of some cells of the tokens, by their places, in the order given.
    pub(crate) fn embed_some(
        &self,
        tokens: &Tokens,
        cells: &[usize],
        params: &EmbedParams,
    ) -> Result<(Array2<f32>, super::Choice)> {
        let (encoder, choice) = self.encoder(params)?;
        encoder.check(tokens)?;
        let values =
            self.encode_cells(&encoder, tokens, cells, params, &mut |_, _, _| ControlFlow::Continue(()))?;
        Ok((values, choice))
    }

    /// A row for each cell of the tokens.
    pub(super) fn embed_cells(
        &self,
        tokens: &Tokens,
        params: &EmbedParams,
        watch: &mut dyn FnMut(f64, usize, u64) -> ControlFlow<()>,
    ) -> Result<(Array2<f32>, super::Choice)> {
        let (encoder, choice) = self.encoder(params)?;
        encoder.check(tokens)?;
        let all: Vec<usize> = (0..tokens.n_cells()).collect();
        Ok((self.encode_cells(&encoder, tokens, &all, params, watch)?, choice))
    }

    fn encode_cells(
        &self,
        encoder: &Encoder<'_>,
        tokens: &Tokens,
        cells: &[usize],
        params: &EmbedParams,
        watch: &mut dyn FnMut(f64, usize, u64) -> ControlFlow<()>,
    ) -> Result<Array2<f32>> {
        let lengths: Vec<usize> = cells.iter().map(|&cell| tokens.cell(cell).len()).collect();
        let run = Run { lengths: &lengths, cost: self.cost(), memory: params.memory };
        let mut values = Array2::zeros((lengths.len(), encoder.width()));
        let encode = |places: &[usize]| {
            let cells: Vec<usize> = places.iter().map(|&place| cells[place]).collect();
            Ok(encoder.encode(tokens, &cells)?.to_vec2::<f32>()?)
        };
        let take = |places: &[usize], embeddings: Vec<Vec<f32>>| {
            for (&place, embedding) in places.iter().zip(&embeddings) {
                values.row_mut(place).assign(&ndarray::aview1(embedding));
            }
            Ok(())
        };
        run.each(encode, take, watch)?;
        Ok(values)
    }
}

/// The rows of `0..n_rows` that are not among `rows`, which rise.
pub(super) fn missing(rows: &[usize], n_rows: usize) -> Vec<usize> {
    let mut is_there = vec![false; n_rows];
    rows.iter().for_each(|&row| is_there[row] = true);
    (0..n_rows).filter(|&row| !is_there[row]).collect()
}
