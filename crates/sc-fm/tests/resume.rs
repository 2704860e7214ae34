//! A run that is killed again and again ends with the bytes of one that was left alone.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not there")]

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sc_fm::classify::{FineTuneParams, Method, fine_tune};
use sc_fm::embed::{FileParams, FoundationModel, Kind, OpenParams, Output};
use sc_fm::models::geneformer::GeneformerConfig;
use sc_io::{AnnData, Csr, DataFrame, Matrix, h5ad};

/// Names the folder of a run, for the process that is to be killed.
const FOLDER: &str = "SC_FM_RESUME_TEST_FOLDER";
/// The same for a training.
const TRAINING: &str = "SC_FM_RESUME_TEST_TRAINING";

/// A small model with a dictionary, and a file of cells.
fn prepare(folder: &Path, n_cells: usize) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fm/geneformer_tiny_v1/mlm");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(kept.join(name), folder.join(name)).unwrap();
    }
    let config = GeneformerConfig::read(&folder.join("config.json")).unwrap();
    let genes: Vec<String> = (2..config.vocab_size).map(|i| format!("ENSG{i:011}")).collect();
    let mut tokens = serde_json::json!({"<pad>": 0, "<mask>": 1});
    let (mut medians, mut mapping) = (serde_json::json!({}), serde_json::json!({}));
    for (gene, token) in genes.iter().zip(2..) {
        tokens[gene] = token.into();
        medians[gene] = (1.0 + f64::from(token) / 9.0).into();
        mapping[gene] = gene.as_str().into();
    }
    for (name, value) in
        [("token_dictionary", tokens), ("gene_median_dictionary", medians), ("ensembl_mapping_dict", mapping)]
    {
        std::fs::write(folder.join(format!("{name}.json")), value.to_string()).unwrap();
    }
    let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
    for cell in 0..n_cells {
        for gene in (0..genes.len()).filter(|gene| (gene * 7 + cell * 3) % 11 < cell % 9) {
            indices.push(gene as u32);
            values.push((1 + (gene * 5 + cell) % 17) as f32);
        }
        indptr.push(indices.len());
    }
    let x = Csr::new(n_cells, genes.len(), indptr, indices, values).unwrap();
    let obs = DataFrame::new((0..n_cells).map(|i| format!("cell{i}")).collect());
    let adata = AnnData::new(Matrix::Csr(x), obs, DataFrame::new(genes)).unwrap();
    h5ad::write(&adata, folder.join("cells.h5ad")).unwrap();
}

/// Embeds the cells of a folder; says a line after each batch.
fn run(folder: &Path, mut say: impl FnMut()) {
    let model = FoundationModel::open(folder, &OpenParams::default()).unwrap();
    let params =
        FileParams { block_rows: 3, output: Output::New(folder.join("embedded.h5ad")), ..Default::default() };
    let watch = &mut |_: &_| {
        say();
        ControlFlow::Continue(())
    };
    model.embed_file(folder.join("cells.h5ad"), &params, watch).unwrap();
}

/// The process that is killed: this test itself, started by the one below.
#[test]
fn embeds_the_folder_that_its_surroundings_name() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mut output = std::io::stdout();
    run(&folder, || {
        writeln!(output, "batch").and_then(|()| output.flush()).expect("the other end is open");
    });
}

#[test]
fn killed_runs_end_with_the_bytes_of_one_that_was_left_alone() {
    let n_cells = 120;
    let (alone, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    prepare(alone.path(), n_cells);
    prepare(killed.path(), n_cells);
    run(alone.path(), || {});

    let result = killed.path().join("embedded.h5ad");
    let mut n_killed = 0;
    // After so many batches of its own, each run is killed wherever it is then; the last ones are left alone.
    for n_batches in [1, 1, 2, 3, 1, 2, 4, 1, 3, 2, 1, 2, usize::MAX, usize::MAX] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embeds_the_folder_that_its_surroundings_name", "--nocapture"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let heard = lines.filter(|line| line.ends_with("batch")).take(n_batches).count();
        let was_cut = heard == n_batches;
        if was_cut {
            child.kill().unwrap();
        }
        let ended_well = child.wait().unwrap().success();
        n_killed += usize::from(was_cut && !ended_well);
        assert!(was_cut || ended_well, "a run that nobody killed failed");
        if result.exists() {
            break;
        }
    }
    assert!(n_killed >= 10, "only {n_killed} runs were killed");
    let bytes = |folder: &Path| std::fs::read(folder.join("embedded.h5ad")).unwrap();
    assert!(bytes(killed.path()) == bytes(alone.path()), "the files differ");
    let names: Vec<_> = std::fs::read_dir(killed.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".npy")), "{names:?}");
}

/// Fine-tunes the model of a folder on its cells; says a line after each step.
fn train(folder: &Path, mut say: impl FnMut()) {
    let model = FoundationModel::open(folder, &OpenParams::default()).unwrap();
    let adata = h5ad::read(folder.join("cells.h5ad")).unwrap();
    let labels: Vec<Option<&str>> = (0..adata.n_obs()).map(|i| Some(["T", "B", "NK"][i % 3])).collect();
    // Every ninth cell has no counts.
    let (train, validation) = (0..adata.n_obs()).filter(|row| row % 9 > 1).partition(|row| row % 4 > 0);
    let (train, validation): (Vec<usize>, Vec<usize>) = (train, validation);
    let mut params = FineTuneParams::new(Kind::Geneformer, Method::Full);
    (params.train.epochs, params.train.batch_size, params.train.save_every) = (7, 6, Some(1));
    let watch = &mut |_: &_| {
        say();
        ControlFlow::Continue(())
    };
    let state = folder.join("state");
    let tuned =
        fine_tune(&model, &adata, &labels, &train, &validation, &params, Some(&state), watch).unwrap();
    tuned.save(folder.join("tuned"), true).unwrap();
}

/// The process that is killed: this test itself, started by the one below.
#[test]
fn trains_in_the_folder_that_its_surroundings_name() {
    let Some(folder) = std::env::var_os(TRAINING).map(PathBuf::from) else { return };
    let mut output = std::io::stdout();
    train(&folder, || {
        writeln!(output, "step").and_then(|()| output.flush()).expect("the other end is open");
    });
}

#[test]
fn a_training_that_is_killed_twenty_times_ends_with_the_bytes_of_one_that_was_left_alone() {
    let (alone, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    prepare(alone.path(), 120);
    prepare(killed.path(), 120);
    train(alone.path(), || {});

    let result = killed.path().join("tuned/classifier.json");
    let (mut n_killed, mut draw) = (0usize, 1u64);
    while !result.exists() {
        assert!(n_killed < 200, "the training does not come to its end");
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Twenty times at some moment of some step: while it computes, saves, or clears up.
        let n_steps = if n_killed < 20 { 1 + (draw >> 60) as usize % 3 } else { usize::MAX };
        let moment = std::time::Duration::from_micros((draw >> 33) % 12_000);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "trains_in_the_folder_that_its_surroundings_name", "--nocapture"])
            .env(TRAINING, killed.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let heard = lines.filter(|line| line.ends_with("step")).take(n_steps).count();
        if heard == n_steps {
            std::thread::sleep(moment);
            child.kill().unwrap();
        }
        let ended_well = child.wait().unwrap().success();
        n_killed += usize::from(heard == n_steps && !ended_well);
        assert!(heard == n_steps || ended_well, "a run that nobody killed failed");
    }
    assert!(n_killed >= 20, "only {n_killed} runs were killed");
    let bytes = |folder: &Path| std::fs::read(folder.join("tuned/model.safetensors")).unwrap();
    assert!(bytes(killed.path()) == bytes(alone.path()), "the weights differ");
    let names = std::fs::read_dir(killed.path().join("state")).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.count() <= 4, "files of earlier states were left");
}
