//! Objects of R in `.rds` and `.rda` files: Seurat, SingleCellExperiment, matrices.
//!
//! | object | `X` and `layers` | `obs` | `var` | `obsm` |
//! |---|---|---|---|---|
//! | `Seurat` 3 and 4 | the slots of an `Assay` | `meta.data`, `active.ident` as `ident` | `meta.features` | `reductions` |
//! | `Seurat` 5 | the layers of an `Assay5`; `counts.1`, `counts.2`, ... are put together | as above | `meta.data` of the assay | as above |
//! | `SummarizedExperiment`, `SingleCellExperiment` | `assays`; alternative experiments by name | `colData` | `rowData` | `reducedDims` |
//! | `dgCMatrix`, `dgTMatrix`, `dgRMatrix`, `matrix`, `data.frame` | features × cells | | | |
//!
//! R keeps features × cells; here it is turned round to cells × genes. `X` is the layer `counts`, sparse by row, unless
//! another one is asked for; the other layers keep their form. A layer that has not all features or cells of `X`, such as
//! `scale.data`, is left out with a warning; asked for as `X`, it decides the genes. Cells are matched by name. A reduction
//! `pca` becomes `obsm["X_pca"]`. Factors become categories.
//!
//! **Numbers.** R keeps counts in double precision: a whole number without an exact `f32` is an error, other numbers are
//! rounded to the nearest. NA becomes NaN in a matrix and a missing value in a column of integers, truth values, text or
//! categories.
//!
//! **Files.** Compressed by gzip, bzip2, xz or not; formats 2 and 3 of the stream, binary or text. Of a workspace (`save`)
//! the one object that is single-cell data is read, or the one that is named.
//!
//! **Not read**: objects of Seurat 2, matrices that lie in other files (BPCells, HDF5Array), symmetric and triangular
//! matrices, `qs`; images, graphs, commands and what is in `misc` and `metadata` are left out.
//!
//! # Hostile files
//! Nothing is executed: functions and byte code are read past. Memory is taken as data arrives, never because a length
//! says so, and its sum is bounded by the size of the file ([`ReadOptions::max_expand`]); so is the depth of objects.
//!
//! ```no_run
//! use sc_io::rds::{self, ReadOptions};
//!
//! let file = rds::File::open("pbmc.rds", ReadOptions::default().max_expand)?;
//! for object in file.contents()? {
//!     println!("{}: {:?}", object.class, object.assays);
//! }
//! let options = ReadOptions { layer: Some("data".to_owned()), ..ReadOptions::default() };
//! let log_normalized = file.anndata(&options)?;
//! # Ok::<(), sc_io::Error>(())
//! ```

mod altrep;
mod assay;
mod bytecode;
mod error;
mod experiment;
mod frame;
mod matrix;
mod object;
mod plain;
mod seurat;
mod source;
mod stream;
mod xz;

pub use error::{Damage, Error};

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use self::assay::Assay;
use self::object::{Document, Object, Value};
use self::source::{Source, Start};
use crate::hdf5::Fault;
use crate::{AnnData, Result};

/// The layer that is `X` unless another one is asked for.
const COUNTS: &str = "counts";

/// Objects may always take this much memory, however small the file.
const ALWAYS_ALLOWED: u64 = 64 << 20;

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The object of a workspace (`.rda`). Default: the only one that is single-cell data.
    pub object: Option<String>,
    /// The assay of a Seurat object, or the experiment of a SingleCellExperiment (`main` or its name, or that of an
    /// alternative). Default: the active assay, or, where that has not the layer, the first assay that has it.
    pub assay: Option<String>,
    /// The layer that becomes `X`. Default: `counts`.
    pub layer: Option<String>,
    /// Objects may take this many times the bytes of the file in memory (64 MiB are always allowed). Default 256: a file
    /// that claims more is more often an attack than data.
    pub max_expand: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { object: None, assay: None, layer: None, max_expand: 256 }
    }
}

/// Reads the counts of a file.
///
/// # Errors
/// [`crate::Error::NoSuchPath`] or [`crate::Error::Io`]; [`Error`] for a file that is none of R's, a stream that is damaged,
/// and for objects, assays and layers that are not there, with those that are; [`crate::Error::Element`] for a slot that
/// does not hold what it should.
pub fn read(path: impl AsRef<Path>) -> Result<AnnData> {
    read_with(path, &ReadOptions::default())
}

/// [`read`], with options.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<AnnData> {
    File::open(path, options.max_expand)?.anndata(options)
}

/// The objects of a file, in memory.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    document: Document,
    is_workspace: bool,
}

/// What one object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its name in a workspace.
    pub name: Option<String>,
    /// Its class.
    pub class: String,
    /// Its assays; none for a matrix, and for objects that are no single-cell data.
    pub assays: Vec<AssayContents>,
}

/// What one assay holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssayContents {
    /// Its name.
    pub name: String,
    /// Whether it is the active one.
    pub active: bool,
    /// The layers that can become `X`.
    pub layers: Vec<String>,
}

/// What kind of data an object is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Seurat,
    Experiment,
    Plain,
}

fn kind(object: &Object) -> Option<Kind> {
    if seurat::is(object) {
        Some(Kind::Seurat)
    } else if experiment::is(object) {
        Some(Kind::Experiment)
    } else {
        plain::is(object).then_some(Kind::Plain)
    }
}

impl File {
    /// Reads all objects of a file.
    ///
    /// * `max_expand`: [`ReadOptions::max_expand`].
    ///
    /// # Errors
    /// As [`read`], for the file as a whole.
    pub fn open(path: impl AsRef<Path>, max_expand: u64) -> Result<Self> {
        let path = path.as_ref();
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => crate::Error::NoSuchPath { path: path.to_owned() },
            _ => crate::Error::Io { path: path.to_owned(), doing: "open", source },
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Self::from_reader(path, BufReader::new(file), size, max_expand)
    }

    /// Reads all objects of a file that is in memory; `name` stands for its path in errors.
    ///
    /// # Errors
    /// As [`File::open`].
    pub fn from_bytes(name: &str, bytes: &[u8], max_expand: u64) -> Result<Self> {
        Self::from_reader(Path::new(name), bytes, bytes.len() as u64, max_expand)
    }

    fn from_reader(path: &Path, reader: impl BufRead, size: u64, max_expand: u64) -> Result<Self> {
        let limit = size.saturating_mul(max_expand).max(ALWAYS_ALLOWED);
        let stream = |offset| move |source| Error::Stream { path: path.to_owned(), offset, source };
        let mut source = Source::new(reader, size, limit).map_err(stream(0))?;
        let start = source.start().map_err(stream(source.offset()))?;
        let is_workspace = match start {
            Start::Object => false,
            Start::Workspace => true,
            Start::Other(bytes) => {
                let first_bytes = crate::h5ad::shown(&bytes);
                return Err(Error::NotR { path: path.to_owned(), first_bytes }.into());
            }
        };
        let mut reader = stream::Reader::new(source);
        let document = reader.document();
        let document = document.map_err(|e| stream(reader.source.offset())(e))?;
        Ok(Self { path: path.to_owned(), document, is_workspace })
    }

    /// The objects with their names; the one of an `.rds` file has none.
    fn objects(&self) -> Vec<(Option<&str>, &Object)> {
        match &self.document.root.value {
            Value::Pairs(pairs) if self.is_workspace => {
                pairs.iter().map(|(name, object)| (Some(&**name), object)).collect()
            }
            _ => vec![(None, &self.document.root)],
        }
    }

    /// What the file holds: objects, their assays, and the layers of these.
    ///
    /// # Errors
    /// [`crate::Error::Element`] for a slot that does not hold what it should.
    pub fn contents(&self) -> Result<Vec<Contents>> {
        let one = |(name, object): (Option<&str>, &Object)| {
            Ok(Contents {
                name: name.map(str::to_owned),
                class: object.classes().next().map_or_else(|| object.describe(), str::to_owned),
                assays: self.assays(object)?.into_iter().map(|(contents, _)| contents).collect(),
            })
        };
        self.objects().into_iter().map(one).collect()
    }

    fn fault(&self, fault: Fault) -> crate::Error {
        crate::Error::Element { path: self.path.clone(), element: fault.element, source: fault.problem }
    }

    fn assays<'a>(&'a self, object: &'a Object) -> Result<Vec<(AssayContents, Assay<'a>)>> {
        let (names, active) = match kind(object) {
            Some(Kind::Seurat) => seurat::assay_names(object),
            Some(Kind::Experiment) => {
                let names = experiment::assay_names(object);
                let main = names.first().copied();
                (names, main)
            }
            _ => return Ok(Vec::new()),
        };
        let one = |name: &str| {
            let assay = match kind(object) {
                Some(Kind::Seurat) => seurat::assay(object, name),
                _ => experiment::assay(&self.document, object, name),
            };
            let assay = assay.map_err(|fault| self.fault(fault))?;
            let (active, layers) = (active == Some(name), assay.layer_names());
            Ok((AssayContents { name: name.to_owned(), active, layers }, assay))
        };
        names.into_iter().map(one).collect()
    }

    /// The object that is meant.
    fn chosen(&self, wanted: Option<&String>) -> Result<&Object> {
        let objects = self.objects();
        let found = match (wanted, &objects[..]) {
            (None, [(_, only)]) => Some(*only),
            (None, all) => {
                let mut data = all.iter().filter(|(_, object)| kind(object).is_some());
                data.next().map(|(_, first)| *first).filter(|_| data.next().is_none())
            }
            (Some(wanted), all) => {
                all.iter().find(|(name, _)| *name == Some(wanted.as_str())).map(|(_, object)| *object)
            }
        };
        found.ok_or_else(|| {
            let describe = |(name, object): &(Option<&str>, &Object)| match name {
                Some(name) => format!("{name} ({})", object.describe()),
                None => object.describe(),
            };
            let found = objects.iter().map(describe).collect();
            Error::NoObject { path: self.path.clone(), wanted: wanted.cloned(), found }.into()
        })
    }

    /// Annotated data of one assay.
    ///
    /// # Errors
    /// As [`read`], for one object.
    pub fn anndata(&self, options: &ReadOptions) -> Result<AnnData> {
        let object = self.chosen(options.object.as_ref())?;
        let Some(kind) = kind(object) else {
            let (path, class) = (self.path.clone(), object.describe());
            let name =
                options.object.clone().map_or_else(|| "the object".to_owned(), |n| format!("object {n:?}"));
            return Err(Error::Class { path, object: name, class }.into());
        };
        let adata = match kind {
            Kind::Plain => {
                if let Some(assay) = options.assay.clone() {
                    return Err(Error::NoAssay { path: self.path.clone(), assay, found: Vec::new() }.into());
                }
                plain::anndata(object)
            }
            _ => {
                let assays = self.assays(object)?;
                let (at, layer) = self.chosen_layer(&assays, options)?;
                let (contents, assay) = &assays[at];
                match kind {
                    Kind::Seurat => seurat::anndata(object, &contents.name, assay, layer),
                    _ => experiment::anndata(object, &contents.name, assay, layer),
                }
            }
        };
        let adata = adata.map_err(|fault| self.fault(fault))?;
        tracing::info!("read {}: {} cells x {} genes", self.path.display(), adata.n_obs(), adata.n_vars());
        Ok(adata)
    }

    /// The place of the assay, and the layer.
    fn chosen_layer<'o>(
        &self,
        assays: &[(AssayContents, Assay<'_>)],
        options: &'o ReadOptions,
    ) -> Result<(usize, &'o str)> {
        let layer = options.layer.as_deref().unwrap_or(COUNTS);
        let active = assays.iter().position(|(contents, _)| contents.active).unwrap_or(0);
        let place = match &options.assay {
            Some(wanted) => assays.iter().position(|(contents, _)| contents.name == *wanted),
            None => Some(active).filter(|&at| at < assays.len()),
        };
        let Some(place) = place else {
            let assay = options.assay.clone().unwrap_or_else(|| "the active one".to_owned());
            let found = assays.iter().map(|(contents, _)| contents.name.clone()).collect();
            return Err(Error::NoAssay { path: self.path.clone(), assay, found }.into());
        };
        if assays[place].1.has(layer) {
            return Ok((place, layer));
        }
        if options.assay.is_none()
            && let Some(other) = assays.iter().position(|(_, assay)| assay.has(layer))
        {
            let (active, other_name) = (&assays[place].0.name, &assays[other].0.name);
            tracing::warn!("assay {active:?} has no layer {layer:?}: read from {other_name:?}");
            return Ok((other, layer));
        }
        let found = assays
            .iter()
            .flat_map(|(contents, _)| contents.layers.iter().map(|l| format!("{}/{l}", contents.name)))
            .collect();
        let (path, assay) = (self.path.clone(), assays[place].0.name.clone());
        Err(Error::NoLayer { path, assay, layer: layer.to_owned(), found }.into())
    }
}
