//! Robustness: curves for every kind, what is lost, and levels that cannot be.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, refused, run, types, write_h5ad};

const QUICK: [&str; 6] = ["--models", "majority,nearest_centroid", "--folds", "3", "--repeats", "2"];

fn robustness(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    if !input.exists() {
        write_h5ad(dir, &counts(), &types());
    }
    let out = dir.join("results");
    let [input, out] = [&input, &out].map(|path| path.to_str().unwrap());
    run("robustness", &[&["--input", input, "--label", "cell_type", "--out", out][..], flags].concat())
}

/// Rows of `every_level.csv` of one perturbation, level and model: accuracy.
fn accuracy(dir: &Path, perturbation: &str, level: &str, model: &str) -> f64 {
    let csv = fs::read_to_string(dir.join("results/every_level.csv")).unwrap();
    let start = format!("{perturbation},{level},{model},");
    let line =
        csv.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{start} in {csv}"));
    line[start.len()..].split(',').next().unwrap().parse().unwrap()
}

#[test]
fn without_arguments_four_kinds_are_tried_on_the_embedded_cells() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let flags = ["--out", out.to_str().unwrap(), "--n-genes", "50"];
    let ended = run("robustness", &[&flags[..], &QUICK].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for file in ["report.html", "noise.csv", "lost_counts.csv", "shallow_sequencing.csv", "another_batch.csv"]
    {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 200, "{file}");
    }
    assert!(ended.stdout.contains("Lost to noise of 0.5") && ended.stdout.contains("nearest_centroid"));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("nearest_centroid stands perturbations best"));
    for kind in ["noise", "masking", "depth", "batch"] {
        let [clean, half] = ["0", "0.5"].map(|level| accuracy(dir.path(), kind, level, "nearest_centroid"));
        assert!(clean > 0.6 && half <= clean + 0.02, "{kind}: {clean} {half}");
        // A model that looks at nothing loses nothing.
        assert_eq!(
            accuracy(dir.path(), kind, "0", "majority"),
            accuracy(dir.path(), kind, "0.5", "majority")
        );
    }
}

#[test]
fn only_kinds_that_are_asked_for_are_tried_and_threads_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--noise-levels", "0,.5,8", "--depth-levels", "1,.1"];
    let go = |more: &[&str]| robustness(dir.path(), &[&flags[..], &QUICK, more].concat());
    let ended = go(&["--threads", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let levels = dir.path().join("results/every_level.csv");
    let first = fs::read_to_string(&levels).unwrap();
    assert!(
        first.contains("\ndepth,0.9,") && !first.contains("masking") && !first.contains("batch"),
        "{first}"
    );
    assert!(
        accuracy(dir.path(), "noise", "8", "nearest_centroid")
            < accuracy(dir.path(), "noise", "0", "nearest_centroid")
    );

    assert_eq!(go(&["--threads", "2", "--force"]).code, 0);
    assert_eq!(fs::read_to_string(&levels).unwrap(), first);
    refused(&go(&[]), 2, &["--force"]);
}

#[test]
fn models_that_learn_from_perturbed_cells_stand_them_better() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--models", "nearest_centroid", "--batch-levels", "1.5", "--folds", "3", "--repeats", "3"];
    assert_eq!(robustness(dir.path(), &flags).code, 0);
    let clean = accuracy(dir.path(), "batch", "1.5", "nearest_centroid");
    let ended = robustness(dir.path(), &[&flags[..], &["--train-perturbed", "--force"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let perturbed = accuracy(dir.path(), "batch", "1.5", "nearest_centroid");
    assert!(perturbed > clean, "{perturbed} {clean}");
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(page.contains("and the training cells in the same way"));
}

#[test]
fn levels_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let go = |flags: &[&str]| robustness(dir.path(), &[flags, &QUICK].concat());
    refused(&go(&["--noise-levels=-1"]), 2, &["--noise-levels", "finite, 0 or more"]);
    refused(&go(&["--mask-levels", "1.5"]), 2, &["--mask-levels", "from 0 to 1"]);
    refused(&go(&["--depth-levels", "half"]), 2, &["--depth-levels", "invalid float"]);
    refused(&go(&["--batch-levels", "0"]), 2, &["\"batch\"", "at least one level above 0"]);
    refused(&robustness(dir.path(), &["--repeats", "0"]), 2, &["--repeats", "at least 1"]);
    refused(&robustness(dir.path(), &["--models", "tree"]), 2, &["tree", "random_forest"]);
    assert!(!dir.path().join("results").exists());
}
