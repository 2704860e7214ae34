//! Results put into an `.h5ad` file that is there, without reading its matrices.
//!
//! The file is copied aside as it is, whatever it holds; the slot is added to the copy; the copy is compared with the
//! original (every element, and every byte of its values); only then does it take the place of the original. Whatever
//! fails or interrupts this, the original stays as it was. Memory is that of the tables and of the slot.
//!
//! ```
//! use ndarray::Array2;
//! use sc_io::h5ad::{self, append};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("blood.h5ad");
//! h5ad::write(&sc_io::datasets::pbmc68k_reduced(), &path)?;
//! append::obsm(&path, "X_embedding", Array2::ones((700, 16)).view(), &append::AppendOptions::default())?;
//! assert_eq!(h5ad::read(&path)?.obsm()["X_embedding"].dim(), (700, 16));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ndarray::{Array2, ArrayView2, s};

use super::{ReadOptions, element_error, open_error, read, write};
use crate::anndata::{check, slot};
use crate::hdf5::{Fault, File, GroupWriter, Writer, difference};
use crate::{Column, Error, Problem, Result, Value, atomic, keys};

/// Level of gzip for what is added.
const LEVEL: u32 = 4;

/// How a slot is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendOptions {
    /// Whether a slot of that name that is there already may be replaced. Default false. The space that it took in the
    /// file is not always given back.
    pub replace: bool,
}

/// Adds an array with one row an observation.
///
/// # Errors
/// [`Error::SlotTaken`] if there is one of that name; [`Error::SlotShape`] if it has not `n_obs` rows; [`Error::Write`] if
/// the file cannot be added to, for one because it is of anndata 0.6 or older, which has no place for it: read it and
/// write it again; otherwise as [`h5ad::read`](super::read()) for the tables. The file stays as it was.
pub fn obsm(
    path: impl AsRef<Path>,
    name: &str,
    array: ArrayView2<'_, f32>,
    options: &AppendOptions,
) -> Result<()> {
    let path = path.as_ref();
    let n_obs = array.nrows();
    obsm_of(path, name, Some(n_obs), array.ncols(), options, &mut |rows| {
        Ok(array.slice(s![rows.start..rows.end, ..]).to_owned())
    })
}

/// Adds an array with one row an observation, of which `rows` gives the rows that it is asked for, in order and not all at
/// once.
///
/// # Errors
/// As [`obsm`]; what `rows` fails with is the source of an [`Error::Io`].
pub fn obsm_rows(
    path: impl AsRef<Path>,
    name: &str,
    n_cols: usize,
    options: &AppendOptions,
    rows: &mut dyn FnMut(Range<usize>) -> std::io::Result<Array2<f32>>,
) -> Result<()> {
    obsm_of(path.as_ref(), name, None, n_cols, options, rows)
}

fn obsm_of(
    path: &Path,
    name: &str,
    n_rows: Option<usize>,
    n_cols: usize,
    options: &AppendOptions,
    rows: &mut dyn FnMut(Range<usize>) -> std::io::Result<Array2<f32>>,
) -> Result<()> {
    let slot = slot(keys::OBSM, name);
    let old = Old::open(path, keys::OBSM, name, slot.clone(), options)?;
    if let Some(n_rows) = n_rows {
        check(slot, "rows", n_rows, "n_obs", old.n_obs)?;
    }
    let shape = [old.n_obs, n_cols];
    old.replaced(path, &[format!("{}/{name}", keys::OBSM)], |writer| {
        let root = writer.root();
        let group = if old.has_group { root.existing(keys::OBSM)? } else { write::dict(&root, keys::OBSM)? };
        write::encoded_dataset(&group.rows(name, shape, LEVEL, rows)?, "array")
    })
}

/// Adds a column to `obs`, behind those that are there.
///
/// # Errors
/// As [`obsm`].
pub fn obs_column(
    path: impl AsRef<Path>,
    name: &str,
    column: &Column,
    options: &AppendOptions,
) -> Result<()> {
    let path = path.as_ref();
    let slot = slot(keys::OBS, name);
    let old = Old::open(path, keys::OBS, name, slot.clone(), options)?;
    check(slot, "rows", column.len(), "n_obs", old.n_obs)?;
    let mut order: Vec<&str> = old.columns.iter().map(String::as_str).collect();
    if !order.contains(&name) {
        order.push(name);
    }
    let changed = [format!("{}/{name}", keys::OBS), format!("{}@column-order", keys::OBS)];
    old.replaced(path, &changed, |writer| {
        let obs: GroupWriter<'_> = writer.root().existing(keys::OBS)?;
        write::column(&obs, name, column)?;
        obs.string_list_attribute("column-order", &order)
    })
}

/// [`obsm_rows`], and an entry of the same name in `uns` that says where the array comes from: both or neither.
///
/// # Errors
/// As [`obsm_rows`].
pub fn obsm_rows_about(
    path: impl AsRef<Path>,
    name: &str,
    n_cols: usize,
    about: &Value,
    options: &AppendOptions,
    rows: &mut dyn FnMut(Range<usize>) -> std::io::Result<Array2<f32>>,
) -> Result<()> {
    let path = path.as_ref();
    let array = Old::open(path, keys::OBSM, name, slot(keys::OBSM, name), options)?;
    let entry = Old::open(path, keys::UNS, name, slot(keys::UNS, name), options)?;
    let changed = [format!("{}/{name}", keys::OBSM), format!("{}/{name}", keys::UNS)];
    array.replaced(path, &changed, |writer| {
        if let Some((removed, is_group)) = &entry.removed {
            writer.remove(removed, *is_group)?;
        }
        let root = writer.root();
        let group = |old: &Old, name| match old.has_group {
            true => root.existing(name),
            false => write::dict(&root, name),
        };
        let obsm = group(&array, keys::OBSM)?;
        write::encoded_dataset(&obsm.rows(name, [array.n_obs, n_cols], LEVEL, rows)?, "array")?;
        write::value(&group(&entry, keys::UNS)?, name, about)
    })
}

/// Whether an array of that name can be added, before it is computed.
///
/// # Errors
/// As [`obsm`].
pub fn check_obsm(path: impl AsRef<Path>, name: &str, options: &AppendOptions) -> Result<()> {
    Old::open(path.as_ref(), keys::OBSM, name, slot(keys::OBSM, name), options).map(drop)
}

/// What is known of the file before anything is done to it.
struct Old {
    file: File,
    n_obs: usize,
    /// All columns of `obs`, those too that are left out in reading.
    columns: Vec<String>,
    has_group: bool,
    /// What must make way, and whether it is a group.
    removed: Option<(String, bool)>,
}

impl Old {
    fn open(path: &Path, group: &str, name: &str, slot: String, options: &AppendOptions) -> Result<Self> {
        let file = File::open(path, ReadOptions::default().limits()).map_err(|e| open_error(path, e))?;
        let taken = |is_group: bool| match options.replace {
            true => Ok((format!("{group}/{name}"), is_group)),
            false => Err(Error::SlotTaken { path: path.to_owned(), slot: slot.clone() }),
        };
        let failed = |fault| element_error(path, fault);
        let root = file.root().map_err(failed)?;
        let (obs, _) = read::axes(&root).map_err(failed)?;
        if obs.index_name().unwrap_or("_index") == name && group == keys::OBS {
            let fault = Fault::new(keys::OBS, Error::DuplicateColumn { column: name.to_owned() });
            return Err(write_error(path, fault));
        }
        let table = root.member(keys::OBS).map_err(failed)?;
        let found = root.find(group).map_err(failed)?;
        if !table.is_group() || found.as_ref().is_some_and(|found| !found.is_group()) {
            return Err(write_error(path, Fault::new(group, Problem::Records)));
        }
        let order = table.attribute("column-order").map_err(failed)?;
        let columns = order.map(|order| order.strings()).transpose();
        let columns = columns.map_err(|p| failed(table.fault(p)))?.unwrap_or_default();
        let member = found.as_ref().map(|found| found.find(name)).transpose().map_err(failed)?.flatten();
        let removed = member.map(|member| taken(member.is_group())).transpose()?;
        let (n_obs, has_group) = (obs.n_rows(), found.is_some());
        Ok(Self { file, n_obs, columns, has_group, removed })
    }

    /// Copies the file, lets `add` add to the copy, compares, and puts the copy in place.
    fn replaced(
        &self,
        path: &Path,
        changed: &[String],
        add: impl FnOnce(&Writer) -> Result<(), Fault>,
    ) -> Result<()> {
        let io = |doing| move |source| Error::Io { path: path.to_owned(), doing, source };
        atomic::with_temporary(path, true, |file, aside| {
            let mut original = std::fs::File::open(path).map_err(io("read"))?;
            std::io::copy(&mut original, file).map_err(io("write"))?;
            // The writer trusts the file more than the reader does; a file that leads it astray is an error all the same.
            let added = catch_unwind(AssertUnwindSafe(|| {
                let writer = Writer::append(aside, Some(LEVEL))?;
                if let Some((removed, is_group)) = &self.removed {
                    writer.remove(removed, *is_group)?;
                }
                add(&writer)?;
                writer.close()
            }));
            let damaged =
                || Problem::Malformed("the file cannot be added to: its structure is damaged".to_owned());
            added.unwrap_or_else(|_| Err(Fault::new("/", damaged()))).map_err(|f| write_error(path, f))?;
            self.compare(aside, changed).map_err(|f| write_error(path, f))
        })
    }

    /// Whether everything that the file had is in the copy.
    fn compare(&self, aside: &Path, changed: &[String]) -> Result<(), Fault> {
        let lost = |element: String| {
            let why = "adding to the file would change this element".to_owned();
            Fault::new(element, Problem::Malformed(why))
        };
        let copy = File::open(aside, ReadOptions::default().limits()).map_err(|_| lost("/".to_owned()))?;
        match difference(&self.file.root()?, &copy.root()?, changed)? {
            Some(element) => Err(lost(element)),
            None => Ok(()),
        }
    }
}

fn write_error(path: &Path, fault: Fault) -> Error {
    match fault.problem {
        Problem::Io(source) => Error::Io { path: path.to_owned(), doing: "write", source },
        source => Error::Write { path: path.to_owned(), element: fault.element, source },
    }
}
