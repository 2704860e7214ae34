//! Neighbours, UMAP and Leiden against scanpy, umap-learn, leidenalg and igraph (`golden/graph/PROVENANCE.md`).

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use sc_io::Csr;
use sc_prep::leiden::{LeidenParams, leiden, modularity};
use sc_prep::neighbors::{Neighbors, NeighborsParams, knn, neighbors};
use sc_prep::umap::{UmapParams, umap};
use serde_json::Value;

use crate::support;

const N_OBS: usize = 2700;

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/graph").join(file)).expect("committed")
}

/// scanpy's principal components.
fn pca() -> Array2<f32> {
    let values = bytes("pbmc3k_pca.f32").as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    Array2::from_shape_vec((N_OBS, 50), values).expect("50 values for each cell")
}

fn graph() -> Neighbors {
    neighbors(pca().view(), &NeighborsParams::default()).expect("real coordinates")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn the_neighbours_of_every_cell_are_scanpys_in_the_same_order() {
    let reference: Vec<u32> =
        bytes("pbmc3k_neighbors.u16").as_chunks().0.iter().map(|&b| u16::from_le_bytes(b).into()).collect();
    let x = pca();
    let found = graph().indices;
    assert_eq!(found.iter().copied().collect::<Vec<_>>(), reference);
    let with_self = knn(x.view(), x.view(), 15).unwrap();
    assert!(with_self.indices.column(0).iter().copied().eq(0..N_OBS as u32));
    assert_eq!(with_self.indices.slice(ndarray::s![.., 1..]), found);
}

#[test]
fn distances_are_those_computed_in_f64() {
    let golden = support::golden("graph/pbmc3k.json");
    let (found, rows) = (graph(), golden["rows"].as_array().unwrap());
    for (row, exact) in rows.iter().zip(golden["distances"].as_array().unwrap()) {
        let cell = row["cell"].as_u64().unwrap() as usize;
        for (&found, exact) in found.distances.row(cell).iter().zip(numbers(exact)) {
            assert_eq!(found, exact as f32, "cell {cell}");
        }
    }
}

#[test]
fn connectivities_are_those_of_umap_and_scanpy() {
    let golden = support::golden("graph/pbmc3k.json");
    let w = graph().connectivities;
    assert_eq!(w.nnz() as u64, golden["nnz"].as_u64().unwrap());
    let sum: f64 = w.values().iter().map(|&v| f64::from(v)).sum();
    assert!((sum / golden["connectivities_sum"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    for row in golden["rows"].as_array().unwrap() {
        let cell = row["cell"].as_u64().unwrap() as usize;
        let expected: Vec<(u32, f64, f64)> = numbers(&row["columns"])
            .into_iter()
            .zip(numbers(&row["scanpy"]).into_iter().zip(numbers(&row["exact"])))
            .map(|(column, (scanpy, exact))| (column as u32, scanpy, exact))
            .collect();
        let (columns, values) = w.row(cell);
        assert!(columns.iter().eq(expected.iter().map(|e| &e.0)), "cell {cell}");
        for (&found, (j, scanpy, exact)) in values.iter().zip(expected) {
            let found = f64::from(found);
            assert!((found - exact).abs() < 5e-7, "cell {cell}, {j}: {found}, umap has {exact}");
            assert!((found - scanpy).abs() < 1e-5, "cell {cell}, {j}: {found}, scanpy has {scanpy}");
        }
    }
}

/// Of the `k` nearest cells in the layout, how far those that are not among the `k` nearest in the data are: 1 if there
/// are none (Venna and Kaski 2001; scikit-learn's `trustworthiness`).
fn trustworthiness(data: ArrayView2<'_, f32>, layout: ArrayView2<'_, f32>, k: usize) -> f64 {
    let n = data.nrows();
    let nearest = knn(layout, layout, k + 1).expect("a finite layout").indices;
    let mut penalty = 0;
    for i in 0..n {
        let from_i: Vec<f64> = data
            .rows()
            .into_iter()
            .map(|row| row.iter().zip(data.row(i)).map(|(a, b)| f64::from(a - b).powi(2)).sum())
            .collect();
        for &j in nearest.row(i).iter().filter(|&&j| j as usize != i).take(k) {
            // Rank among the others; cell i itself is nearer, so the count is the rank.
            let rank = from_i.iter().filter(|&&d| d < from_i[j as usize]).count();
            penalty += rank.saturating_sub(k);
        }
    }
    1.0 - 2.0 * penalty as f64 / (n * k * (2 * n - 3 * k - 1)) as f64
}

/// What a layout is made to minimise, over all ordered pairs.
fn cross_entropy(w: &Csr, layout: ArrayView2<'_, f32>, a: f64, b: f64) -> f64 {
    let mut sum = 0.0;
    for i in 0..w.n_rows() {
        let (columns, values) = w.row(i);
        let mut weights = vec![0f64; w.n_cols()];
        for (&j, &v) in columns.iter().zip(values) {
            weights[j as usize] = v.into();
        }
        for (j, p) in weights.into_iter().enumerate().filter(|e| e.0 != i) {
            let pairs = layout.row(i).into_iter().zip(layout.row(j));
            let r: f64 = pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
            let q = (1.0 / (1.0 + a * r.powf(b))).clamp(1e-6, 1.0 - 1e-6);
            sum -= p * q.ln() + (1.0 - p) * (1.0 - q).ln();
        }
    }
    sum
}

#[test]
fn the_layout_is_as_good_as_scanpys() {
    let golden = support::golden("graph/pbmc3k.json");
    let reference = mean(&numbers(&golden["trustworthiness"]));
    let reference_entropy = mean(&numbers(&golden["cross_entropy"]));
    let (x, graph) = (pca(), graph());
    for seed in 0..2 {
        let layout = umap(&graph.connectivities, &UmapParams { seed, ..Default::default() }).unwrap();
        assert!((layout.a - 0.583_030_0).abs() < 1e-6 && (layout.b - 1.334_167_0).abs() < 1e-6);
        let found = trustworthiness(x.view(), layout.embedding.view(), 15);
        assert!(found > reference - 0.005, "seed {seed}: {found}, scanpy {reference}");
        assert!(found < reference + 0.02, "seed {seed}: {found} is too good to be measured right");
        let entropy = cross_entropy(&graph.connectivities, layout.embedding.view(), layout.a, layout.b);
        let ratio = entropy / reference_entropy;
        assert!((0.9..1.04).contains(&ratio), "seed {seed}: {entropy}, scanpy {reference_entropy}");
    }
    // A layout that has nothing to do with the data is worth about one half: the measure tells them apart.
    let chance = Array2::from_shape_fn((N_OBS, 2), |(i, d)| ((i * 7919 + d * 104_729) % 2699) as f32);
    let found = trustworthiness(x.view(), chance.view(), 15);
    assert!((0.4..0.6).contains(&found), "{found}");
}

#[test]
fn modularity_is_that_of_the_definition() {
    let golden = support::golden("graph/pbmc3k.json");
    let w = graph().connectivities;
    let fixed: Vec<u32> = (0..N_OBS as u32).map(|i| i * 7 / 3 % 11).collect();
    for (resolution, expected) in golden["modularity_of_fixed_membership"].as_object().unwrap() {
        let found = modularity(&w, &fixed, resolution.parse().unwrap()).unwrap();
        assert!((found - expected.as_f64().unwrap()).abs() < 1e-7, "{resolution}: {found}");
    }
}

#[test]
fn clusters_are_as_modular_as_those_of_leidenalg_and_igraph() {
    let golden = support::golden("graph/pbmc3k.json");
    let w = graph().connectivities;
    for case in golden["leiden"].as_array().unwrap() {
        let resolution = case["resolution"].as_f64().unwrap();
        let run = |n_iterations| -> Vec<f64> {
            let params = |seed| LeidenParams { resolution, n_iterations, seed, ..Default::default() };
            (0..10).map(|seed| leiden(&w, &params(seed)).unwrap().modularity).collect()
        };
        let (stable, twice) = (run(None), run(Some(2)));
        let (leidenalg, igraph) = (numbers(&case["leidenalg"]), numbers(&case["igraph"]));
        assert!(mean(&stable) > mean(&leidenalg) - 0.001, "{resolution}: {stable:?}, {leidenalg:?}");
        assert!(mean(&twice) > mean(&igraph) - 0.001, "{resolution}: {twice:?}, {igraph:?}");
        let best = stable.iter().copied().fold(0.0, f64::max);
        let their_best = leidenalg.iter().chain(&igraph).copied().fold(0.0, f64::max);
        assert!(best > their_best - 0.001, "{resolution}: {best}, {their_best}");
    }
    let scanpy = &golden["scanpy_leiden"];
    let default = leiden(&w, &LeidenParams::default()).unwrap();
    for flavour in ["la", "ig"] {
        let theirs = scanpy[flavour].as_f64().unwrap();
        assert!(default.modularity > theirs - 0.001, "{flavour}: {}, {theirs}", default.modularity);
    }
}

#[test]
fn small_graphs_are_clustered_as_well_as_by_leidenalg() {
    let Some(path) = support::data("reference/leidenalg_reference.json") else { return };
    let reference: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut n_cases, mut difference) = (0, 0.0);
    for case in reference["cases"].as_array().unwrap().iter().filter(|c| c["objective"] == "rb") {
        let graph = &reference["graphs"][case["graph"].as_str().unwrap()];
        let n = graph["n_nodes"].as_u64().unwrap() as usize;
        let mut dense = Array2::<f32>::zeros((n, n));
        for edge in graph["edges"].as_array().unwrap() {
            let (i, j) = (edge[0].as_u64().unwrap() as usize, edge[1].as_u64().unwrap() as usize);
            dense[[i, j]] = edge[2].as_f64().unwrap() as f32;
            dense[[j, i]] = dense[[i, j]];
        }
        let graph = Csr::from_dense(dense.view());
        let resolution = case["resolution"].as_f64().unwrap();
        let membership: Vec<u32> =
            numbers(&case["reference_membership"]).into_iter().map(|c| c as u32).collect();
        let theirs = modularity(&graph, &membership, resolution).unwrap();
        // Their quality is not divided by the total weight; this also checks the formula.
        let total: f64 = graph.values().iter().map(|&v| f64::from(v)).sum();
        let quality = case["reference_quality"].as_f64().unwrap();
        assert!((theirs * total - quality).abs() < 1e-4 * total, "{}: {theirs}", case["name"]);
        let run = |seed| leiden(&graph, &LeidenParams { resolution, seed, ..Default::default() }).unwrap();
        let ours: Vec<f64> = (0..10).map(|seed| run(seed).modularity).collect();
        let best = ours.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(best > theirs - 0.001, "{}: {best} against {theirs}", case["name"]);
        difference += mean(&ours) - theirs;
        n_cases += 1;
    }
    assert!(n_cases >= 60, "{n_cases}");
    // One seed is as good as another, theirs or ours.
    assert!(difference / f64::from(n_cases) > -0.001, "{difference} in {n_cases} cases");
}
