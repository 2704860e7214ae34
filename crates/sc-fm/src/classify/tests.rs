use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Tensor;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_io::{AnnData, Csr, DataFrame, Matrix};

use super::*;
use crate::embed::testing::{self, N_GENES, gene};
use crate::embed::{EmbedParams, FoundationModel, Kind, Network, OpenParams};
use crate::models::geneformer::InputFormat;
use crate::models::{Geneformer, Scgpt, ScgptConfig, scfoundation, scgpt::Specials};
use crate::nn::gemm::Precision;
use crate::tokenize::scfoundation::GeneList;
use crate::tokenize::scgpt::ScgptVocabulary;
use crate::train::{self, Schedule, Select, TrainProgress, unwatched};

mod files;
mod genes;
mod refused;
mod tasks;

/// Cells of three classes that differ in which eight genes have many counts; every seventh cell has no label, and cell 5
/// has no counts.
fn data(n_cells: usize) -> (AnnData, Vec<Option<&'static str>>) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut dense = Array2::<f32>::zeros((n_cells, N_GENES));
    let mut labels = vec![];
    for (cell, mut row) in dense.rows_mut().into_iter().enumerate() {
        let class = cell % 3;
        for (gene, x) in row.iter_mut().enumerate().filter(|_| cell != 5) {
            let is_marker = gene / 8 == class;
            let is_there = rng.next_u32() % 8 < if is_marker { 7 } else { 1 };
            let count = 1 + rng.next_u32() % if is_marker { 60 } else { 5 };
            *x = if is_there { count as f32 } else { 0.0 };
        }
        labels.push((cell % 7 != 6).then_some(["T cell", "B cell", "NK cell"][class]));
    }
    let var = DataFrame::new((0..N_GENES).map(gene).collect());
    let obs = DataFrame::new((0..n_cells).map(|i| format!("cell{i}")).collect());
    (AnnData::new(Matrix::Csr(Csr::from_dense(dense.view())), obs, var).unwrap(), labels)
}

/// Rows with label and counts: of four, three to train on and one to validate with.
fn split(labels: &[Option<&str>]) -> (Vec<usize>, Vec<usize>) {
    let rows = (0..labels.len()).filter(|&row| labels[row].is_some() && row != 5);
    rows.partition(|row| row / 3 % 4 != 3)
}

fn geneformer() -> FoundationModel {
    let mut config = testing::config();
    config.initializer_range = 0.1;
    let model = Geneformer::random(config, InputFormat::V2 { cls: 2, eos: 3 }, 1).unwrap();
    FoundationModel::geneformer(model, testing::vocabulary()).unwrap()
}

fn scgpt() -> FoundationModel {
    let config: ScgptConfig =
        serde_json::from_str(r#"{"embsize": 16, "nheads": 2, "d_hid": 16, "nlayers": 2, "dropout": 0.1}"#)
            .unwrap();
    let vocabulary = ScgptVocabulary::new((0..N_GENES).map(gene).zip(0..)).unwrap();
    let n_tokens = vocabulary.n_tokens();
    let mut weights = Scgpt::random_weights(&config, n_tokens, 1).unwrap();
    // Larger than those of a new model, so that a frozen body tells cells apart.
    let larger = |_: &str, tensor: &Tensor| -> crate::Result<Tensor> {
        Ok(if tensor.rank() == 2 { (tensor * 5.0)? } else { tensor.clone() })
    };
    weights.replace(larger).unwrap();
    let specials = Specials { pad: vocabulary.pad(), cls: vocabulary.cls() };
    let model = Scgpt::from_weights(config, n_tokens, specials, &mut weights, Precision::F32).unwrap();
    FoundationModel::scgpt(model, vocabulary, 30).unwrap()
}

fn params(model: &FoundationModel, method: Method) -> FineTuneParams {
    let mut params = FineTuneParams::new(model.kind(), method);
    params.train.epochs = 4;
    params.train.batch_size = 8;
    params.train.schedule = Schedule::linear(if params.method == Method::LinearProbe { 5e-2 } else { 5e-3 });
    params
}

/// The same parameters but for a change.
fn change<P>(mut params: P, change: impl FnOnce(&mut P)) -> P {
    change(&mut params);
    params
}

fn tune(model: &FoundationModel, params: &FineTuneParams, state: Option<&Path>) -> crate::Result<FineTuned> {
    let (adata, labels) = data(120);
    let (train, validation) = split(&labels);
    fine_tune(model, &adata, &labels, &train, &validation, params, state, &mut unwatched)
}

fn accuracy(tuned: &FineTuned) -> f64 {
    let (adata, labels) = data(240);
    let rows: Vec<usize> = (120..240).collect();
    let found = tuned.predict_proba(&adata, &rows).unwrap();
    assert!(found.missing.is_empty());
    let truth = |row: usize| labels[row].or(labels[row - 21]);
    let of = |row: usize| ["T cell", "B cell", "NK cell"][row % 3];
    assert!(rows.iter().all(|&row| truth(row).is_none_or(|label| label == of(row))));
    let right = found
        .most_probable()
        .into_iter()
        .zip(&rows)
        .filter(|(class, row)| tuned.classes()[class.unwrap()] == of(**row))
        .count();
    right as f64 / rows.len() as f64
}

fn values(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The bits of all tensors of a network but its heads.
fn body(model: &FoundationModel) -> Vec<(String, Vec<u32>)> {
    let source = match &model.network {
        Network::Geneformer { model, .. } => model.source(),
        Network::Scgpt { model, .. } => model.source(),
        Network::Scfoundation { .. } => unreachable!("no test has one"),
    };
    let all = source.constants().unwrap().into_iter();
    let is_head = |name: &str| ["cls", "pooler", "classifier"].iter().any(|head| name.starts_with(head));
    all.filter(|(name, _)| !is_head(name) && !name.contains(".lora_"))
        .map(|(name, tensor)| (name, values(&tensor)))
        .collect()
}

/// Probabilities of some cells, to compare to the last bit.
fn bits(tuned: &FineTuned) -> Vec<u64> {
    let (adata, _) = data(40);
    let rows: Vec<usize> = (0..40).filter(|&row| row != 5).collect();
    let found = tuned.predict_proba(&adata, &rows).unwrap().probabilities;
    found
        .iter()
        .map(|p| p.to_bits())
        .chain(tuned.history().iter().map(|epoch| epoch.train_loss.to_bits()))
        .collect()
}

#[test]
fn fine_tuning_learns_classes_that_a_new_head_does_not_know() {
    for model in [geneformer(), scgpt()] {
        let before = body(&model);
        let schedule = Schedule::linear(if model.kind() == Kind::Scgpt { 1e-2 } else { 5e-3 });
        let long = change(params(&model, Method::Full), |params| {
            params.train.epochs = 8;
            params.train.schedule = schedule;
        });
        let tuned = tune(&model, &long, None).unwrap();
        assert_eq!(tuned.classes(), ["B cell", "NK cell", "T cell"]);
        let found = accuracy(&tuned);
        assert!(found > 0.9, "{}: {found}", model.kind());
        let untrained = change(params(&model, Method::Full), |params| {
            params.train.schedule = Schedule::linear(1e-30);
            params.train.epochs = 1;
        });
        let new = accuracy(&tune(&model, &untrained, None).unwrap());
        assert!(new < 0.7, "{}: {new} without training", model.kind());
        assert!(body(&model) == before, "the model that was given has changed");
        assert!(body(tuned.model()) != before, "the model was not tuned");
        let history = tuned.history();
        assert_eq!(history.len(), 8);
        assert!(history[7].train_loss < history[0].train_loss);
        let best = tuned.best_epoch().validation.unwrap();
        assert!(best.accuracy > 0.9 && best.macro_f1.unwrap() > 0.9);
        assert!(history.iter().all(|epoch| epoch.validation.unwrap().loss >= best.loss));
        let (adata, _) = data(12);
        assert!(tuned.model().embed(&adata, &EmbedParams::default()).is_ok());
    }
}

#[test]
fn a_probe_learns_on_embeddings_and_leaves_the_model_alone() {
    for model in [geneformer(), scgpt()] {
        let before = body(&model);
        let probe = change(params(&model, Method::LinearProbe), |params| params.train.epochs = 30);
        let tuned = tune(&model, &probe, None).unwrap();
        let found = accuracy(&tuned);
        assert!(found > 0.8, "{}: {found}", model.kind());
        assert!(body(tuned.model()) == before && body(&model) == before);
    }
}

fn on_threads<T: Send>(n: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run)
}

#[test]
fn the_seed_alone_decides_about_the_bits() {
    for (model, method) in
        [(geneformer(), Method::Full), (scgpt(), Method::Full), (scgpt(), Method::LinearProbe)]
    {
        let params = change(params(&model, method), |params| {
            params.train.epochs = 2;
            params.train.accumulate = 2;
            params.train.group_by_length = true;
        });
        let run = |params: &FineTuneParams, threads| {
            on_threads(threads, || bits(&tune(&model, params, None).unwrap()))
        };
        let first = run(&params, 1);
        assert!(first == run(&params, 2), "{}: threads", model.kind());
        assert!(
            first != run(&change(params.clone(), |params| params.train.seed = 7), 1),
            "{}: seed",
            model.kind()
        );
    }
}

#[test]
fn checkpointing_changes_no_bit() {
    let model = geneformer();
    for method in [Method::Full, lora()] {
        let own = change(params(&model, method), |params| {
            params.train.epochs = 2;
            params.train.accumulate = 2;
        });
        let checkpointed = change(own.clone(), |params| params.train.checkpointing = true);
        let [own, checkpointed] =
            [own, checkpointed].map(|params| bits(&tune(&model, &params, None).unwrap()));
        assert!(own == checkpointed);
    }
    let error = tune(
        &scgpt(),
        &change(params(&scgpt(), Method::Full), |params| params.train.checkpointing = true),
        None,
    );
    assert_eq!(error.unwrap_err().to_string(), "`checkpointing` is true, expected false for scGPT");
}

#[test]
fn accumulated_batches_are_one_batch() {
    let model = geneformer();
    let whole = change(params(&model, Method::Full), |params| {
        params.train.epochs = 1;
        params.class_weights = true;
    });
    let parts = change(whole.clone(), |params| {
        params.train.batch_size = 3;
        params.train.accumulate = 3;
    });
    let whole = change(whole, |params| params.train.batch_size = 9);
    let loss = |params| tune(&model, params, None).unwrap().history()[0];
    let (whole, parts) = (loss(&whole), loss(&parts));
    assert!((whole.train_loss - parts.train_loss).abs() < 1e-4, "{whole:?} {parts:?}");
    assert!((whole.gradient_norm - parts.gradient_norm).abs() < 1e-3, "{whole:?} {parts:?}");
}

/// Trains, and stops after so many steps.
fn tune_until(
    model: &FoundationModel,
    params: &FineTuneParams,
    state: &Path,
    steps: usize,
) -> crate::Result<FineTuned> {
    let (adata, labels) = data(120);
    let (train, validation) = split(&labels);
    let mut left = steps;
    let watch = &mut |progress: &TrainProgress| {
        assert!(progress.step <= progress.n_steps && progress.loss.is_finite());
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    fine_tune(model, &adata, &labels, &train, &validation, params, Some(state), watch)
}

#[test]
fn a_training_that_was_stopped_goes_on_to_the_same_bits() {
    let model = geneformer();
    for ema in [None, Some(0.9)] {
        let params = change(params(&model, Method::Full), |params| {
            params.train.ema = ema;
            params.train.epochs = 3;
            params.train.select = Select::MacroF1;
        });
        let alone = bits(&tune(&model, &params, None).unwrap());
        for pieces in [&[1usize, 1, 3][..], &[9], &[10, 10], &[5, 6, 2, 2, 4]] {
            let folder = tempfile::tempdir().unwrap();
            for &steps in pieces {
                let error = tune_until(&model, &params, folder.path(), steps).unwrap_err();
                assert!(matches!(error, crate::Error::Train(train::Error::Cancelled)), "{error}");
            }
            let tuned = tune_until(&model, &params, folder.path(), usize::MAX).unwrap();
            assert!(bits(&tuned) == alone, "{pieces:?}");
            let again = tune_until(&model, &params, folder.path(), 1).unwrap();
            assert!(bits(&again) == alone, "a finished training was not taken as it is");
        }
    }
}

#[test]
fn the_state_of_another_training_is_named() {
    let model = geneformer();
    let folder = tempfile::tempdir().unwrap();
    let own = params(&model, Method::Full);
    tune_until(&model, &own, folder.path(), 2).unwrap_err();
    let error = |params: &FineTuneParams, model: &FoundationModel| {
        tune_until(model, params, folder.path(), 1).unwrap_err().to_string()
    };
    let other = error(&change(own.clone(), |params| params.train.batch_size = 9), &model);
    assert!(other.ends_with("another training: batch_size is 8, expected 9"), "{other}");
    assert!(error(&own, &testing::model()).contains("another training: model is"), "another model");
    let (adata, mut labels) = data(120);
    let (train, validation) = split(&labels);
    labels[train[0]] = labels[train[1]];
    let other =
        fine_tune(&model, &adata, &labels, &train, &validation, &own, Some(folder.path()), &mut unwatched);
    assert!(other.unwrap_err().to_string().contains("another training: labels is"));
    // What decides about speed alone is no reason to refuse.
    let other = change(own, |params| {
        params.train.save_every = Some(1);
        params.train.memory = Some(1 << 30);
    });
    tune_until(&model, &other, folder.path(), usize::MAX).unwrap();
}

#[test]
fn training_stops_early_and_keeps_the_best_epoch() {
    let model = geneformer();
    let params = change(params(&model, Method::Full), |params| {
        params.train.epochs = 12;
        params.train.early_stopping = Some(1);
        params.train.select = Select::MacroF1;
    });
    let tuned = tune(&model, &params, None).unwrap();
    let scores: Vec<f64> =
        tuned.history().iter().map(|epoch| epoch.validation.unwrap().macro_f1.unwrap()).collect();
    assert!(scores.len() < 12, "{scores:?}");
    let best = tuned.best_epoch().epoch - 1;
    assert_eq!(best, scores.len() - 2);
    assert!(scores[best] >= scores[best + 1]);
}

#[test]
fn cells_without_genes_have_no_probabilities_and_are_named() {
    let model = geneformer();
    let tuned =
        tune(&model, &change(params(&model, Method::Full), |params| params.train.epochs = 1), None).unwrap();
    let (adata, _) = data(20);
    let found = tuned.predict_proba(&adata, &[7, 5, 2]).unwrap();
    assert_eq!((found.probabilities.dim(), found.missing.as_slice()), ((3, 3), &[5][..]));
    assert!(found.probabilities.row(1).iter().all(|p| p.is_nan()));
    assert!((found.probabilities.row(0).sum() - 1.0).abs() < 1e-12);
    let best = found.most_probable();
    assert!(best[0].is_some() && best[1].is_none() && best[2].is_some());
    let alone = tuned.predict_proba(&adata, &[2]).unwrap();
    assert_eq!(alone.probabilities.row(0), found.probabilities.row(2));
    let error = tuned.predict_proba(&adata, &[20]).unwrap_err();
    assert_eq!(error.to_string(), "row 20 is among the asked for rows, but the data set has 20");
}

fn lora() -> Method {
    let all = ["query", "value", "intermediate.dense", "q_proj", "v_proj", "linear1"].map(str::to_owned);
    Method::Lora(LoraParams { rank: 4, alpha: 8.0, dropout: 0.1, targets: all.to_vec() })
}

#[test]
fn adapters_learn_and_leave_the_body_alone_to_the_last_bit() {
    for model in [geneformer(), scgpt()] {
        let before = body(&model);
        let lora = change(params(&model, lora()), |params| {
            params.train.epochs = 16;
            params.train.schedule = Schedule::linear(2e-2);
        });
        let tuned = tune(&model, &lora, None).unwrap();
        let found = accuracy(&tuned);
        assert!(found > 0.8, "{}: {found}", model.kind());
        assert!(body(tuned.model()) == before && body(&model) == before);
        let error = tune(tuned.model(), &lora, None).unwrap_err();
        assert!(error.to_string().contains("has adapters"), "{error}");
        assert!(error.help().unwrap().contains("FineTuned::merged"));
        let merged = tuned.merged().unwrap();
        assert!(body(merged.model()) != before);
        let (adata, _) = data(9);
        let rows = [0, 1, 2, 8];
        let [own, whole] =
            [&tuned, &merged].map(|tuned| tuned.predict_proba(&adata, &rows).unwrap().probabilities);
        assert!(own.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-4), "{own} {whole}");
        assert!(tune(merged.model(), &change(lora, |params| params.train.epochs = 1), None).is_ok());
    }
}

#[test]
fn frozen_layers_and_the_layers_above_them_are_told_apart() {
    let model = geneformer();
    let frozen = change(params(&model, Method::Full), |params| {
        params.freeze_layers = 1;
        params.train.epochs = 1;
    });
    let tuned = tune(&model, &frozen, None).unwrap();
    for ((name, before), (_, after)) in body(&model).iter().zip(&body(tuned.model())) {
        assert_eq!(before == after, name.contains("layer.0."), "{name}");
    }
}

#[test]
fn a_model_that_stays_frozen_has_a_probe_and_says_so() {
    let genes = GeneList::new((0..10).map(gene)).unwrap();
    let model = FoundationModel::scfoundation(scfoundation::tests::model(true), genes).unwrap();
    let (adata, labels) = data(60);
    // Counts of the model in every cell: a total of 1 is none to its logarithm.
    let mut dense = Array2::<f32>::zeros((60, N_GENES));
    let x = adata.x().unwrap().to_csr();
    for (cell, mut row) in dense.rows_mut().into_iter().enumerate() {
        let (columns, values) = x.row(cell);
        columns.iter().zip(values).for_each(|(&gene, &value)| row[gene as usize] = value);
        row[0] += 9.0;
    }
    let x = Matrix::Csr(Csr::from_dense(dense.view()));
    let adata = AnnData::new(x, adata.obs().clone(), adata.var().clone()).unwrap();
    let (train, validation) = split(&labels);
    let embed = EmbedParams { min_known: 0.0, ..Default::default() };
    let run = |method: Method| {
        let params = change(FineTuneParams::new(model.kind(), method), |params| {
            params.train.epochs = 2;
            params.embed = embed.clone();
        });
        fine_tune(&model, &adata, &labels, &train, &validation, &params, None, &mut unwatched)
    };
    for method in [Method::Full, lora()] {
        let error = run(method.clone()).unwrap_err();
        assert_eq!(error.to_string(), format!("scFoundation cannot be tuned (`Method::{}`)", method.name()));
        assert!(error.help().unwrap().contains("LinearProbe"));
    }
    assert_eq!(run(Method::LinearProbe).unwrap().history().len(), 2);
}
