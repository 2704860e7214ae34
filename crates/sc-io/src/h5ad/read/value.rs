//! `uns`: a tree of whatever was put there.

use std::collections::BTreeMap;

use super::super::encoding::{self, Encoding};
use super::super::legacy;
use super::{Read, array, frame, sparse};
use crate::hdf5::{Dataset, NumberKind, Object};
use crate::{Matrix, Value};

/// The members of a group that can be read; the others are left out with a warning.
pub(super) fn map(group: &Object<'_>) -> Read<BTreeMap<String, Value>> {
    let mut map = BTreeMap::new();
    for name in group.names()? {
        if let Some(value) = value(&group.member(&name)?)? {
            map.insert(name, value);
        }
    }
    Ok(map)
}

fn value(element: &Object<'_>) -> Read<Option<Value>> {
    let encoding = match encoding::of(element)? {
        Ok(encoding) => encoding,
        Err(problem) => {
            tracing::warn!("left out `{}`: {problem}", element.path());
            return Ok(None);
        }
    };
    Ok(Some(match encoding {
        Encoding::Dict | Encoding::Raw | Encoding::AnnData => Value::Map(map(element)?),
        Encoding::Null => Value::Null,
        Encoding::Csr => Value::Matrix(Matrix::Csr(sparse::csr(element)?)),
        Encoding::Csc => Value::Matrix(Matrix::Csc(sparse::csc(element)?)),
        Encoding::DataFrame => Value::DataFrame(frame::read(element)?),
        Encoding::Categorical
        | Encoding::NullableInteger
        | Encoding::NullableBoolean
        | Encoding::NullableStringArray => return Ok(frame::column(element)?.map(Value::Column)),
        Encoding::RecArray => legacy::record_value(element)?,
        Encoding::Array | Encoding::StringArray => values(&element.dataset()?)?,
        Encoding::NumericScalar | Encoding::String => single(&element.dataset()?)?,
    }))
}

fn values(dataset: &Dataset<'_>) -> Read<Value> {
    Ok(match dataset.dtype().number() {
        None => Value::StringArray(array::shaped(dataset, dataset.strings()?)?),
        Some(NumberKind::Bool) => Value::BoolArray(array::any(dataset)?),
        Some(kind) if kind.is_integer() => Value::IntArray(array::any(dataset)?),
        Some(_) => Value::FloatArray(array::any(dataset)?),
    })
}

/// The only value of a dataset without axes.
fn single(dataset: &Dataset<'_>) -> Read<Value> {
    let first = match values(dataset)? {
        Value::StringArray(a) => a.into_iter().next().map(Value::String),
        Value::BoolArray(a) => a.into_iter().next().map(Value::Bool),
        Value::IntArray(a) => a.into_iter().next().map(Value::Int),
        Value::FloatArray(a) => a.into_iter().next().map(Value::Float),
        _ => None,
    };
    Ok(first.unwrap_or(Value::Null))
}
