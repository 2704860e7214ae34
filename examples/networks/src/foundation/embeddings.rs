//! The cells as a model sees them, kept on disk by what they are made of.

use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use ndarray::Array2;
use sc_fm::embed::{self, EmbedParams, FoundationModel};
use sc_fm::tokenize::{Report, Tokens};
use sc_io::row_store::{RowStore, Shape};
use sc_io::{AnnData, DataFrame, Matrix};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Settings;
use super::sources::{Source, Weights};
use super::tuning::Trainee;
use sc_examples::progress::{say, thousands};

/// Cells of a block on disk: an interruption costs at most the work on one.
const BLOCK: usize = 256;

/// Embeddings of all cells by one model.
#[derive(Clone, Debug)]
pub(super) struct Embedded {
    /// By layer: its name, and cells × width.
    pub(super) layers: Vec<(String, Array2<f32>)>,
    /// What stands for a cell.
    pub(super) mode: String,
    /// What the tokeniser knew and left out.
    pub(super) tokens: Report,
    /// Tokens of all cells.
    pub(super) n_tokens: usize,
    /// What the embeddings are made of, by hash.
    pub(super) key: String,
    /// Time that this run took for how many cells; both 0 for what was there.
    pub(super) spent: (Duration, usize),
}

/// The cells that are to be embedded, with the hash of them.
pub(super) struct Data {
    adata: AnnData,
    sha256: String,
}

impl Data {
    /// * `var`: a row for each column of `x`.
    pub(super) fn new(x: sc_io::Csr, var: DataFrame) -> Result<Self> {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        var.index().iter().for_each(|gene| text(gene));
        for name in var.column_names() {
            if let Ok(labels) = var.labels(name) {
                text(name);
                labels.iter().for_each(|label| text(label.as_deref().unwrap_or_default()));
            }
        }
        x.indptr().iter().for_each(|&at| hash.update((at as u64).to_le_bytes()));
        x.indices().iter().for_each(|column| hash.update(column.to_le_bytes()));
        x.values().iter().for_each(|value| hash.update(value.to_le_bytes()));
        let obs = DataFrame::new((0..x.n_rows()).map(|cell| cell.to_string()).collect());
        Ok(Self { adata: AnnData::new(Matrix::Csr(x), obs, var)?, sha256: hex(hash) })
    }

    /// How a model takes the cells.
    fn params(source: &Source, settings: &Settings) -> EmbedParams {
        EmbedParams {
            mode: settings.mode.or(source.learns_genes().then_some(embed::Mode::Cell)),
            layer: settings.layers.first().copied(),
            memory: settings.memory,
            min_known: if source.learns_genes() { 0.0 } else { EmbedParams::default().min_known },
            ..Default::default()
        }
    }

    /// The cells as tokens: those of some rows, or all.
    ///
    /// # Errors
    /// As [`FoundationModel::tokenize`].
    pub(super) fn tokens(
        &self,
        source: &Source,
        model: &FoundationModel,
        rows: Option<&[usize]>,
        settings: &Settings,
    ) -> Result<Tokens> {
        let params = Self::params(source, settings);
        Ok(match rows {
            Some(rows) => model.tokenize(&self.adata.select_obs(rows)?, &params)?,
            None => model.tokenize(&self.adata, &params)?,
        })
    }

    /// A model to train, with the cells as it takes them.
    ///
    /// # Errors
    /// As [`FoundationModel::tokenize`].
    pub(super) fn trainee(
        &self,
        source: &Source,
        model: FoundationModel,
        settings: &Settings,
    ) -> Result<Trainee> {
        let (input, small) = (Self::params(source, settings), source.learns_genes());
        Ok(Trainee { tokens: self.tokens(source, &model, None, settings)?, model, input, small })
    }

    /// Embeds the cells, or takes from disk what was embedded before.
    ///
    /// * `identity`: what the weights are where they are no files.
    ///
    /// # Errors
    /// As [`FoundationModel::embed`] and [`RowStore`].
    pub(super) fn embed(
        &self,
        source: &Source,
        model: &FoundationModel,
        identity: &str,
        settings: &Settings,
        bar: &ProgressBar,
    ) -> Result<Embedded> {
        let tokens = model.tokenize(&self.adata, &Self::params(source, settings))?;
        let n_tokens = tokens.ids().len();
        let part = |rows: Range<usize>| Ok(self.adata.select_obs(&rows.collect::<Vec<usize>>())?);
        let blocks = Blocks {
            name: source.name.clone(),
            n_rows: self.adata.n_obs(),
            n_tokens: Some(n_tokens),
            sha256: &self.sha256,
            part: &part,
        };
        let made = embed_blocks(&blocks, source, model, identity, settings, bar)?;
        let layers = made.layers.into_iter().map(|mut layer| Ok((layer.name, layer.store.read()?)));
        Ok(Embedded {
            layers: layers.collect::<Result<_>>()?,
            mode: made.mode,
            tokens: tokens.report().clone(),
            n_tokens,
            key: made.key,
            spent: made.spent,
        })
    }
}

/// Cells that are embedded block by block.
pub(super) struct Blocks<'b> {
    /// What is embedded by what, for messages.
    pub(super) name: String,
    /// Number of cells.
    pub(super) n_rows: usize,
    /// Tokens of all cells, where they were counted.
    pub(super) n_tokens: Option<usize>,
    /// What the cells are, by hash.
    pub(super) sha256: &'b str,
    /// Some of the cells.
    pub(super) part: &'b dyn Fn(Range<usize>) -> Result<AnnData>,
}

/// Embeddings on disk.
pub(super) struct Made {
    /// One for each layer that is wanted.
    pub(super) layers: Vec<Layer>,
    /// What stands for a cell.
    mode: String,
    /// What they are made of, by hash.
    key: String,
    /// Time that this run took for how many cells.
    spent: (Duration, usize),
}

/// The embeddings by one layer.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) store: RowStore,
    /// The key of the store.
    pub(super) key: String,
}

/// Embeds cells by every layer that is wanted, unless it was done before.
///
/// * `identity`: what the weights are where they are no files.
///
/// # Errors
/// As [`FoundationModel::embed`] and [`RowStore`].
pub(super) fn embed_blocks(
    blocks: &Blocks<'_>,
    source: &Source,
    model: &FoundationModel,
    identity: &str,
    settings: &Settings,
    bar: &ProgressBar,
) -> Result<Made> {
    let wanted = match settings.layers.as_slice() {
        [] => vec![None],
        layers => layers.iter().copied().map(Some).collect(),
    };
    let hashes = model.report().hashes()?;
    let mut identity = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": model.kind().to_string(),
        "weights": hashes.weights,
        "dictionaries": hashes.dictionaries,
        "identity": identity,
        "kernel": settings.precision.kernel(),
        "data": blocks.sha256,
    });
    identity.sort_all_objects();
    let key = hex(Sha256::new_with_prefix(identity.to_string()));
    let mut made = Made { layers: Vec::new(), mode: String::new(), key, spent: (Duration::ZERO, 0) };
    let nobody = (blocks.part)(0..0)?;
    for layer in wanted {
        let params = EmbedParams { layer, ..Data::params(source, settings) };
        let empty = model.embed(&nobody, &params)?;
        let (mode, layer) = (empty.choice.mode.to_string(), empty.choice.layer.to_string());
        if made.layers.iter().any(|there| there.name == layer) {
            continue;
        }
        let words = format!("{}, {mode} of layer {layer}", blocks.name);
        let key = hex(Sha256::new_with_prefix(format!("{identity} {mode} {layer}")));
        let shape = Shape { n_rows: blocks.n_rows, n_cols: empty.values.ncols(), block_rows: BLOCK };
        let mut store = open(&settings.cache, &key, shape)?;
        let (took, n_cells) = fill(&mut store, blocks, model, &params, &words, bar)?;
        made.spent.0 += took;
        made.spent.1 += n_cells;
        made.mode = mode;
        made.layers.push(Layer { name: layer, store, key });
    }
    Ok(made)
}

/// Embeds the blocks that are missing; the time that it took, and the cells.
fn fill(
    store: &mut RowStore,
    blocks: &Blocks<'_>,
    model: &FoundationModel,
    params: &EmbedParams,
    words: &str,
    bar: &ProgressBar,
) -> Result<(Duration, usize)> {
    let (missing, start) = (store.missing(), Instant::now());
    let n_missing: usize = missing.iter().map(|&block| store.rows_of(block).len()).sum();
    if n_missing == 0 {
        say(&format!("{words}: taken from {}", store.path().display()));
        return Ok((Duration::ZERO, 0));
    }
    let tokens = blocks.n_tokens.map_or_else(String::new, |n| format!(", {} tokens in all", thousands(n)));
    say(&format!("{words}: {} cells to embed{tokens}", thousands(n_missing)));
    bar.set_length(n_missing as u64);
    bar.set_position(0);
    let mut done = 0;
    for block in missing {
        let rows = store.rows_of(block);
        let part = (blocks.part)(rows.clone())?;
        let found = model.embed_with(&part, params, &mut |progress| {
            let cells = done + progress.cells;
            bar.set_position(cells as u64);
            let elapsed = start.elapsed().as_secs_f64();
            let left = elapsed / (cells.max(1) as f64) * (n_missing - cells) as f64;
            bar.set_message(format!("{words}: {:.1} cells/s, {left:.0} s left", cells as f64 / elapsed));
            ControlFlow::Continue(())
        });
        let values = match found {
            Ok(embedding) => embedding.values,
            // Not one cell of the block has a gene of the model: rows without values, as for single cells.
            Err(sc_fm::Error::Embed(embed::Error::NoCells { .. })) => {
                Array2::from_elem((rows.len(), store.shape().n_cols), f32::NAN)
            }
            Err(error) => return Err(error.into()),
        };
        store.put(block, values.as_standard_layout().as_slice().expect("rows lie one behind the other"))?;
        done += rows.len();
    }
    let took = start.elapsed();
    let (seconds, rate) = (took.as_secs_f64(), n_missing as f64 / took.as_secs_f64());
    say(&format!("{words}: {} cells in {seconds:.1} s, {rate:.1} cells/s", thousands(n_missing)));
    Ok((took, n_missing))
}

fn open(cache: &Path, key: &str, shape: Shape) -> Result<RowStore> {
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    Ok(RowStore::open(cache.join(format!("{}.npy", &key[..32])), shape, key)?)
}

/// What random weights are made of.
///
/// # Errors
/// If the configuration cannot be read.
pub(super) fn identity(source: &Source) -> Result<String> {
    Ok(match &source.weights {
        Weights::Folder(_) | Weights::OwnGenes { .. } => String::new(),
        Weights::Random(config) => {
            let text = fs::read(config).with_context(|| format!("cannot read {}", config.display()))?;
            format!("random {}", hex(Sha256::new_with_prefix(text)))
        }
    })
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
