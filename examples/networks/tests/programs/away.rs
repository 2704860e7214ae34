//! Everything that was fitted, asked about the cells of another file.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};
use sc_io::{AnnData, Column, Csr, DataFrame, Matrix, h5ad};

use super::foundation_models::geneformer;
use super::support::{Ended, counts, refused, run, types, write_h5ad};

/// The flags of all runs here, which train nothing.
const QUICK: [&str; 8] = [
    "--seeds",
    "1",
    "2",
    "--heads",
    "logistic-regression",
    "--no-map",
    "--n-components=5",
    "--pretrain-epochs=1",
];

/// Another laboratory's cells: the genes of [`counts`] in reverse without `gene3`, and one that is new; the names of the
/// types are written otherwise, and four cells are of a type of their own; one has no label, and one no counts.
fn other(dir: &Path) -> PathBuf {
    let x = counts();
    let names: Vec<String> = (0..12)
        .rev()
        .filter(|&gene| gene != 3)
        .map(|gene| format!("gene{gene}"))
        .chain(["new".to_owned()])
        .collect();
    let mut values = Array2::<f32>::from_elem((30, 12), 1.0);
    for cell in 0..30 {
        for (place, gene) in (0..12).rev().filter(|&gene| gene != 3).enumerate() {
            values[[cell, place]] = x[[cell + 5, gene]];
        }
    }
    values.slice_mut(s![29, ..]).fill(0.0);
    // Cell 0 is the sixth of the first data set, which is a T cell.
    let label = |cell: usize| match cell {
        28 => None,
        24..28 => Some("neuron".to_owned()),
        _ => Some(if cell.is_multiple_of(2) { "t" } else { "b" }.to_owned()),
    };
    write(dir, "other.h5ad", &values, names, (0..30).map(label).collect())
}

fn write(
    dir: &Path,
    name: &str,
    x: &Array2<f32>,
    genes: Vec<String>,
    labels: Vec<Option<String>>,
) -> PathBuf {
    let mut obs = DataFrame::new((0..x.nrows()).map(|cell| format!("other{cell}")).collect());
    obs.insert("type", Column::NullableStrings(labels)).unwrap();
    let adata = AnnData::new(Matrix::Csr(Csr::from_dense(x.view())), obs, DataFrame::new(genes)).unwrap();
    let path = dir.join(name);
    h5ad::write(&adata, &path).unwrap();
    path
}

/// A run on the cells of [`counts`].
fn away(dir: &Path, test: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    if !input.exists() {
        write_h5ad(dir, &counts(), &types());
    }
    let out = dir.join("results");
    let [input, out, test] = [&input, &out, test].map(|path| path.to_str().unwrap());
    let fixed =
        ["--input", input, "--label", "cell_type", "--out", out, "--test", test, "--test-label", "type"];
    run("foundation_models", &[&fixed[..], &QUICK, flags].concat())
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("results").join(name)).unwrap()
}

/// The answers about another file, by name.
fn answers(dir: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(dir.join("results/away")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn everything_that_was_fitted_is_asked_about_the_other_cells_once() {
    let dir = tempfile::tempdir().unwrap();
    let (test, config) = (other(dir.path()), geneformer(dir.path()));
    let tune = ["--tune", "linear-probe,lora,fine-tuned", "--epochs", "2", "--lora-learning-rate", "1e-2"];
    let flags =
        [&["--random-weights", config.to_str().unwrap(), "--model-layer", "last", "0"][..], &tune].concat();
    let ended = away(dir.path(), &test, &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("tiny (random) on other.h5ad, cls of layer last: 28 cells to embed"),
        "{}",
        ended.stderr
    );
    for words in [
        "left out 1 cells: no label",
        "left out 1 cells: no counts",
        "11 of its 12 genes are genes of the first",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert!(
        ended.stdout.contains("On other.h5ad: 24 cells of 2 classes that models learn"),
        "{}",
        ended.stdout
    );

    let table = read(dir.path(), "on_other_h5ad.csv");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 8, "{table}");
    for name in
        ["majority", "HVG + PCA + LR", "HVG + LR", "tiny (random) + LR", "linear probe", "LoRA", "fine-tuned"]
    {
        assert!(rows.iter().any(|row| row.contains(name)), "{name}: {table}");
    }
    // Half of the cells are B cells, and the types have genes of their own.
    assert!(rows[1].starts_with("majority,0.5,"), "{table}");
    assert!(
        rows[2].starts_with("HVG + PCA + LR,1.0,") || rows[2].starts_with("HVG + PCA + LR,1,"),
        "{table}"
    );
    assert!(rows[3].starts_with("HVG + LR,1"), "{table}");
    let labels = read(dir.path(), "labels_of_other_h5ad.csv");
    assert!(labels.contains("neuron,4,unknown to the models") && labels.contains("b,12,B"), "{labels}");
    assert!(read(dir.path(), "recall_on_other_h5ad_by_class.csv").contains("T,12,"));
    let page = read(dir.path(), "report.html");
    assert!(
        page.contains("On other.h5ad, ")
            && page.contains("4 cells are of types that the first data set does not have")
    );

    // A second run asks nobody, and says the same on one thread.
    let again = away(dir.path(), &test, &[&flags[..], &["--resume", "--threads", "1"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("14 results are there, 0 are missing"), "{}", again.stderr);
    assert!(
        !again.stderr.contains("fitted again") && !again.stderr.contains("fine-tuned, seed"),
        "{}",
        again.stderr
    );
    assert_eq!(read(dir.path(), "on_other_h5ad.csv"), table);

    // Answers that are gone or torn are made again, and those alone.
    let files = answers(dir.path());
    assert_eq!(files.len(), 14);
    fs::remove_file(&files[2]).unwrap();
    let whole = fs::read(&files[13]).unwrap();
    fs::write(&files[13], &whole[..whole.len() / 2]).unwrap();
    let again = away(dir.path(), &test, &[&flags[..], &["--resume"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(
        again.stderr.matches("1 methods were not asked about other.h5ad").count(),
        2,
        "{}",
        again.stderr
    );
    assert_eq!((read(dir.path(), "on_other_h5ad.csv"), fs::read(&files[13]).unwrap()), (table, whole));
}

#[test]
fn a_finished_run_is_asked_about_a_file_later_and_a_model_of_own_genes_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let test = other(dir.path());
    let input = write_h5ad(dir.path(), &counts(), &types());
    let out = dir.path().join("results");
    let plain = ["--input", input.to_str().unwrap(), "--label", "cell_type", "--out", out.to_str().unwrap()];
    let ended = run("foundation_models", &[&plain[..], &QUICK, &["--tune", "none"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let home = read(dir.path(), "final_comparison_table.csv");
    let later = away(dir.path(), &test, &["--tune", "none", "--resume"]);
    assert_eq!(later.code, 0, "{}", later.stderr);
    assert!(
        later.stderr.contains("5 methods were not asked about other.h5ad and are fitted again"),
        "{}",
        later.stderr
    );
    assert_eq!(read(dir.path(), "final_comparison_table.csv"), home);
    let table = read(dir.path(), "on_other_h5ad.csv");
    assert!(table.contains("small Geneformer + LR"), "{table}");

    // The same at once; fewer cells are other answers.
    let anew = away(dir.path(), &test, &["--tune", "none", "--force"]);
    assert_eq!(anew.code, 0, "{}", anew.stderr);
    assert_eq!(read(dir.path(), "on_other_h5ad.csv"), table);
    let fewer = away(dir.path(), &test, &["--tune", "none", "--resume", "--test-max-cells", "14"]);
    assert_eq!(fewer.code, 0, "{}", fewer.stderr);
    assert!(fewer.stdout.contains("12 cells of 2 classes that models learn"), "{}", fewer.stdout);
}

#[test]
fn labels_are_read_as_a_map_says() {
    let dir = tempfile::tempdir().unwrap();
    let test = other(dir.path());
    let map = dir.path().join("labels.csv");
    fs::write(&map, "neuron,B\nt,\n").unwrap();
    let flags = ["--tune", "none", "--label-map", map.to_str().unwrap()];
    let ended = away(dir.path(), &test, &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("left out 12 cells: label mapped to nothing"), "{}", ended.stderr);
    assert!(ended.stdout.contains("16 cells of 1 classes that models learn"), "{}", ended.stdout);
}

#[test]
fn a_file_that_cannot_be_compared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let test = other(dir.path());
    let genes = |prefix: &str| (0..12).map(|gene| format!("{prefix}{gene}")).collect::<Vec<_>>();
    let b = || vec![Some("B".to_owned()); 40];
    let file = |name: &str, x: &Array2<f32>, genes, labels| write(dir.path(), name, x, genes, labels);

    let input = write_h5ad(dir.path(), &counts(), &types());
    let (input, test) = (input.to_str().unwrap(), test.to_str().unwrap());
    let out = dir.path().join("results");
    let plain = ["--input", input, "--label", "cell_type", "--out", out.to_str().unwrap()];
    let with = |flags: &[&str]| run("foundation_models", &[&plain[..], flags].concat());
    refused(&with(&["--test", test]), 3, &["no column \"cell_type\"", "\"type\"", "other.h5ad"]);
    refused(&with(&["--test", input]), 2, &["--test is the file of --input"]);
    let published = ["--test", test, "--protocol", "as-published", "--random-weights", "x.json"];
    refused(&with(&published), 2, &["--test goes with the corrected protocol"]);
    refused(&with(&["--label-map", "x.csv"]), 2, &["pass --test"]);
    refused(&with(&["--test-label", "type"]), 2, &["--test <FILE.h5ad>"]);
    refused(&with(&["--test", "not_there.h5ad"]), 3, &["not_there.h5ad"]);

    let unknown = file("unknown.h5ad", &counts(), genes("gene"), vec![Some("neuron".to_owned()); 40]);
    refused(&away(dir.path(), &unknown, &[]), 2, &["no label of --test", "it has neuron", "learn B, T"]);
    let scaled = file("scaled.h5ad", &counts().mapv(|v| v * 0.5 - 1.0), genes("gene"), b());
    refused(
        &away(dir.path(), &scaled, &[]),
        3,
        &["scaled.h5ad is not a matrix of raw counts", "other0", "gene"],
    );
    let names = [&genes("gene")[..5], &genes("other")[5..]].concat();
    let few = file("few.h5ad", &counts(), names, b());
    let words = ["has 5 of the 12 variable genes", "fewer than half", "--gene-table"];
    refused(&away(dir.path(), &few, &[]), 2, &words);
    // A table brings the names together.
    let table = dir.path().join("genes.csv");
    fs::write(&table, (5..12).map(|gene| format!("other{gene},gene{gene}\n")).collect::<String>()).unwrap();
    let flags = ["--tune", "none", "--gene-table", table.to_str().unwrap()];
    let ended = away(dir.path(), &few, &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("12 of its 12 genes"), "{}", ended.stderr);
}
