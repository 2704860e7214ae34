use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::corpus::{self, Contents, Corpus, Files};
use super::masking::Masker;
use super::task::{MaskedTokens, Recipe};
use super::{Error, PretrainParams};
use crate::Result;
use crate::embed::{FoundationModel, Network};
use crate::models::TokenBatch;
use crate::models::geneformer::NewHead;
use crate::tokenize::Tokens;
use crate::train::{EpochRecord, MemoryPlan, TrainProgress, Trainer, Variables, hash_tensors};

/// A model after pretraining.
#[derive(Clone, Debug)]
pub struct Pretrained {
    model: FoundationModel,
    history: Vec<EpochRecord>,
    best: usize,
}

impl Pretrained {
    /// The model, with the head of the masked language model.
    pub fn model(&self) -> &FoundationModel {
        &self.model
    }

    /// The model, without what is known of its training.
    pub fn into_model(self) -> FoundationModel {
        self.model
    }

    /// Every epoch of the training.
    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// The epoch that was kept.
    pub fn best_epoch(&self) -> &EpochRecord {
        &self.history[self.best]
    }
}

/// Trains a Geneformer to find hidden tokens.
///
/// * `model`: to begin with; it stays as it is. A head that it lacks is made anew.
/// * `state`: a folder in which the training is kept while it runs, and goes on after whatever cut it off, to the same
///   bits. The folder is not removed.
/// * `watch`: hears of every step, and can stop the training.
///
/// # Errors
/// [`Error`] for parameters and models that do not do, and too few cells; [`models::Error`](crate::models::Error) for cells
/// that the model cannot take; [`train::Error`](crate::train::Error) for numbers that are not finite, too little memory, the
/// state of another training, and a callback that stopped it.
pub fn pretrain(
    model: &FoundationModel,
    tokens: &Tokens,
    params: &PretrainParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<Pretrained> {
    params.validate()?;
    run(model, tokens, params, state, watch)
}

/// [`pretrain`], on `.h5ad` files, of which [`chunk_rows`](PretrainParams::chunk_rows) rows are in memory at a time.
///
/// Files are taken in the order of their paths, so the order given does not matter. Every cell is tokenised once before the
/// training starts, to know the lengths and that all can be taken, and once in each epoch. Pieces of a file are shuffled,
/// and the cells of a piece among themselves, so cells meet cells of their own piece alone; a file that is sorted by
/// something should be shuffled before.
///
/// # Errors
/// As [`pretrain`]; [`Error::Io`], [`Error::FileTwice`]; [`Error::Changed`] if a file changes meanwhile; those of
/// [`FoundationModel::tokenize`].
pub fn pretrain_files(
    model: &FoundationModel,
    files: &[PathBuf],
    params: &PretrainParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<Pretrained> {
    params.validate()?;
    let opened = corpus::open(files)?;
    let corpus = Files::new(model, &opened, &params.embed, params.chunk_rows)?;
    run(model, &corpus, params, state, watch)
}

fn run(
    model: &FoundationModel,
    corpus: &dyn Corpus,
    params: &PretrainParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<Pretrained> {
    let Network::Geneformer { model: base, vocabulary } = &model.network else {
        return Err(Error::Unsupported { kind: model.kind() }.into());
    };
    let masker = Masker {
        seed: params.train.seed,
        share: params.mask_share,
        mask: vocabulary.token("<mask>").ok_or(Error::NoMask)?,
        pad: base.config().pad_token_id,
        n_tokens: base.config().vocab_size as u32,
    };
    let check = |tokens: &Tokens| {
        let cells: Vec<&[u32]> = (0..tokens.n_cells()).map(|cell| tokens.cell(cell)).collect();
        Ok(base.check(&TokenBatch::new(&cells))?)
    };
    let contents = Contents::of(corpus, check)?;
    let (train, validation) = divided(contents.lengths.len(), params);
    if train.is_empty() || (params.validation > 0.0 && validation.is_empty()) {
        return Err(Error::NoCells { train: train.len(), validation: validation.len() }.into());
    }

    let mut weights = base.weights()?;
    let mut config = base.config().clone();
    weights.remove_all(|name| ["bert.pooler.", "classifier."].iter().any(|head| name.starts_with(head)));
    if !weights.names().any(|name| name.starts_with("cls.")) {
        NewHead::MaskedTokens.put_on(&mut weights, &mut config, params.train.seed)?;
    }
    let mut fingerprint = params.fingerprint();
    fingerprint.insert("model".to_owned(), hash_tensors(weights.iter())?);
    fingerprint.insert("cells".to_owned(), contents.hash.clone());
    fingerprint.insert("pieces".to_owned(), contents.pieces.len().to_string());

    let variables = Variables::of(&mut weights, |_| true)?;
    let recipe = Recipe { config, format: base.format(), precision: base.source().precision };
    let lengths: Vec<usize> = train.iter().map(|&cell| contents.lengths[cell]).collect();
    memory(params, &variables, &recipe, &lengths).check(params.train.memory)?;
    // Ranges of places among the training cells, of which each piece has a run.
    let place = |cell: usize| train.partition_point(|&other| other < cell);
    let chunks: Vec<_> = contents
        .pieces
        .iter()
        .map(|cells| place(cells.start)..place(cells.end))
        .filter(|c| !c.is_empty())
        .collect();
    let mut task = MaskedTokens {
        recipe: &recipe,
        model: recipe.build(&mut weights)?,
        corpus,
        contents: &contents,
        train: &train,
        validation: &validation,
        masker,
        loaded: None,
        checkpointing: params.train.checkpointing,
        cost: model.cost(),
        memory: params.embed.memory,
    };
    let trainer =
        Trainer { params: &params.train, variables: &variables, lengths: &lengths, chunks: &chunks };
    let outcome = trainer.run(&mut task, state.map(|folder| (folder, fingerprint)), watch)?;
    let network =
        Network::Geneformer { model: Box::new(recipe.constant(&variables)?), vocabulary: vocabulary.clone() };
    Ok(Pretrained { model: model.changed(network), history: outcome.history, best: outcome.best })
}

/// The cells to train on and those left out, drawn cell by cell.
fn divided(n_cells: usize, params: &PretrainParams) -> (Vec<usize>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(params.train.seed);
    rng.set_stream(u64::MAX);
    let mut is_left_out = |_: &usize| {
        let draw = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        draw < params.validation
    };
    let (validation, train) = (0..n_cells).partition(|cell| is_left_out(cell));
    (train, validation)
}

fn memory(params: &PretrainParams, variables: &Variables, recipe: &Recipe, lengths: &[usize]) -> MemoryPlan {
    let mut lengths = lengths.to_vec();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let n_tokens: usize = lengths.iter().take(params.train.batch_size).sum();
    MemoryPlan {
        n_weights: variables.all().map(|(_, tensor)| tensor.elem_count()).sum(),
        n_trained: variables.n_parameters(),
        n_copies: params.train.n_copies(),
        n_tokens,
        n_layers: recipe.config.num_hidden_layers,
        checkpointing: params.train.checkpointing,
        width: recipe.config.hidden_size,
        inner: recipe.config.intermediate_size,
        // Of as many rows at a time as the loss has logits of.
        n_logits: ((n_tokens as f64 * params.mask_share) as usize).min(384) * recipe.config.vocab_size,
    }
}
