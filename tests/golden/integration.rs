//! Metrics of integration against scib-metrics and harmonypy; see `integration/PROVENANCE.md`.

use std::io::Read;

use ndarray::Array2;
use sc_eval::metrics::clustering::{BetweenClusters, SilhouetteMetric, SilhouetteParams};
use sc_eval::metrics::integration::{
    IsolatedLabelsParams, KbetParams, KbetPerLabelParams, LisiParams, Neighbors, bras, clisi,
    graph_connectivity, ilisi, isolated_labels, isolated_labels_f1, kbet, kbet_per_label, lisi, pcr,
    pcr_comparison, silhouette_batch, silhouette_label,
};
use serde_json::Value;

use crate::support;

struct Case {
    pre: Array2<f32>,
    x: Array2<f32>,
    labels: Vec<u32>,
    batches: Vec<u32>,
    k: usize,
    kbet_k: usize,
    expected: Value,
}

fn whole(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

fn codes(value: &Value) -> Vec<u32> {
    whole(value).into_iter().map(|v| v as u32).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn cases() -> Vec<Case> {
    let all = support::golden("integration/scib.json");
    let case = |json: &Value| {
        // Coordinates are whole 64ths, so that they are the same in every precision.
        let matrix = |value: &Value| {
            let values: Vec<f32> = whole(value).into_iter().map(|v| v as f32 / 64.0).collect();
            Array2::from_shape_vec((size(&json["n"]), size(&json["d"])), values).unwrap()
        };
        Case {
            pre: matrix(&json["pre"]),
            x: matrix(&json["x"]),
            labels: codes(&json["labels"]),
            batches: codes(&json["batches"]),
            k: size(&json["k"]),
            kbet_k: size(&json["kbet_k"]),
            expected: json["expected"].clone(),
        }
    };
    all.as_array().unwrap().iter().map(case).collect()
}

/// The nearest cells of each cell, itself first.
fn exact_neighbors(x: &Array2<f32>, k: usize) -> (Array2<u32>, Array2<f32>) {
    let n = x.nrows();
    let (mut indices, mut distances) = (Array2::zeros((n, k)), Array2::zeros((n, k)));
    for (i, row) in x.rows().into_iter().enumerate() {
        let distance = |other: ndarray::ArrayView1<'_, f32>| {
            let squares = row.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let mut all: Vec<(f64, usize)> = x.rows().into_iter().map(distance).zip(0..).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1 != i).cmp(&(b.1 != i))).then(a.1.cmp(&b.1)));
        for (rank, &(distance, other)) in all[..k].iter().enumerate() {
            indices[[i, rank]] = other as u32;
            distances[[i, rank]] = distance as f32;
        }
    }
    (indices, distances)
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let close = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    assert!(close || (found.is_nan() && expected.is_nan()), "{what}: {found}, the reference {expected}");
}

#[test]
fn metrics_of_the_embedding_equal_scib_metrics() {
    let cases = cases();
    assert_eq!(cases.len(), 3);
    for Case { pre, x, labels, batches, expected, .. } in &cases {
        let x = x.view();
        let one = |what: &str, found: f64| close(what, found, expected[what].as_f64().unwrap(), 1e-8);
        one("silhouette_label", silhouette_label(x, labels).unwrap());
        one("silhouette_batch", silhouette_batch(x, labels, batches, &SilhouetteParams::default()).unwrap());
        let furthest =
            SilhouetteParams { metric: SilhouetteMetric::Cosine, between: BetweenClusters::Furthest };
        one("silhouette_batch_furthest", silhouette_batch(x, labels, batches, &furthest).unwrap());
        one("bras", bras(x, labels, batches).unwrap());
        let params = IsolatedLabelsParams::default();
        one("isolated_labels", isolated_labels(x, labels, batches, &params).unwrap());
        let two = IsolatedLabelsParams { max_batches: Some(2) };
        match expected["isolated_labels_2"].as_f64() {
            Some(value) => {
                close("isolated_labels_2", isolated_labels(x, labels, batches, &two).unwrap(), value, 1e-8)
            }
            // The mean of no label: NaN there, an error here.
            None => assert!(isolated_labels(x, labels, batches, &two).is_err()),
        }
        let clusters: Vec<u32> = x.column(0).iter().map(|v| (v.floor() + 1000.0) as u32).collect();
        one("isolated_labels_f1", isolated_labels_f1(labels, batches, &[&clusters], &params).unwrap());
        one("pcr", pcr(pre.view(), batches).unwrap());
        one("pcr_comparison", pcr_comparison(pre.view(), x, batches).unwrap());
    }
}

#[test]
fn metrics_of_the_neighbours_equal_scib_metrics() {
    for Case { x, labels, batches, k, expected, .. } in &cases() {
        let (indices, distances) = exact_neighbors(x, *k);
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        let one = |what: &str, found: f64| close(what, found, expected[what].as_f64().unwrap(), 1e-8);
        let cells = |what: &str, found: &[f64]| {
            let expected = numbers(&expected[what]);
            assert_eq!(found.len(), expected.len());
            for (i, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                close(&format!("{what} of cell {i}"), found, expected, 1e-7);
            }
        };
        let default = LisiParams::default();
        cells("lisi", &lisi(neighbors, batches, &default).unwrap());
        one("ilisi", ilisi(neighbors, batches, &default).unwrap());
        one("clisi", clisi(neighbors, labels, &default).unwrap());
        let narrow = LisiParams { perplexity: Some(12.0) };
        one("clisi_12", clisi(neighbors, labels, &narrow).unwrap());
        let test = kbet(neighbors.first(50).unwrap(), batches, &KbetParams::default()).unwrap();
        one("kbet", test.acceptance_rate);
        cells("kbet_statistics", &test.statistics);
        cells("kbet_p", &test.p_values);
        one("graph_connectivity", graph_connectivity(neighbors.first(5).unwrap(), labels).unwrap());
        one("graph_connectivity_15", graph_connectivity(neighbors.first(15).unwrap(), labels).unwrap());
    }
}

#[test]
fn the_test_within_labels_equals_scib_metrics_with_exact_neighbours() {
    for Case { x, labels, batches, k, kbet_k, expected, .. } in &cases() {
        let (indices, distances) = exact_neighbors(x, *k);
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap().first(*kbet_k).unwrap();
        let found = kbet_per_label(neighbors, labels, batches, &KbetPerLabelParams::default()).unwrap();
        let by_label = numbers(&expected["kbet_labels"]);
        assert_eq!(found.labels.len(), by_label.len());
        for (&(label, found), &expected) in found.labels.iter().zip(&by_label) {
            let cells = labels.iter().filter(|&&l| l == label).count() as f64;
            // umap-learn's weights are f32: of a label's cells, one or two may fall on the other side of the test.
            close(&format!("label {label}"), found.unwrap_or(f64::NAN), expected, 2.1 / cells);
        }
        close("mean", found.score, expected["kbet_per_label"].as_f64().unwrap(), 0.01);
    }
}

/// The numbers of a gzipped table, without its head and its row names.
fn table(file: &std::path::Path, skip: usize) -> Vec<Vec<String>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let fields = |line: &str| line.split('\t').skip(skip).map(str::to_owned).collect();
    text.lines().skip(1).map(fields).collect()
}

#[test]
fn lisi_equals_harmonypy() {
    let Some(file) = support::data("reference/harmonypy_lisi_x.tsv.gz") else { return };
    let x: Vec<Vec<String>> = table(&file, 0);
    let x = Array2::from_shape_fn((x.len(), 2), |(i, j)| x[i][j].parse::<f64>().unwrap());
    let metadata = table(&file.with_file_name("harmonypy_lisi_metadata.tsv.gz"), 0);
    let expected = table(&file.with_file_name("harmonypy_lisi_lisi.tsv.gz"), 1);
    let n = x.nrows();
    let mut indices = Array2::zeros((n, 90));
    let mut distances = Array2::zeros((n, 90));
    for i in 0..n {
        let distance = |j: usize| (&x.row(i) - &x.row(j)).mapv(|d| d * d).sum().sqrt();
        let mut all: Vec<(f64, usize)> = (0..n).map(|j| (distance(j), j)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (rank, &(distance, j)) in all[..90].iter().enumerate() {
            indices[[i, rank]] = j as u32;
            distances[[i, rank]] = distance as f32;
        }
    }
    let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
    for column in 0..2 {
        let labels: Vec<u32> = metadata.iter().map(|row| u32::from(row[column].as_bytes()[0])).collect();
        let found = lisi(neighbors, &labels, &LisiParams { perplexity: Some(30.0) }).unwrap();
        for (i, (found, row)) in found.iter().zip(&expected).enumerate() {
            // Distances are f32 here and f64 there; the search for the width stops at 1e-5.
            close(&format!("cell {i} column {column}"), *found, row[column].parse().unwrap(), 1e-5);
        }
    }
}
