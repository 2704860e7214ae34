use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Int32Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use sc_io::{Column, DataFrame};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{COUNTS, INFO, INPUT_IDS, LENGTH, STATE};
use crate::tokenize::{Error, Result, Tokens};

/// Cells of one record batch, as `datasets` has them.
const BATCH: usize = 1_000;
const DATA: &str = "data-00000-of-00001.arrow";

/// Writes tokens and what is known of their cells as a folder that `datasets.load_from_disk` reads.
///
/// * `obs`, `columns`: the table of the whole matrix, and the columns of it to carry; only kept rows are written.
///   Categories become text.
/// * `overwrite`: whether an older set of tokens may be replaced; a folder that is none is always left alone.
///
/// The folder is written aside and renamed when it is complete.
///
/// # Errors
/// [`Error::Io`] if the folder exists, cannot be written, or `obs` lacks a column; [`Error::Length`] if `obs` has fewer
/// rows than the matrix had; [`Error::Dataset`] for a carried column named as one of ours, and for a folder that may not
/// be replaced; [`Error::Arrow`] if the library refuses.
pub fn save(
    path: impl AsRef<Path>,
    tokens: &Tokens,
    obs: &DataFrame,
    columns: &[&str],
    overwrite: bool,
) -> Result<()> {
    let path = path.as_ref();
    let carried = carried(path, tokens, obs, columns)?;
    let old = path.symlink_metadata().is_ok();
    if old && !overwrite {
        return Err(sc_io::Error::Exists { path: path.to_owned() }.into());
    }
    if old && !path.join(STATE).is_file() {
        let problem = format!("the folder has no {STATE}: it is no set of tokens and is not replaced");
        return Err(Error::Dataset { path: path.to_owned(), problem });
    }
    let failed = |source| sc_io::Error::Io { path: path.to_owned(), doing: "write", source };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(".sc-").suffix(".part").tempdir_in(parent).map_err(failed)?;
    let new = aside.path().join("new");
    std::fs::create_dir(&new).map_err(failed)?;
    let features = write_data(&new.join(DATA), tokens, &carried)?;
    write_text(
        &new.join(INFO),
        &json!({"citation": "", "description": "", "features": features, "homepage": "", "license": ""}),
    )
    .map_err(failed)?;
    write_text(&new.join(STATE), &state(tokens)).map_err(failed)?;
    if old {
        std::fs::rename(path, aside.path().join("old")).map_err(failed)?;
    }
    std::fs::rename(&new, path).map_err(failed)?;
    Ok(())
}

/// The columns to carry, for the kept rows.
fn carried(path: &Path, tokens: &Tokens, obs: &DataFrame, columns: &[&str]) -> Result<Vec<(String, Column)>> {
    let n_seen = tokens.report().cells.n_seen;
    if !columns.is_empty() && obs.n_rows() != n_seen {
        return Err(Error::Length { what: "obs", found: obs.n_rows(), expected: n_seen });
    }
    let column = |&name: &&str| {
        if [INPUT_IDS, LENGTH, COUNTS].contains(&name) {
            let problem = format!("the column {name:?} of obs has the name of a column of tokens");
            return Err(Error::Dataset { path: path.to_owned(), problem });
        }
        Ok((name.to_owned(), obs.column(name)?.select(tokens.rows())))
    };
    columns.iter().map(column).collect()
}

/// Writes the Arrow stream. Returns the description of its columns.
fn write_data(path: &Path, tokens: &Tokens, carried: &[(String, Column)]) -> Result<Value> {
    let refused = |source| Error::Arrow { path: path.to_owned(), source };
    let failed = |source| sc_io::Error::Io { path: path.to_owned(), doing: "write", source };
    if let Some(id) = tokens.ids().iter().find(|&&id| i32::try_from(id).is_err()) {
        let problem = format!("token {id} is too large for int32");
        return Err(Error::Dataset { path: path.to_owned(), problem });
    }
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let mut fields =
        vec![Field::new(INPUT_IDS, list(DataType::Int32), true), Field::new(LENGTH, DataType::Int64, true)];
    if tokens.values().is_some() {
        fields.push(Field::new(COUNTS, list(DataType::Float32), true));
    }
    fields.extend(carried.iter().map(|(name, column)| Field::new(name, kind(column), true)));
    let features: serde_json::Map<String, Value> =
        fields.iter().map(|field| (field.name().clone(), feature(field.data_type()))).collect();
    let features = Value::Object(features);
    let info = text_of(&json!({"info": {"features": features}}), false);
    let schema = Schema::new_with_metadata(fields, HashMap::from([("huggingface".to_owned(), info)]));
    let schema = Arc::new(schema);

    let file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut writer = StreamWriter::try_new(file, &schema).map_err(refused)?;
    for start in (0..tokens.n_cells()).step_by(BATCH) {
        let cells = start..tokens.n_cells().min(start + BATCH);
        let rows: Vec<usize> = cells.clone().collect();
        let mut ids = ListBuilder::new(Int32Builder::new());
        let mut counts = ListBuilder::new(Float32Builder::new());
        let mut lengths = Vec::with_capacity(rows.len());
        for cell in cells {
            let tokens_of = tokens.cell(cell);
            lengths.push(tokens_of.len() as i64);
            ids.append_value(tokens_of.iter().map(|&id| Some(id as i32)));
            if let Some(values) = tokens.cell_values(cell) {
                counts.append_value(values.iter().map(|&value| Some(value)));
            }
        }
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(Int64Array::from(lengths))];
        if tokens.values().is_some() {
            arrays.push(Arc::new(counts.finish()));
        }
        arrays.extend(carried.iter().map(|(_, column)| array(&column.select(&rows))));
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(refused)?;
        writer.write(&batch).map_err(refused)?;
    }
    writer.finish().map_err(refused)?;
    let file = writer.into_inner().map_err(refused)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(features)
}

fn kind(column: &Column) -> DataType {
    match column {
        Column::I64(_) | Column::NullableI64(_) => DataType::Int64,
        Column::F64(_) => DataType::Float64,
        Column::F32(_) => DataType::Float32,
        Column::Bool(_) | Column::NullableBool(_) => DataType::Boolean,
        _ => DataType::Utf8,
    }
}

fn array(column: &Column) -> ArrayRef {
    match column {
        Column::I64(v) => Arc::new(Int64Array::from(v.clone())),
        Column::NullableI64(v) => Arc::new(Int64Array::from(v.clone())),
        Column::F64(v) => Arc::new(Float64Array::from(v.clone())),
        Column::F32(v) => Arc::new(Float32Array::from(v.clone())),
        Column::Bool(v) => Arc::new(BooleanArray::from(v.clone())),
        Column::NullableBool(v) => Arc::new(BooleanArray::from(v.clone())),
        other => Arc::new(StringArray::from(other.labels().expect("columns of numbers are above"))),
    }
}

/// A column as `datasets` describes it. Its older releases know lists as `Sequence` alone, newer ones read both words.
fn feature(kind: &DataType) -> Value {
    let value = |dtype: &str| json!({"dtype": dtype, "_type": "Value"});
    match kind {
        DataType::List(item) => json!({"feature": feature(item.data_type()), "_type": "Sequence"}),
        DataType::Int32 => value("int32"),
        DataType::Int64 => value("int64"),
        DataType::Float32 => value("float32"),
        DataType::Float64 => value("float64"),
        DataType::Boolean => value("bool"),
        _ => value("string"),
    }
}

fn state(tokens: &Tokens) -> Value {
    let mut sha = Sha256::new();
    tokens.ids().iter().for_each(|id| sha.update(id.to_le_bytes()));
    tokens.rows().iter().for_each(|&row| sha.update((row as u64).to_le_bytes()));
    let fingerprint: String = sha.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    json!({
        "_data_files": [{"filename": DATA}],
        "_fingerprint": fingerprint,
        "_format_columns": null,
        "_format_kwargs": {},
        "_format_type": null,
        "_output_all_columns": false,
        "_split": null,
    })
}

fn write_text(path: &Path, value: &Value) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text_of(value, true).as_bytes())?;
    file.sync_all()
}

/// JSON with its keys in order, whatever order a map keeps in this build.
fn text_of(value: &Value, is_indented: bool) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    if is_indented { format!("{value:#}") } else { value.to_string() }
}
