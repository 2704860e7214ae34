//! CellReasoner's steps, one after another, and what they refuse.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::{Ended, counts, refused, run, types, write_h5ad};

fn step(name: &str, flags: &[&str]) -> Ended {
    run("cellreasoner", &[&[name][..], flags].concat())
}

#[track_caller]
fn done(name: &str, flags: &[&str]) -> Ended {
    let ended = step(name, flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The first two steps on 40 cells; returns the records.
fn records(dir: &Path) -> PathBuf {
    let input = write_h5ad(dir, &counts(), &types());
    let list = dir.join("genes.list");
    fs::write(&list, "gene7\ngene0\nnot_there\ngene11\ngene3\n").unwrap();
    let ended =
        done("preprocess", &["--input", text(&input), "--gene-list", text(&list), "--out", text(dir)]);
    assert!(ended.stderr.contains("40 cells; 4 of the 5 listed genes"), "{}", ended.stderr);
    let ended =
        done("build-dataset", &["--input", text(&dir.join("cells.h5")), "--label-column", "cell_type"]);
    assert!(ended.stderr.contains("40 records"), "{}", ended.stderr);
    dir.join("cells_for_CellReasoner.json")
}

#[test]
fn genes_stand_in_the_order_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = records(dir.path());
    let records: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let (x, order) = (counts(), [7usize, 0, 11, 3]);
    for (i, record) in records.as_array().unwrap().iter().enumerate() {
        let expected: Vec<String> =
            order.iter().filter(|&&j| x[[i, j]] > 0.0).map(|j| format!("gene{j}")).collect();
        assert_eq!(record["input"], expected.join(", "), "cell {i}");
        assert_eq!(record["output"], if i % 2 == 0 { "B" } else { "T" });
    }
    let again = step("build-dataset", &["--input", text(&dir.path().join("cells.h5"))]);
    refused(&again, 2, &["cells_for_CellReasoner.json is there", "--force"]);
}

#[test]
fn the_embedded_cells_need_no_list() {
    let dir = tempfile::tempdir().unwrap();
    let ended = done("preprocess", &["--out", text(dir.path())]);
    assert!(ended.stderr.contains("700 cells; 765 of the 765"), "{}", ended.stderr);
    let input = dir.path().join("pbmc68k_reduced.h5");
    done("build-dataset", &["--input", text(&input), "--label-column", "bulk_labels", "--reasoning"]);
    let records = fs::read_to_string(dir.path().join("pbmc68k_reduced_for_CellReasoner.json")).unwrap();
    assert_eq!(records.matches("<think></think>").count(), 700);
}

#[test]
fn both_scores_and_what_the_published_one_drops() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let results = write(
        "x_CellReasoner_result.csv",
        "cell_name,response,labels\na,B cell,B cell\nb,T cell,B cell\nc,\"CD3 is there.\n</think>\nT cell\",T cell\nd,platelet,T cell\n",
    );
    let pairs = write(
        "pairs.csv",
        "Ground Truth,Model Prediction,Evaluation Score\nB cell,B cell,1\nB cell,T cell,0.25\nT cell,T cell,1\n",
    );
    let ontology = write(
        "cl.obo",
        "[Term]\nid: CL:0000000\nname: cell\n\n[Term]\nid: CL:1\nname: T cell\nis_a: CL:0000000\n\n[Term]\nid: CL:2\nname: B cell\nis_a: CL:0000000\n",
    );
    let out = dir.path().join("report");
    let flags = ["--input", text(&results), "--pairs", text(&pairs), "--out", text(&out)];
    let ended = done("evaluate", &flags);
    assert!(
        ended.stderr.contains(
            "score as published: 0.750 [0.250, 1.000] over 3 cells; answers that the table does not have: 1, left out"
        ),
        "{}",
        ended.stderr
    );
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("CD3 is there.") && page.contains("platelet"));
    let of = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let agreement = of("agreement_by_label_as_published.csv");
    assert_eq!(agreement, "label,agree,agree in part,not scored,cells\nB cell,1,1,0,2\nT cell,1,0,1,2\n");
    let missing = of("answers_that_the_table_of_pairs_does_not_have.csv");
    assert_eq!(missing, "Label,Answer,Cells\nT cell,platelet,1\n");
    refused(&step("evaluate", &flags), 2, &["--force"]);
    let zero = done("evaluate", &[&flags[..], &["--on-missing", "zero", "--force"]].concat());
    assert!(zero.stderr.contains("score as published: 0.562 ["), "{}", zero.stderr);
    let error = step("evaluate", &[&flags[..], &["--on-missing", "error", "--force"]].concat());
    refused(&error, 3, &["platelet"]);
    // An ontology without the broad classes is another ontology.
    let other = step("evaluate", &[&flags[..], &["--ontology", text(&ontology), "--force"]].concat());
    assert_ne!(other.code, 0, "{}", other.stderr);
    let unlabelled = write("y.csv", "cell_name,response\na,B cell\n");
    let flags = ["--input", text(&unlabelled), "--out", text(&out), "--force"];
    refused(
        &step("evaluate", &[&flags[..], &["--pairs", text(&pairs)]].concat()),
        2,
        &["no label for a", "--label-column"],
    );
    let by_ontology = step("evaluate", &[&flags[..], &["--ontology", text(&ontology)]].concat());
    refused(&by_ontology, 2, &["no label for a", "--label-column"]);
    // Without either, an answer is right if it is the name of the label.
    let flags = ["--input", text(&results), "--out", text(&out), "--force"];
    let by_name = done("evaluate", &flags);
    assert!(by_name.stderr.contains("the name of the label: 0.500 ["), "{}", by_name.stderr);
    write("x_CellReasoner_result.baselines.csv", "cell_name,majority\nd,T cell\nb,B cell\nc,T cell\na,\n");
    let beside = done("evaluate", &flags);
    let row = beside.stdout.lines().find(|line| line.starts_with("majority")).unwrap();
    assert!(row.contains("0.750* ["), "{}", beside.stdout);
    let others = write("others.csv", "cell_name,majority\na,T cell\n");
    let other = step("evaluate", &[&flags[..], &["--baselines", text(&others)]].concat());
    refused(&other, 2, &["no answers for cell \"b\""]);
}

/// A small model with random weights.
pub(crate) fn model(dir: &Path) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/sc-llm/tests/golden");
    let model = dir.join("model");
    fs::create_dir(&model).unwrap();
    let network = ["config.json", "model.safetensors.index.json"];
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    for file in network.into_iter().chain(shards) {
        fs::copy(golden.join("llm/qwen2_untied").join(file), model.join(file)).unwrap();
    }
    fs::copy(golden.join("tokenizer/qwen2_tied/tokenizer.json"), model.join("tokenizer.json")).unwrap();
    model
}

#[test]
fn a_model_answers_with_labels_alone_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    records(dir.path());
    // This model has room for 256 tokens.
    let path = dir.path().join("short.json");
    let input = dir.path().join("cells.h5");
    done("build-dataset", &["--input", text(&input), "--instruction", "Which cell?", "--out", text(&path)]);
    let labels = dir.path().join("labels.txt");
    fs::write(&labels, "B\nT\n").unwrap();
    let flags = [
        "--input",
        text(&path),
        "--checkpoint",
        text(&model),
        "--labels",
        text(&labels),
        "--max-new-tokens",
        "8",
    ];
    done("infer", &flags);
    let result = dir.path().join("short_CellReasoner_result.csv");
    let whole = fs::read_to_string(&result).unwrap();
    let answers: Vec<&str> = whole.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(answers.len(), 40);
    assert!(answers.iter().all(|answer| ["B", "T"].contains(answer)), "{whole}");
    refused(&step("infer", &flags), 2, &["short_CellReasoner_result.csv is there"]);

    let free = dir.path().join("free.csv");
    let flags =
        ["--input", text(&path), "--checkpoint", text(&model), "--max-new-tokens", "4", "--out", text(&free)];
    done("infer", &flags);
    let first = fs::read(&free).unwrap();
    done("infer", &[&flags[..], &["--force", "--threads", "1"]].concat());
    assert_eq!(fs::read(&free).unwrap(), first);
    let elsewhere = dir.path().join("elsewhere.csv");
    let no_model =
        step("infer", &["--input", text(&path), "--checkpoint", text(dir.path()), "--out", text(&elsewhere)]);
    assert_ne!(no_model.code, 0);
    assert!(no_model.stderr.contains("config.json"), "{}", no_model.stderr);
    assert!(!elsewhere.with_extension("partial.jsonl").exists(), "what is not begun leaves nothing");
    let nowhere = ["--input", text(&path), "--checkpoint", "nowhere/model", "--out", text(&elsewhere)];
    refused(&step("infer", &nowhere), 4, &["nowhere/model: no such folder", "--train"]);
    assert!(!elsewhere.with_extension("partial.jsonl").exists(), "what is not begun leaves nothing");
    let unnamed = step("infer", &["--input", text(&path), "--out", text(&elsewhere)]);
    refused(&unnamed, 2, &["--checkpoint", "--endpoint", "--train"]);
    let no_labels =
        step("infer", &["--input", text(&path), "--endpoint", "http://localhost:9", "--model", "m"]);
    refused(&no_labels, 2, &["--labels"]);
}

#[test]
fn no_donor_is_on_both_sides_of_cells_that_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    // Cell 3 has no type.
    let labels: Vec<Option<&str>> =
        types().into_iter().enumerate().map(|(i, label)| label.filter(|_| i != 3)).collect();
    let input = write_h5ad(dir.path(), &counts(), &labels);
    let preprocess = |out: &str, flags: &[&str]| {
        let out = dir.path().join(out);
        let fixed = ["--input", text(&input), "--label-column", "cell_type", "--out", text(&out)];
        (step("preprocess", &[&fixed[..], flags].concat()), out)
    };
    // The donors d0 to d3 have ten cells each, one after another.
    let donors = |out: &Path, part: &str| -> std::collections::BTreeSet<usize> {
        let table = fs::read_to_string(out.join(format!("cells_{part}.meta.csv"))).unwrap();
        let cells = table.lines().skip(1).map(|line| line.split(',').next().unwrap());
        cells
            .map(|cell| cell.trim_matches('"').strip_prefix("cell").unwrap().parse::<usize>().unwrap() / 10)
            .collect()
    };
    for seed in ["1", "2", "3"] {
        let (ended, out) = preprocess(seed, &["--test-share", "0.5", "--group", "donor", "--seed", seed]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("donor: 2 values for training, 2 set aside"), "{}", ended.stderr);
        let (train, test) = (donors(&out, "train"), donors(&out, "test"));
        assert!(train.len() == 2 && test.len() == 2 && train.is_disjoint(&test), "{train:?} {test:?}");
        let manifest = fs::read(out.join("cells.manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let named =
            |part: &str| -> Vec<String> { serde_json::from_value(manifest["groups"][part].clone()).unwrap() };
        let names = |donors: &std::collections::BTreeSet<usize>| {
            donors.iter().map(|donor| format!("d{donor}")).collect::<Vec<_>>()
        };
        assert_eq!((named("train"), named("test")), (names(&train), names(&test)));
        assert_eq!(manifest["parameters"]["group"], "donor");
        assert_eq!((&manifest["cells_read"], &manifest["cells_kept"]), (&40.into(), &39.into()));
        assert_eq!(manifest["cells_dropped"]["no value in \"cell_type\""], 1);
        let [of_train, of_test] =
            ["cells_train", "cells_test"].map(|part| manifest["n_cells"][part].as_u64());
        assert_eq!(of_train.unwrap() + of_test.unwrap(), 39);
        assert_eq!(manifest["inputs"][0]["sha256"].as_str().unwrap().len(), 64);
    }
    // Without groups, donors are on both sides.
    let (ended, out) = preprocess("cells", &["--test-share", "0.5"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!donors(&out, "train").is_disjoint(&donors(&out, "test")));

    refused(&preprocess("x", &["--test-share", "1.5"]).0, 2, &["a share between 0 and 1"]);
    refused(&preprocess("x", &["--test-share", "0.5", "--group", "nothing"]).0, 3, &["nothing"]);
    refused(&step("preprocess", &["--group", "donor"]), 2, &["--test-share"]);
}

#[test]
fn a_small_decoder_and_baselines_learn_from_cells_that_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let input = write_h5ad(dir.path(), &counts(), &types());
    let at = |name: &str| dir.path().join(name);
    let aside = ["--test-share", "0.25", "--label-column", "cell_type", "--out", text(dir.path())];
    done("preprocess", &[&["--input", text(&input)][..], &aside].concat());
    for part in ["cells_train.h5", "cells_test.h5"] {
        let flags = ["--label-column", "cell_type", "--instruction", "Which cell?"];
        done("build-dataset", &[&["--input", text(&at(part))][..], &flags].concat());
    }
    let (train, test) = (at("cells_train_for_CellReasoner.json"), at("cells_test_for_CellReasoner.json"));
    let infer =
        |flags: &[&str]| step("infer", &[&["--input", text(&test), "--epochs", "3"][..], flags].concat());
    let leak = infer(&["--train", text(&test)]);
    refused(&leak, 2, &["10 of the cells", "are asked about too", "--test-share"]);
    let flags = ["--train", text(&train), "--shuffled"];
    let ended = infer(&flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("trains a small decoder"), "{}", ended.stderr);
    let beside = at("cells_test_CellReasoner_result.baselines.csv");
    let first = fs::read_to_string(&beside).unwrap();
    let head = "cell_name,majority,marker overlap,TF-IDF + LR,SingleR,shuffled gene names\n";
    assert!(first.starts_with(head) && first.lines().count() == 11, "{first}");
    // The rows of values decide a type without doubt.
    let result = at("cells_test_CellReasoner_result.csv");
    let out = at("report");
    let evaluated = done("evaluate", &["--input", text(&result), "--out", text(&out)]);
    for (method, score) in [("majority", "0.500"), ("SingleR", "1.000")] {
        let row = evaluated.stdout.lines().find(|line| line.starts_with(method)).unwrap();
        assert!(row.contains(score), "{}", evaluated.stdout);
    }
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("Beside baselines"));

    // The decoder is kept, and the same run has the same answers.
    let answers = fs::read_to_string(&result).unwrap();
    refused(&infer(&flags), 2, &["is there"]);
    let again = infer(&[&flags[..], &["--force", "--threads", "1"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(
        (fs::read_to_string(&result).unwrap(), fs::read_to_string(&beside).unwrap()),
        (answers, first)
    );
    let decoder = at("cells_test_CellReasoner_result.decoder");
    let elsewhere = at("elsewhere.csv");
    let labels = at("labels.txt");
    fs::write(&labels, "B\nT\n").unwrap();
    let kept = ["--checkpoint", text(&decoder), "--labels", text(&labels), "--out", text(&elsewhere)];
    let ended = step("infer", &[&["--input", text(&test)][..], &kept].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), fs::read_to_string(&result).unwrap());
}
