//! One embedding for each gene.

use std::collections::HashMap;
use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2};
use sc_io::AnnData;

use super::encode::{Encoder, ids, scfoundation_cells, scgpt_cells};
use super::model::Network;
use super::plan::Run;
use super::{Choice, EmbedParams, FoundationModel};
use crate::Result;
use crate::models::geneformer::GeneMeans;
use crate::models::scfoundation::ScfoundationBatch;
use crate::models::scgpt::ScgptBatch;
use crate::models::{Hidden, TokenBatch};
use crate::tokenize::Tokens;

/// An embedding for each token that the cells of a data set have.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneEmbedding {
    /// The tokens, rising, special ones among them.
    pub tokens: Vec<u32>,
    /// Their names in the dictionary: Ensembl ids or symbols.
    pub names: Vec<String>,
    /// How often each occurs.
    pub n_cells: Vec<u64>,
    /// `tokens × width`.
    pub values: Array2<f32>,
}

fn by_token<'v>(names: impl Iterator<Item = (&'v str, u32)>) -> HashMap<u32, &'v str> {
    names.map(|(name, token)| (token, name)).collect()
}

impl FoundationModel {
    /// The mean state of each gene over all cells that have it: the mode `gene`, with `gene_emb_style` `mean_pool`. Of
    /// the parameters, `mode` is not looked at.
    ///
    /// The sums are exact, so the order of the cells does not matter, to the last bit.
    ///
    /// # Errors
    /// As [`FoundationModel::embed`].
    pub fn embed_genes(&self, adata: &AnnData, params: &EmbedParams) -> Result<GeneEmbedding> {
        self.embed_genes_of(&self.tokenize(adata, params)?, params)
    }

    /// [`embed_genes`](Self::embed_genes), of tokens.
    ///
    /// # Errors
    /// As [`FoundationModel::embed_tokens`].
    pub fn embed_genes_of(&self, tokens: &Tokens, params: &EmbedParams) -> Result<GeneEmbedding> {
        let mut means = GeneMeans::default();
        self.each_batch(tokens, params, |_, batch, hidden| means.add(batch, hidden))?;
        let n_cells = means.counts().collect();
        let (tokens, values) = means.finish();
        let all: HashMap<u32, &str> = match &self.network {
            Network::Geneformer { vocabulary, .. } => by_token(vocabulary.keys()),
            Network::Scgpt { vocabulary, .. } => by_token(vocabulary.keys()),
            Network::Scfoundation { genes, .. } => {
                let (t, s) = (genes.target_position(), genes.target_position() + 1);
                by_token(genes.names().chain([("T", t), ("S", s)]))
            }
        };
        let names = tokens.iter().map(|token| all[token].to_owned()).collect();
        Ok(GeneEmbedding { tokens, names, n_cells, values })
    }

    /// The state of every token of every cell, one cell at a time (`gene_emb_style` `all`), longest cells first.
    ///
    /// * `take`: gets the place of the cell among the tokens, its ids, and its states, `ids × width`.
    ///
    /// # Errors
    /// As [`FoundationModel::embed_tokens`].
    pub fn each_gene_state(
        &self,
        tokens: &Tokens,
        params: &EmbedParams,
        mut take: impl FnMut(usize, &[u32], ArrayView2<'_, f32>),
    ) -> Result<()> {
        self.each_batch(tokens, params, |cells, batch, hidden| {
            let states = hidden.states.to_dtype(candle_core::DType::F32)?;
            let (n_rows, width) = states.dims2()?;
            let states = states.flatten_all()?.to_vec1::<f32>()?;
            let states =
                ArrayView2::from_shape((n_rows, width), &states).expect("as many values as the shape has");
            for ((&cell, ids), rows) in cells.iter().zip(batch.cells()).zip(batch.packing().iter()) {
                take(cell, ids, states.slice(ndarray::s![rows, ..]));
            }
            Ok(())
        })
    }

    fn each_batch(
        &self,
        tokens: &Tokens,
        params: &EmbedParams,
        mut take: impl FnMut(&[usize], &TokenBatch, &Hidden) -> Result<()>,
    ) -> Result<()> {
        let (encoder, Choice { layer, .. }) = Encoder::new(&self.network, None, params.layer)?;
        encoder.check(tokens)?;
        let lengths: Vec<usize> = tokens.lengths().collect();
        let run = Run { lengths: &lengths, cost: self.cost(), memory: params.memory };
        let encode = |cells: &[usize]| -> Result<(TokenBatch, Hidden)> {
            match &self.network {
                Network::Geneformer { model, .. } => {
                    let batch = TokenBatch::new(&ids(tokens, cells));
                    let hidden = model.forward_checked(&batch, layer)?;
                    Ok((batch, hidden))
                }
                Network::Scgpt { model, .. } => {
                    let batch = ScgptBatch::new(&scgpt_cells(tokens, cells)?)?;
                    let hidden = model.encode(&batch, layer)?.hidden;
                    Ok((batch.tokens().clone(), hidden))
                }
                Network::Scfoundation { model, .. } => {
                    let batch = ScfoundationBatch::new(&scfoundation_cells(tokens, cells)?)?;
                    let hidden = model.encode(&batch)?;
                    Ok((batch.tokens().clone(), hidden))
                }
            }
        };
        run.each(
            encode,
            |cells, (batch, hidden)| take(cells, &batch, &hidden),
            |_, _, _| ControlFlow::Continue(()),
        )
    }
}
