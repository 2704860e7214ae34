//! What `uns` holds: a tree of values without an axis.

use std::collections::BTreeMap;

use ndarray::ArrayD;

use crate::{Column, DataFrame, Matrix};

/// One value of `uns`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `None`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Text.
    String(String),
    /// True or false, any shape.
    BoolArray(ArrayD<bool>),
    /// Whole numbers, any shape.
    IntArray(ArrayD<i64>),
    /// Real numbers, any shape.
    FloatArray(ArrayD<f64>),
    /// Text, any shape.
    StringArray(ArrayD<String>),
    /// A list that is more than an array: categories, or values of which some are missing.
    Column(Column),
    /// A table.
    DataFrame(DataFrame),
    /// Records, field by field, all of one length: numpy's record arrays, as `rank_genes_groups` keeps its results.
    Records(Vec<(String, Column)>),
    /// A sparse matrix (a dense one is an array).
    Matrix(Matrix),
    /// Named values.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// The value at a path of keys such as `["neighbors", "params"]`, if every step is there.
    pub fn at<'a>(&'a self, keys: &[&str]) -> Option<&'a Value> {
        keys.iter().try_fold(self, |value, &key| match value {
            Self::Map(map) => map.get(key),
            _ => None,
        })
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(value: BTreeMap<String, Value>) -> Self {
        Self::Map(value)
    }
}
