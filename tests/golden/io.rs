//! Every file of the real-data folder, against what anndata 0.12 and scanpy 1.11 read from it.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;
use sc_io::{Column, Csr, DataFrame, Matrix};
use serde_json::Value as Json;

use crate::support::{data, golden};

/// A hash of texts: FNV-1a over their bytes, each text followed by one separator.
fn text<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for item in items {
        for &byte in item.as_ref().as_bytes().iter().chain(&[0x1f]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

/// A checksum of the values that are not zero, with their places, whatever form the matrix has.
fn csr(m: &Csr) -> Json {
    let (mut sum, mut nonzero) = (0u64, 0usize);
    for i in 0..m.n_rows() {
        let (columns, values) = m.row(i);
        for (&j, &v) in columns.iter().zip(values) {
            if v != 0.0 {
                let place = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    ^ (u64::from(j) + 1).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
                let value = u64::from(v.to_bits()).wrapping_add(0x1656_67b1_9e37_79f9);
                sum = sum.wrapping_add((place ^ (place >> 29)).wrapping_mul(value));
                nonzero += 1;
            }
        }
    }
    serde_json::json!({
        "rows": m.n_rows(), "columns": m.n_cols(), "nonzero": nonzero, "checksum": format!("{sum:016x}"),
    })
}

fn matrix(m: &Matrix) -> Json {
    csr(&m.to_csr())
}

fn array(m: &Array2<f32>) -> Json {
    csr(&Csr::from_dense(m.view()))
}

fn column(c: &Column) -> Json {
    match c {
        Column::Categorical(c) => serde_json::json!({
            "kind": "categories",
            "categories": text(c.categories()),
            "codes": text(c.codes().iter().map(i32::to_string)),
            "ordered": c.ordered(),
        }),
        Column::Strings(v) => serde_json::json!({"kind": "strings", "values": text(v)}),
        numbers => {
            let numbers = numbers.numbers().unwrap();
            let present: Vec<f64> = numbers.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
            let missing = present.iter().filter(|x| x.is_nan()).count();
            let sum: f64 = present.iter().filter(|x| !x.is_nan()).sum();
            serde_json::json!({"kind": "numbers", "missing": missing, "sum": sum})
        }
    }
}

fn frame(f: &DataFrame) -> Json {
    let columns: Vec<Json> = f.columns().map(|(name, c)| serde_json::json!([name, column(c)])).collect();
    serde_json::json!({"names": text(f.index()), "columns": columns})
}

fn map<T>(slots: &BTreeMap<String, T>, one: impl Fn(&T) -> Json) -> Json {
    Json::Object(slots.iter().map(|(name, slot)| (name.clone(), one(slot))).collect())
}

/// Equal, but for sums of real numbers, whose order of addition differs: those to 1e-9.
fn assert_same(found: &Json, expected: &Json, path: &str) {
    match (found, expected) {
        (Json::Object(a), Json::Object(b)) => {
            assert_eq!(a.keys().collect::<BTreeSet<_>>(), b.keys().collect::<BTreeSet<_>>(), "{path}");
            for (key, value) in a {
                assert_same(value, &b[key], &format!("{path}/{key}"));
            }
        }
        (Json::Array(a), Json::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}: {found} {expected}");
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                let name = x.get(0).and_then(Json::as_str).map_or(i.to_string(), str::to_owned);
                assert_same(x, y, &format!("{path}/{name}"));
            }
        }
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{path}: {a} {b}");
        }
        _ => assert_eq!(found, expected, "{path}"),
    }
}

#[test]
fn every_real_file_holds_what_anndata_and_scanpy_read_from_it() {
    let expected = golden("io/files.json");
    for (file, expected) in expected.as_object().unwrap() {
        let Some(path) = data(file) else { return };
        let adata = sc_io::open(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        let found = serde_json::json!({
            "x": adata.x().map(matrix),
            "obs": frame(adata.obs()),
            "var": frame(adata.var()),
            "layers": map(adata.layers(), matrix),
            "obsm": map(adata.obsm(), array),
            "varm": map(adata.varm(), array),
            "obsp": map(adata.obsp(), csr),
            "varp": map(adata.varp(), csr),
            "uns": adata.uns().keys().collect::<Vec<_>>(),
            "raw": adata.raw().map(|raw| serde_json::json!({"x": matrix(raw.x()), "var": frame(raw.var())})),
        });
        assert_same(&found, expected, file);
    }
}

#[test]
fn the_folder_and_the_file_of_pbmc3k_hold_the_same_counts() {
    let (Some(file), Some(folder)) =
        (data("pbmc3k/pbmc3k.h5ad"), data("pbmc3k/filtered_gene_bc_matrices/hg19"))
    else {
        return;
    };
    let (file, folder) = (sc_io::open(file).unwrap(), sc_io::open(folder).unwrap());
    assert_eq!(file.x(), folder.x());
    assert_eq!(file.obs().index(), folder.obs().index());
    assert_eq!(file.var(), folder.var());
}
