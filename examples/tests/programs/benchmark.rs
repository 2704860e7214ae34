//! The main job: models compared, results on disk, the same in every run.

use std::fs;
use std::path::Path;

use super::support::{counts, run, types, write_h5ad};

/// `metrics.csv` without the columns of times.
fn scores(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("metrics.csv")).unwrap();
    let keep: Vec<bool> =
        text.lines().next().unwrap().split(',').map(|name| !name.ends_with("_seconds")).collect();
    let row = |line: &str| {
        let fields = line.split(',').zip(&keep).filter(|(_, keep)| **keep).map(|(field, _)| field);
        fields.collect::<Vec<_>>().join(",")
    };
    text.lines().map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn without_arguments_it_compares_every_model_on_the_embedded_cells() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let ended = run("benchmark", &["--out", out.to_str().unwrap(), "--n-genes", "200", "--folds", "3"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let models =
        ["majority", "logistic_regression", "random_forest", "xgboost", "svm_linear", "svm_rbf", "knn"];
    let csv = fs::read_to_string(out.join("metrics.csv")).unwrap();
    let mut lines = csv.lines();
    let header = lines.next().unwrap();
    assert!(
        header.starts_with("model,accuracy,accuracy_low,accuracy_high,f1_macro,fit_seconds,predict_seconds,")
    );
    for (model, line) in models.iter().zip(lines) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[0], *model);
        let [accuracy, low, high] = [1, 2, 3].map(|at| fields[at].parse::<f64>().unwrap());
        assert!(low <= accuracy && accuracy <= high, "{line}");
        // 700 cells of ten types; the largest holds a third of them.
        assert!(*model == "majority" || accuracy > 0.6, "{line}");
        assert!(ended.stdout.contains(model), "{}", ended.stdout);
    }
    for file in
        ["report.html", "report.md", "metrics.json", "predictions.csv", "accuracy.png", "umap_labels.png"]
    {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 500, "{file}");
    }
    assert!(ended.stderr.contains("700 cells take part, 10 classes"), "{}", ended.stderr);
}

#[test]
fn runs_and_threads_change_no_score_and_results_are_replaced_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let out = dir.path().join("results");
    let arguments = |threads: &'static str| {
        let [input, out] = [&input, &out].map(|path| path.to_str().unwrap().to_owned());
        let flags = ["--label", "cell_type", "--n-components", "5", "--threads", threads].map(str::to_owned);
        [vec!["--input".into(), input, "--out".into(), out], flags.to_vec()].concat()
    };
    let go = |threads, force| {
        let arguments = arguments(threads);
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if force {
            arguments.push("--force");
        }
        run("benchmark", &arguments)
    };
    let first = go("1", false);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let one = scores(&out);
    let predictions = fs::read(out.join("predictions.csv")).unwrap();

    let refused = go("2", false);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);

    let second = go("2", true);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(scores(&out), one);
    assert_eq!(fs::read(out.join("predictions.csv")).unwrap(), predictions);
}

#[test]
fn a_10x_folder_gets_its_labels_from_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let counts = counts();
    let mut matrix = format!("%%MatrixMarket matrix coordinate integer general\n%\n12 40 {}\n", 0);
    let entries: Vec<String> = counts
        .indexed_iter()
        .filter(|(_, v)| **v > 0.0)
        .map(|((i, j), v)| format!("{} {} {v}\n", j + 1, i + 1))
        .collect();
    matrix = matrix.replace(" 0\n", &format!(" {}\n", entries.len())) + &entries.concat();
    fs::write(dir.path().join("matrix.mtx"), matrix).unwrap();
    let lines = |line: &dyn Fn(usize) -> String, n| (0..n).map(line).collect::<String>();
    fs::write(dir.path().join("barcodes.tsv"), lines(&|i| format!("cell{i}\n"), 40)).unwrap();
    fs::write(dir.path().join("genes.tsv"), lines(&|j| format!("ENSG{j}\tgene{j}\n"), 12)).unwrap();
    let table = "barcode,type\n".to_owned()
        + &lines(&|i| format!("cell{i},{}\n", if i % 2 == 0 { "B" } else { "T" }), 38);
    let labels = dir.path().join("labels.csv");
    fs::write(&labels, table).unwrap();
    let out = dir.path().join("results");
    let [folder, labels, out] = [dir.path(), &labels, &out].map(|path| path.to_str().unwrap());
    let flags = ["--label", "type", "--models", "majority,logistic_regression", "--no-map"];
    let ended =
        run("benchmark", &[&["--input", folder, "--labels", labels, "--out", out][..], &flags].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("left out 2 cells: no label in \"type\""), "{}", ended.stderr);
    assert!(scores(Path::new(out)).contains("\nlogistic_regression,1.0"), "{}", scores(Path::new(out)));
}
