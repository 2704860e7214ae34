//! Runs on disk: killed, resumed, refused, merged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::support::{Ended, counts, program, run, types, write_h5ad};

const PROGRAM: &str = "cell_type_classification";
/// Points at which a run is killed.
const KILLS: u32 = 20;

/// A run of three models with four seeds of five folds on 40 cells.
fn flags(input: &Path, out: &Path) -> Vec<String> {
    let [input, out] = [input, out].map(|path| path.to_str().unwrap().to_owned());
    let fixed = "--label cell_type --models majority logistic_regression knn --seeds 1 2 3 4 --pca-components 5 --no-map";
    let fixed = fixed.split(' ').map(str::to_owned);
    ["--input".to_owned(), input, "--out".to_owned(), out].into_iter().chain(fixed).collect()
}

fn study(input: &Path, out: &Path, more: &[&str]) -> Ended {
    let flags = flags(input, out);
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    run(PROGRAM, &flags)
}

/// Every file that must be the same in every run: the plan, the data, the cells and the results.
fn contents(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut paths: Vec<PathBuf> =
        ["plan.json", "results.json", "results.csv", "cz_benchmarks.json"].map(|name| out.join(name)).into();
    for folder in ["cells", "datasets"] {
        walk(&out.join(folder), &mut paths);
    }
    paths.iter().map(|path| (path.strip_prefix(out).unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_run_that_is_killed_anywhere_is_resumed_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let whole = dir.path().join("whole");
    let start = SystemTime::now();
    let ended = study(&input, &whole, &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let expected = contents(&whole);
    assert_eq!(expected.len(), 4 + 60 + 1);
    let merged = fs::metadata(whole.join("results.csv")).unwrap().modified().unwrap();
    let took = merged.duration_since(start).unwrap_or(Duration::from_secs(1));

    let mut n_cut = 0;
    for kill in 0..KILLS {
        let out = dir.path().join(format!("killed {kill}"));
        let mut child = Command::new(program(PROGRAM))
            .args(flags(&input, &out))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over the run, a little past its end; where exactly it falls is up to the machine.
        std::thread::sleep(took * (2 * kill + 1) / (2 * KILLS));
        child.kill().unwrap();
        child.wait().unwrap();
        n_cut += u32::from(!out.join("results.csv").exists());
        let resumed = study(&input, &out, &["--resume", "--jobs", "2", "--threads", "2"]);
        assert_eq!(resumed.code, 0, "kill {kill}: {}", resumed.stderr);
        assert!(contents(&out) == expected, "kill {kill}: other bytes");
        assert!(!out.join(".aside").exists());
    }
    assert!(n_cut > 0, "every run had ended before it was killed");
}

#[test]
fn a_folder_that_holds_a_run_is_resumed_or_cleared_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let out = dir.path().join("out");
    assert_eq!(study(&input, &out, &["--jobs", "2"]).code, 0);
    let expected = contents(&out);
    let refused = study(&input, &out, &[]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--resume") && refused.stderr.contains("--force"), "{}", refused.stderr);

    let other = study(&input, &out, &["--resume", "--n-genes", "7"]);
    assert_eq!(other.code, 2, "{}", other.stderr);
    assert!(other.stderr.contains("parameters.n_genes is 2000 there and 7 here"), "{}", other.stderr);
    assert!(other.stderr.contains("help:"), "{}", other.stderr);
    assert!(contents(&out) == expected, "a run that was refused has changed results");

    let cell = out.join("cells/cells_h5ad/knn/seed3-fold2.json");
    let bytes = fs::read(&cell).unwrap();
    fs::write(&cell, &bytes[..bytes.len() / 2]).unwrap();
    let resumed = study(&input, &out, &["--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("59 results are there, 1 are missing"), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("is damaged"), "{}", resumed.stderr);
    assert!(contents(&out) == expected);

    let anew = study(&input, &out, &["--force"]);
    assert_eq!(anew.code, 0, "{}", anew.stderr);
    assert!(!anew.stderr.contains("results are there"), "{}", anew.stderr);
    assert!(contents(&out) == expected);
}

#[test]
fn a_model_that_fails_leaves_the_others_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    // With 12 cells there are fewer training cells than neighbours.
    let input = write_h5ad(dir.path(), &counts().slice(ndarray::s![..12, ..]).to_owned(), &types()[..12]);
    let out = dir.path().join("out");
    let ended = study(&input, &out, &["--cv", "3"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    for words in ["12 of 36 results failed", "knn on cells.h5ad, seed 1, fold 0", "`n_neighbors` is 15"] {
        assert!(ended.stderr.contains(words), "no {words:?} in {}", ended.stderr);
    }
    assert!(out.join("errors/cells_h5ad/knn/seed1-fold0.json").exists());

    let refused = run("generate_report", &["--input", out.to_str().unwrap()]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("12 of 36 results are missing"), "{}", refused.stderr);
    let report = dir.path().join("report");
    let [out, report] = [&out, &report].map(|path| path.to_str().unwrap());
    let partial = run("generate_report", &["--input", out, "--output", report, "--allow-missing"]);
    assert_eq!(partial.code, 0, "{}", partial.stderr);
    assert!(partial.stdout.contains("majority") && !partial.stdout.contains("knn"), "{}", partial.stdout);
    for file in
        ["report.html", "report.md", "metrics.csv", "metrics.json", "results.csv", "cz_benchmarks.json"]
    {
        assert!(fs::metadata(Path::new(report).join(file)).unwrap().len() > 200, "{file}");
    }
    let page = fs::read_to_string(Path::new(report).join("report.md")).unwrap();
    assert!(page.contains("12 of 36 results are missing"), "{page}");
    let again = run("generate_report", &["--input", out, "--output", report, "--allow-missing"]);
    assert_eq!(again.code, 2, "{}", again.stderr);
}

#[test]
fn a_configuration_names_data_sets_models_and_groups() {
    let dir = tempfile::tempdir().unwrap();
    write_h5ad(dir.path(), &counts(), &types());
    let config = dir.path().join("run.yaml");
    let out = dir.path().join("out");
    let text = "name: two
datasets:
  - {name: whole, path: cells.h5ad, label: cell_type, group: donor}
  - {name: of two donors, path: cells.h5ad, label: cell_type, tissue_column: donor, tissues: [d0, d1]}
models: [majority, {name: logistic_regression, as: lr, c: 0.5}]
cv: 2
use_pca: true
pca_components: 4
max_cells: 30
";
    fs::write(&config, text).unwrap();
    let [config, folder] = [&config, &out].map(|path| path.to_str().unwrap());
    let ended = run(PROGRAM, &["--config", config, "--out", folder, "--no-map"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("whole: 30 cells") && ended.stdout.contains("of two donors: 20 cells"));
    assert!(ended.stderr.contains("left out 20 cells: donor is not d0 or d1"), "{}", ended.stderr);
    assert!(out.join("cells/of_two_donors/lr/seed42-fold1.json").exists());
    assert!(out.join("reports/whole/report.html").exists());
    let csv = fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    let cell = fs::read_to_string(out.join("cells/whole/lr/seed42-fold0.json")).unwrap();
    assert!(cell.contains("\"c\":0.5"), "{cell}");

    fs::write(config, format!("{text}n_gene: 5\n")).unwrap();
    let refused = run(PROGRAM, &["--config", config, "--out", folder, "--resume"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("n_gene") && refused.stderr.contains("line 10"), "{}", refused.stderr);
}

#[test]
fn the_sample_configuration_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benchmark.yaml");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let [config, folder] = [&path, &out].map(|path| path.to_str().unwrap());
    let flags = ["--models", "majority", "--n-genes", "50", "--max-cells", "100", "--no-map"];
    let ended = run(PROGRAM, &[&["--config", config, "--out", folder][..], &flags].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("PBMC 68k: ") && ended.stdout.contains(" 2 seeds"), "{}", ended.stdout);
    assert!(ended.stderr.contains("at most 100 cells are drawn"), "{}", ended.stderr);
}

#[test]
fn what_makes_no_sense_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let out = dir.path().join("out");
    let refused = |more: &[&str], code: i32, words: &[&str]| {
        let ended = study(&input, &out, more);
        assert_eq!(ended.code, code, "{more:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{more:?}: no {word:?} in {}", ended.stderr);
        }
        assert!(!out.exists(), "{more:?}");
    };
    refused(&["--cv", "3", "--test-size", "0.2"], 2, &["--cv", "--test-size"]);
    refused(&["--group", "donor", "--cv", "9"], 3, &["4 groups", "help:"]);
    refused(&["--group", "patient"], 3, &["patient", "donor"]);
    refused(&["--tissue-column", "donor", "--tissues", "d0,lung"], 2, &["\"lung\"", "d0, d1, d2, d3"]);
    refused(&["--tissues", "blood"], 3, &["tissue", "donor"]);
    refused(&["--models", "forest"], 2, &["forest", "random_forest"]);
    refused(&["--seeds", "7", "7"], 2, &["`seeds` is \"7\""]);
    refused(&["--config", "no/such.yaml"], 1, &["no/such.yaml"]);
    let missing = run("generate_report", &["--input", out.to_str().unwrap()]);
    assert!(missing.code != 0 && missing.stderr.contains("plan.json"), "{}", missing.stderr);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let ended = study(&input, &file.join("out"), &[]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("file/out") || ended.stderr.contains("file\\out"), "{}", ended.stderr);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        // The superuser writes everywhere.
        if fs::write(closed.join("probe"), "").is_err() {
            let ended = study(&input, &closed.join("out"), &[]);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            assert!(ended.stderr.contains("closed/out"), "{}", ended.stderr);
        }
    }
}
