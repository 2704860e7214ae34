use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sc_io::h5ad;

use super::*;
use crate::embed::testing::{self, data};
use crate::embed::{EmbedParams, FoundationModel, OpenParams};
use crate::models::Geneformer;
use crate::models::geneformer::InputFormat;
use crate::tokenize::Tokens;
use crate::train::{self, Schedule, Select, TrainProgress, unwatched};

fn model() -> FoundationModel {
    let mut config = testing::config();
    config.initializer_range = 0.1;
    let model = Geneformer::random(config, InputFormat::V2 { cls: 2, eos: 3 }, 1).unwrap();
    FoundationModel::geneformer(model, testing::vocabulary()).unwrap()
}

fn tokens(n_cells: usize) -> Tokens {
    model().tokenize(&data(n_cells), &EmbedParams::default()).unwrap()
}

fn params() -> PretrainParams {
    change(PretrainParams::default(), |params| {
        params.train.epochs = 2;
        params.train.batch_size = 5;
        params.train.schedule = Schedule::linear(1e-2);
        params.validation = 0.2;
        params.train.select = Select::Loss;
        params.train.save_every = None;
        params.chunk_rows = 16;
    })
}

/// The same parameters but for a change.
fn change<P>(mut params: P, change: impl FnOnce(&mut P)) -> P {
    change(&mut params);
    params
}

/// The bits of an embedding, and of the losses.
fn bits(found: &Pretrained) -> Vec<u64> {
    let embedding = found.model().embed(&data(9), &EmbedParams::default()).unwrap();
    let losses = found.history().iter().flat_map(|epoch| [epoch.train_loss, epoch.validation.unwrap().loss]);
    embedding.values.iter().map(|x| u64::from(x.to_bits())).chain(losses.map(f64::to_bits)).collect()
}

fn on_threads<T: Send>(n: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run)
}

#[test]
fn hidden_tokens_are_found_better_with_training() {
    let long = change(params(), |params| params.train.epochs = 10);
    let found = pretrain(&model(), &tokens(80), &long, None, &mut unwatched).unwrap();
    let losses: Vec<f64> = found.history().iter().map(|epoch| epoch.validation.unwrap().loss).collect();
    // Of 44 tokens, blindly: ln 44 = 3.78.
    assert!(losses[9] < 3.76 && losses[9] < losses[0], "{losses:?}");
    assert_eq!(found.best_epoch().validation.unwrap().macro_f1, None);
    let least = losses.iter().fold(f64::INFINITY, |a, &b| a.min(b));
    assert_eq!(found.best_epoch().validation.unwrap().loss, least);
}

#[test]
fn the_seed_alone_decides_about_the_bits() {
    let tokens = tokens(40);
    let run = |params: &PretrainParams, threads| {
        on_threads(threads, || bits(&pretrain(&model(), &tokens, params, None, &mut unwatched).unwrap()))
    };
    let first = run(&params(), 1);
    assert!(first == run(&params(), 2), "threads");
    assert!(first == run(&change(params(), |params| params.train.checkpointing = true), 1), "checkpointing");
    assert!(first != run(&change(params(), |params| params.train.seed = 1), 1), "seed");
}

fn write_files(folder: &Path) -> Vec<PathBuf> {
    let adata = data(70);
    [0..25, 25..70]
        .map(|rows| {
            let path = folder.join(format!("cells{}.h5ad", rows.start));
            h5ad::write(&adata.select_obs(&rows.collect::<Vec<_>>()).unwrap(), &path).unwrap();
            path
        })
        .to_vec()
}

#[test]
fn files_in_any_order_give_the_same_bits_and_the_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_files(folder.path());
    let reversed: Vec<PathBuf> = files.iter().rev().cloned().collect();
    let run = |files: &[PathBuf], state: Option<&Path>, steps: usize| {
        let mut left = steps;
        pretrain_files(&model(), files, &params(), state, &mut |_: &TrainProgress| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let alone = bits(&run(&files, None, usize::MAX).unwrap());
    assert!(alone == bits(&run(&reversed, None, usize::MAX).unwrap()));
    for pieces in [&[1, 4, 2][..], &[13], &[6, 6, 6]] {
        let state = tempfile::tempdir().unwrap();
        for &steps in pieces {
            let error = run(&files, Some(state.path()), steps).unwrap_err();
            assert!(matches!(error, crate::Error::Train(train::Error::Cancelled)), "{error}");
        }
        assert!(alone == bits(&run(&reversed, Some(state.path()), usize::MAX).unwrap()), "{pieces:?}");
        let error =
            pretrain_files(&model(), &files[..1], &params(), Some(state.path()), &mut unwatched).unwrap_err();
        assert!(error.to_string().contains("another training: cells is"), "{error}");
    }
    let twice = [files[0].clone(), files[0].clone()];
    let error = run(&twice, None, 1).unwrap_err().to_string();
    assert!(error.ends_with("cells0.h5ad: the file is given more than once"), "{error}");
}

#[test]
fn one_file_in_one_piece_is_the_same_as_its_tokens_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.h5ad");
    h5ad::write(&data(40), &path).unwrap();
    let whole = change(params(), |params| params.chunk_rows = 1000);
    let file = pretrain_files(&model(), &[path], &whole, None, &mut unwatched).unwrap();
    let memory = pretrain(&model(), &tokens(40), &whole, None, &mut unwatched).unwrap();
    assert!(bits(&file) == bits(&memory));
}

#[test]
fn a_pretrained_model_opens_from_its_folder_and_is_trained_further() {
    let found = pretrain(&model(), &tokens(30), &params(), None, &mut unwatched).unwrap();
    let folder = tempfile::tempdir().unwrap();
    found.model().save(folder.path(), false).unwrap();
    let opened = FoundationModel::open(folder.path(), &OpenParams::default()).unwrap();
    let embed = |model: &FoundationModel| model.embed(&data(9), &EmbedParams::default()).unwrap().values;
    let same = embed(&opened).iter().zip(&embed(found.model())).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same);
    let tokens = opened.tokenize(&data(30), &EmbedParams::default()).unwrap();
    let [a, b] = [&opened, found.model()]
        .map(|model| bits(&pretrain(model, &tokens, &params(), None, &mut unwatched).unwrap()));
    assert!(a == b, "head and body go on from where they were");
}

#[test]
fn what_cannot_be_pretrained_is_refused_in_words() {
    let tokens = tokens(10);
    let run =
        |params: &PretrainParams| pretrain(&model(), &tokens, params, None, &mut unwatched).unwrap_err();
    for (wrong, message) in [
        (change(params(), |params| params.train.epochs = 0), "`epochs` is 0"),
        (change(params(), |params| params.mask_share = 1.0), "`mask_share` is 1"),
        (change(params(), |params| params.validation = -0.1), "`validation` is -0.1"),
        (change(params(), |params| params.train.select = Select::MacroF1), "`select` is MacroF1"),
        (
            change(params(), |params| params.validation = 0.0),
            "no cell is left out for validation, by which `select` chooses an epoch",
        ),
        (change(params(), |params| params.validation = 1e-9), "9 cells to train on and 0 to validate with"),
        (change(params(), |params| params.train.memory = Some(1)), "the training needs about "),
    ] {
        let error = run(&wrong).to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let error = run(&change(params(), |params| params.validation = 0.0));
    assert!(error.help().unwrap().contains("Select::Last"));
    assert!(
        run(&change(params(), |params| params.validation = 1e-9)).help().unwrap().contains("`validation`")
    );
}
