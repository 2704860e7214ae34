//! Metrics, splits and cross-validation against scikit-learn; see `eval/PROVENANCE.md`.

mod classification;
mod clustering;
mod pbmc3k;
mod probability;
pub(super) mod splits;

use serde_json::Value;

/// The tolerance for everything that follows from counts: rounding of a few operations.
pub(super) const EXACT: f64 = 1e-12;

/// The entries of a JSON array.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

pub(super) fn codes(value: &Value) -> Vec<u32> {
    items(value).iter().map(|v| v.as_u64().expect("an index") as u32).collect()
}

pub(super) fn cells(value: &Value) -> Vec<usize> {
    items(value).iter().map(|v| v.as_u64().expect("an index") as usize).collect()
}

/// A number; `null` stands for NaN, a string for an infinity.
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(text) => text.parse().expect("an infinity"),
        _ => value.as_f64().expect("a number"),
    }
}

pub(super) fn numbers(value: &Value) -> Vec<f64> {
    items(value).iter().map(number).collect()
}

/// Digits as class or fold indices.
pub(super) fn digits(value: &Value) -> Vec<u32> {
    let digit = |c: char| c.to_digit(36).expect("a digit");
    value.as_str().expect("a string").chars().map(digit).collect()
}

pub(super) fn size(value: &Value) -> usize {
    value.as_u64().expect("a size") as usize
}

#[track_caller]
pub(super) fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let close = found == expected || (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    assert!(close || (found.is_nan() && expected.is_nan()), "{what}: {found}, the reference {expected}");
}

#[track_caller]
pub(super) fn assert_all_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert_close(&format!("{what}[{i}]"), found, expected, tolerance);
    }
}
