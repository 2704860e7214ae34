//! Files: what is in them, and what happens when they are not what was written.

use std::fs;

use serde_json::Value;

use super::*;
use crate::Error;
use crate::grid::{Merged, merge};
use crate::protocol::cross_validate;

fn made(dir: &Path) -> (Grid, Merged) {
    let grid = grid();
    assert_eq!(run(&grid, dir, 1).unwrap().failed.len(), 0);
    let merged = merge(dir, false).unwrap();
    (grid, merged)
}

#[test]
fn merging_gives_what_cross_validation_gives() {
    let dir = tempfile::tempdir().unwrap();
    let (grid, merged) = made(dir.path());
    for (dataset, data) in merged.datasets.iter().enumerate() {
        for (model, results) in data.models.iter().enumerate() {
            for (seed, found) in results.seeds.iter().enumerate() {
                let splits = &grid.datasets()[dataset].splits[seed];
                let mut fold = 0;
                let expected = cross_validate(&data.labels, splits, |_, _| {
                    fold += 1;
                    let group = Group { dataset, seed: 0, fold, split: &splits[fold - 1] };
                    Ok::<_, Infallible>(answer(&grid, &group, model))
                });
                assert_eq!(found.result, expected.unwrap());
                assert!(found.prepare_seconds.iter().all(|seconds| *seconds >= 0.0));
            }
        }
    }
    let [right, wrong, always] = merged.datasets[0].models.as_slice() else { panic!("three models") };
    assert_eq!((right.mean.accuracy, right.n_folds()), (1.0, 6));
    assert!(wrong.mean.accuracy < 1.0 && wrong.sd.unwrap().accuracy > 0.0);
    let ends: Vec<f64> = wrong.seeds.iter().map(|seed| seed.result.intervals.accuracy.low).collect();
    assert_eq!(wrong.intervals.accuracy.low, (ends[0] + ends[1]) / 2.0);
    assert!(always.mean.roc_auc_ovr.is_none() && right.mean.roc_auc_ovr.is_some());
    let table = merged.table();
    assert!(table.contains("=lung: 24 cells, 3 classes, 2 seeds") && table.contains("1.000*"), "{table}");
}

#[test]
fn a_cell_says_all_that_it_depends_on_and_no_time() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let text = fs::read_to_string(dir.path().join("cells/blood/wrong_every_5/seed2-fold1.json")).unwrap();
    let cell: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(cell["model"], "wrong every 5");
    assert_eq!(cell["parameters"]["every"], 5);
    assert_eq!((cell["seed"].as_u64(), cell["fold"].as_u64()), (Some(2), Some(1)));
    assert_eq!(cell["provenance"]["crates"]["sc-eval"], env!("CARGO_PKG_VERSION"));
    assert_eq!(cell["scores"].as_object().unwrap().len(), crate::protocol::Scores::LEN);
    assert!(!text.contains("second"), "{text}");
    // The shortest text that gives the same bits.
    assert!(text.contains("0.7,0.15"), "{text}");
}

#[test]
fn damaged_and_misplaced_cells_are_refused_when_merged_and_made_again_when_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (grid, _) = made(dir.path());
    let before = contents(dir.path());
    let path = |name: &str| dir.path().join("cells").join(name);
    let [cell, other] = ["blood/right/seed1-fold0.json", "blood/right/seed1-fold1.json"].map(path);
    let whole = fs::read(&cell).unwrap();
    let resealed = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_slice(&whole).unwrap();
        document.as_object_mut().unwrap().remove("sha256");
        change(&mut document);
        let body = serde_json::to_string(&document).unwrap();
        let digest = crate::grid::store::sha256(body.as_bytes());
        format!("{},\"sha256\":\"{digest}\"}}\n", &body[..body.len() - 1]).into_bytes()
    };
    let other_plan = "0".repeat(64);
    let bad: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "SHA-256"),
        ("cut", whole[..whole.len() / 2].to_vec(), "SHA-256"),
        ("of another fold", fs::read(&other).unwrap(), "of another seed or fold"),
        ("of another plan", resealed(&|cell| cell["plan"] = other_plan.clone().into()), "of another plan"),
        ("of the future", resealed(&|cell| cell["format"] = 2.into()), "format"),
        ("lying about cells", resealed(&|cell| cell["test"][0] = 4000.into()), "not in the data set"),
        (
            "lying about truth",
            resealed(&|cell| cell["truth"].as_array_mut().unwrap().reverse()),
            "true classes",
        ),
        (
            "lying about classes",
            resealed(&|cell| cell["predicted"][0] = 99.into()),
            "a class that does not exist",
        ),
        (
            "lying about shape",
            resealed(&|cell| cell["probabilities"][0] = Value::Array(vec![])),
            "another shape",
        ),
    ];
    for (name, bytes, reason) in bad {
        fs::write(&cell, bytes).unwrap();
        let refused = merge(dir.path(), false).map(drop).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }) && refused.help().is_some(), "{name}: {refused}");
        assert!(refused.to_string().contains(reason), "{name}: {refused}");
        assert_eq!(merge(dir.path(), true).unwrap().missing.len(), 1, "{name}");
        let told = std::sync::Mutex::new(Vec::new());
        let watch = |event: Event<'_>| {
            if let Event::Damaged(error) = event {
                told.lock().unwrap().push(error.to_string());
            }
        };
        assert_eq!(run_watched(&grid, dir.path(), 1, watch).unwrap().n_done, 1, "{name}");
        assert!(told.into_inner().unwrap()[0].contains(reason), "{name}");
        assert_eq!(contents(dir.path()), before, "{name}");
    }
}

#[test]
fn missing_cells_are_listed_and_can_be_allowed() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    fs::remove_file(dir.path().join("cells/blood/right/seed1-fold0.json")).unwrap();
    fs::remove_dir_all(dir.path().join("cells/_lung/_t")).unwrap();
    let error = merge(dir.path(), false).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("7 of 36 results are missing in "), "{text}");
    assert!(text.contains("right on blood, seed 1, fold 0, =T on =lung, seed 1, fold 0"), "{text}");
    assert!(error.help().unwrap().contains("--allow-missing"));
    let merged = merge(dir.path(), true).unwrap();
    assert_eq!(merged.missing.len(), 7);
    assert_eq!(merged.datasets[1].models.len(), 2);
    let right = &merged.datasets[0].models[0];
    assert_eq!(right.seeds[0].folds, [1, 2]);
    assert_eq!(right.seeds[0].result.fold.iter().filter(|fold| fold.is_none()).count(), 14);
    merged.write(dir.path()).unwrap();

    fs::remove_dir_all(dir.path().join("cells")).unwrap();
    let none = merge(dir.path(), true).map(drop).unwrap_err().to_string();
    assert!(none.starts_with("36 of 36") && none.ends_with("and 26 more"), "{none}");
}

#[test]
fn plans_and_data_sets_that_were_changed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || merge(dir.path(), true).map(drop).unwrap_err().to_string();
    assert!(refused().contains("plan.json"));
    made(dir.path());
    let change = |name: &str, from: &str, to: &str| {
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    change("datasets/blood.json", "blood 7", "blood 8");
    assert!(refused().contains("blood.json` is damaged: its SHA-256 is not the one of the plan"));
    change("datasets/blood.json", "blood 8", "blood 7");
    change("plan.json", "\"n_folds\": 3", "\"n_folds\": 3000");
    assert!(refused().contains("the plan has more folds than there are cells"), "{}", refused());
    change("plan.json", "\"n_folds\": 3000", "\"n_folds\": 4");
    assert!(refused().contains("are missing"), "{}", refused());
    change("plan.json", "\"seeds\"", "\"sods\"");
    assert!(refused().contains("plan.json` is damaged: unknown field"), "{}", refused());
}

#[test]
fn times_that_are_lost_cost_no_result() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    fs::remove_dir_all(dir.path().join("times")).unwrap();
    let merged = merge(dir.path(), false).unwrap();
    assert!(merged.datasets[0].models[0].seeds[0].result.fit_seconds.is_nan());
    let [.., times, _] = merged.files();
    let times = String::from_utf8(times.1).unwrap();
    assert!(times.lines().nth(1).unwrap().ends_with(",,,"), "{times}");
}

#[test]
fn tables_have_one_row_per_model_and_run_no_formula() {
    let dir = tempfile::tempdir().unwrap();
    let (_, merged) = made(dir.path());
    merged.write(dir.path()).unwrap();
    let csv = fs::read_to_string(dir.path().join("results.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 7);
    assert!(lines[0].starts_with(
        "dataset,model,n_seeds,n_folds,n_cells,accuracy,accuracy_low,accuracy_high,accuracy_sd,"
    ));
    assert!(lines[1].starts_with("blood,right,2,6,40,1.000000,1.000000,1.000000,0.000000,"), "{}", lines[1]);
    assert!(lines[6].starts_with("'=lung,'=T,2,6,24,0.5"), "{}", lines[6]);
    assert!(!csv.contains("second"));
    let times = fs::read_to_string(dir.path().join("times.csv")).unwrap();
    assert_eq!(times.lines().count(), 37);
    assert!(times.lines().nth(1).unwrap().ends_with(",0.500000,0.250000"), "{times}");
    let results: Value = serde_json::from_slice(&fs::read(dir.path().join("results.json")).unwrap()).unwrap();
    let seeds = results["datasets"][0]["models"][1]["seeds"].as_array().unwrap();
    assert_eq!(seeds[1]["folds"][2]["scores"].as_object().unwrap().len(), crate::protocol::Scores::LEN);
}

#[test]
fn cz_benchmarks_finds_its_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let (_, merged) = made(dir.path());
    let [.., (name, bytes)] = merged.files();
    assert_eq!(name, "cz_benchmarks.json");
    let entries: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    // For each of two data sets and two seeds: four metrics of three models and of their mean, AUROC of two.
    assert_eq!(entries.len(), 4 * (4 * 4 + 2));
    let value = |metric: &str, classifier: &str| {
        let found = entries.iter().find(|entry| {
            entry["metric_type"] == metric
                && entry["params"]["classifier"] == classifier
                && entry["params"]["dataset"] == "blood"
        });
        found.map(|entry| entry["value"].as_f64().unwrap())
    };
    let model = &merged.datasets[0].models[1].seeds[0].result;
    assert_eq!(value("mean_fold_accuracy", "wrong every 5"), Some(model.mean.accuracy));
    assert_eq!(value("mean_fold_f1", "wrong every 5"), Some(model.mean.f1_macro));
    assert_eq!(value("mean_fold_auroc", "wrong every 5"), model.mean.roc_auc_ovr);
    assert_eq!(value("mean_fold_auroc", "=T"), None);
    let all: f64 = merged.datasets[0].models.iter().map(|model| model.seeds[0].result.mean.accuracy).sum();
    let mean = value("mean_fold_accuracy", "MEAN(=T,right,wrong every 5)").unwrap();
    assert!((mean - all / 3.0).abs() < 1e-12);
}

#[test]
fn with_two_classes_cz_benchmarks_scores_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let labels = Labels::new(&["a", "b", "a", "b", "a", "b", "a", "a"]).unwrap();
    let splits = vec![StratifiedKFold { n_splits: 2, ..Default::default() }.split(&labels).unwrap()];
    let cells = (0..8).map(|cell| cell.to_string()).collect();
    let mut plan = Plan::new("two");
    plan.models = vec![ModelPlan::named("a")];
    plan.seeds = vec![42];
    let grid = Grid::new(plan, vec![Dataset { name: "two".into(), cells, labels, splits }]).unwrap();
    let answer = |(): &(), group: &Group<'_>, _| {
        // One of the class b is found, the others are called a.
        let labels = &grid.datasets()[0].labels;
        let first = group.split.test.iter().position(|&cell| labels.codes()[cell] == 1);
        let codes = (0..group.split.test.len()).map(|i| u32::from(Some(i) == first)).collect();
        let prediction = Prediction { codes, probabilities: None };
        Ok(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
    };
    let outcome = grid.run(dir.path(), 1, |_| Ok::<_, Infallible>(()), answer, |_| ()).unwrap();
    assert_eq!(outcome.n_done, 2);
    let [.., (_, bytes)] = merge(dir.path(), false).unwrap().files();
    let entries: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    let recall = entries.iter().find(|entry| entry["metric_type"] == "mean_fold_recall").unwrap();
    // Folds with two and one cells of b.
    assert_eq!(recall["value"], 0.75);
}

#[test]
fn parameters_are_written_in_the_order_of_their_names_however_they_were_put_in() {
    let orders = [["zeta", "alpha"], ["alpha", "zeta"]].map(|names| {
        let object = |names: [&str; 2]| {
            let inner: serde_json::Map<String, Value> =
                names.map(|name| (name.to_owned(), Value::from(name.len()))).into_iter().collect();
            Value::from_iter(names.map(|name| (name.to_owned(), Value::from(inner.clone()))))
        };
        let mut plan = plan();
        plan.models[1].parameters = object(names);
        plan.parameter("nested", vec![object(names)]);
        let sha256 = plan.sha256();
        let datasets = vec![dataset("blood", 40, &plan.seeds)];
        let grid = Grid::new(plan, datasets).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(&grid, dir.path(), 1).unwrap().failed.len(), 0);
        let written = fs::read_to_string(dir.path().join("plan.json")).unwrap();
        let [(_, results), ..] = merge(dir.path(), false).unwrap().files();
        (sha256, written, String::from_utf8(results).unwrap())
    });
    assert!(orders[0].1.find("\"alpha\"") < orders[0].1.find("\"zeta\""), "{}", orders[0].1);
    assert_eq!(orders[0], orders[1]);
}
