//! Pretraining: the folder that comes out, and what is refused.

use std::fs;
use std::path::Path;

use super::foundation_models::geneformer;
use super::support::{Ended, counts, refused, run, types, write_h5ad};

fn pretrain(dir: &Path, flags: &[&str]) -> Ended {
    let out = dir.join("model");
    let small = ["--layers", "1", "--width", "8", "--heads", "2", "--max-length", "16", "--epochs", "2"];
    run("pretrain", &[&["--out", out.to_str().unwrap()][..], &small, flags].concat())
}

#[test]
fn what_was_pretrained_on_a_file_can_be_compared_and_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    geneformer(dir.path());
    let input = write_h5ad(dir.path(), &counts(), &types());
    let dictionaries = dir.path().to_str().unwrap();
    let flags = ["--input", input.to_str().unwrap(), "--dictionaries", dictionaries, "--validation", "0.2"];
    let ended = pretrain(dir.path(), &flags);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("masked genes found") && ended.stdout.contains('*'), "{}", ended.stdout);
    let model = dir.path().join("model");
    for file in ["config.json", "model.safetensors", "training.json", "token_dictionary.json"] {
        assert!(model.join(file).is_file(), "{file}");
    }
    assert!(!model.join("state").exists());
    refused(&pretrain(dir.path(), &flags), 2, &["holds a pretrained model", "--force"]);

    let first = fs::read(model.join("model.safetensors")).unwrap();
    let again = pretrain(dir.path(), &[&flags[..], &["--force", "--threads", "1"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(fs::read(model.join("model.safetensors")).unwrap(), first);

    let out = dir.path().join("results");
    let compared = run(
        "foundation_models",
        &[
            "--checkpoint",
            model.to_str().unwrap(),
            "--input",
            input.to_str().unwrap(),
            "--label",
            "cell_type",
            "--seeds=1",
            "--tune=none",
            "--heads=logistic-regression",
            "--n-components=5",
            "--no-map",
            "--out",
            out.to_str().unwrap(),
        ],
    );
    assert_eq!(compared.code, 0, "{}", compared.stderr);
    assert!(compared.stdout.contains("model + LR"), "{}", compared.stdout);
}

#[test]
fn wrong_flags_and_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.h5ad");
    refused(&pretrain(dir.path(), &["--input", missing.to_str().unwrap()]), 3, &["none.h5ad"]);
    let empty = dir.path().to_str().unwrap();
    refused(&pretrain(dir.path(), &["--dictionaries", empty]), 3, &["token dictionary"]);
    refused(&run("pretrain", &["--heads", "3", "--width", "8", "--out", empty]), 3, &["3"]);
    refused(&run("pretrain", &["--checkpoint", empty, "--layers", "2"]), 2, &["--layers"]);
}
