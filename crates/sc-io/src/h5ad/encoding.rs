//! What an element says that it is.

use crate::Problem;
use crate::hdf5::{Dtype, Fault, Object};

/// The encodings of AnnData's on-disk format that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    AnnData,
    Raw,
    Csr,
    Csc,
    Array,
    StringArray,
    DataFrame,
    Categorical,
    NullableInteger,
    NullableBoolean,
    NullableStringArray,
    Dict,
    NumericScalar,
    String,
    Null,
    RecArray,
}

/// `encoding-type`, the versions of it that are known here, and what it is. Old files have no types at all for some of
/// them; see [`of`].
const KNOWN: &[(&str, &[&str], Encoding)] = &[
    ("anndata", &["0.1.0"], Encoding::AnnData),
    ("raw", &["0.1.0"], Encoding::Raw),
    ("csr_matrix", &["0.1.0"], Encoding::Csr),
    ("csc_matrix", &["0.1.0"], Encoding::Csc),
    ("array", &["0.2.0"], Encoding::Array),
    ("string-array", &["0.2.0"], Encoding::StringArray),
    ("dataframe", &["0.1.0", "0.2.0"], Encoding::DataFrame),
    ("categorical", &["0.2.0"], Encoding::Categorical),
    ("nullable-integer", &["0.1.0"], Encoding::NullableInteger),
    ("nullable-boolean", &["0.1.0"], Encoding::NullableBoolean),
    ("nullable-string-array", &["0.1.0"], Encoding::NullableStringArray),
    ("dict", &["0.1.0"], Encoding::Dict),
    ("numeric-scalar", &["0.2.0"], Encoding::NumericScalar),
    ("string", &["0.2.0"], Encoding::String),
    ("null", &["0.1.0"], Encoding::Null),
    ("rec-array", &["0.2.0"], Encoding::RecArray),
];

/// What `object` is: what its attributes say, else what older versions of anndata meant by its form. `Err` inside is
/// an encoding that is not known here.
pub(super) fn of(object: &Object<'_>) -> Result<Result<Encoding, Problem>, Fault> {
    if let Some(encoding) = object.string_attribute("encoding-type")?.filter(|e| !e.is_empty()) {
        let version = object.string_attribute("encoding-version")?.unwrap_or_default();
        return Ok(match KNOWN.iter().find(|(name, _, _)| *name == encoding) {
            Some((_, versions, known)) if versions.contains(&version.as_str()) => Ok(*known),
            Some((_, versions, _)) => {
                Err(Problem::Encoding { expected: versions[versions.len() - 1], encoding, version })
            }
            None => {
                Err(Problem::Encoding { expected: "an encoding of anndata 0.13 or older", encoding, version })
            }
        });
    }
    if let Some(form) = object.string_attribute("h5sparse_format")? {
        return Ok(match form.as_str() {
            "csr" => Ok(Encoding::Csr),
            "csc" => Ok(Encoding::Csc),
            _ => Err(Problem::Encoding { encoding: form, version: String::new(), expected: "csr or csc" }),
        });
    }
    if object.is_group() {
        return Ok(Ok(Encoding::Dict));
    }
    let dataset = object.dataset()?;
    if dataset.is_null() {
        return Ok(Ok(Encoding::Null));
    }
    let scalar = dataset.dims().is_empty();
    Ok(match dataset.dtype() {
        Dtype::Number { .. } if scalar => Ok(Encoding::NumericScalar),
        Dtype::Number { .. } => Ok(Encoding::Array),
        dtype if dtype.is_string() && scalar => Ok(Encoding::String),
        dtype if dtype.is_string() => Ok(Encoding::StringArray),
        Dtype::Compound { .. } => Ok(Encoding::RecArray),
        other => Err(Problem::Unsupported { what: format!("values of type {}", other.describe()) }),
    })
}

/// What `object` is, where it must be something known.
pub(super) fn expect(object: &Object<'_>) -> Result<Encoding, Fault> {
    of(object)?.map_err(|p| object.fault(p))
}
