use std::ops::ControlFlow;
use std::path::Path;

use sc_io::AnnData;

use super::body::{GENES, Top, with_body};
use super::data::check_rows;
use super::fine_tuned_genes::FineTunedGenes;
use super::gene_data::GeneClasses;
use super::session::Session;
use super::task::Objective;
use super::{Error, FineTuneParams};
use crate::Result;
use crate::embed::FoundationModel;
use crate::tokenize::Tokens;
use crate::train::{Select, TrainProgress};

/// Genes with their classes, and the cells that they are looked at in.
///
/// The split is one of genes: none is in both sets, so the validation says how well the classes of genes are told that
/// the model was not taught. Cells may be in both sets, as in the reference: a validation gene in a training cell is
/// seen without its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeneSplit {
    /// Id (Ensembl, as the dictionary of the model has it) and class of the genes to train on.
    pub train: Vec<(String, String)>,
    /// Those by which an epoch is chosen.
    pub validation: Vec<(String, String)>,
    /// Rows of the cells in which training genes are looked at.
    pub train_cells: Vec<usize>,
    /// Those in which validation genes are.
    pub validation_cells: Vec<usize>,
}

/// Trains a classifier of genes: each token of a training cell whose gene has a class is told by its state of the last
/// layer which one. Geneformer's `Classifier` with `classifier="gene"`.
///
/// The loss is the mean over all tokens of the batch that have a class; the others have no say (−100 in the reference).
/// Cells without such a token are left out, as there. Loss, accuracy and macro-F1 of the validation are over tokens too:
/// a gene counts as often as it is expressed. [`FineTunedGenes::predict_genes`] tells genes one by one.
///
/// * `state`, `watch`: as for [`fine_tune`](super::fine_tune), with the same promises.
///
/// The model that is given stays as it is.
///
/// # Errors
/// [`Error`] for genes, cells, parameters and models that do not do; otherwise as [`fine_tune`](super::fine_tune).
pub fn fine_tune_genes(
    model: &FoundationModel,
    adata: &AnnData,
    split: &GeneSplit,
    params: &FineTuneParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTunedGenes> {
    // What is known to be wrong is told before the work of tokenising.
    validate(model, split, params)?;
    check_rows(&split.train_cells, Some(adata.n_obs()), "training")?;
    check_rows(&split.validation_cells, Some(adata.n_obs()), "validation")?;
    let tokens = model.tokenize(adata, &params.embed)?;
    fine_tune_genes_tokens(model, &tokens, split, params, state, watch)
}

/// [`fine_tune_genes`], on tokens that [`FoundationModel::tokenize`] made. Rows that have no tokens are left out.
///
/// # Errors
/// As [`fine_tune_genes`].
pub fn fine_tune_genes_tokens(
    model: &FoundationModel,
    tokens: &Tokens,
    split: &GeneSplit,
    params: &FineTuneParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTunedGenes> {
    validate(model, split, params)?;
    let (_, vocabulary) = model.as_geneformer().expect("validation takes nothing but a Geneformer");
    let mut classes = GeneClasses::new(tokens, vocabulary, split, params.class_weights)?;
    if params.train.select != Select::Last && classes.validation().cells.is_empty() {
        let (n_cells, n_genes) = (split.validation_cells.len(), split.validation.len());
        return Err(Error::NoValidationGenes { n_cells, n_genes }.into());
    }
    let names = classes.names.clone();
    let tuned = Session { model, tokens, params, state }.tune(Top::Genes(&names), &mut classes, watch)?;
    Ok(FineTunedGenes {
        classes: names,
        genes: classes.report,
        model: with_body(model, tuned.body),
        training: tuned.training,
        input: params.embed.clone(),
    })
}

fn validate(model: &FoundationModel, split: &GeneSplit, params: &FineTuneParams) -> Result<()> {
    let no_validation = split.validation.is_empty() || split.validation_cells.is_empty();
    params.validate_for(GENES, model, no_validation)
}
