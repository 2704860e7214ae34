//! The cells of the other file as a model sees them: on disk, and read in blocks.

use std::ops::Range;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use ndarray::Array2;
use sc_fm::embed::FoundationModel;
use sc_io::row_store::{RowStore, Shape};

use super::Away;
use crate::foundation::Settings;
use crate::foundation::embeddings::{Blocks, embed_blocks};
use crate::foundation::sources::Source;

/// Embeddings of the file's cells by one model, by the name of the layer.
pub(in crate::foundation) struct AwayEmbedded {
    layers: Vec<(String, OnDisk)>,
}

/// A matrix on disk that is not open.
struct OnDisk {
    path: std::path::PathBuf,
    shape: Shape,
    key: String,
}

impl AwayEmbedded {
    /// Embeds the cells that are not on disk yet.
    ///
    /// # Errors
    /// As [`embed_blocks`]: a file of whose genes the model knows too few is refused as the first data set is.
    pub(in crate::foundation) fn new(
        away: &Away<'_>,
        source: &Source,
        model: &FoundationModel,
        identity: &str,
        settings: &Settings,
        bar: &ProgressBar,
    ) -> Result<Self> {
        let part = |cells: Range<usize>| away.adata(cells, source.learns_genes());
        let blocks = Blocks {
            name: format!("{} on {}", source.name, away.name),
            n_rows: away.n_cells(),
            n_tokens: None,
            sha256: &away.sha256,
            part: &part,
        };
        let made = embed_blocks(&blocks, source, model, identity, settings, bar)?;
        let closed = made.layers.into_iter().map(|layer| {
            let on_disk =
                OnDisk { path: layer.store.path().to_owned(), shape: layer.store.shape(), key: layer.key };
            (layer.name, on_disk)
        });
        Ok(Self { layers: closed.collect() })
    }

    /// One layer, opened.
    ///
    /// # Errors
    /// As [`RowStore::open`].
    pub(super) fn open(&self, layer: &str) -> Result<Reader> {
        let (_, OnDisk { path, shape, key }) = self
            .layers
            .iter()
            .find(|(name, _)| name == layer)
            .context("every layer that is tried is embedded")?;
        Ok(Reader(RowStore::open(path, *shape, key)?))
    }
}

/// Embeddings, some rows at a time.
pub(super) struct Reader(RowStore);

impl Reader {
    /// # Errors
    /// As [`RowStore::read_rows`].
    pub(super) fn rows(&mut self, cells: Range<usize>) -> Result<Array2<f32>> {
        Ok(self.0.read_rows(cells)?)
    }
}
