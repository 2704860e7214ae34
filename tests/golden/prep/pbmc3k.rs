//! PBMC 3k, from counts to components, and the folds of the benchmark.

use sc_io::{AnnData, Csr};
use sc_prep::highly_variable_genes::{Ties, seurat};
use sc_prep::{
    Counts, FeatureSpace, FeatureSpaceParams, HvgParams, LogNormalized, Pca, PcaParams, ScaleParams, Scaler,
    Subset,
};
use serde_json::Value;

use super::{assert_close, assert_same_scores, floats, from_differences, log_normalized, row_sums};
use crate::support;

fn expected() -> Value {
    support::golden("prep/pbmc3k.json")
}

fn read() -> Option<AnnData> {
    Some(sc_io::open(support::data("pbmc3k/pbmc3k.h5ad")?).expect("a readable file"))
}

fn counts(adata: &AnnData) -> Csr {
    adata.x().expect("counts").to_csr()
}

#[test]
fn logs_genes_and_components_are_those_of_scanpy() {
    let Some(adata) = read() else { return };
    let g = expected();
    let logs = log_normalized(&counts(&adata));
    assert_close(row_sums(logs.csr()), &floats(&g["log_sums"]), 1e-6);
    let sampled = logs.csr().values().iter().step_by(9973).map(|&v| f64::from(v));
    assert_close(sampled, &floats(&g["log_every_9973rd"]), 1e-6);

    for ties in [Ties::ByIndex, Ties::KeepAll] {
        let hvg = seurat(&logs, Subset::all(), &HvgParams { ties, ..HvgParams::top(2000) }).unwrap();
        assert_eq!(hvg.genes(), from_differences(&g["hvg"]));
    }
    let small = logs.csr().select_columns(&from_differences(&g["hvg"]));
    let scaled =
        Scaler::fit(&small, None, &ScaleParams::clip(10.0)).unwrap().transform(&small, None).unwrap();
    let pca = Pca::fit(&scaled, &PcaParams::default()).unwrap();
    let relative = |(ours, theirs): (&f64, &f64)| (ours / theirs - 1.0).abs();
    let variances = floats(&g["pca"]["variance"]);
    assert!(pca.explained_variance.iter().zip(&variances).map(relative).all(|r| r < 1e-4));
    let ratios = floats(&g["pca"]["ratio"]);
    assert!(pca.explained_variance_ratio.iter().zip(&ratios).map(relative).all(|r| r < 1e-4));
    let every = g["pca"]["every"].as_u64().unwrap() as usize;
    assert_same_scores(&pca.transform(&scaled).unwrap(), &g["pca"]["scores"], every);
}

#[test]
fn the_folds_of_the_benchmark_have_the_genes_and_features_of_the_reference() {
    let Some(adata) = read() else { return };
    let g = expected();
    let labels = adata.obs().labels("louvain").expect("a column of labels");
    let labelled: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).collect();
    assert_eq!(labelled.len() as u64, g["n_labelled"].as_u64().unwrap());
    let x = counts(&adata).select_rows(&labelled);
    let logs: LogNormalized = log_normalized(&x);
    for fold in g["folds"].as_array().unwrap() {
        let test = from_differences(&fold["test"]);
        let train: Vec<usize> = (0..labelled.len()).filter(|i| test.binary_search(i).is_err()).collect();
        let space = FeatureSpace::fit(&logs, &train, &FeatureSpaceParams::default()).unwrap();
        assert_eq!(space.genes(), from_differences(&fold["genes"]));
        let features = space.transform(&logs, &test).unwrap().to_dense();
        let first = features.row(0);
        assert_close(first.iter().take(200).map(|&v| v.into()), &floats(&fold["first_row"]), 1e-5);
        let sums = features.rows().into_iter().take(50).map(|row| row.iter().map(|&v| f64::from(v)).sum());
        // Sums of 2,000 values, each right to 1e-5 and far smaller than 2,000.
        assert_close(sums, &floats(&fold["row_sums"]), 1e-4);
    }
}

#[test]
fn no_step_depends_on_the_number_of_threads() {
    let Some(adata) = read() else { return };
    let x = counts(&adata);
    let train: Vec<usize> = (0..x.n_rows()).step_by(2).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let qc = sc_prep::qc::calculate_qc_metrics(Counts::new(&x).unwrap(), None).unwrap();
            let logs = log_normalized(&x);
            let hvg = seurat(&logs, Subset::rows(&train), &HvgParams::top(500)).unwrap();
            let space = FeatureSpace::fit(&logs, &train, &FeatureSpaceParams::default()).unwrap();
            let features = space.transform(&logs, &train).unwrap();
            let pca = Pca::fit(&features, &PcaParams::components(20)).unwrap();
            // The means of genes that were not looked at are NaN, so compare what was chosen.
            (qc, logs, hvg.order, space, features, pca)
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}
