//! Frozen models: the table, what is kept for a second run, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use sc_io::{AnnData, Column, DataFrame, Matrix, h5ad};

use super::support::{Ended, counts, refused, run, types, write_h5ad};

/// One seed and one head, without maps and trainings.
const QUICK: [&str; 9] = [
    "--seeds",
    "1",
    "--heads",
    "logistic-regression",
    "--no-map",
    "--n-components=5",
    "--pretrain-epochs=1",
    "--tune",
    "none",
];

/// A configuration of a tiny Geneformer of the second series, with its dictionaries beside it; genes `gene0` to `gene11`.
pub(crate) fn geneformer(dir: &Path) -> PathBuf {
    let names = ["<pad>", "<mask>", "<cls>", "<eos>"].map(str::to_owned);
    let genes: Vec<String> = (0..12).map(|gene| format!("GENE{gene}")).collect();
    let tokens: Vec<String> =
        names.iter().chain(&genes).zip(0..).map(|(key, n)| format!("{key:?}: {n}")).collect();
    let medians: Vec<String> = genes.iter().zip(1..).map(|(key, n)| format!("{key:?}: {n}.5")).collect();
    let mapping: Vec<String> = genes.iter().map(|key| format!("{key:?}: {key:?}")).collect();
    for (name, entries) in
        [("token_dictionary", tokens), ("gene_median_dictionary", medians), ("ensembl_mapping_dict", mapping)]
    {
        fs::write(dir.join(format!("{name}.json")), format!("{{{}}}", entries.join(", "))).unwrap();
    }
    let path = dir.join("config_tiny.json");
    let config = r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": 16, "max_position_embeddings": 20, "hidden_act": "relu"}"#;
    fs::write(&path, config).unwrap();
    path
}

fn foundation(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    if !input.exists() {
        write_h5ad(dir, &counts(), &types());
    }
    let out = dir.join("results");
    let [input, out] = [&input, &out].map(|path| path.to_str().unwrap());
    let fixed = ["--input", input, "--label", "cell_type", "--out", out];
    run("foundation_models", &[&fixed[..], &QUICK, flags].concat())
}

/// [`foundation`] with trainings.
fn tuned(dir: &Path, flags: &[&str]) -> Ended {
    let input = dir.join("cells.h5ad");
    if !input.exists() {
        write_h5ad(dir, &counts(), &types());
    }
    let out = dir.join("results");
    let [input, out] = [&input, &out].map(|path| path.to_str().unwrap());
    let fixed = ["--input", input, "--label", "cell_type", "--out", out];
    run("foundation_models", &[&fixed[..], &QUICK[..5], flags].concat())
}

#[test]
fn a_model_is_trained_in_every_way_and_a_second_run_takes_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let config = geneformer(dir.path());
    let rates = ["--epochs", "2", "--learning-rate", "1e-3,1e-2", "--lora-learning-rate", "1e-2"];
    let flags = [&["--random-weights", config.to_str().unwrap(), "--save-models"][..], &rates].concat();
    let ended = tuned(dir.path(), &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for what in ["linear probe", "LoRA", "fine-tuned"] {
        let name = format!("tiny (random), {what}");
        assert!(ended.stdout.contains(&name), "{}", ended.stdout);
        assert!(ended.stderr.contains(&format!("{name}, seed 1")), "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("fine-tuned, seed 1, rate 0.01: epoch"), "{}", ended.stderr);
    let results = dir.path().join("results");
    let chosen = fs::read_to_string(results.join("what_was_chosen_on_validation_cells.csv")).unwrap();
    assert!(chosen.contains("tiny (random), fine-tuned\",1,,,1e-"), "{chosen}");
    let losses = fs::read_to_string(results.join("training_loss_of_the_validation_cells.csv")).unwrap();
    assert_eq!(losses.matches("fine-tuned\",").count(), 2, "{losses}");
    let models = results.join("training/models");
    assert!(models.join("model0-fine-tuned-seed1/model.safetensors").is_file());
    assert!(models.join("model0-LoRA-seed1/adapter_model.safetensors").is_file());
    assert!(!results.join("training/state").exists());

    let table = fs::read(results.join("final_comparison_table.csv")).unwrap();
    let again = tuned(dir.path(), &[&flags[..], &["--resume", "--threads", "1"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("7 results are there, 0 are missing"), "{}", again.stderr);
    fs::remove_dir_all(&results).unwrap();
    let anew = tuned(dir.path(), &[&flags[..], &["--threads", "1"]].concat());
    assert_eq!(anew.code, 0, "{}", anew.stderr);
    assert_eq!(fs::read(results.join("final_comparison_table.csv")).unwrap(), table);
    refused(&tuned(dir.path(), &["--learning-rate", "2"]), 2, &["above 0 and below 1"]);
}

/// Files under `embeddings`, by name.
fn embeddings(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("results/embeddings")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".npy"));
    names.sort();
    names
}

#[test]
fn without_input_a_small_random_model_is_compared_with_the_baselines() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("results");
    let flags = ["--out", out.to_str().unwrap(), "--max-cells", "150", "--n-genes", "100"];
    let ended = run("foundation_models", &[&flags[..], &QUICK].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let table = fs::read_to_string(out.join("final_comparison_table.csv")).unwrap();
    for name in ["majority", "HVG + PCA + LR", "HVG + LR", "random Geneformer + LR", "small Geneformer + LR"]
    {
        assert!(table.contains(name) && ended.stdout.contains(name), "{name}: {table}");
    }
    assert!(table.contains("random, not pretrained") && table.contains("pretrained here"), "{table}");
    assert!(ended.stderr.contains("no checkpoint is named, so it is pretrained on the"), "{}", ended.stderr);
    let markdown = fs::read_to_string(out.join("final_comparison_table.md")).unwrap();
    assert!(markdown.starts_with("| Model | Accuracy | sd |"), "{markdown}");
    for file in ["metrics.csv", "metrics.json", "results.csv", "report.md", "per_class.csv"] {
        assert!(fs::metadata(out.join(file)).unwrap().len() > 100, "{file}");
    }
}

#[test]
fn embeddings_are_kept_and_a_run_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let config = geneformer(dir.path());
    let config = config.to_str().unwrap();
    let flags = ["--random-weights", config, "--model-layer", "last", "0"];
    let ended = foundation(dir.path(), &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("tiny (random), cls of layer last: 40 cells to embed"), "{}", ended.stderr);
    let table = dir.path().join("results/final_comparison_table.csv");
    let (first, kept) = (fs::read(&table).unwrap(), embeddings(dir.path()));
    assert_eq!(kept.len(), 2);
    let chosen =
        fs::read_to_string(dir.path().join("results/what_was_chosen_on_validation_cells.csv")).unwrap();
    assert!(chosen.contains("tiny (random) + LR,1,") && chosen.contains(",10,"), "{chosen}");

    refused(&foundation(dir.path(), &flags), 2, &["--resume", "--force"]);
    let again = foundation(dir.path(), &[&flags[..], &["--resume", "--threads", "1"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stderr.contains("taken from") && again.stderr.contains("4 results are there"),
        "{}",
        again.stderr
    );
    assert_eq!(fs::read(&table).unwrap(), first);

    // Other weights are other embeddings, and another plan.
    fs::write(
        config,
        fs::read_to_string(config).unwrap().replace("\"intermediate_size\": 32", "\"intermediate_size\": 24"),
    )
    .unwrap();
    let other = foundation(dir.path(), &[&flags[..], &["--resume"]].concat());
    refused(&other, 2, &["plan"]);
    assert_eq!(embeddings(dir.path()).len(), 4);
    // What an interruption leaves half done is done again.
    let started = foundation(dir.path(), &[&flags[..], &["--force"]].concat());
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert!(started.stderr.contains("taken from"), "{}", started.stderr);
}

#[test]
fn memory_and_threads_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = geneformer(dir.path());
    let flags = ["--random-weights", config.to_str().unwrap(), "--mode", "cell"];
    let go = |more: &[&str]| {
        let ended = foundation(dir.path(), &[&flags[..], more].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let [name] = &embeddings(dir.path())[..] else { panic!("one embedding") };
        let path = dir.path().join("results/embeddings").join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_dir_all(dir.path().join("results")).unwrap();
        bytes
    };
    let first = go(&[]);
    assert_eq!(go(&["--threads", "1", "--memory", "1"]), first);
}

#[test]
fn a_folder_that_is_no_model_and_models_without_weights_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = geneformer(dir.path());
    let config = config.to_str().unwrap();
    let folder = dir.path().to_str().unwrap();
    refused(&foundation(dir.path(), &["--checkpoint", folder]), 3, &["no model in this folder", "help:"]);
    refused(&foundation(dir.path(), &["--model", "scgpt"]), 4, &["scgpt", "--checkpoint scgpt=FOLDER"]);
    refused(&foundation(dir.path(), &["--model", "bert"]), 2, &["bert", "scfoundation"]);
    let layer = foundation(dir.path(), &["--random-weights", config, "--model-layer", "3"]);
    refused(&layer, 3, &["2 layers", "3"]);
    refused(&foundation(dir.path(), &["--memory", "much"]), 2, &["--memory", "512M"]);
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let flags = ["--random-weights", config, "--dictionaries", elsewhere.to_str().unwrap()];
    refused(&foundation(dir.path(), &flags), 3, &["token dictionary", "elsewhere", "help:"]);
}

#[test]
fn a_matrix_that_the_model_hardly_knows_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = geneformer(dir.path());
    let mut adata = h5ad::read(write_h5ad(dir.path(), &counts(), &types())).unwrap();
    let names = (0..12).map(|gene| format!("{}{gene}", if gene < 5 { "gene" } else { "other" })).collect();
    adata.var_mut().set_index(names).unwrap();
    fs::remove_file(dir.path().join("cells.h5ad")).unwrap();
    h5ad::write(&adata, dir.path().join("cells.h5ad")).unwrap();
    let ended = foundation(dir.path(), &["--random-weights", config.to_str().unwrap()]);
    refused(&ended, 3, &["5 of 12"]);
}

/// Cells with two marker genes that make clusters of their own, so that the published labels can be made.
fn with_markers(dir: &Path) {
    let x = counts();
    let names = |prefix: &str, n| (0..n).map(|i| format!("{prefix}{i}")).collect::<Vec<String>>();
    let mut symbols = names("other", 12);
    symbols[0] = "CD3D".to_owned();
    symbols[11] = "MS4A1".to_owned();
    let mut var = DataFrame::new(symbols);
    var.insert("ensembl_id", Column::Strings(names("gene", 12))).unwrap();
    let mut obs = DataFrame::new(names("cell", 40));
    let labels = types().into_iter().flatten().map(str::to_owned).collect();
    obs.insert("cell_type", Column::Strings(labels)).unwrap();
    let x = Matrix::Csr(sc_io::Csr::from_dense(x.view()));
    h5ad::write(&AnnData::new(x, obs, var).unwrap(), dir.join("cells.h5ad")).unwrap();
}

#[test]
fn the_published_protocol_is_refused_and_with_force_runs_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    with_markers(dir.path());
    let config = geneformer(dir.path());
    let flags = ["--random-weights", config.to_str().unwrap(), "--protocol", "as-published"];
    let plain = foundation(dir.path(), &flags);
    refused(&plain, 3, &["scaled values", "--force", "not a raw count", "cell0"]);
    assert!(!dir.path().join("results").exists());
    let forced = foundation(dir.path(), &[&flags[..], &["--force"]].concat());
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    assert!(forced.stderr.contains("warning:"), "{}", forced.stderr);
    let wrong = fs::read_to_string(dir.path().join("results/what_is_wrong_with_this_protocol.csv")).unwrap();
    assert!(
        wrong.contains("Leiden clusters of the expression") && wrong.contains("scaled values"),
        "{wrong}"
    );
    assert!(forced.stdout.contains("no: see what is wrong"), "{}", forced.stdout);
    let page = fs::read_to_string(dir.path().join("results/report.html")).unwrap();
    assert!(page.contains("None of these figures can be trusted"));
    refused(&foundation(dir.path(), &flags[2..]), 2, &["--protocol as-published", "--checkpoint"]);
}
