//! The tokenisers against the outputs of the reference implementations. A part of the fixtures lies here, all of them in
//! the fixture folder; every size comes from the files.

mod geneformer;
mod pbmc3k;
mod scfoundation;
mod scgpt;

use std::path::{Path, PathBuf};

use sc_io::Csr;
use serde_json::Value;

use crate::support::{fixtures, kept};

/// The check on the kept part and, if it is there, on the whole folder of that name.
fn on_both(folder: &str, check: impl Fn(&Path)) {
    check(&kept().join(folder));
    if let Some(all) = fixtures() {
        check(&all.join(folder));
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} file in {}", folder.display());
    files
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn field<T: serde::de::DeserializeOwned>(value: &Value, name: &str) -> T {
    serde_json::from_value(value[name].clone()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn csr(rows: &[Vec<f32>]) -> Csr {
    let n_columns = rows.first().map_or(0, Vec::len);
    Csr::from_dense(ndarray::Array2::from_shape_fn((rows.len(), n_columns), |(i, j)| rows[i][j]).view())
}
