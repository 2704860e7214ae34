use std::collections::HashMap;

use ndarray::{Array2, Axis};
use sc_io::AnnData;

use super::body::BodyRef;
use super::probe::Probe;
use super::task::softmax;
use super::{Error, Method};
use crate::Result;
use crate::embed::{EmbedParams, FoundationModel};
use crate::tokenize::Tokens;
use crate::train::EpochRecord;

/// A classifier of cells with the model that it stands on.
#[derive(Clone, Debug)]
pub struct FineTuned {
    pub(super) classes: Vec<String>,
    pub(super) model: FoundationModel,
    pub(super) head: Head,
    pub(super) training: Training,
    pub(super) input: EmbedParams,
}

/// What makes classes of states.
#[derive(Clone, Debug)]
pub(super) enum Head {
    /// Part of the model.
    Model,
    /// On top of embeddings.
    Probe(Box<Probe>),
}

/// How it came about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Training {
    pub(super) method: Method,
    pub(super) seed: u64,
    pub(super) history: Vec<EpochRecord>,
    /// Place in the history of the epoch that was kept.
    pub(super) best: usize,
}

/// Probabilities of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// A row for each row asked for, in that order; a column for each class. NaN for the rows of `missing`.
    pub probabilities: Array2<f64>,
    /// Rows of the data set that have none, in the order asked for: cells without a gene of the model, or left out by
    /// `filter_pass`.
    pub missing: Vec<usize>,
}

impl Prediction {
    /// The number of the most probable class of each row; of several, the first. None for the rows of `missing`.
    pub fn most_probable(&self) -> Vec<Option<usize>> {
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            let best = |best: usize, (place, &p): (usize, &f64)| if p > row[best] { place } else { best };
            row.iter().all(|p| !p.is_nan()).then(|| row.iter().enumerate().fold(0, best))
        };
        self.probabilities.rows().into_iter().map(best).collect()
    }
}

impl FineTuned {
    pub(super) fn new(
        classes: Vec<String>,
        model: FoundationModel,
        head: Head,
        training: Training,
        input: EmbedParams,
    ) -> Self {
        Self { classes, model, head, training, input }
    }

    /// The classes, sorted: column `i` of probabilities is class `i`.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The model, tuned if the method tunes it: for embeddings of cells, for instance.
    pub fn model(&self) -> &FoundationModel {
        &self.model
    }

    /// What was trained.
    pub fn method(&self) -> &Method {
        &self.training.method
    }

    /// The seed of the training.
    pub fn seed(&self) -> u64 {
        self.training.seed
    }

    /// Every epoch of the training.
    pub fn history(&self) -> &[EpochRecord] {
        &self.training.history
    }

    /// The epoch that was kept.
    pub fn best_epoch(&self) -> &EpochRecord {
        &self.training.history[self.training.best]
    }

    /// The same classifier for data sets that are tokenised in another way: another matrix or column of gene ids.
    #[must_use]
    pub fn with_input(self, input: EmbedParams) -> Self {
        Self { input, ..self }
    }

    /// The probability of each class for some rows of a data set.
    ///
    /// A row depends on its own cell alone, to the last bit. It is tokenised as the training cells were, or as
    /// [`with_input`](Self::with_input) says.
    ///
    /// # Errors
    /// [`Error::Row`]; those of [`FoundationModel::tokenize`]; what the tensor library reports.
    pub fn predict_proba(&self, adata: &AnnData, rows: &[usize]) -> Result<Prediction> {
        if let Some(&row) = rows.iter().find(|&&row| row >= adata.n_obs()) {
            return Err(Error::Row { row, set: "asked for", n_rows: adata.n_obs() }.into());
        }
        self.predict_proba_tokens(&self.model.tokenize(adata, &self.input)?, rows)
    }

    /// [`predict_proba`](Self::predict_proba), of tokens; rows are those of the matrix that was tokenised, and those that
    /// have no tokens are missing.
    ///
    /// # Errors
    /// [`models::Error`](crate::models::Error) for cells that the model cannot take; what the tensor library reports.
    pub fn predict_proba_tokens(&self, tokens: &Tokens, rows: &[usize]) -> Result<Prediction> {
        let place: HashMap<usize, usize> = tokens.rows().iter().copied().zip(0..).collect();
        let found: Vec<Option<usize>> = rows.iter().map(|row| place.get(row).copied()).collect();
        let cells: Vec<usize> = found.iter().flatten().copied().collect();
        let logits = self.logits(tokens, &cells)?;
        let mut probabilities = Array2::from_elem((rows.len(), self.classes.len()), f64::NAN);
        let of_rows = probabilities.axis_iter_mut(Axis(0)).zip(&found).filter(|(_, cell)| cell.is_some());
        for ((mut row, _), logits) in of_rows.zip(logits.rows()) {
            row.assign(&ndarray::aview1(&softmax(logits)));
        }
        let missing =
            rows.iter().zip(&found).filter(|(_, cell)| cell.is_none()).map(|(&row, _)| row).collect();
        Ok(Prediction { probabilities, missing })
    }

    fn logits(&self, tokens: &Tokens, cells: &[usize]) -> Result<Array2<f32>> {
        match (&self.head, BodyRef::of(&self.model)) {
            (Head::Probe(probe), _) => {
                let (mode, layer) = (Some(probe.choice.mode), Some(probe.choice.layer));
                let params = EmbedParams { mode, layer, ..self.input.clone() };
                let (embeddings, _) = self.model.embed_some(tokens, cells, &params)?;
                probe.logits(embeddings.view())
            }
            (Head::Model, Some(body)) => {
                body.check(tokens, cells)?;
                body.all_logits(tokens, cells, self.classes.len(), self.model.cost(), self.input.memory)
            }
            (Head::Model, None) => {
                let (kind, method) = (self.model.kind(), self.training.method.name());
                Err(Error::Unsupported { kind, method }.into())
            }
        }
    }
}
