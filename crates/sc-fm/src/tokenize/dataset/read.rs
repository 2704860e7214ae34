use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;
use sc_io::Column;
use serde_json::Value;

use super::{COUNTS, INPUT_IDS, LENGTH, STATE};
use crate::nn::Packing;
use crate::tokenize::{Error, Result};

/// Tokens that were read from disk, and the columns stored with them.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSet {
    /// Where each cell begins in `ids`; one number more than there are cells.
    pub offsets: Vec<usize>,
    /// The tokens of all cells.
    pub ids: Vec<u32>,
    /// One value a token, if the set has the column `counts`.
    pub values: Option<Vec<f32>>,
    /// The other columns, one entry a cell.
    pub obs: Vec<(String, Column)>,
    /// Columns of lists and other kinds, which were not read.
    pub left_out: Vec<String>,
}

impl TokenSet {
    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The tokens of a cell.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn cell(&self, cell: usize) -> &[u32] {
        &self.ids[self.offsets[cell]..self.offsets[cell + 1]]
    }

    /// The cells as the layers of a model see them.
    pub fn packing(&self) -> Packing {
        Packing::new(self.offsets.windows(2).map(|pair| pair[1] - pair[0]))
    }
}

/// Reads a set of tokens that was written here or by `datasets` (`save_to_disk`), such as the `.dataset` of Geneformer's
/// tokeniser.
///
/// # Errors
/// [`Error::Io`] if a file is missing, [`Error::Arrow`] if one is damaged, [`Error::Dataset`] if the columns are not those
/// of a set of tokens or hold gaps where none may be.
pub fn load(path: impl AsRef<Path>) -> Result<TokenSet> {
    let folder = path.as_ref();
    let problem = |problem: String| Error::Dataset { path: folder.to_owned(), problem };
    let mut set =
        TokenSet { offsets: vec![0], ids: Vec::new(), values: None, obs: Vec::new(), left_out: Vec::new() };
    let mut first = true;
    for name in data_files(folder)? {
        let path = folder.join(&name);
        let unreadable = |source| sc_io::Error::Io { path: path.clone(), doing: "read", source };
        let refused = |source| Error::Arrow { path: path.clone(), source };
        let file = BufReader::new(File::open(&path).map_err(unreadable)?);
        for batch in StreamReader::try_new(file, None).map_err(refused)? {
            add(&mut set, &batch.map_err(refused)?, first).map_err(problem)?;
            first = false;
        }
    }
    Ok(set)
}

/// The files that the state of the folder lists, in order.
fn data_files(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(STATE);
    let problem = |problem: &str| Error::Dataset { path: path.clone(), problem: problem.to_owned() };
    let unreadable = |source| sc_io::Error::Io { path: path.clone(), doing: "read", source };
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let state: Value = serde_json::from_str(&text).map_err(|_| problem("not valid JSON"))?;
    if state["_indices_files"].as_array().is_some_and(|files| !files.is_empty()) {
        return Err(problem("the set is a selection of another one, which is not read"));
    }
    let files = state["_data_files"].as_array().ok_or_else(|| problem("no list of `_data_files`"))?;
    let name = |file: &Value| {
        let name = file["filename"].as_str()?;
        // A plain name: a set has its files in its own folder.
        (Path::new(name).file_name()? == name).then(|| name.to_owned())
    };
    files.iter().map(|file| name(file).ok_or_else(|| problem("a data file is no name of a file"))).collect()
}

/// Puts the cells of a batch behind those of the set.
fn add(set: &mut TokenSet, batch: &RecordBatch, first: bool) -> Result<(), String> {
    let schema = batch.schema();
    let column = |name: &str| batch.column_by_name(name);
    let lists = column(INPUT_IDS).ok_or_else(|| format!("no column {INPUT_IDS:?}"))?;
    let before = set.ids.len();
    let mut ends = Vec::with_capacity(batch.num_rows());
    for cell in 0..batch.num_rows() {
        let ids = list(lists, cell).ok_or_else(|| format!("{INPUT_IDS:?} holds {}", lists.data_type()))?;
        let ids = integers(&ids).ok_or_else(|| format!("{INPUT_IDS:?} holds {}", lists.data_type()))?;
        for id in ids {
            let id = id.and_then(|id| u32::try_from(id).ok());
            set.ids.push(id.ok_or_else(|| {
                format!("a token of cell {} is no number of 32 bits", set.offsets.len() - 1 + cell)
            })?);
        }
        ends.push(set.ids.len());
    }
    if let Some(lengths) = column(LENGTH) {
        let lengths = integers(lengths).ok_or_else(|| format!("{LENGTH:?} holds {}", lengths.data_type()))?;
        let mut start = before;
        for (cell, (&end, length)) in ends.iter().zip(lengths).enumerate() {
            if length != Some((end - start) as i64) {
                let cell = set.offsets.len() - 1 + cell;
                return Err(format!("cell {cell} has {} tokens and says {length:?}", end - start));
            }
            start = end;
        }
    }
    if let Some(lists) = column(COUNTS) {
        let mut values =
            if first { Vec::new() } else { set.values.take().ok_or("only some files have counts")? };
        for cell in 0..batch.num_rows() {
            let counts = list(lists, cell).and_then(|counts| reals(&counts));
            values.extend(counts.ok_or_else(|| format!("{COUNTS:?} holds {}", lists.data_type()))?);
        }
        if values.len() != set.ids.len() {
            return Err(format!("{} counts for {} tokens", values.len(), set.ids.len()));
        }
        set.values = Some(values);
    }
    set.offsets.extend(ends);
    let fields = schema.fields().iter().zip(batch.columns());
    let others = fields.filter(|(field, _)| ![INPUT_IDS, LENGTH, COUNTS].contains(&field.name().as_str()));
    for (field, array) in others {
        let name = field.name();
        match (carried(array), set.obs.iter_mut().find(|(known, _)| known == name)) {
            (Some(found), Some((_, known))) => {
                if !extend(known, found) {
                    return Err(format!("{name:?} is not the same in all files"));
                }
            }
            (Some(found), None) if first => set.obs.push((name.clone(), found)),
            (None, None) if first => set.left_out.push(name.clone()),
            (None, None) if set.left_out.contains(name) => {}
            _ => return Err(format!("{name:?} is not in all files")),
        }
    }
    if let Some((name, _)) = set.obs.iter().find(|(_, column)| column.len() != set.n_cells()) {
        return Err(format!("{name:?} is not in all files"));
    }
    Ok(())
}

/// An entry of a column of lists.
fn list(array: &ArrayRef, cell: usize) -> Option<ArrayRef> {
    match array.data_type() {
        _ if array.is_null(cell) => None,
        DataType::List(_) => Some(array.as_list::<i32>().value(cell)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(cell)),
        _ => None,
    }
}

fn integers(array: &ArrayRef) -> Option<Vec<Option<i64>>> {
    Some(match array.data_type() {
        DataType::Int16 => array.as_primitive::<Int16Type>().iter().map(|v| v.map(i64::from)).collect(),
        DataType::Int32 => array.as_primitive::<Int32Type>().iter().map(|v| v.map(i64::from)).collect(),
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().collect(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().iter().map(|v| v.map(i64::from)).collect(),
        _ => return None,
    })
}

fn reals(array: &ArrayRef) -> Option<Vec<f32>> {
    match array.data_type() {
        _ if array.null_count() > 0 => None,
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().values().to_vec()),
        DataType::Float64 => {
            Some(array.as_primitive::<Float64Type>().iter().flatten().map(|v| v as f32).collect())
        }
        _ => None,
    }
}

/// A column of a table; gaps in real numbers become NaN.
fn carried(array: &ArrayRef) -> Option<Column> {
    Some(match array.data_type() {
        DataType::Utf8 => texts(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter()),
        DataType::Boolean => Column::NullableBool(array.as_boolean().iter().collect()),
        DataType::Float32 => {
            Column::F32(array.as_primitive::<Float32Type>().iter().map(|v| v.unwrap_or(f32::NAN)).collect())
        }
        DataType::Float64 => {
            Column::F64(array.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect())
        }
        _ => Column::NullableI64(integers(array)?),
    })
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Column {
    Column::NullableStrings(values.map(|text| text.map(str::to_owned)).collect())
}

fn extend(known: &mut Column, more: Column) -> bool {
    match (known, more) {
        (Column::NullableStrings(known), Column::NullableStrings(more)) => known.extend(more),
        (Column::NullableBool(known), Column::NullableBool(more)) => known.extend(more),
        (Column::NullableI64(known), Column::NullableI64(more)) => known.extend(more),
        (Column::F32(known), Column::F32(more)) => known.extend(more),
        (Column::F64(known), Column::F64(more)) => known.extend(more),
        _ => return false,
    }
    true
}
