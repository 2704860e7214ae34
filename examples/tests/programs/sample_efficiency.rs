//! Learning curves: sizes, groups, and sizes beyond the data.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, refused, run, types, write_h5ad};

fn curve(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    if !input.exists() {
        write_h5ad(dir, &counts(), &types());
    }
    let out = dir.join("results");
    let [input, out] = [&input, &out].map(|path| path.to_str().unwrap());
    let fixed =
        ["--input", input, "--label", "cell_type", "--out", out, "--models", "majority,nearest_centroid"];
    run("sample_efficiency", &[&fixed[..], flags].concat())
}

#[test]
fn without_arguments_the_embedded_cells_have_a_curve_that_rises() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let flags = ["--out", out.to_str().unwrap(), "--models", "nearest_centroid,knn", "--n-genes", "100"];
    let ended = run(
        "sample_efficiency",
        &[&flags[..], &["--folds", "3", "--repeats", "2", "--sizes", "50,200,9000"]].concat(),
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("Size 9,000 could not be tried: a fold has 466 training cells."),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("50 cells") && ended.stdout.contains("200 cells"), "{}", ended.stdout);
    let csv = fs::read_to_string(out.join("every_size.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(
        rows.iter().map(|row| (row[0], row[1])).collect::<Vec<_>>(),
        [("nearest_centroid", "50"), ("nearest_centroid", "200"), ("knn", "50"), ("knn", "200"),]
    );
    for pair in rows.chunks(2) {
        let [few, many] = [0, 1].map(|at| pair[at][3].parse::<f64>().unwrap());
        assert!(few < many && many > 0.6, "{csv}");
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("With 50 training cells") && page.contains("Size 9,000 could not be tried"));
}

#[test]
fn donors_stay_on_one_side_and_runs_repeat_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--group", "donor", "--folds", "4", "--sizes", "10,30", "--n-genes", "12"];
    let ended = curve(dir.path(), &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table = |dir: &Path| {
        let csv = fs::read_to_string(dir.join("results/every_size.csv")).unwrap();
        csv.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    let first = table(dir.path());
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(
        page.contains("cells of one &quot;donor&quot; together")
            || page.contains("cells of one \"donor\" together")
    );
    assert_eq!(curve(dir.path(), &[&flags[..], &["--force", "--threads", "1"]].concat()).code, 0);
    assert_eq!(table(dir.path()), first);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    refused(&curve(dir.path(), &["--sizes", "1,20"]), 2, &["`sizes` is 1", "at least 2"]);
    refused(&curve(dir.path(), &["--sizes", "100,500"]), 2, &["[100, 500] for 32 training cells"]);
    refused(&curve(dir.path(), &["--sizes", "ten"]), 2, &["--sizes", "invalid digit"]);
    refused(&curve(dir.path(), &["--group", "batch", "--sizes", "20"]), 3, &["batch", "\"donor\""]);
    refused(&run("sample_efficiency", &["--group", "donor"]), 2, &["--group needs --input"]);
    assert!(!dir.path().join("results").exists());
}
