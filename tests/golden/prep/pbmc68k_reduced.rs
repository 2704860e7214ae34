//! The 700 cells that `sc-io` embeds: needs no data folder.

use sc_io::Csr;
use sc_prep::highly_variable_genes::{cell_ranger, seurat};
use sc_prep::qc::{FilterParams, calculate_qc_metrics, filter_cells, filter_genes};
use sc_prep::{
    Counts, HvgParams, NormalizeTotalParams, Pca, PcaParams, ScaleParams, Scaler, Subset, normalize_total,
};
use serde_json::Value;

use super::{assert_close, assert_same_scores, floats, indices, log_normalized, row_sums};
use crate::support;

fn expected() -> Value {
    support::golden("prep/pbmc68k_reduced.json")
}

fn counts() -> Csr {
    sc_io::datasets::pbmc68k_reduced().x().expect("counts").to_csr()
}

#[test]
fn qc_metrics_and_filters_are_those_of_scanpy() {
    let (x, g) = (counts(), expected());
    let counts = Counts::new(&x).unwrap();
    let mut mask = vec![false; x.n_cols()];
    indices(&g["mask"]).into_iter().for_each(|gene| mask[gene] = true);
    let qc = calculate_qc_metrics(counts, Some(&mask)).unwrap();
    assert_eq!(qc.n_genes_by_counts, indices(&g["qc"]["n_genes_by_counts"]));
    assert_eq!(qc.n_cells_by_counts, indices(&g["qc"]["n_cells_by_counts"]));
    assert_eq!(qc.total_counts, floats(&g["qc"]["total_counts"]));
    assert_close(qc.pct_counts.unwrap(), &floats(&g["qc"]["pct_counts"]), 1e-6);
    let cells = filter_cells(counts, &FilterParams::min_detected(250));
    assert_eq!(cells, indices(&g["filter_cells_min_genes_250"]));
    let genes = filter_genes(counts, &FilterParams::min_detected(300));
    assert_eq!(genes, indices(&g["filter_genes_min_cells_300"]));
}

#[test]
fn normalised_values_are_those_of_scanpy() {
    let (x, g) = (counts(), expected());
    let counts = Counts::new(&x).unwrap();
    let median = normalize_total(counts, &NormalizeTotalParams::default()).unwrap();
    assert_close(row_sums(median.csr()).into_iter().take(5), &floats(&g["median_sums"]), 1e-6);
    let logs = log_normalized(&x);
    assert_close(row_sums(logs.csr()), &floats(&g["log_sums"]), 1e-6);
    let first = logs.csr().select_rows(&[0]).to_dense();
    assert_close(first.iter().map(|&v| v.into()), &floats(&g["log_row_0"]), 1e-6);
}

#[test]
fn dominant_genes_are_left_out_as_in_scanpy() {
    let (x, g) = (counts(), expected());
    let params = NormalizeTotalParams { exclude_highly_expressed: true, ..NormalizeTotalParams::to(1e4) };
    let out = normalize_total(Counts::new(&x).unwrap(), &params).unwrap();
    assert!(!out.highly_expressed().is_empty());
    let factors = out.totals().iter().map(|total| total / out.target_sum()).take(100);
    assert_close(factors, &floats(&g["excluding"]["norm_factor"]), 1e-6);
    let first = out.csr().select_rows(&[0]).to_dense();
    assert_close(first.iter().take(40).map(|&v| v.into()), &floats(&g["excluding"]["first_row"]), 1e-6);
}

#[test]
fn both_flavours_choose_the_genes_of_scanpy_for_the_same_reasons() {
    let logs = log_normalized(&counts());
    let g = expected();
    for (name, flavour) in [("seurat", seurat as fn(&_, Subset<'_>, &_) -> _), ("cell_ranger", cell_ranger)] {
        let by_cutoff = flavour(&logs, Subset::all(), &HvgParams::default()).unwrap();
        assert_eq!(by_cutoff.genes(), indices(&g[name]["cutoffs"]), "{name}");
        assert_close(by_cutoff.means, &floats(&g[name]["means"]), 2e-6);
        assert_close(by_cutoff.dispersions, &floats(&g[name]["dispersions"]), 2e-5);
        assert_close(by_cutoff.dispersions_norm, &floats(&g[name]["dispersions_norm"]), 2e-5);
        let top = flavour(&logs, Subset::all(), &HvgParams::top(200)).unwrap();
        assert_eq!(top.genes(), indices(&g[name]["top_200"]), "{name}");
    }
}

#[test]
fn scaled_values_and_components_are_those_of_scanpy() {
    let (x, g) = (counts(), expected());
    let logs = log_normalized(&x);
    let genes = seurat(&logs, Subset::all(), &HvgParams::top(200)).unwrap().genes();
    let small = logs.csr().select_columns(&genes);
    let scaled =
        Scaler::fit(&small, None, &ScaleParams::clip(10.0)).unwrap().transform(&small, None).unwrap();
    let first = scaled.select_rows(&[0]).to_dense();
    assert_close(first.iter().map(|&v| v.into()), &floats(&g["scaled_row_0"]), 1e-5);
    let pca = Pca::fit(&scaled, &PcaParams::components(30)).unwrap();
    assert_close(pca.explained_variance.iter().copied(), &floats(&g["pca"]["variance"]), 1e-4);
    assert_close(pca.explained_variance_ratio.iter().copied(), &floats(&g["pca"]["ratio"]), 1e-6);
    assert_same_scores(&pca.transform(&scaled).unwrap(), &g["pca"]["scores"], 7);
}
