//! The first step: the listed genes of every cell, and the table of cells.

use std::path::Path;

use sc_io::named_matrix::{self, Layout, NamedMatrix};
use sc_io::{AnnData, DataFrame, delimited, h5ad};

use super::{Error, GeneList};
use crate::Result;

/// The layout of the `.h5` file: cells × genes.
pub const LAYOUT: Layout =
    Layout { group: "count", values: "data", rows: "cell_names", columns: "gene_names" };

/// Most bytes of the matrix in memory for each of the file: gzip makes no more of zeros.
const MAX_EXPAND: u64 = 1032;

/// Reads annotated data as the published scripts do.
///
/// * `.h5ad`, and whatever else [`sc_io::open`] reads: `X` as it is.
/// * a Seurat object, with the feature `rds`: layer `data` of the assay `integrated` if there is one, else of `RNA`; without
///   `data`, the layer `counts`, which is zero for the same genes.
///
/// # Errors
/// As [`sc_io::open`].
pub fn open(path: impl AsRef<Path>) -> Result<AnnData> {
    let path = path.as_ref();
    #[cfg(feature = "rds")]
    {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        if ["rds", "rda", "rdata"].contains(&ending.as_str()) {
            return seurat(path);
        }
    }
    Ok(sc_io::open(path)?)
}

#[cfg(feature = "rds")]
fn seurat(path: &Path) -> Result<AnnData> {
    use sc_io::rds::{File, ReadOptions};
    let mut options = ReadOptions::default();
    let file = File::open(path, options.max_expand)?;
    let contents = file.contents()?;
    let assays = contents.iter().flat_map(|object| &object.assays);
    let preferred = ["integrated", "RNA"];
    let rank = |name: &str| preferred.iter().position(|p| *p == name);
    if let Some(assay) = assays.filter(|assay| rank(&assay.name).is_some()).min_by_key(|a| rank(&a.name)) {
        options.assay = Some(assay.name.clone());
        options.layer = assay.layers.iter().find(|layer| *layer == "data").cloned();
    }
    Ok(file.anndata(&options)?)
}

/// What the first step makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Cells × listed genes that the data have, in the order of the list.
    pub matrix: NamedMatrix,
    /// The table of cells.
    pub cells: DataFrame,
}

impl Prepared {
    /// Takes the listed genes out of `X`.
    ///
    /// # Errors
    /// [`Error::NoMatrix`]; [`Error::NoGeneFound`] if the data have none of the genes.
    pub fn new(adata: &AnnData, genes: &GeneList) -> Result<Self> {
        let x = adata.x().ok_or(Error::NoMatrix)?;
        let names = adata.var().index();
        let places = genes.places(names);
        if places.is_empty() {
            let (listed, found) = (genes.genes().len(), names.len());
            let first = genes.genes().first().cloned().unwrap_or_default();
            let example = names.first().map_or("none".to_owned(), |name| format!("{name:?}"));
            return Err(Error::NoGeneFound { listed, first, found, example }.into());
        }
        let values = match x {
            sc_io::Matrix::Csr(x) => x.select_columns(&places),
            other => other.to_csr().select_columns(&places),
        };
        let kept = places.iter().map(|&place| names[place].clone()).collect();
        let matrix = NamedMatrix::new(values, adata.obs().index().to_vec(), kept)?;
        Ok(Self { matrix, cells: adata.obs().clone() })
    }

    /// Writes `NAME.h5` and `NAME.meta.csv` into a folder that is there.
    ///
    /// # Errors
    /// [`sc_io::Error::Exists`] if one of them is there and may not be replaced; [`sc_io::Error::Io`];
    /// [`sc_io::Error::Write`].
    pub fn write(&self, folder: impl AsRef<Path>, name: &str, overwrite: bool) -> Result<()> {
        let folder = folder.as_ref();
        named_matrix::write(folder.join(format!("{name}.h5")), &LAYOUT, &self.matrix, overwrite)?;
        delimited::write(&self.cells, folder.join(format!("{name}.meta.csv")), overwrite)?;
        Ok(())
    }
}

/// Reads the `.h5` file of the first step, this crate's or that of the scripts.
///
/// # Errors
/// As [`named_matrix::read`].
pub fn read_matrix(path: impl AsRef<Path>) -> Result<NamedMatrix> {
    Ok(named_matrix::read(path, &LAYOUT, &h5ad::ReadOptions { max_expand: MAX_EXPAND })?)
}
