//! The PBMC 3k set: fetched, then read from its archive.

use std::ffi::OsStr;
use std::path::Path;

use crate::fetch::{Artifact, unpack_tar_gz};
use crate::{AnnData, Error, Matrix, Problem, Result, tenx};

/// Where 10x Genomics keeps the archive; the second address is an older one of the same file.
const URLS: [&str; 2] = [
    "https://cf.10xgenomics.com/samples/cell/pbmc3k/pbmc3k_filtered_gene_bc_matrices.tar.gz",
    "https://cf.10xgenomics.com/samples/cell-exp/1.1.0/pbmc3k/pbmc3k_filtered_gene_bc_matrices.tar.gz",
];
/// What the set is known by: cells, genes, stored counts, and their sum.
const KNOWN: [u64; 4] = [2_700, 32_738, 2_286_884, 6_390_631];
/// The files of the archive have about 35 MB.
const MAX_BYTES: u64 = 256 << 20;

/// The archive of the 2,700 cells of human blood that tutorials begin with (10x Genomics, CC BY 4.0).
///
/// Its publisher states neither size nor SHA-256; [`read_pbmc3k`] checks what is in it instead.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use sc_io::datasets::{pbmc3k, read_pbmc3k};
/// use sc_io::fetch::{FetchOptions, fetch};
///
/// let archive = fetch(&pbmc3k(), "data", &FetchOptions::default(), &mut |_| ControlFlow::Continue(()))?;
/// let adata = read_pbmc3k(&archive.path)?;
/// assert_eq!((adata.n_obs(), adata.n_vars()), (2_700, 32_738));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pbmc3k() -> Artifact {
    Artifact {
        file: "pbmc3k_filtered_gene_bc_matrices.tar.gz".to_owned(),
        urls: URLS.map(str::to_owned).to_vec(),
        size: None,
        sha256: None,
    }
}

/// Reads the archive of [`pbmc3k`]: counts, sparse by row, genes named by their symbols.
///
/// # Errors
/// [`Error::Element`] if the archive cannot be unpacked or is another: 2,700 cells × 32,738 genes with 2,286,884 entries of
/// 6,390,631 molecules are expected. Otherwise as [`tenx::read_mtx`].
pub fn read_pbmc3k(archive: impl AsRef<Path>) -> Result<AnnData> {
    read(archive.as_ref(), KNOWN)
}

fn read(archive: &Path, known: [u64; 4]) -> Result<AnnData> {
    let whole =
        |source: Problem| Error::Element { path: archive.to_owned(), element: "/".to_owned(), source };
    let folder = tempfile::tempdir().map_err(|e| whole(e.into()))?;
    let files =
        unpack_tar_gz(archive, folder.path(), MAX_BYTES).map_err(|e| whole(Problem::Archive(Box::new(e))))?;
    let is_matrix = |name: &OsStr| name == "matrix.mtx" || name == "matrix.mtx.gz";
    let matrix = files.iter().find(|path| path.file_name().is_some_and(is_matrix));
    let Some(inner) = matrix.and_then(|path| path.parent()) else {
        let names = files.iter().filter_map(|path| path.strip_prefix(folder.path()).ok());
        return Err(whole(Problem::Missing { present: names.map(|p| p.display().to_string()).collect() }));
    };
    let adata = tenx::read_mtx(inner)?;
    let Some(Matrix::Csr(x)) = adata.x() else {
        return Err(whole(Problem::Malformed("the archive holds no counts".to_owned())));
    };
    let molecules = x.values().iter().map(|&v| f64::from(v)).sum::<f64>();
    let found = [x.n_rows() as u64, x.n_cols() as u64, x.nnz() as u64, molecules as u64];
    if found != known {
        let expected = format!("{known:?}: cells, genes, entries, molecules");
        return Err(whole(Problem::Shape { found: found.to_vec(), expected }));
    }
    Ok(adata)
}
