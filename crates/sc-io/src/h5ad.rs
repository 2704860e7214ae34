//! `.h5ad` files: AnnData in HDF5.
//!
//! # What is read
//! Files of anndata 0.7 to 0.13 and of the writers that follow its format (R, Rust, SOMA), and those of 0.5 and 0.6 with
//! their tables of records. `X` and the layers may be CSR, CSC or dense, of any numeric type.
//!
//! | on disk | in memory |
//! |---|---|
//! | `csr_matrix`, `csc_matrix`, dense `array` in `X`, `layers` | [`Matrix`](crate::Matrix), `f32` |
//! | dense `array` in `obsm`, `varm` | `Array2<f32>` |
//! | sparse or dense in `obsp`, `varp` | [`Csr`](crate::Csr) |
//! | `dataframe` | [`DataFrame`](crate::DataFrame) |
//! | everything in `uns` | [`Value`](crate::Value) |
//!
//! **Numbers.** Whole numbers must have an exact `f32`, else the file is refused: a count is never changed in silence.
//! Real numbers of double precision are rounded to the nearest `f32`, as a cast in numpy does, but may not overflow.
//! Columns keep their precision: integers become `i64`, real numbers stay `f32` or `f64`.
//!
//! **Compression.** gzip, lzf, zstd, lz4 and blosc, with or without shuffling and checksums; other filters are refused.
//!
//! **Left out**, each with a warning through `tracing`: sparse matrices and tables in `obsm` and `varm`, `raw.varm`,
//! awkward arrays, complex numbers, and elements of an encoding that is not known here, except `X`, which must be
//! readable. Categories that are numbers become their text.
//!
//! # Hostile files
//! Nothing in a file is believed. Sizes are compared with the length of the file before memory is taken; other files
//! are never opened (external links, external storage and virtual datasets are refused by name); nesting and the number
//! of objects are bounded; sparse matrices are proven well-formed. Every error names the file and the element.

pub mod append;
pub mod backed;
mod encoding;
mod legacy;
mod read;
mod write;

use std::borrow::Cow;
use std::path::Path;

use crate::hdf5::{Fault, File, Limits, OpenError, Writer};
use crate::{AnnData, Error, Problem, Result, atomic};

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Values may take this many times the bytes of the file in memory (16 MiB are always allowed). Default 64: a file
    /// that claims more is more often an attack than data. Raise it for a dense matrix of few values that was
    /// compressed well.
    pub max_expand: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_expand: 64 }
    }
}

/// Reads a file.
///
/// # Errors
/// [`Error::NoSuchPath`], [`Error::NotHdf5`], [`Error::Truncated`], or [`Error::Element`] with the element that is
/// damaged, refused or of a kind that is not supported.
pub fn read(path: impl AsRef<Path>) -> Result<AnnData> {
    read_with(path, &ReadOptions::default())
}

/// [`read`], with options.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<AnnData> {
    let path = path.as_ref();
    let file = File::open(path, options.limits()).map_err(|e| open_error(path, e))?;
    read_file(path, &file)
}

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Level of gzip for arrays of numbers, 1 (fast) to 9 (small); `None` stores them as they are. Default 4.
    pub compression: Option<u32>,
    /// Whether a file that is there already may be replaced. Default false.
    pub overwrite: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { compression: Some(4), overwrite: false }
    }
}

/// Writes a file that anndata 0.8 and later read; an existing file is left alone.
///
/// The file is written aside and put in place when it is complete, as [`atomic::write_aside`] does. The same content
/// gives the same bytes.
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`], or [`Error::Write`] with the element that cannot be written: a name with a slash in
/// it, for one.
pub fn write(adata: &AnnData, path: impl AsRef<Path>) -> Result<()> {
    write_with(adata, path, &WriteOptions::default())
}

/// [`write()`], with options.
///
/// # Errors
/// As [`write()`].
pub fn write_with(adata: &AnnData, path: impl AsRef<Path>, options: &WriteOptions) -> Result<()> {
    let path = path.as_ref();
    let compression = options.compression.map(|level| level.clamp(1, 9));
    atomic::with_temporary(path, options.overwrite, |_, aside| {
        let writer = Writer::create(aside, compression);
        let written = writer.and_then(|writer| {
            write::anndata(&writer.root(), adata)?;
            writer.close()
        });
        written.map_err(|fault| match fault.problem {
            Problem::Io(source) => Error::Io { path: path.to_owned(), doing: "write", source },
            source => Error::Write { path: path.to_owned(), element: fault.element, source },
        })
    })?;
    tracing::info!("wrote {}: {} cells x {} genes", path.display(), adata.n_obs(), adata.n_vars());
    Ok(())
}

/// Reads a file that is in memory; `name` stands for its path in errors.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(
    name: &str,
    bytes: impl Into<Cow<'static, [u8]>>,
    options: &ReadOptions,
) -> Result<AnnData> {
    let path = Path::new(name);
    let file = File::from_bytes(bytes, options.limits()).map_err(|e| open_error(path, e))?;
    read_file(path, &file)
}

impl ReadOptions {
    pub(crate) fn limits(&self) -> Limits {
        Limits { max_expand: self.max_expand }
    }
}

pub(crate) fn read_file(path: &Path, file: &File) -> Result<AnnData> {
    let adata = read::anndata(file).map_err(|fault| element_error(path, fault))?;
    tracing::info!("read {}: {} cells x {} genes", path.display(), adata.n_obs(), adata.n_vars());
    Ok(adata)
}

fn element_error(path: &Path, fault: Fault) -> Error {
    Error::Element { path: path.to_owned(), element: fault.element, source: fault.problem }
}

pub(crate) fn open_error(path: &Path, error: OpenError) -> Error {
    let path = path.to_owned();
    match error {
        OpenError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => Error::NoSuchPath { path },
        OpenError::Io(source) => Error::Io { path, doing: "read", source },
        OpenError::NotHdf5(bytes) => Error::NotHdf5 { path, first_bytes: shown(&bytes) },
        OpenError::Truncated { declared, found } => Error::Truncated { path, declared, found },
        OpenError::Damaged(source) => Error::Element { path, element: "/".to_owned(), source },
    }
}

/// Bytes for a message: printable ones as text, others in hexadecimal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "none: the file is empty".to_owned();
    }
    format!("\"{}\"", bytes.escape_ascii())
}
