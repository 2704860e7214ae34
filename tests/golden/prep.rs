//! `sc-prep` against scanpy: see `prep/PROVENANCE.md`.

mod pbmc3k;
mod pbmc68k_reduced;
mod tables;

use sc_io::Csr;
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, log1p, normalize_total};
use serde_json::Value;

/// The numbers of a list; `null` is NaN.
fn floats(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn indices(list: &Value) -> Vec<usize> {
    list.as_array().expect("a list").iter().map(|v| v.as_u64().expect("an index") as usize).collect()
}

/// Ascending indices, stored as differences.
fn from_differences(list: &Value) -> Vec<usize> {
    let mut at = 0;
    indices(list)
        .into_iter()
        .map(|step| {
            at += step;
            at
        })
        .collect()
}

/// Both lists agree, entry by entry: NaN with NaN, numbers to `tolerance` relative to the larger of 1 and the number.
#[track_caller]
fn assert_close(ours: impl IntoIterator<Item = f64>, theirs: &[f64], tolerance: f64) {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let same = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(same, "entry {i}: {a} here, {b} in scanpy");
    }
}

/// Correlation of two columns.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

/// Every component correlates with scanpy's, with its sign, over the cells that scanpy's list holds.
#[track_caller]
fn assert_same_scores(ours: &ndarray::Array2<f32>, theirs: &Value, every: usize) {
    let theirs: Vec<Vec<f64>> = theirs.as_array().expect("a list").iter().map(floats).collect();
    for component in 0..ours.ncols() {
        let a: Vec<f64> = ours.column(component).iter().step_by(every).map(|&v| v.into()).collect();
        let b: Vec<f64> = theirs.iter().map(|row| row[component]).collect();
        assert_eq!(a.len(), b.len());
        let r = correlation(&a, &b);
        assert!(r > 0.9999, "component {component} correlates {r}");
    }
}

fn log_normalized(counts: &Csr) -> LogNormalized {
    let counts = Counts::new(counts).expect("raw counts");
    log1p(normalize_total(counts, &NormalizeTotalParams::to(1e4)).expect("a positive target"))
}

/// Sum of the stored values of each row.
fn row_sums(x: &Csr) -> Vec<f64> {
    (0..x.n_rows()).map(|i| x.row(i).1.iter().map(|&v| f64::from(v)).sum()).collect()
}
