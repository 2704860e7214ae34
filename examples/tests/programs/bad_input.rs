//! Every kind of bad input: an error that names the place and says what to do, and no results.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, refused, run, types, write_h5ad};

fn benchmark(input: &Path, flags: &[&str]) -> Ended {
    let out = input.with_extension("results");
    let fixed = ["--input", input.to_str().unwrap(), "--out", out.to_str().unwrap(), "--no-map"];
    let ended = run("benchmark", &[&fixed[..], flags].concat());
    assert!(ended.code == 0 || !out.exists(), "a run that failed leaves no results");
    ended
}

const LABEL: [&str; 2] = ["--label", "cell_type"];

#[test]
fn a_missing_file_is_named() {
    let ended = benchmark(Path::new("no/such/cells.h5ad"), &LABEL);
    refused(&ended, 3, &["no/such/cells.h5ad", "no such file"]);
}

#[test]
fn a_file_that_is_no_hdf5_shows_its_first_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cells.h5ad");
    fs::write(&path, "barcode,type\nA,B\n".repeat(100)).unwrap();
    refused(&benchmark(&path, &LABEL), 3, &["cells.h5ad", "not an HDF5 file", "first bytes"]);
}

#[test]
fn a_truncated_file_is_refused_wherever_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(write_h5ad(dir.path(), &counts(), &types())).unwrap();
    let path = dir.path().join("cut.h5ad");
    for eighth in 1..8 {
        fs::write(&path, &whole[..whole.len() * eighth / 8]).unwrap();
        refused(&benchmark(&path, &LABEL), 3, &["cut.h5ad"]);
    }
}

#[test]
fn a_label_column_that_is_not_there_gets_the_list_of_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts(), &types());
    refused(&benchmark(&path, &["--label", "celltype"]), 3, &["celltype", "\"cell_type\"", "did you mean"]);
    refused(&benchmark(&path, &[]), 2, &["--label", "cell_type"]);
}

#[test]
fn normalised_values_are_refused_with_cell_gene_and_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts().mapv(|v| (v + 1.0).ln()), &types());
    // Cell 0 has three plus nothing in gene 0.
    refused(&benchmark(&path, &LABEL), 3, &["1.386", "\"cell0\"", "\"gene0\"", "not a raw count", "help:"]);
}

#[test]
fn nan_and_negative_values_are_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    for (bad, word) in [(f32::NAN, "NaN"), (-2.0, "-2"), (f32::INFINITY, "inf")] {
        let mut x = counts();
        x[[7, 3]] = bad;
        let path = write_h5ad(dir.path(), &x, &types());
        refused(&benchmark(&path, &LABEL), 3, &[word, "\"cell7\"", "\"gene3\""]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn one_class_only_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts(), &[Some("B"); 40]);
    refused(&benchmark(&path, &LABEL), 3, &["all 40 cells have the label \"B\"", "help:"]);
}

#[test]
fn no_label_at_all_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts(), &[None; 40]);
    refused(&benchmark(&path, &LABEL), 3, &["cell_type"]);
}

#[test]
fn a_class_smaller_than_the_folds_is_named_and_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut types = types();
    types[0] = Some("platelet");
    types[2] = Some("platelet");
    let path = write_h5ad(dir.path(), &counts(), &types);
    refused(&benchmark(&path, &LABEL), 3, &["\"platelet\" has 2 cells", "5 folds", "help:"]);
    let flags =
        ["--label", "cell_type", "--min-cells-per-class", "5", "--models", "majority,logistic_regression"];
    let ended = benchmark(&path, &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("left out 2 cells: class \"platelet\""), "{}", ended.stderr);
}

#[test]
fn empty_cells_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut x = counts();
    x.row_mut(4).fill(0.0);
    x.row_mut(9).fill(0.0);
    let path = write_h5ad(dir.path(), &x, &types());
    let ended = benchmark(&path, &["--label", "cell_type", "--models", "majority,logistic_regression"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("left out 2 cells: no counts"), "{}", ended.stderr);
}

#[test]
fn a_folder_without_annotations_is_told_how_to_pass_labels() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("matrix.mtx"),
        "%%MatrixMarket matrix coordinate integer general\n1 2 1\n1 1 3\n",
    )
    .unwrap();
    fs::write(dir.path().join("barcodes.tsv"), "a\nb\n").unwrap();
    fs::write(dir.path().join("genes.tsv"), "ENSG1\tone\n").unwrap();
    refused(&benchmark(dir.path(), &LABEL), 2, &["--labels", "cell_type"]);
}

#[test]
fn too_few_cells_for_a_model_are_told_with_the_fold() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts().slice(ndarray::s![..12, ..]).to_owned(), &types()[..12]);
    let ended = benchmark(&path, &["--label", "cell_type", "--models", "knn"]);
    refused(&ended, 2, &["failed in fold 0", "`n_neighbors` is 15"]);
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_h5ad(dir.path(), &counts(), &types());
    refused(&benchmark(&path, &["--label", "cell_type", "--folds", "1"]), 2, &["n_splits"]);
    refused(&benchmark(&path, &["--label", "cell_type", "--n-genes", "0"]), 2, &["--n-genes", "at least 1"]);
    refused(
        &benchmark(&path, &["--label", "cell_type", "--models", "xgbost"]),
        2,
        &["xgbost", "logistic_regression"],
    );
    refused(&benchmark(&path, &["--label", "cell_type", "--layer", "counts"]), 3, &["layers[\"counts\"]"]);
    refused(&benchmark(&path, &["--label", "cell_type", "--layer", "raw"]), 1, &["raw"]);
}
