use std::ops::ControlFlow;
use std::path::Path;

use sc_io::AnnData;

use super::body::{Top, with_body};
use super::data::{Cells, Classes, Sets};
use super::fine_tuned::{FineTuned, Head};
use super::probe::{self, Probe, Probing, Scale};
use super::session::{Session, Watched};
use super::task::CellClasses;
use super::{Error, FineTuneParams, Method};
use crate::Result;
use crate::embed::FoundationModel;
use crate::nn::Linear;
use crate::nn::gemm::Precision;
use crate::tokenize::Tokens;
use crate::train::{TrainProgress, Variables, hash_tensors};

/// Trains a classifier of cells on some rows of a data set.
///
/// * `labels`: the class of each row, where it has one.
/// * `train`, `validation`: rows to train on, and rows by which an epoch is chosen ([`LoopParams::select`](crate::train::LoopParams::select)). All must
///   have a label, and a gene of the model.
/// * `state`: a folder in which the training is kept while it runs: after each epoch, every
///   [`save_every`](crate::train::LoopParams::save_every) steps, and when it is stopped. A training that was cut off, by whatever
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
    let sets = Sets::new(tokens, labels.len(), train, validation)?;
    sets.check_labelled(|row| labels[row].is_some())?;
    let classes = Classes::new(&sets, labels)?;
    let mut objective = CellClasses::new(sets, classes, params.class_weights);
    let session = Session { model, tokens, params, state };
    if params.method == Method::LinearProbe {
        return probed(session, &objective, watch);
    }
    let names = objective.classes.names.clone();
    let tuned = session.tune(Top::Cells(&names), &mut objective, watch)?;
    let model = with_body(model, tuned.body);
    Ok(FineTuned {
        classes: names,
        model,
        head: Head::Model,
        training: tuned.training,
        input: params.embed.clone(),
    })
}

/// A classifier on embeddings of the model as it is.
fn probed(session: Session<'_>, objective: &CellClasses, watch: Watched<'_>) -> Result<FineTuned> {
    let Session { model, tokens, params, .. } = session;
    let embed = |cells: &Cells| model.embed_some(tokens, &cells.cells, &params.embed);
    let (train, choice) = embed(&objective.sets.train)?;
    let (validation, _) = embed(&objective.sets.validation)?;
    let scale = Scale::of(train.view());
    let (width, n_items) = (train.ncols(), train.nrows());
    let (train, validation) = (scale.apply(train.view()), scale.apply(validation.view()));
    // Model and cells are in the embeddings.
    let mut fingerprint = session.fingerprint(objective);
    let seen = [("train", probe::tensor(train.view())?), ("validation", probe::tensor(validation.view())?)];
    fingerprint
        .insert("embeddings".to_owned(), hash_tensors(seen.iter().map(|(name, tensor)| (*name, tensor)))?);
    fingerprint.insert("embedding".to_owned(), format!("{} {}", choice.mode, choice.layer));
    let n_classes = objective.classes.names.len();
    let mut weights = probe::start(n_classes, width)?;
    let variables = Variables::of(&mut weights, |_| true)?;
    let weight = weights.take(probe::WEIGHT, &[n_classes, width])?;
    let bias = weights.take(probe::BIAS, &[n_classes])?;
    let linear = Linear::with_precision(weight, Some(bias), Precision::F32);
    let mut task = Probing { linear, train, validation, objective };
    let outcome = session.train(&mut task, &variables, &vec![1; n_items], fingerprint, watch)?;
    Ok(FineTuned {
        classes: objective.classes.names.clone(),
        model: model.clone(),
        head: Head::Probe(Box::new(Probe::of(choice, scale, &variables)?)),
        training: session.training(outcome),
        input: params.embed.clone(),
    })
}
