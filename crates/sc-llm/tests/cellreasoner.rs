//! The published demo, from the Seurat object to the records, and the published table of pairs.
#![cfg(all(feature = "rds", feature = "xlsx"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where something is not there, and says what it left out"
)]

use std::path::{Path, PathBuf};

use sc_llm::cellreasoner::{Dataset, DatasetOptions, GeneList, Prepared, open, read_matrix};
use sha2::{Digest, Sha256};

/// A file of real data; `None`, with a word about it, where there is none.
fn data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("SC_TEST_DATA").map_or(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("SC_REQUIRE_DATA").is_none(), "{}: no such file", path.display());
    eprintln!("left out: {} is not there", path.display());
    None
}

#[test]
fn the_demo_becomes_the_records_that_python_makes_of_it() {
    let (Some(rds), Some(list)) = (data("rds/pbmc_demo.rds"), data("cellreasoner/ranked_hvg.list")) else {
        return;
    };
    let golden = include_str!("golden/cellreasoner/pbmc_demo_sentences.csv");
    let mut lines = golden.lines();
    let genes = GeneList::read(list).unwrap();
    let prepared = Prepared::new(&open(rds).unwrap(), &genes).unwrap();
    let found = format!("# {} of {} listed genes", prepared.matrix.column_names().len(), genes.genes().len());
    assert_eq!(Some(found.as_str()), lines.next());

    let folder = tempfile::tempdir().unwrap();
    prepared.write(folder.path(), "pbmc_demo", false).unwrap();
    let matrix = read_matrix(folder.path().join("pbmc_demo.h5")).unwrap();
    let cells = sc_io::delimited::read(folder.path().join("pbmc_demo.meta.csv")).unwrap();
    let options =
        DatasetOptions { label_column: Some("seurat_annotations".into()), ..DatasetOptions::default() };
    let dataset = Dataset::build(&matrix, Some(&cells), &options).unwrap();
    assert_eq!(lines.next(), Some("cell,n_genes,first,sha256,label"));
    let expected: Vec<&str> = lines.collect();
    assert_eq!(dataset.records.len(), expected.len());
    for (record, expected) in dataset.records.iter().zip(expected) {
        let n_genes = record.input.split(", ").count();
        let first = record.input.split(", ").next().unwrap_or_default();
        let hash: String = Sha256::digest(&record.input).iter().map(|b| format!("{b:02x}")).collect();
        let label = record.output.as_deref().unwrap_or_default();
        assert_eq!(format!("{},{n_genes},{first},{hash},{label}", record.cell_name), expected);
    }
}

#[test]
fn the_published_table_of_pairs_is_read() {
    use sc_llm::cellreasoner::PairScores;
    let Some(table) = data("cellreasoner/all_pair_score.xlsx") else { return };
    let pairs = PairScores::read(table).unwrap();
    assert_eq!(pairs.score("CD4 Naive", "CD8"), Some(0.5));
    assert_eq!(pairs.score("Intermediate B", "cDC"), Some(0.0));
    assert_eq!(pairs.score("Naive CD4 T", "Naive CD4 T"), None, "not even every label is there with itself");
    assert_eq!(pairs.len(), 16_485);
}
