//! The names of the slots and of the keys inside them, each spelled once.

/// The observation table of an `.h5ad` file.
pub const OBS: &str = "obs";
/// The variable table of an `.h5ad` file.
pub const VAR: &str = "var";
/// The main matrix.
pub const X: &str = "X";
/// Matrices of the shape of `X`.
pub const LAYERS: &str = "layers";
/// Arrays with one row an observation.
pub const OBSM: &str = "obsm";
/// Arrays with one row a variable.
pub const VARM: &str = "varm";
/// Square sparse matrices over the observations.
pub const OBSP: &str = "obsp";
/// Square sparse matrices over the variables.
pub const VARP: &str = "varp";
/// Everything that has no axis.
pub const UNS: &str = "uns";
/// `X` and `var` as they were before genes were dropped.
pub const RAW: &str = "raw";

/// `obsm`: principal components, as scanpy names them.
pub const X_PCA: &str = "X_pca";
/// `obsm`: UMAP coordinates, as scanpy names them.
pub const X_UMAP: &str = "X_umap";

/// `var`: gene identifiers (Ensembl), as scanpy names them.
pub const GENE_IDS: &str = "gene_ids";
/// `var`: gene symbols, as scanpy names them where identifiers are the names.
pub const GENE_SYMBOLS: &str = "gene_symbols";
/// `var`: what a feature is (`Gene Expression`, `Antibody Capture`, ...), as scanpy names it.
pub const FEATURE_TYPES: &str = "feature_types";
/// `var`: the genome of a feature, as scanpy names it.
pub const GENOME: &str = "genome";
