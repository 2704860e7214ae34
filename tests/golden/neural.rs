//! Networks, SingleR and CellTypist against their references (`golden/neural/PROVENANCE.md`).

use ndarray::Array2;
use serde_json::Value;

mod celltypist;
mod mlp;
mod pbmc3k;
mod singler;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn integer(value: &Value) -> usize {
    value.as_u64().expect("an integer") as usize
}

fn codes(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|v| integer(v) as u32).collect()
}

fn matrix(value: &Value, n_columns: usize) -> Array2<f32> {
    let values: Vec<f32> = floats(value).into_iter().map(|v| v as f32).collect();
    Array2::from_shape_vec((values.len() / n_columns, n_columns), values).expect("whole rows")
}
