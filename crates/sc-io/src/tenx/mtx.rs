//! The folder of `matrix.mtx`, `barcodes.tsv` and `genes.tsv` or `features.tsv`, each perhaps compressed.

mod parse;

use std::path::{Path, PathBuf};

use super::features::Features;
use super::{TenxOptions, tsv};
use crate::{AnnData, DataFrame, Error, Matrix, Problem, Result};

/// The names that the matrix can have.
const MATRIX: [&str; 2] = ["matrix.mtx", "matrix.mtx.gz"];
const BARCODES: [&str; 2] = ["barcodes.tsv", "barcodes.tsv.gz"];
const FEATURES: [&str; 4] = ["features.tsv", "features.tsv.gz", "genes.tsv", "genes.tsv.gz"];

/// Reads the folder that Cell Ranger writes, genes only, named by their symbols.
///
/// `var` gets `gene_ids` and, from Cell Ranger 3 on, `feature_types`.
///
/// # Errors
/// [`Error::NotTenX`] or [`Error::MissingFile`] if a file is not there; [`Error::Line`] for a line that is not what it
/// should be: a number out of bounds, a count that `f32` cannot hold exactly, more or fewer entries than declared; and
/// [`Error::Element`] if the same entry is listed twice.
pub fn read_mtx(dir: impl AsRef<Path>) -> Result<AnnData> {
    read_mtx_with(dir, &TenxOptions::default())
}

/// [`read_mtx`], with options.
///
/// # Errors
/// As [`read_mtx`].
pub fn read_mtx_with(dir: impl AsRef<Path>, options: &TenxOptions) -> Result<AnnData> {
    let dir = dir.as_ref();
    let Some(matrix_path) = find(dir, &MATRIX) else {
        return Err(Error::NotTenX { path: dir.to_owned(), found: listing(dir)? });
    };
    let barcodes_path = expect(dir, &BARCODES)?;
    let features_path = expect(dir, &FEATURES)?;

    let barcodes = tsv::columns(&barcodes_path, 1)?.remove(0);
    let features = read_features(&features_path)?;
    let x = parse::matrix(&matrix_path, features.len(), barcodes.len())?;
    let chosen = features.chosen(options);
    let var = features.into_var(options)?;
    let (x, var) = match chosen {
        Some(genes) => (x.select_columns(&genes), var.select(&genes)),
        None => (x, var),
    };
    tracing::info!("read {}: {} cells x {} genes", dir.display(), barcodes.len(), var.n_rows());
    AnnData::new(Matrix::Csr(x), DataFrame::new(barcodes), var)
}

/// The first of these names that is a file in the folder.
fn find(dir: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

fn expect(dir: &Path, names: &[&str]) -> Result<PathBuf> {
    find(dir, names).ok_or_else(|| Error::MissingFile {
        path: dir.to_owned(),
        looked_for: names.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// What is in a folder, sorted.
fn listing(dir: &Path) -> Result<Vec<String>> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchPath { path: dir.to_owned() },
        _ => Error::Io { path: dir.to_owned(), doing: "list", source },
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Two columns before Cell Ranger 3, then three or more.
fn read_features(path: &Path) -> Result<Features> {
    let typed = tsv::width(path)? > 2;
    let mut columns = tsv::columns(path, if typed { 3 } else { 2 })?.into_iter();
    let mut next = || columns.next().unwrap_or_default();
    let (ids, symbols) = (next(), next());
    Ok(Features { ids, symbols, types: typed.then(next), genomes: None })
}

/// What is wrong with a matrix as a whole.
fn whole(path: &Path, problem: impl Into<Problem>) -> Error {
    Error::Element { path: path.to_owned(), element: "/".to_owned(), source: problem.into() }
}
