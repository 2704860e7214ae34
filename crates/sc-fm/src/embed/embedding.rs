use candle_core::DType;
use ndarray::Array2;
use sc_io::AnnData;

use super::{Choice, LoadReport};
use crate::Result;
use crate::tokenize::Report;

/// Embeddings of the cells of a data set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Embedding {
    /// A row for each of `rows`, as wide as the embedding.
    pub values: Array2<f32>,
    /// Row of the data set that each row belongs to, rising.
    pub rows: Vec<usize>,
    /// Rows of the data set that have no embedding, rising: their values are NaN, or they are not among `rows`.
    pub missing: Vec<usize>,
    /// What it is an embedding of.
    pub choice: Choice,
    /// What the tokeniser knew and left out.
    pub tokens: Report,
    /// The model that made it.
    pub model: LoadReport,
    /// What the model computed in.
    pub dtype: DType,
    /// The kernel of its matrix products on the CPU.
    pub kernel: &'static str,
}

impl Embedding {
    /// The same with a row for every row of the data set.
    pub(super) fn aligned(mut self, n_rows: usize) -> Self {
        if self.missing.is_empty() {
            return self;
        }
        let mut values = Array2::from_elem((n_rows, self.values.ncols()), f32::NAN);
        for (row, embedding) in self.rows.iter().zip(self.values.rows()) {
            values.row_mut(*row).assign(&embedding);
        }
        self.values = values;
        self.rows = (0..n_rows).collect();
        self
    }

    /// Puts the embedding into `obsm` and what made it into `uns`, both under [`Kind::obsm_key`](super::Kind::obsm_key).
    ///
    /// # Errors
    /// The data set has another number of cells; the files of the model cannot be read for their hashes.
    pub fn store(self, adata: &mut AnnData) -> Result<()> {
        let key = self.model.kind.obsm_key();
        let provenance = self.provenance()?;
        adata.insert_obsm(key, self.values).map_err(super::Error::from)?;
        adata.uns_mut().insert(key.to_owned(), provenance);
        Ok(())
    }
}
