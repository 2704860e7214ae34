//! Language models on cells: the table, the files, going on, and what is refused.

use std::fs;
use std::path::Path;

use super::support::{Ended, counts, refused, run, types, write_h5ad};

fn benchmark(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    let out = dir.join("results");
    let fixed = ["--input", input.to_str().unwrap(), "--label", "cell_type", "--out", out.to_str().unwrap()];
    run("llm_benchmark", &[&fixed[..], &["--epochs", "2", "--n-genes", "6"], flags].concat())
}

/// Without the columns of time.
fn answers(dir: &Path) -> String {
    fs::read_to_string(dir.join("results/predictions.csv")).unwrap()
}

#[test]
fn every_task_is_asked_in_every_way_beside_baselines_and_a_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let ended = benchmark(dir.path(), &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for word in
        ["majority", "random by prior", "TF-IDF + LR", "marker overlap", "small decoder, shuffled names"]
    {
        assert!(ended.stdout.contains(word), "no {word} in {}", ended.stdout);
    }
    let rows = |task: &str, way: &str| {
        ended.stdout.lines().filter(|line| line.starts_with(task) && line.contains(way)).count()
    };
    for task in ["markers", "expression", "barcode-cluster"] {
        for way in [" free ", " strict ", " constrained ", " posterior "] {
            assert!(rows(task, way) >= 1, "{task} {way}: {}", ended.stdout);
        }
    }
    let chosen =
        ended.stdout.lines().filter(|line| line.contains(" constrained ") || line.contains(" posterior "));
    assert!(
        chosen.clone().count() == 8 && chosen.clone().all(|line| line.contains("100.0 %")),
        "{}",
        ended.stdout
    );
    let results = dir.path().join("results");
    for file in
        ["metrics.csv", "metrics.json", "predictions.csv", "report.html", "records.jsonl", "plan.json"]
    {
        assert!(results.join(file).is_file(), "{file}");
    }
    let decoder = results.join("models/expression");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(decoder.join(file).is_file(), "{file}");
    }

    // What was trained can be asked as any other model, and a run that was cut off has the same answers in the end.
    let first = answers(dir.path());
    let records = fs::read_to_string(results.join("records.jsonl")).unwrap();
    fs::write(results.join("records.jsonl"), &records[..records.len() / 2]).unwrap();
    let ended = benchmark(dir.path(), &["--resume", "--threads", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(answers(dir.path()), first);
    refused(&benchmark(dir.path(), &["--resume", "--seed", "7"]), 2, &["another", "--force"]);
    let kept = dir.path().join("decoder");
    fs::rename(&decoder, &kept).unwrap();
    let model = format!("own={}", kept.display());
    let ended =
        benchmark(dir.path(), &["--force", "--model", &model, "--tasks", "expression", "--calibrate"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("own, shuffled names"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_run_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    refused(&benchmark(dir.path(), &["--model", "nowhere/model"]), 4, &["no such folder", "help:"]);
    let same = ["--model", "a/model", "b/model"];
    refused(&benchmark(dir.path(), &[&same[..], &["--force"]].concat()), 2, &["two models are named"]);
    let twice = ["--decoding", "free,free", "--force"];
    refused(&benchmark(dir.path(), &twice), 2, &["one way twice"]);
}
