use ndarray::{Array2, ArrayView2, Axis};
use sc_io::AnnData;

use super::body::{Asked, BodyRef};
use super::data::places;
use super::probe::Probe;
use super::task::softmax;
use super::trained::Training;
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
    /// * `found`: whether each row has logits; `logits`: of those that have.
    pub(super) fn of(rows: &[usize], found: &[bool], logits: ArrayView2<'_, f32>) -> Self {
        let mut probabilities = Array2::from_elem((rows.len(), logits.ncols()), f64::NAN);
        let of_rows = probabilities.axis_iter_mut(Axis(0)).zip(found).filter(|(_, found)| **found);
        for ((mut row, _), logits) in of_rows.zip(logits.rows()) {
            row.assign(&ndarray::aview1(&softmax(logits)));
        }
        let missing = rows.iter().zip(found).filter(|(_, found)| !**found).map(|(&row, _)| row).collect();
        Self { probabilities, missing }
    }

    /// The number of the most probable class of each row; of several, the first. None for the rows of `missing`.
    pub fn most_probable(&self) -> Vec<Option<usize>> {
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            let best = |best: usize, (place, &p): (usize, &f64)| if p > row[best] { place } else { best };
            row.iter().all(|p| !p.is_nan()).then(|| row.iter().enumerate().fold(0, best))
        };
        self.probabilities.rows().into_iter().map(best).collect()
    }
}

/// The places among the tokens of those rows that have one, and which these are.
pub(super) fn cells_of(tokens: &Tokens, rows: &[usize]) -> (Vec<usize>, Vec<bool>) {
    let places = places(tokens);
    let found = rows.iter().map(|row| places.contains_key(row)).collect();
    (rows.iter().filter_map(|row| places.get(row).copied()).collect(), found)
}

/// Refuses rows that a data set does not have.
pub(super) fn check_asked(rows: &[usize], n_rows: usize) -> Result<(), Error> {
    match rows.iter().find(|&&row| row >= n_rows) {
        Some(&row) => Err(Error::Row { row, set: "asked for", n_rows }),
        None => Ok(()),
    }
}

impl FineTuned {
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
        check_asked(rows, adata.n_obs())?;
        self.predict_proba_tokens(&self.model.tokenize(adata, &self.input)?, rows)
    }

    /// [`predict_proba`](Self::predict_proba), of tokens; rows are those of the matrix that was tokenised, and those that
    /// have no tokens are missing.
    ///
    /// # Errors
    /// [`models::Error`](crate::models::Error) for cells that the model cannot take; what the tensor library reports.
    pub fn predict_proba_tokens(&self, tokens: &Tokens, rows: &[usize]) -> Result<Prediction> {
        let (cells, found) = cells_of(tokens, rows);
        Ok(Prediction::of(rows, &found, self.logits(tokens, &cells)?.view()))
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
                let (cost, memory) = (self.model.cost(), self.input.memory);
                Asked { body, tokens, cost, memory }.cells(cells, self.classes.len())
            }
            (Head::Model, None) => {
                let (kind, method) = (self.model.kind(), self.training.method.name());
                Err(Error::Unsupported { kind, method }.into())
            }
        }
    }
}
