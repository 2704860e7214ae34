//! What Cell Ranger writes: a folder of three files, or one `.h5` file.
//!
//! On disk a matrix is features × barcodes; here it is turned round to cells × genes. Names of genes are made unique
//! with [`make_unique`](crate::frame::make_unique), as `scanpy.read_10x_mtx` does.

mod features;
mod h5;
mod mtx;
mod tsv;

pub use h5::{read_h5, read_h5_with};
pub use mtx::{read_mtx, read_mtx_with};

pub(crate) use h5::is_tenx;

/// The feature type of genes.
pub const GENE_EXPRESSION: &str = "Gene Expression";

/// What names the variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VarNames {
    /// Symbols such as `CD3D`, made unique; identifiers go to `var["gene_ids"]`.
    #[default]
    GeneSymbols,
    /// Identifiers such as `ENSG00000167286`; symbols go to `var["gene_symbols"]`.
    GeneIds,
}

/// How a 10x matrix is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenxOptions {
    /// Keep genes only and leave out antibodies, peaks and other features, as scanpy does. Default true.
    pub gex_only: bool,
    /// What names the variables. Default: gene symbols.
    pub var_names: VarNames,
    /// Keep the genes of this genome only. Default: of all genomes. Only `.h5` files say which genome a gene is of; those
    /// of Cell Ranger 1 and 2 hold one matrix a genome, and one must be chosen where there are several.
    pub genome: Option<String>,
}

impl Default for TenxOptions {
    fn default() -> Self {
        Self { gex_only: true, var_names: VarNames::default(), genome: None }
    }
}
