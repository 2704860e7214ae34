//! An `.h5ad` file that stays on disk: the tables in memory, matrices some rows at a time.
//!
//! [`Backed::open`] reads `obs` and `var` and leaves the matrices where they are. [`Backed::x`], [`Backed::raw_x`] and
//! [`Backed::layer`] give [`Rows`], which reads any range of rows as a [`Csr`](crate::Csr). What is read is what
//! [`h5ad::read`](super::read()) reads: the same numbers, and the same refusals of numbers that would change and of matrices that
//! contradict themselves, each found when its rows are read.
//!
//! ```
//! use sc_io::h5ad::{self, backed::Backed};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("blood.h5ad");
//! h5ad::write(&sc_io::datasets::pbmc68k_reduced(), &path)?;
//!
//! let file = Backed::open(&path)?;
//! assert_eq!(file.obs().labels("bulk_labels")?.len(), 700);
//! let x = file.x()?;
//! let mut total = 0f64;
//! for chunk in x.chunks(256) {
//!     let (rows, counts) = chunk?;
//!     assert_eq!(counts.n_rows(), rows.len());
//!     total += counts.values().iter().map(|&v| f64::from(v)).sum::<f64>();
//! }
//! assert_eq!(total, 486_651.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod columns;
mod rows;

pub use rows::{Chunks, Rows, Storage};

use std::path::{Path, PathBuf};

use super::{ReadOptions, element_error, open_error, read};
use crate::anndata::{check, no_slot, slot};
use crate::hdf5::{Fault, File, Object};
use crate::{DataFrame, Error, Result, keys};

/// A file of which the tables are in memory and the matrices are not.
#[derive(Debug)]
pub struct Backed {
    path: PathBuf,
    file: File,
    obs: DataFrame,
    var: DataFrame,
    raw_var: Option<DataFrame>,
    layers: Vec<String>,
}

impl Backed {
    /// Opens a file and reads `obs`, `var` and `raw.var`.
    ///
    /// # Errors
    /// As [`h5ad::read`](super::read()) for these tables; the matrices are looked at when they are asked for.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// [`Backed::open`], with options. The limit on size holds for the tables together, and for each piece of a matrix
    /// by itself: a matrix may be as large as it likes.
    ///
    /// # Errors
    /// As [`Backed::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path, options.limits()).map_err(|e| open_error(path, e))?;
        let tables = Tables::read(&file).map_err(|fault| element_error(path, fault))?;
        let Tables { obs, var, raw_var, layers } = tables;
        tracing::info!("opened {}: {} cells x {} genes", path.display(), obs.n_rows(), var.n_rows());
        Ok(Self { path: path.to_owned(), file, obs, var, raw_var, layers })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The table of observations.
    pub fn obs(&self) -> &DataFrame {
        &self.obs
    }

    /// The table of variables.
    pub fn var(&self) -> &DataFrame {
        &self.var
    }

    /// The table of the variables of `raw`, if the file has `raw`.
    pub fn raw_var(&self) -> Option<&DataFrame> {
        self.raw_var.as_ref()
    }

    /// Number of observations (cells).
    pub fn n_obs(&self) -> usize {
        self.obs.n_rows()
    }

    /// Number of variables (genes).
    pub fn n_vars(&self) -> usize {
        self.var.n_rows()
    }

    /// The names of the layers, sorted.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// `X`, `n_obs × n_vars`. It is looked up in the file every time: ask once, and keep what this gives.
    ///
    /// # Errors
    /// [`Error::NoMatrix`] if the file has no `X`; [`Error::Element`] if its parts contradict each other or the tables.
    pub fn x(&self) -> Result<Rows<'_>> {
        let root = self.file.root().map_err(|fault| self.error(fault))?;
        let x = read::x(&root).map_err(|fault| self.error(fault))?;
        let x = x.ok_or_else(|| self.no_matrix(keys::X))?;
        self.matrix(&x, keys::X.to_owned(), "n_vars", self.n_vars())
    }

    /// `raw.X`, `n_obs × raw_var.n_rows()`.
    ///
    /// # Errors
    /// As [`Backed::x`].
    pub fn raw_x(&self) -> Result<Rows<'_>> {
        let root = self.file.root().map_err(|fault| self.error(fault))?;
        let raw = read::raw_objects(&root).map_err(|fault| self.error(fault))?;
        match (raw, &self.raw_var) {
            (Some((x, _)), Some(var)) => self.matrix(&x, "raw.X".to_owned(), "raw.n_vars", var.n_rows()),
            _ => Err(self.no_matrix("raw.X")),
        }
    }

    /// The layer `name`, `n_obs × n_vars`.
    ///
    /// # Errors
    /// [`Error::NoSlot`], which lists the layers that are there; otherwise as [`Backed::x`].
    pub fn layer(&self, name: &str) -> Result<Rows<'_>> {
        if !self.layers.iter().any(|layer| layer == name) {
            return Err(no_slot(keys::LAYERS, name, self.layers.iter()));
        }
        let root = self.file.root().map_err(|fault| self.error(fault))?;
        let layer = root.member(keys::LAYERS).and_then(|layers| layers.member(name));
        let layer = layer.map_err(|fault| self.error(fault))?;
        self.matrix(&layer, slot(keys::LAYERS, name), "n_vars", self.n_vars())
    }

    fn matrix<'b>(
        &'b self,
        object: &Object<'b>,
        slot: String,
        axis: &'static str,
        n_cols: usize,
    ) -> Result<Rows<'b>> {
        let fits = |rows, columns| {
            check(slot.clone(), "rows", rows, "n_obs", self.n_obs())?;
            check(slot.clone(), "columns", columns, axis, n_cols)
        };
        Rows::open(&self.path, object, fits).map_err(|fault| self.error(fault))
    }

    fn no_matrix(&self, slot: &'static str) -> Error {
        Error::NoMatrix { path: self.path.clone(), slot }
    }

    fn error(&self, fault: Fault) -> Error {
        element_error(&self.path, fault)
    }
}

/// What is read on opening.
struct Tables {
    obs: DataFrame,
    var: DataFrame,
    raw_var: Option<DataFrame>,
    layers: Vec<String>,
}

impl Tables {
    fn read(file: &File) -> read::Read<Self> {
        let root = file.root()?;
        let (obs, var) = read::axes(&root)?;
        let uns = root.find(keys::UNS)?;
        let raw_var = read::raw_parts(&root, uns.as_ref())?.map(|(_, var)| var);
        let layers = match root.find(keys::LAYERS)? {
            Some(layers) => layers.names()?,
            None => Vec::new(),
        };
        Ok(Self { obs, var, raw_var, layers })
    }
}
