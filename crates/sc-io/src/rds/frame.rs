//! Tables of R: `data.frame`, and `DataFrame` of Bioconductor.

use std::collections::HashMap;

use super::matrix::texts;
use super::object::{NA_INTEGER, Object, Value};
use crate::frame::make_unique;
use crate::hdf5::Fault;
use crate::{Categorical, Column, DataFrame, Problem};

/// The names of the rows, `None` where they are but numbered.
pub(super) fn row_names(table: &Object) -> Option<Vec<String>> {
    table.slot("row.names").or_else(|| table.slot("rownames")).and_then(texts)
}

/// The columns of a table, in their order.
fn columns(table: &Object) -> Option<Vec<(&str, &Object)>> {
    let list = table.slot("listData").unwrap_or(table);
    list.list()?;
    Some(list.members().collect())
}

/// Number of rows that a table says it has, if its rows are numbered.
fn n_rows(table: &Object) -> Option<usize> {
    if let Some(n) = table.slot("nrows").and_then(Object::integers) {
        return usize::try_from(*n.first()?).ok();
    }
    match table.slot("row.names")?.integers()? {
        // Numbered rows are stored as their count, with a sign that says whether they always were numbered.
        [NA_INTEGER, n] => usize::try_from(n.unsigned_abs()).ok(),
        all => Some(all.len()),
    }
}

/// A table with one row for each name, in the order of the names. Rows are found by their names where the table has them,
/// and by their places where it has not.
///
/// Columns that are no vector of one value a row are left out, with a warning.
pub(super) fn aligned(table: &Object, at: &str, index: &[String]) -> Result<DataFrame, Fault> {
    let mut frame = DataFrame::new(index.to_vec());
    let Some(columns) = columns(table) else {
        return Err(Fault::new(at, Problem::Kind { found: table.describe(), expected: "a table" }));
    };
    if columns.is_empty() {
        return Ok(frame);
    }
    let names = row_names(table);
    let rows = match &names {
        Some(names) if names == index => None,
        Some(names) => Some(places(names, index, at)?),
        None => match n_rows(table) {
            Some(n) if n != index.len() => {
                let (found, expected) = (vec![n as u64], format!("{} rows", index.len()));
                return Err(Fault::new(at, Problem::Shape { found, expected }));
            }
            _ => None,
        },
    };
    let n_stored = names.map_or(index.len(), |names| names.len());
    let mut named: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    make_unique(&mut named);
    for ((_, object), name) in columns.into_iter().zip(named) {
        let path = format!("{at}${name}");
        let Some(column) = column(object, n_stored, &path)? else {
            tracing::warn!("left out `{path}`: it is {}, not one value a row", object.describe());
            continue;
        };
        let column = match &rows {
            Some(rows) => column.select(rows),
            None => column,
        };
        frame.insert(name, column).map_err(|e| Fault::new(path, e))?;
    }
    Ok(frame)
}

/// Where each name stands in a list; of equal names the first counts.
pub(super) fn places(names: &[String], wanted: &[String], at: &str) -> Result<Vec<usize>, Fault> {
    let mut place: HashMap<&str, usize> = HashMap::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        place.entry(name).or_insert(i);
    }
    let one = |name: &String| {
        place.get(name.as_str()).copied().ok_or_else(|| {
            Fault::new(at, Problem::Malformed(format!("it has no row named {name:?}, which the matrix has")))
        })
    };
    wanted.iter().map(one).collect()
}

/// A vector of `n` values as a column; `None` if it is something else.
pub(super) fn column(object: &Object, n: usize, at: &str) -> Result<Option<Column>, Fault> {
    if object.is_a("Rle") {
        return run_lengths(object, n, at);
    }
    if object.slot("dim").is_some() || object.len() != n {
        return Ok(None);
    }
    let missing = |v: &[i32]| v.contains(&NA_INTEGER);
    let some = |x: i32| (x != NA_INTEGER).then_some(x);
    Ok(Some(match &object.value {
        Value::Integer(codes) if object.is_a("factor") => Column::Categorical(factor(object, codes, at)?),
        Value::Integer(v) if missing(v) => {
            Column::NullableI64(v.iter().map(|&x| some(x).map(i64::from)).collect())
        }
        Value::Integer(v) => Column::I64(v.iter().map(|&x| x.into()).collect()),
        Value::Logical(v) if missing(v) => {
            Column::NullableBool(v.iter().map(|&x| some(x).map(|x| x != 0)).collect())
        }
        Value::Logical(v) => Column::Bool(v.iter().map(|&x| x != 0).collect()),
        Value::Real(v) => Column::F64(v.clone()),
        Value::Strings(v) => {
            let v: Vec<Option<String>> = v.iter().map(|s| s.as_deref().map(str::to_owned)).collect();
            match v.iter().all(Option::is_some) {
                true => Column::Strings(v.into_iter().flatten().collect()),
                false => Column::NullableStrings(v),
            }
        }
        _ => return Ok(None),
    }))
}

/// Codes of a factor run from 1; NA is a code or, rarely, a level.
fn factor(object: &Object, codes: &[i32], at: &str) -> Result<Categorical, Fault> {
    let levels = object.slot("levels").and_then(Object::strings).unwrap_or_default();
    let mut categories = Vec::with_capacity(levels.len());
    let mut code_of_level = Vec::with_capacity(levels.len());
    for level in levels {
        match level {
            Some(level) => {
                code_of_level.push(categories.len() as i32);
                categories.push(level.to_string());
            }
            None => code_of_level.push(crate::frame::NO_CATEGORY),
        }
    }
    let code = |(row, &code): (usize, &i32)| match code {
        NA_INTEGER => Ok(crate::frame::NO_CATEGORY),
        code => {
            let level = usize::try_from(code).ok().and_then(|c| code_of_level.get(c.checked_sub(1)?));
            level.copied().ok_or_else(|| {
                let expected = format!("a number from 1 to {}", levels.len());
                Fault::new(at, Problem::Value { at: row, value: code.to_string(), expected })
            })
        }
    };
    let codes = codes.iter().enumerate().map(code).collect::<Result<_, _>>()?;
    Categorical::new(codes, categories, object.is_a("ordered")).map_err(|e| Fault::new(at, e))
}

/// A vector stored as runs of equal values.
fn run_lengths(object: &Object, n: usize, at: &str) -> Result<Option<Column>, Fault> {
    let (Some(values), Some(lengths)) =
        (object.slot("values"), object.slot("lengths").and_then(Object::integers))
    else {
        return Ok(None);
    };
    let total: Option<usize> =
        lengths.iter().try_fold(0usize, |sum, &run| sum.checked_add(usize::try_from(run).ok()?));
    if total != Some(n) || values.len() != lengths.len() {
        let why = format!("its runs do not add up to {n} rows");
        return Err(Fault::new(at, Problem::Malformed(why)));
    }
    let Some(runs) = column(values, lengths.len(), at)? else { return Ok(None) };
    let rows: Vec<usize> = lengths
        .iter()
        .enumerate()
        .flat_map(|(run, &length)| std::iter::repeat_n(run, length.unsigned_abs() as usize))
        .collect();
    Ok(Some(runs.select(&rows)))
}
