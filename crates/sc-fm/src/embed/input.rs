//! A model's tokeniser laid over the columns of one data set.

use std::borrow::Cow;

use sc_io::expression::{NotCounts, Place};
use sc_io::{AnnData, Counts, Csr, DataFrame, Matrix};

use super::model::Network;
use super::{EmbedParams, Error, MatrixChoice};
use crate::Result;
use crate::models::geneformer::InputFormat;
use crate::tokenize::rank::{RankParams, RankTokenizer, TokenizeParams};
use crate::tokenize::scfoundation::{ScfoundationParams, ScfoundationTokenizer};
use crate::tokenize::scgpt::{ScgptParams, ScgptTokenizer};
use crate::tokenize::{self, Cells, GeneIds, Tokens};

/// What turns rows of a data set into tokens.
pub(crate) struct Input<'d> {
    tokenizer: Tokenizer,
    obs: &'d DataFrame,
    var: &'d DataFrame,
}

enum Tokenizer {
    Rank(Box<RankTokenizer>, Cells),
    Scgpt(Box<ScgptTokenizer>),
    Scfoundation(Box<ScfoundationTokenizer>),
}

impl<'d> Input<'d> {
    /// Finds the genes of the model among the columns.
    pub(crate) fn new(
        network: &Network,
        obs: &'d DataFrame,
        var: &'d DataFrame,
        params: &EmbedParams,
    ) -> Result<Self> {
        let ids = |usual: fn(&DataFrame) -> tokenize::Result<GeneIds>| match &params.gene_column {
            Some(column) => GeneIds::column(var, column),
            None => usual(var),
        };
        let tokenizer = match network {
            Network::Geneformer { model, vocabulary } => {
                let rank = RankParams {
                    model_input_size: model.config().max_position_embeddings,
                    special_token: model.format() != InputFormat::V1,
                    min_known: params.min_known,
                };
                let tokenizer = RankTokenizer::with_ids(vocabulary, &ids(GeneIds::ensembl)?, &rank)?;
                Tokenizer::Rank(Box::new(tokenizer), Cells::from_obs(obs)?)
            }
            Network::Scgpt { vocabulary, input, .. } => {
                let scgpt = ScgptParams {
                    seed: params.seed,
                    ties: params.ties,
                    min_known: params.min_known,
                    ..*input
                };
                Tokenizer::Scgpt(Box::new(ScgptTokenizer::with_ids(
                    vocabulary,
                    &ids(GeneIds::symbols)?,
                    &scgpt,
                )?))
            }
            Network::Scfoundation { genes, .. } => {
                let scfoundation = ScfoundationParams {
                    input: params.input.clone(),
                    resolution: params.resolution,
                    min_known: params.min_known,
                };
                let symbols = ids(GeneIds::symbols)?;
                let tokenizer = ScfoundationTokenizer::with_ids(genes, &symbols, &scfoundation)?;
                Tokenizer::Scfoundation(Box::new(tokenizer))
            }
        };
        Ok(Self { tokenizer, obs, var })
    }

    /// The tokens of consecutive rows, the first of which is `first_row` of the data set, and for each cell its row of
    /// the data set. Cells without a gene of the model are left out.
    pub(crate) fn part(&self, x: &Csr, first_row: usize) -> Result<(Tokens, Vec<usize>)> {
        match &self.tokenizer {
            Tokenizer::Rank(tokenizer, cells) => {
                let counts = Counts::new(x).map_err(|error| self.named(error, first_row))?;
                let tokens = tokenizer.tokenize_part(counts, first_row, cells, &TokenizeParams::default())?;
                let rows = tokens.rows().to_vec();
                Ok((tokens, rows))
            }
            Tokenizer::Scgpt(tokenizer) => {
                let (tokens, _) = tokenizer.tokenize(x)?;
                Ok(counted_from(first_row, tokens))
            }
            Tokenizer::Scfoundation(tokenizer) => {
                let tokens = tokenizer.tokenize(x).map_err(|error| match error {
                    tokenize::Error::NotCounts(error) => self.named(error, first_row),
                    error => error,
                })?;
                Ok(counted_from(first_row, tokens))
            }
        }
    }

    /// The same error with the names of the cell and the gene.
    fn named(&self, error: NotCounts, first_row: usize) -> tokenize::Error {
        let obs = Place::new(first_row + error.obs.index, self.obs.index());
        let var = Place::new(error.var.index, self.var.index());
        NotCounts { obs, var, value: error.value }.into()
    }
}

fn counted_from(first_row: usize, tokens: Tokens) -> (Tokens, Vec<usize>) {
    let rows = tokens.rows().iter().map(|row| first_row + row).collect();
    (tokens, rows)
}

/// The matrix of a data set, and what names its columns.
pub(crate) fn matrix<'d>(
    adata: &'d AnnData,
    choice: &MatrixChoice,
) -> Result<(Cow<'d, Csr>, &'d DataFrame), Error> {
    let (matrix, var) = match choice {
        MatrixChoice::X => (adata.x().ok_or(Error::NoMatrix { matrix: "X" })?, adata.var()),
        MatrixChoice::Raw => {
            let raw = adata.raw().ok_or(Error::NoMatrix { matrix: "raw" })?;
            (raw.x(), raw.var())
        }
        MatrixChoice::Layer(name) => (adata.layer(name)?, adata.var()),
    };
    let csr = match matrix {
        Matrix::Csr(csr) => Cow::Borrowed(csr),
        other => Cow::Owned(other.to_csr()),
    };
    Ok((csr, var))
}
