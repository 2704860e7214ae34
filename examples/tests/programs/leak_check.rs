//! The check for leaks: the benchmark passes, a pipeline that leaks is caught.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, refused, run, types, write_h5ad};

/// The embedded cells with few genes, and a model that is quick to fit.
fn check(dir: &Path, flags: &[&str]) -> Ended {
    let out = dir.join("results");
    let fixed = ["--out", out.to_str().unwrap(), "--n-genes", "60", "--models", "nearest_centroid"];
    run("leak_check", &[&fixed[..], flags].concat())
}

/// The verdicts of the table of pipelines, by pipeline.
fn verdicts(dir: &Path) -> Vec<(String, Vec<String>)> {
    let csv = fs::read_to_string(dir.join("results/which_test_sees_which_leak.csv")).unwrap();
    let row = |line: &str| {
        let fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        (fields[0].clone(), fields[1..5].to_vec())
    };
    csv.lines().skip(1).map(row).collect()
}

const CONTROLS: [(&str, [&str; 4]); 3] = [
    ("as published", ["leak", "leak", "passed", "passed"]),
    ("genes by label", ["leak", "leak", "leak", "passed"]),
    ("copies", ["", "", "", "leak"]),
];

#[test]
fn the_benchmark_passes_and_every_planted_leak_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let ended = check(dir.path(), &["--deny"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let answer =
        "None of 4 tests found a leak in the benchmark's pipeline. Every leak that was planted was caught.";
    assert!(ended.stderr.contains(answer), "{}", ended.stderr);
    let verdicts = verdicts(dir.path());
    assert_eq!(verdicts[0], ("benchmark".to_owned(), vec!["passed".to_owned(); 4]));
    for ((name, found), (expected_name, expected)) in verdicts[1..].iter().zip(CONTROLS) {
        assert_eq!((name.as_str(), found.as_slice()), (expected_name, &expected.map(str::to_owned)[..]));
    }
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(
        page.contains("stay the same to the last bit")
            && page.contains("nothing is learnt where nothing can be")
    );
}

#[test]
fn preparing_all_cells_before_dividing_them_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let ended = check(dir.path(), &["--as-published", "--no-controls"]);
    assert_eq!(ended.code, 0, "a finding is a result: {}", ended.stderr);
    assert!(
        ended.stderr.contains("2 of 4 tests found a leak in the pipeline as published"),
        "{}",
        ended.stderr
    );
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(
        page.contains("choice of genes") && page.contains("was fitted on 234 of the 234 test cells"),
        "{page}"
    );
    assert!(page.contains("a step was fitted on test cells"));
    let denied = check(dir.path(), &["--as-published", "--no-controls", "--deny", "--force"]);
    refused(&denied, 1, &["2 of 4 tests found a leak"]);
}

#[test]
fn copies_among_the_cells_of_a_user_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut x = counts();
    for i in 0..10 {
        let row = x.row(i).to_owned();
        x.row_mut(i + 20).assign(&row);
    }
    let input = write_h5ad(dir.path(), &x, &types());
    let flags = ["--input", input.to_str().unwrap(), "--label", "cell_type", "--no-controls"];
    let ended = check(dir.path(), &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("duplicated cells") && ended.stdout.contains("leak"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    refused(&check(dir.path(), &["--shuffles", "3"]), 2, &["`n_shuffles` is 3", "7 to 16"]);
    refused(&check(dir.path(), &["--folds", "1"]), 2, &["n_splits"]);
    refused(&check(dir.path(), &["--input", "no/such.h5ad", "--label", "a"]), 3, &["no/such.h5ad"]);
    assert!(!dir.path().join("results").exists());
}
