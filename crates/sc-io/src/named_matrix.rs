//! A matrix with names on both sides in one group of an HDF5 file: the layout in which scripts hand counts to each other.
//!
//! The group holds the values, every one stored, rows × columns, and two lists of names of fixed length.

use std::path::Path;

use ndarray::Array2;

use crate::h5ad::{ReadOptions, open_error};
use crate::hdf5::{Fault, File, Object, Writer};
use crate::{Csr, Error, Problem, Result, atomic};

/// Level of gzip.
const LEVEL: u32 = 4;

/// Values that are read at a time.
const BLOCK: usize = 1 << 22;

/// What the parts are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The group.
    pub group: &'static str,
    /// In it, the values: rows × columns.
    pub values: &'static str,
    /// The names of the rows.
    pub rows: &'static str,
    /// The names of the columns.
    pub columns: &'static str,
}

/// A matrix with names on both sides. Every value is stored on disk; here, zeros are not.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedMatrix {
    values: Csr,
    row_names: Vec<String>,
    column_names: Vec<String>,
}

impl NamedMatrix {
    /// Puts the three together.
    ///
    /// # Errors
    /// [`Error::SlotShape`] if there is not one name for each row and each column.
    pub fn new(values: Csr, row_names: Vec<String>, column_names: Vec<String>) -> Result<Self> {
        let slot = "row names".to_owned();
        crate::anndata::check(slot, "entries", row_names.len(), "the number of rows", values.n_rows())?;
        let slot = "column names".to_owned();
        crate::anndata::check(slot, "entries", column_names.len(), "the number of columns", values.n_cols())?;
        Ok(Self { values, row_names, column_names })
    }

    /// The values.
    pub fn values(&self) -> &Csr {
        &self.values
    }

    /// The names of the rows.
    pub fn row_names(&self) -> &[String] {
        &self.row_names
    }

    /// The names of the columns.
    pub fn column_names(&self) -> &[String] {
        &self.column_names
    }
}

/// Writes a file, aside first, as [`atomic::write_aside`] does. The values are of single precision, compressed by gzip.
///
/// # Errors
/// [`Error::Exists`], [`Error::Io`] or [`Error::Write`].
pub fn write(path: impl AsRef<Path>, layout: &Layout, matrix: &NamedMatrix, overwrite: bool) -> Result<()> {
    let path = path.as_ref();
    let values = &matrix.values;
    let shape = [values.n_rows(), values.n_cols()];
    atomic::with_temporary(path, overwrite, |_, aside| {
        let written = Writer::create(aside, Some(LEVEL)).and_then(|writer| {
            let group = writer.root().group(layout.group)?;
            group.rows(layout.values, shape, LEVEL, &mut |rows| {
                let mut block = Array2::zeros((rows.len(), shape[1]));
                for (row, mut out) in rows.zip(block.rows_mut()) {
                    let (columns, values) = values.row(row);
                    columns.iter().zip(values).for_each(|(&column, &value)| out[column as usize] = value);
                }
                Ok(block)
            })?;
            for (name, texts) in [(layout.rows, &matrix.row_names), (layout.columns, &matrix.column_names)] {
                group.fixed_length(name, texts)?;
            }
            writer.close()
        });
        written.map_err(|fault| match fault.problem {
            Problem::Io(source) => Error::Io { path: path.to_owned(), doing: "write", source },
            source => Error::Write { path: path.to_owned(), element: fault.element, source },
        })
    })
}

/// Reads a file: values of any numeric type, of which zeros are not kept, and names of fixed or variable length.
///
/// # Errors
/// [`Error::NoSuchPath`], [`Error::NotHdf5`], [`Error::Truncated`], or [`Error::Element`] with the element that is not
/// there, is damaged or does not fit the others.
pub fn read(path: impl AsRef<Path>, layout: &Layout, options: &ReadOptions) -> Result<NamedMatrix> {
    let path = path.as_ref();
    let file = File::open(path, options.limits()).map_err(|e| open_error(path, e))?;
    let matrix = file.root().and_then(|root| matrix(&root, layout));
    matrix.map_err(|f| Error::Element { path: path.to_owned(), element: f.element, source: f.problem })
}

fn matrix(root: &Object<'_>, layout: &Layout) -> Result<NamedMatrix, Fault> {
    let group = root.member(layout.group)?;
    let row_names = group.member(layout.rows)?.dataset()?.strings()?;
    let column_names = group.member(layout.columns)?.dataset()?.strings()?;
    let dataset = group.member(layout.values)?.dataset()?;
    let (n_rows, n_cols) = (row_names.len(), column_names.len());
    if dataset.dims() != [n_rows as u64, n_cols as u64] {
        let found = dataset.dims().to_vec();
        let expected = format!("[{n_rows}, {n_cols}], one for each name");
        return Err(dataset.fault(Problem::Shape { found, expected }));
    }
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    let parts = dataset.parts()?;
    let at_once = (BLOCK / n_cols.max(1)).max(1);
    for start in (0..n_rows).step_by(at_once) {
        let block = parts.numbers::<f32>(start..n_rows.min(start + at_once))?;
        if n_cols == 0 {
            indptr.resize(n_rows + 1, 0);
            break;
        }
        for row in block.chunks_exact(n_cols) {
            for (column, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                indices.push(column as u32);
                values.push(value);
            }
            indptr.push(indices.len());
        }
    }
    let csr = Csr::new(n_rows, n_cols, indptr, indices, values).map_err(|e| group.fault(e))?;
    NamedMatrix::new(csr, row_names, column_names).map_err(|e| group.fault(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout =
        Layout { group: "count", values: "data", rows: "cell_names", columns: "gene_names" };

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let dense = ndarray::arr2(&[[0.0, 1.5], [0.0, 0.0], [-2.0, 3.0]]);
        let (rows, columns) = (names(&["c1", "zelle-é", ""]), names(&["CD3D", "LYZ"]));
        let matrix = NamedMatrix::new(Csr::from_dense(dense.view()), rows, columns).unwrap();
        write(&path, &LAYOUT, &matrix, false).unwrap();
        assert_eq!(read(&path, &LAYOUT, &ReadOptions::default()).unwrap(), matrix);
        assert!(matches!(write(&path, &LAYOUT, &matrix, false), Err(Error::Exists { .. })));
        write(&path, &LAYOUT, &matrix, true).unwrap();
    }

    #[test]
    fn a_matrix_without_rows_is_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let empty = Csr::from_dense(Array2::zeros((0, 2)).view());
        let matrix = NamedMatrix::new(empty, vec![], names(&["a", "b"])).unwrap();
        write(&path, &LAYOUT, &matrix, false).unwrap();
        assert_eq!(read(&path, &LAYOUT, &ReadOptions::default()).unwrap(), matrix);
    }

    #[test]
    fn names_and_values_must_fit_each_other() {
        let one = Csr::from_dense(Array2::zeros((1, 1)).view());
        let error = NamedMatrix::new(one, vec![], names(&["a"])).unwrap_err();
        assert_eq!(error.to_string(), "`row names` has 0 entries, but the number of rows = 1");
    }

    #[test]
    fn another_layout_is_an_error_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let one = Csr::from_dense(Array2::zeros((1, 1)).view());
        write(&path, &LAYOUT, &NamedMatrix::new(one, names(&["c"]), names(&["g"])).unwrap(), false).unwrap();
        let error = read(&path, &Layout { group: "counts", ..LAYOUT }, &ReadOptions::default()).unwrap_err();
        let Error::Element { source: Problem::Missing { present }, .. } = error else { panic!("{error}") };
        assert_eq!(present, ["count"]);
    }
}
