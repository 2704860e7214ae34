//! Writing: one function an encoding, in the current on-disk format.

use std::collections::BTreeMap;

use crate::hdf5::{DatasetWriter, Fault, Field, GroupWriter, Stored, StoredBool};
use crate::{AnnData, Categorical, Column, Csc, Csr, DataFrame, Matrix, Problem, Value, keys};
use ndarray::{ArrayD, ArrayView2};

type Write = Result<(), Fault>;

/// The name of an index without one.
const UNNAMED_INDEX: &str = "_index";

pub(super) fn anndata(root: &GroupWriter<'_>, adata: &AnnData) -> Write {
    encoded(root, "anndata", "0.1.0")?;
    if let Some(x) = adata.x() {
        matrix(root, keys::X, x)?;
    }
    frame(root, keys::OBS, adata.obs())?;
    frame(root, keys::VAR, adata.var())?;
    let layers = dict(root, keys::LAYERS)?;
    for (name, layer) in adata.layers() {
        matrix(&layers, name, layer)?;
    }
    for (slot, arrays) in [(keys::OBSM, adata.obsm()), (keys::VARM, adata.varm())] {
        let group = dict(root, slot)?;
        for (name, array) in arrays {
            dense(&group, name, array.view())?;
        }
    }
    for (slot, graphs) in [(keys::OBSP, adata.obsp()), (keys::VARP, adata.varp())] {
        let group = dict(root, slot)?;
        for (name, graph) in graphs {
            csr(&group, name, graph)?;
        }
    }
    map(root, keys::UNS, adata.uns())?;
    if let Some(raw) = adata.raw() {
        let group = root.group(keys::RAW)?;
        encoded(&group, "raw", "0.1.0")?;
        matrix(&group, keys::X, raw.x())?;
        frame(&group, keys::VAR, raw.var())?;
        dict(&group, keys::VARM)?;
    }
    Ok(())
}

fn encoded(group: &GroupWriter<'_>, encoding: &str, version: &str) -> Write {
    group.attribute("encoding-type", encoding)?;
    group.attribute("encoding-version", version)
}

pub(super) fn encoded_dataset(dataset: &DatasetWriter, encoding: &str) -> Write {
    dataset.attribute("encoding-type", encoding)?;
    let version = if encoding == "null" { "0.1.0" } else { "0.2.0" };
    dataset.attribute("encoding-version", version)
}

pub(super) fn dict<'w>(parent: &GroupWriter<'w>, name: &str) -> Result<GroupWriter<'w>, Fault> {
    let group = parent.group(name)?;
    encoded(&group, "dict", "0.1.0")?;
    Ok(group)
}

fn matrix(parent: &GroupWriter<'_>, name: &str, matrix: &Matrix) -> Write {
    match matrix {
        Matrix::Csr(m) => csr(parent, name, m),
        Matrix::Csc(m) => csc(parent, name, m),
        Matrix::Dense(m) => dense(parent, name, m.view()),
    }
}

fn csr(parent: &GroupWriter<'_>, name: &str, m: &Csr) -> Write {
    let group = parent.group(name)?;
    encoded(&group, "csr_matrix", "0.1.0")?;
    compressed(&group, (m.n_rows(), m.n_cols()), m.indptr(), m.indices(), m.values())
}

fn csc(parent: &GroupWriter<'_>, name: &str, m: &Csc) -> Write {
    let group = parent.group(name)?;
    encoded(&group, "csc_matrix", "0.1.0")?;
    compressed(&group, (m.n_rows(), m.n_cols()), m.indptr(), m.indices(), m.values())
}

/// Indices are of 32 bits where they fit, both lists alike, as SciPy wants them.
fn compressed(
    group: &GroupWriter<'_>,
    shape: (usize, usize),
    indptr: &[usize],
    indices: &[u32],
    values: &[f32],
) -> Write {
    group.number_list_attribute("shape", &[shape.0 as i64, shape.1 as i64])?;
    group.numbers("data", &[values.len()], |i| values[i])?;
    let largest = values.len().max(shape.0).max(shape.1);
    if i32::try_from(largest).is_ok() {
        group.numbers("indices", &[indices.len()], |i| indices[i] as i32)?;
        group.numbers("indptr", &[indptr.len()], |i| indptr[i] as i32)?;
    } else {
        group.numbers("indices", &[indices.len()], |i| i64::from(indices[i]))?;
        group.numbers("indptr", &[indptr.len()], |i| indptr[i] as i64)?;
    }
    Ok(())
}

fn dense(parent: &GroupWriter<'_>, name: &str, m: ArrayView2<'_, f32>) -> Write {
    let (rows, columns) = m.dim();
    let number = |i: usize| m[(i / columns, i % columns)];
    encoded_dataset(&parent.numbers(name, &[rows, columns], number)?, "array")
}

fn list<T: Copy + Sync, S: Stored>(
    parent: &GroupWriter<'_>,
    name: &str,
    values: &[T],
    store: impl Fn(T) -> S + Sync,
) -> Write {
    encoded_dataset(&parent.numbers(name, &[values.len()], |i| store(values[i]))?, "array")
}

fn strings<S: AsRef<str>>(parent: &GroupWriter<'_>, name: &str, values: &[S]) -> Write {
    encoded_dataset(&parent.strings(name, &[values.len()], values)?, "string-array")
}

fn frame(parent: &GroupWriter<'_>, name: &str, frame: &DataFrame) -> Write {
    let group = parent.group(name)?;
    encoded(&group, "dataframe", "0.2.0")?;
    let index_name = frame.index_name().unwrap_or(UNNAMED_INDEX);
    group.attribute("_index", index_name)?;
    group.string_list_attribute("column-order", &frame.column_names())?;
    strings(&group, index_name, frame.index())?;
    for (name, values) in frame.columns() {
        column(&group, name, values)?;
    }
    Ok(())
}

pub(super) fn column(parent: &GroupWriter<'_>, name: &str, column: &Column) -> Write {
    match column {
        Column::Strings(v) => strings(parent, name, v),
        Column::I64(v) => list(parent, name, v, |x| x),
        Column::F64(v) => list(parent, name, v, |x| x),
        Column::F32(v) => list(parent, name, v, |x| x),
        Column::Bool(v) => list(parent, name, v, StoredBool::from),
        Column::Categorical(c) => categorical(parent, name, c),
        Column::NullableI64(v) => {
            let group = masked(parent, name, "nullable-integer", v)?;
            list(&group, "values", v, Option::unwrap_or_default)
        }
        Column::NullableBool(v) => {
            let group = masked(parent, name, "nullable-boolean", v)?;
            list(&group, "values", v, |b| StoredBool::from(b.unwrap_or_default()))
        }
        Column::NullableStrings(v) => {
            let group = masked(parent, name, "nullable-string-array", v)?;
            let values: Vec<&str> = v.iter().map(|s| s.as_deref().unwrap_or_default()).collect();
            strings(&group, "values", &values)
        }
    }
}

/// A group with the mask of what is missing; the values follow.
fn masked<'w, T: Sync>(
    parent: &GroupWriter<'w>,
    name: &str,
    encoding: &str,
    values: &[Option<T>],
) -> Result<GroupWriter<'w>, Fault> {
    let group = parent.group(name)?;
    encoded(&group, encoding, "0.1.0")?;
    let mask = group.numbers("mask", &[values.len()], |i| StoredBool::from(values[i].is_none()))?;
    encoded_dataset(&mask, "array")?;
    Ok(group)
}

/// Codes are as narrow as the categories allow, as in pandas.
fn categorical(parent: &GroupWriter<'_>, name: &str, c: &Categorical) -> Write {
    let group = parent.group(name)?;
    encoded(&group, "categorical", "0.2.0")?;
    group.bool_attribute("ordered", c.ordered())?;
    strings(&group, "categories", c.categories())?;
    match c.categories().len() {
        0..=0x7f => list(&group, "codes", c.codes(), |code| code as i8),
        0x80..=0x7fff => list(&group, "codes", c.codes(), |code| code as i16),
        _ => list(&group, "codes", c.codes(), |code| code),
    }
}

fn map(parent: &GroupWriter<'_>, name: &str, map: &BTreeMap<String, Value>) -> Write {
    let group = dict(parent, name)?;
    for (name, member) in map {
        value(&group, name, member)?;
    }
    Ok(())
}

pub(super) fn value(parent: &GroupWriter<'_>, name: &str, value: &Value) -> Write {
    match value {
        Value::Null => encoded_dataset(&parent.null(name)?, "null"),
        Value::Bool(b) => {
            encoded_dataset(&parent.numbers(name, &[], |_| StoredBool::from(*b))?, "numeric-scalar")
        }
        Value::Int(n) => encoded_dataset(&parent.numbers(name, &[], |_| *n)?, "numeric-scalar"),
        Value::Float(x) => encoded_dataset(&parent.numbers(name, &[], |_| *x)?, "numeric-scalar"),
        Value::String(s) => encoded_dataset(&parent.strings(name, &[], &[s])?, "string"),
        Value::BoolArray(a) => array(parent, name, a, |b| StoredBool::from(*b)),
        Value::IntArray(a) => array(parent, name, a, |n| *n),
        Value::FloatArray(a) => array(parent, name, a, |x| *x),
        Value::StringArray(a) => {
            let values: Vec<&String> = a.iter().collect();
            encoded_dataset(&parent.strings(name, a.shape(), &values)?, "string-array")
        }
        Value::Column(c) => column(parent, name, c),
        Value::DataFrame(f) => frame(parent, name, f),
        Value::Matrix(m) => matrix(parent, name, m),
        Value::Records(fields) => records(parent, name, fields),
        Value::Map(m) => map(parent, name, m),
    }
}

fn array<T: Sync, S: Stored>(
    parent: &GroupWriter<'_>,
    name: &str,
    array: &ArrayD<T>,
    store: impl Fn(&T) -> S + Sync,
) -> Write {
    let values: Vec<&T> = array.iter().collect();
    encoded_dataset(&parent.numbers(name, array.shape(), |i| store(values[i]))?, "array")
}

/// Text is stored with the length of the longest, as NumPy's records have it; a missing one is empty.
fn records(parent: &GroupWriter<'_>, name: &str, fields: &[(String, Column)]) -> Write {
    let n_rows = fields.first().map_or(0, |(_, column)| column.len());
    let mut stored: Vec<(&str, Field)> = Vec::with_capacity(fields.len());
    for (field, column) in fields {
        if column.len() != n_rows {
            let (column, found, expected) = (field.clone(), column.len(), n_rows);
            let element = parent.member_path(name);
            return Err(Fault::new(element, crate::Error::ColumnLength { column, found, expected }));
        }
        stored.push((
            field,
            match column {
                Column::I64(v) => Field::numbers(v),
                Column::F64(v) => Field::numbers(v),
                Column::F32(v) => Field::numbers(v),
                Column::Bool(v) => {
                    Field::numbers(&v.iter().map(|&b| StoredBool::from(b)).collect::<Vec<_>>())
                }
                other => {
                    let labels = other.labels().map_err(|e| Fault::new(parent.member_path(name), e))?;
                    if let Some(at) = labels.iter().flatten().position(|l| !l.is_ascii()) {
                        let what = format!("text that is not ASCII in records (field {field:?}, entry {at})");
                        return Err(Fault::new(parent.member_path(name), Problem::Unsupported { what }));
                    }
                    Field::strings(
                        &labels.iter().map(|l| l.as_deref().unwrap_or_default()).collect::<Vec<_>>(),
                    )
                }
            },
        ));
    }
    encoded_dataset(&parent.records(name, n_rows, &stored)?, "rec-array")
}
