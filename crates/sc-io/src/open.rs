//! One door for every format: what is there decides, not what it is called.

use std::path::Path;

use crate::hdf5::File;
use crate::{AnnData, Error, Result, h5ad, tenx};

/// Reads annotated data from an `.h5ad` file, a 10x folder or a 10x `.h5` file.
///
/// A folder is read as [`tenx::read_mtx`] does; a file is told by its contents, whatever its name.
///
/// # Errors
/// [`Error::NoSuchPath`] if there is nothing, [`Error::NotTenX`] for a folder without a matrix (with what is in it),
/// [`Error::NotHdf5`] for a file that is none (with its first bytes), and whatever the reader of the format finds.
pub fn open(path: impl AsRef<Path>) -> Result<AnnData> {
    let path = path.as_ref();
    let kind = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchPath { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), doing: "open", source },
    })?;
    if kind.is_dir() {
        return tenx::read_mtx(path);
    }
    let file =
        File::open(path, h5ad::ReadOptions::default().limits()).map_err(|e| h5ad::open_error(path, e))?;
    let ten_x = file.root().and_then(|root| tenx::is_tenx(&root)).map_err(|f| Error::Element {
        path: path.to_owned(),
        element: f.element,
        source: f.problem,
    })?;
    if ten_x { tenx::read_h5(path) } else { h5ad::read_file(path, &file) }
}
