//! Clusters against labels: what is found, and what is refused.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, run, types, write_h5ad};

fn cluster(input: &Path, flags: &[&str]) -> Ended {
    let out = input.with_extension("results");
    let fixed = ["--input", input.to_str().unwrap(), "--out", out.to_str().unwrap(), "--label", "cell_type"];
    run("clustering", &[&fixed[..], flags].concat())
}

/// The fields of a row of a CSV file whose first fields are these.
fn row(path: &Path, names: &[&str]) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(&(names.join(",") + ","))).unwrap();
    line.split(',').skip(names.len()).map(|field| field.parse().unwrap_or(f64::NAN)).collect()
}

#[test]
fn without_arguments_it_clusters_the_embedded_cells() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let flags = ["--n-genes", "300", "--n-seeds", "2", "--resolutions", ".5,1"];
    let ended = run("clustering", &[&["--out", out.to_str().unwrap()][..], &flags].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for method in ["leiden 0.5", "leiden 1", "k-means 10"] {
        assert!(ended.stdout.contains(method), "{}", ended.stdout);
        let [rand, low, high] = row(&out.join("every_score.csv"), &[method, "adjusted_rand_index"])[..3]
        else {
            panic!("no interval")
        };
        // Ten types of which some are hardly different; chance is 0.
        assert!(low <= rand && rand <= high && rand > 0.3, "{method}: {rand} {low} {high}");
    }
    let files = ["report.html", "report.md", "metrics.json", "how_fine.csv", "where_the_labels_went.csv"];
    for file in files.into_iter().chain(["clusters_against_labels.csv", "map_map_by_label.png"]) {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 100, "{file}");
    }
}

#[test]
fn types_that_stand_apart_are_found_and_mixed_batches_told() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let flags = ["--batch", "donor", "--k", "2", "--resolutions", "0.1", "--n-components", "5"];
    let ended = cluster(&input, &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let out = input.with_extension("results");
    for method in ["leiden 0.1", "k-means 2"] {
        assert_eq!(row(&out.join("every_score.csv"), &[method, "adjusted_rand_index"])[0], 1.0);
    }
    let batches = out.join("batches.csv");
    assert_eq!(row(&batches, &["k-means ARI", "biology"]), [1.0, 1.0]);
    assert_eq!(row(&batches, &["Graph connectivity", "batches"]), [1.0, 1.0]);
    let [before, after] = row(&batches, &["Variance between batches (PCR)", "batches (not weighed)"])[..]
    else {
        panic!("two embeddings")
    };
    assert!(before > 0.0 && after < 1e-9, "{before} {after}");
    assert!(ended.stdout.contains("Total"), "{}", ended.stdout);
    // One resolution makes no curve.
    assert!(!out.join("how_fine.csv").exists());
}

#[test]
fn threads_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let scores = |threads: &str| {
        let ended = cluster(&input, &["--no-map", "--n-seeds", "2", "--threads", threads, "--force"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        fs::read(input.with_extension("results").join("every_score.csv")).unwrap()
    };
    assert_eq!(scores("1"), scores("3"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let cases: [(&[&str], i32, &[&str]); 7] = [
        (&["--resolutions", "0"], 2, &["resolution", "is 0"]),
        (&["--resolutions", "1,fine"], 2, &["fine", "--resolutions"]),
        (&["--resolutions", "1,1"], 2, &["leiden 1", "twice"]),
        (&["--k", "0"], 2, &["--k", "at least 1"]),
        (&["--k", "41"], 2, &["`n_clusters` is 41", "number of cells"]),
        (&["--batch", "lane"], 3, &["lane", "donor"]),
        (&["--batch", "donor", "--max-cells", "1"], 3, &["cell_type"]),
    ];
    for (flags, code, words) in cases {
        let ended = cluster(&input, flags);
        assert_eq!(ended.code, code, "{flags:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{flags:?}: no {word:?} in {}", ended.stderr);
        }
        assert!(!input.with_extension("results").exists(), "a run that failed leaves no results");
    }
    let (x, ten) = (counts().slice(ndarray::s![..10, ..]).to_owned(), &types()[..10]);
    fs::remove_file(&input).unwrap();
    let ended = cluster(&write_h5ad(dir.path(), &x, ten), &["--batch", "donor"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("same value in column \"donor\""), "{}", ended.stderr);
}
