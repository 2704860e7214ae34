use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Tensor;
use ndarray::{Array2, Axis};
use sc_io::AnnData;

use super::body::{BodyRef, Recipe};
use super::data::{Labelled, Split};
use super::fine_tuned::{FineTuned, Head, Training};
use super::probe::{self, Probe, Probing, Scale};
use super::task::{Classification, constants};
use super::{Error, FineTuneParams, Method};
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::{Choice, FoundationModel};
use crate::nn::Linear;
use crate::nn::gemm::Precision;
use crate::tokenize::Tokens;
use crate::train::{
    Fingerprint, MemoryPlan, Outcome, Select, Task, TrainProgress, Trainable, Trainer, Variables, loss,
};
use crate::train::{hash_tensors, hash_tokens};

/// Trains a classifier of cells on some rows of a data set.
///
/// * `labels`: the class of each row, where it has one.
/// * `train`, `validation`: rows to train on, and rows by which an epoch is chosen ([`FineTuneParams::select`]). All must
///   have a label, and a gene of the model.
/// * `state`: a folder in which the training is kept while it runs: after each epoch, every
///   [`save_every`](FineTuneParams::save_every) steps, and when it is stopped. A training that was cut off, by whatever
///   means, goes on there when it is asked for again with the same model, cells, labels and parameters, and ends with the
///   same bits. The folder is not removed.
/// * `watch`: hears of every step, and can stop the training.
///
/// The model that is given stays as it is.
///
/// # Errors
/// [`Error`] for rows, labels, parameters and models that do not do; those of [`FoundationModel::tokenize`];
/// [`train::Error`](crate::train::Error) for numbers that are not finite, too little memory, the state of another training,
/// and a callback that stopped it.
#[allow(clippy::too_many_arguments, reason = "data, rows and a callback; the choices are in `params`")]
pub fn fine_tune<S: AsRef<str>>(
    model: &FoundationModel,
    adata: &AnnData,
    labels: &[Option<S>],
    train: &[usize],
    validation: &[usize],
    params: &FineTuneParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTuned> {
    // What is known to be wrong is told before the work of tokenising.
    params.validate(model, validation.is_empty())?;
    if labels.len() != adata.n_obs() {
        return Err(Error::Labels { found: labels.len(), expected: adata.n_obs() }.into());
    }
    let tokens = model.tokenize(adata, &params.embed)?;
    fine_tune_tokens(model, &tokens, labels, train, validation, params, state, watch)
}

/// [`fine_tune`], on tokens that [`FoundationModel::tokenize`] made: once for many seeds or splits.
///
/// Rows are those of the matrix that was tokenised, each of which has a place in `labels`.
///
/// # Errors
/// As [`fine_tune`].
#[allow(clippy::too_many_arguments, reason = "as `fine_tune`")]
pub fn fine_tune_tokens<S: AsRef<str>>(
    model: &FoundationModel,
    tokens: &Tokens,
    labels: &[Option<S>],
    train: &[usize],
    validation: &[usize],
    params: &FineTuneParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTuned> {
    params.validate(model, validation.is_empty())?;
    let split = Split::new(tokens, labels, train, validation)?;
    let run = Run { model, tokens, split: &split, params, state };
    match &params.method {
        Method::LinearProbe => run.probe(watch),
        Method::Full | Method::Lora(_) => run.full(watch),
    }
}

/// A training, checked.
struct Run<'r> {
    model: &'r FoundationModel,
    tokens: &'r Tokens,
    split: &'r Split,
    params: &'r FineTuneParams,
    state: Option<&'r Path>,
}

type Watched<'w> = &'w mut dyn FnMut(&TrainProgress) -> ControlFlow<()>;

impl Run<'_> {
    fn full(&self, watch: Watched<'_>) -> Result<FineTuned> {
        let (params, split) = (self.params, self.split);
        let recipe = Recipe::new(self.model, &split.names, &params.method)?;
        let body = BodyRef::of(self.model).expect("a recipe is of a model with a head");
        body.check(self.tokens, &split.train.cells)?;
        body.check(self.tokens, &split.validation.cells)?;
        let mut weights = recipe.start(params.seed)?;
        let fingerprint = self.fingerprint(&weights)?;
        let variables = Variables::of(&mut weights, |name| self.is_trained(name))?;
        self.memory(&variables).check(params.memory)?;
        let mut task = Classification {
            body: recipe.build(&mut weights)?,
            recipe: &recipe,
            tokens: self.tokens,
            split,
            class_weights: self.class_weights(),
            cost: self.model.cost(),
            memory: params.embed.memory,
            checkpointing: params.checkpointing,
        };
        let outcome = self.train(&mut task, &variables, &self.lengths(&split.train), fingerprint, watch)?;
        let body = recipe.build(&mut constants(&variables))?;
        Ok(self.result(recipe.model(body), Head::Model, outcome))
    }

    fn probe(&self, watch: Watched<'_>) -> Result<FineTuned> {
        let (params, split) = (self.params, self.split);
        let embed = |cells: &Labelled| self.model.embed_some(self.tokens, &cells.cells, &params.embed);
        let (train, choice) = embed(&split.train)?;
        let (validation, _) = embed(&split.validation)?;
        let scale = Scale::of(train.view());
        let width = train.ncols();
        let (train, validation) = (scale.apply(train.view()), scale.apply(validation.view()));
        let fingerprint = self.probe_fingerprint(choice, [&train, &validation])?;
        let mut weights = probe::start(split.names.len(), width)?;
        let variables = Variables::of(&mut weights, |_| true)?;
        let linear = |weights: &mut Weights| -> Result<Linear> {
            let weight = weights.take(probe::WEIGHT, &[split.names.len(), width])?;
            let bias = weights.take(probe::BIAS, &[split.names.len()])?;
            Ok(Linear::with_precision(weight, Some(bias), Precision::F32))
        };
        let n_items = train.len_of(Axis(0));
        let linear = linear(&mut weights)?;
        let mut task = Probing { linear, train, validation, split, class_weights: self.class_weights() };
        let outcome = self.train(&mut task, &variables, &vec![1; n_items], fingerprint, watch)?;
        let probe = Probe::of(choice, scale, &variables)?;
        Ok(self.result(self.model.clone(), Head::Probe(Box::new(probe)), outcome))
    }

    fn train(
        &self,
        task: &mut dyn Task,
        variables: &Variables,
        lengths: &[usize],
        fingerprint: Fingerprint,
        watch: Watched<'_>,
    ) -> Result<Outcome> {
        let params = self.params.looped();
        let all = 0..lengths.len();
        let trainer = Trainer { params: &params, variables, lengths, chunks: std::slice::from_ref(&all) };
        trainer.run(task, self.state.map(|folder| (folder, fingerprint)), watch)
    }

    /// scGPT's norms over batches keep the statistics and factors that they came with.
    fn is_trained(&self, name: &str) -> bool {
        let is_head = Trainable::Heads.includes(name);
        match self.params.method {
            Method::Lora(_) => is_head || name.contains(".lora_"),
            _ => {
                let is_norm_of_batches = name.starts_with("bn.") || name.starts_with("dsbn.");
                Trainable::FromLayer(self.params.freeze_layers).includes(name) && !is_norm_of_batches
            }
        }
    }

    fn lengths(&self, cells: &Labelled) -> Vec<usize> {
        cells.cells.iter().map(|&cell| self.tokens.cell(cell).len()).collect()
    }

    fn class_weights(&self) -> Option<Vec<f32>> {
        let labels: Vec<Option<u32>> = self.split.train.classes.iter().copied().map(Some).collect();
        self.params.class_weights.then(|| loss::balanced_weights(&labels, self.split.names.len()))
    }

    fn memory(&self, variables: &Variables) -> MemoryPlan {
        let cost = self.model.cost();
        let mut lengths = self.lengths(&self.split.train);
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        MemoryPlan {
            n_weights: variables.all().map(|(_, tensor)| tensor.elem_count()).sum(),
            n_trained: variables.n_parameters(),
            n_copies: usize::from(self.params.select != Select::Last)
                + usize::from(self.params.ema.is_some()),
            n_tokens: lengths.iter().take(self.params.batch_size).sum(),
            n_layers: self.model.n_layers(),
            checkpointing: self.params.checkpointing,
            width: cost.width,
            inner: cost.inner,
            n_logits: self.params.batch_size * self.split.names.len(),
        }
    }

    fn fingerprint(&self, start: &Weights) -> Result<Fingerprint> {
        let mut fingerprint = self.params.fingerprint();
        fingerprint.insert("model".to_owned(), hash_tensors(start.iter())?);
        fingerprint.insert("cells".to_owned(), hash_tokens(self.tokens));
        fingerprint.insert("labels".to_owned(), self.split.hash());
        Ok(fingerprint)
    }

    /// By the embeddings, in which model and cells are.
    fn probe_fingerprint(&self, choice: Choice, embeddings: [&Array2<f32>; 2]) -> Result<Fingerprint> {
        let mut tensors = vec![];
        for (name, values) in ["train", "validation"].into_iter().zip(embeddings) {
            let values =
                Tensor::from_vec(values.iter().copied().collect(), values.dim(), &candle_core::Device::Cpu)?;
            tensors.push((name, values));
        }
        let mut fingerprint = self.params.fingerprint();
        fingerprint.insert(
            "embeddings".to_owned(),
            hash_tensors(tensors.iter().map(|(name, tensor)| (*name, tensor)))?,
        );
        fingerprint.insert("embedding".to_owned(), format!("{} {}", choice.mode, choice.layer));
        fingerprint.insert("labels".to_owned(), self.split.hash());
        Ok(fingerprint)
    }

    fn result(&self, model: FoundationModel, head: Head, outcome: Outcome) -> FineTuned {
        let training = Training {
            method: self.params.method.clone(),
            seed: self.params.seed,
            history: outcome.history,
            best: outcome.best,
        };
        FineTuned::new(self.split.names.clone(), model, head, training, self.params.embed.clone())
    }
}
