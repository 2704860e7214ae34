use candle_core::Tensor;
use ndarray::s;
use sc_io::AnnData;

use super::Prediction;
use super::body::{Asked, BodyRef};
use super::fine_tuned::{cells_of, check_asked};
use super::trained::Training;
use crate::Result;
use crate::embed::{EmbedParams, FoundationModel};
use crate::models::geneformer::MultiTask;
use crate::tokenize::Tokens;

/// Classifiers of cells for several tasks with the model that they stand on.
#[derive(Clone, Debug)]
pub struct FineTunedTasks {
    /// Name and classes.
    pub(super) tasks: Vec<(String, Vec<String>)>,
    pub(super) model: FoundationModel,
    pub(super) head: TaskHead,
    pub(super) training: Training,
    pub(super) input: EmbedParams,
}

/// The heads of all tasks.
#[derive(Clone, Debug)]
pub(super) struct TaskHead {
    pub(super) network: MultiTask,
    /// What it is made of, for files.
    pub(super) tensors: Vec<(String, Tensor)>,
}

impl FineTunedTasks {
    /// Name and classes of each task, in the order in which they were given; classes are sorted.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (&str, &[String])> {
        self.tasks.iter().map(|(name, classes)| (name.as_str(), classes.as_slice()))
    }

    /// The model, tuned, without the heads.
    pub fn model(&self) -> &FoundationModel {
        &self.model
    }

    /// How it came about.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The same classifier for data sets that are tokenised in another way: another matrix or column of gene ids.
    #[must_use]
    pub fn with_input(self, input: EmbedParams) -> Self {
        Self { input, ..self }
    }

    /// The probability of each class for some rows of a data set: a [`Prediction`] for each task, in their order.
    ///
    /// A row depends on its own cell alone, to the last bit.
    ///
    /// # Errors
    /// [`Error::Row`](super::Error::Row); those of [`FoundationModel::tokenize`]; what the tensor library reports.
    pub fn predict_proba(&self, adata: &AnnData, rows: &[usize]) -> Result<Vec<Prediction>> {
        check_asked(rows, adata.n_obs())?;
        self.predict_proba_tokens(&self.model.tokenize(adata, &self.input)?, rows)
    }

    /// [`predict_proba`](Self::predict_proba), of tokens; rows that have no tokens are missing.
    ///
    /// # Errors
    /// [`models::Error`](crate::models::Error) for cells that the model cannot take; what the tensor library reports.
    pub fn predict_proba_tokens(&self, tokens: &Tokens, rows: &[usize]) -> Result<Vec<Prediction>> {
        let (model, _) = self.model.as_geneformer().expect("no other model has heads for several tasks");
        let body = BodyRef::Tasks { model, heads: &self.head.network, dropout: 0.0 };
        let (cells, found) = cells_of(tokens, rows);
        body.check(tokens, &cells)?;
        let n_logits = self.tasks.iter().map(|(_, classes)| classes.len()).sum();
        let asked = Asked { body, tokens, cost: self.model.cost(), memory: self.input.memory };
        let logits = asked.cells(&cells, n_logits)?;
        let mut first = 0;
        let of = |(_, classes): &(String, Vec<String>)| {
            let columns = first..first + classes.len();
            first = columns.end;
            Prediction::of(rows, &found, logits.slice(s![.., columns]))
        };
        Ok(self.tasks.iter().map(of).collect())
    }
}
