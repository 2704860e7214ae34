//! The model to begin with.

use std::path::PathBuf;

use anyhow::{Context, Result};
use sc_fm::embed::{EmbedParams, FoundationModel, OpenParams};
use sc_fm::nn::gemm::Precision;
use sc_fm::tokenize::Tokens;
use sc_fm::tokenize::vocabulary::Vocabulary;
use sc_io::{AnnData, Counts};

use super::PretrainArgs;
use crate::genes::{self, Shape};
use sc_examples::progress::say;

/// What a model learns from.
pub(super) enum Cells {
    /// Read some rows at a time.
    Files(Vec<PathBuf>),
    /// In memory.
    Tokens(Box<Tokens>),
}

/// The model to begin with, and the cells.
///
/// # Errors
/// As opening the model, the dictionaries and the first file.
pub(super) fn start(args: &PretrainArgs) -> Result<(FoundationModel, Cells)> {
    if let Some(folder) = &args.checkpoint {
        let params = OpenParams {
            dictionaries: args.dictionaries.clone(),
            series: args.series.clone(),
            ..Default::default()
        };
        let model = FoundationModel::open(folder, &params)?;
        say(model.report().to_string().trim_end());
        let cells = cells(args, &model)?;
        return Ok((model, cells));
    }
    let vocabulary = match (&args.dictionaries, &args.series) {
        (Some(folder), None) => Vocabulary::open(folder).map_err(sc_fm::Error::from)?,
        (Some(folder), Some(series)) => {
            Vocabulary::open_series(folder, series).map_err(sc_fm::Error::from)?
        }
        (None, _) => own_vocabulary(&first(args)?)?,
    };
    let shape =
        Shape { n_layers: args.layers, width: args.width, n_heads: args.heads, max_length: args.max_length };
    let model = shape.geneformer(vocabulary, args.seed, Precision::default())?;
    let cells = cells(args, &model)?;
    Ok((model, cells))
}

fn cells(args: &PretrainArgs, model: &FoundationModel) -> Result<Cells> {
    if !args.input.is_empty() {
        return Ok(Cells::Files(args.input.clone()));
    }
    let params = EmbedParams { min_known: 0.0, ..Default::default() };
    Ok(Cells::Tokens(Box::new(model.tokenize(&first(args)?, &params)?)))
}

/// The first file, or the embedded cells.
fn first(args: &PretrainArgs) -> Result<AnnData> {
    Ok(match args.input.first() {
        Some(path) => sc_io::open(path)?,
        None => sc_io::datasets::pbmc68k_reduced(),
    })
}

/// The genes of the cells that have a count, with their medians.
fn own_vocabulary(adata: &AnnData) -> Result<Vocabulary> {
    let (names, genes) = (adata.obs().index(), adata.var().index());
    let x = adata.x().context("the first file has no X")?.to_csr();
    Counts::named(&x, names, genes).context("X is not a matrix of raw counts")?;
    let all: Vec<usize> = (0..names.len()).collect();
    genes::vocabulary(&genes::medians(&x, genes, &all))
}
