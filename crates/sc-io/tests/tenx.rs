//! 10x folders: what is read, and what is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use ndarray::array;
use sc_io::tenx::{TenxOptions, VarNames, read_mtx, read_mtx_with};
use sc_io::{Column, Error, Problem};
use tempfile::TempDir;

const MATRIX: &str =
    "%%MatrixMarket matrix coordinate integer general\n%comment\n3 2 4\n1 1 5\n3 1 7\n2 2 1\n1 2 9\n";
const GENES: &str = "ENSG1\tA\nENSG2\tB\nENSG3\tA\n";
const FEATURES: &str = "ENSG1\tA\tGene Expression\nP1\tB\tAntibody Capture\nENSG3\tA\tGene Expression\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn with_matrix(matrix: &str) -> TempDir {
    folder(&[("matrix.mtx", matrix), ("barcodes.tsv", "AC-1\r\nGT-1\r\n"), ("genes.tsv", GENES)])
}

fn problem(matrix: &str) -> (usize, Problem) {
    match read_mtx(with_matrix(matrix).path()).map(|_| ()) {
        Err(Error::Line { line, source, .. }) => (line, source),
        Err(Error::Element { source, .. }) => (0, source),
        other => panic!("expected an error in the matrix, found {other:?}"),
    }
}

#[test]
fn the_matrix_is_turned_round_and_names_are_made_unique() {
    let adata = read_mtx(with_matrix(MATRIX).path()).unwrap();
    assert_eq!(adata.x().unwrap().to_csr().to_dense(), array![[5.0, 0.0, 7.0], [9.0, 1.0, 0.0]]);
    assert_eq!(adata.obs().index(), ["AC-1", "GT-1"]);
    assert_eq!(adata.var().index(), ["A", "B", "A-1"]);
    let ids = ["ENSG1", "ENSG2", "ENSG3"].map(str::to_owned).to_vec();
    assert_eq!(adata.var().get("gene_ids"), Some(&Column::Strings(ids)));
    assert_eq!(sc_io::open(with_matrix(MATRIX).path()).unwrap(), adata);
}

#[test]
fn genes_alone_are_kept_unless_all_features_are_asked_for() {
    let folder =
        folder(&[("matrix.mtx", MATRIX), ("barcodes.tsv", "AC-1\nGT-1\n"), ("features.tsv", FEATURES)]);
    let genes = read_mtx(folder.path()).unwrap();
    assert_eq!(genes.x().unwrap().to_csr().to_dense(), array![[5.0, 7.0], [9.0, 0.0]]);
    assert_eq!(genes.var().index(), ["A", "A-1"]);
    let options = TenxOptions { gex_only: false, var_names: VarNames::GeneIds, ..TenxOptions::default() };
    let all = read_mtx_with(folder.path(), &options).unwrap();
    assert_eq!(all.var().index(), ["ENSG1", "P1", "ENSG3"]);
    assert_eq!(all.var().column_names(), ["gene_symbols", "feature_types"]);
}

#[test]
fn patterns_reals_blank_lines_and_any_order_are_read() {
    let pattern = "%%MatrixMarket matrix coordinate pattern general\n3 2 2\n3 2\n1 1\n";
    let x = read_mtx(with_matrix(pattern).path()).unwrap().x().unwrap().to_csr().to_dense();
    assert_eq!(x, array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
    let real = "%%MatrixMarket  MATRIX coordinate Real general\n3 2 3\n\n3 2 -1.5e1\n1\t1 .25\n2 1  3\n";
    let x = read_mtx(with_matrix(real).path()).unwrap().x().unwrap().to_csr().to_dense();
    assert_eq!(x, array![[0.25, 3.0, 0.0], [0.0, 0.0, -15.0]]);
}

#[test]
fn each_kind_of_damage_is_named_with_its_line() {
    let entries =
        |entries: &str| format!("%%MatrixMarket matrix coordinate integer general\n3 2 2\n{entries}");
    for (text, line) in [
        (entries("1 1 1\n4 1 1\n"), 4),
        (entries("0 1 1\n1 1 1\n"), 3),
        (entries("1 3 1\n1 1 1\n"), 3),
        (entries("1 1 x\n1 2 1\n"), 3),
        (entries("1 1 1.5\n1 2 1\n"), 3),
        (entries("1 1 1 1\n1 2 1\n"), 3),
        (entries("1 1\n1 2 1\n"), 3),
        (entries("1 1 99999999999999999999\n1 2 1\n"), 3),
        (entries("1 1 16777217\n1 2 1\n"), 3),
        (entries("1 1 1\n1 2 1\n2 2 1\n"), 5),
        ("%%MatrixMarket matrix coordinate integer general\n3 3 1\n1 1 1\n".to_owned(), 2),
        ("%%MatrixMarket matrix coordinate integer general\n3 2 99999999999\n1 1 1\n".to_owned(), 2),
        ("%%MatrixMarket matrix array integer general\n3 2\n".to_owned(), 1),
        ("%%MatrixMarket matrix coordinate complex general\n3 2 1\n".to_owned(), 1),
        ("%%MatrixMarket matrix coordinate integer symmetric\n3 2 1\n".to_owned(), 1),
        ("3 2 1\n1 1 1\n".to_owned(), 1),
        (String::new(), 1),
        ("%%MatrixMarket matrix coordinate integer general\n%\n".to_owned(), 3),
        (format!("%%MatrixMarket matrix coordinate integer general\n%{}", "x".repeat(400_000)), 2),
    ] {
        let (found, problem) = problem(&text);
        assert_eq!(found, line, "{problem:?} in {:?}", &text[..text.len().min(120)]);
    }
}

#[test]
fn a_matrix_with_too_few_or_repeated_entries_is_refused() {
    let header = "%%MatrixMarket matrix coordinate integer general\n3 2 2\n";
    let short = problem(&format!("{header}1 1 1\n")).1.to_string();
    assert!(short.contains("cut short: 1 entries of 2"), "{short}");
    let twice = problem(&format!("{header}2 1 1\n2 1 3\n")).1.to_string();
    assert_eq!(twice, "gene 2 of cell 1 is listed twice");
}

#[test]
fn a_missing_file_is_answered_with_what_was_looked_for_or_found() {
    let empty = folder(&[("readme.txt", "")]);
    let e = sc_io::open(empty.path()).unwrap_err();
    assert!(matches!(&e, Error::NotTenX { found, .. } if found == &["readme.txt"]) && e.help().is_some());
    let e = read_mtx(folder(&[("matrix.mtx", MATRIX)]).path()).unwrap_err();
    assert!(matches!(&e, Error::MissingFile { looked_for, .. } if looked_for[0] == "barcodes.tsv"));
    assert!(e.help().is_some());
    let e = read_mtx(folder(&[("matrix.mtx", MATRIX), ("barcodes.tsv", "a\nb\n")]).path()).unwrap_err();
    assert!(
        matches!(&e, Error::MissingFile { looked_for, .. } if looked_for.contains(&"genes.tsv.gz".to_owned()))
    );
    assert!(matches!(sc_io::open(Path::new("does/not/exist")), Err(Error::NoSuchPath { .. })));
}

#[test]
fn tables_of_names_that_do_not_fit_are_refused() {
    let ragged =
        folder(&[("matrix.mtx", MATRIX), ("barcodes.tsv", "a\nb\n"), ("genes.tsv", "ENSG1\tA\nENSG2\n")]);
    assert!(matches!(read_mtx(ragged.path()), Err(Error::Line { line: 2, .. })));
    let short = folder(&[("matrix.mtx", MATRIX), ("barcodes.tsv", "a\n"), ("genes.tsv", GENES)]);
    assert!(matches!(
        read_mtx(short.path()),
        Err(Error::Line { line: 3, source: Problem::Shape { .. }, .. })
    ));
}

#[test]
fn a_page_saved_in_place_of_a_download_is_told_by_its_first_bytes() {
    let page = folder(&[("data.h5ad", "<!DOCTYPE html><html>404")]);
    let e = sc_io::open(page.path().join("data.h5ad")).unwrap_err();
    assert!(e.to_string().ends_with("its first bytes are \"<!DOCTYPE html><\""), "{e}");
    assert!(e.help().is_some());
}
