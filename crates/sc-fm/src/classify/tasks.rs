use std::ops::ControlFlow;
use std::path::Path;

use sc_io::AnnData;

use super::body::{Body, TASKS, Top, is_task_head, with_body};
use super::fine_tuned_tasks::{FineTunedTasks, TaskHead};
use super::session::Session;
use super::task_data::TaskClasses;
use super::{Error, FineTuneParams, Method};
use crate::Result;
use crate::embed::{FoundationModel, Kind};
use crate::models::geneformer::TaskPooling;
use crate::tokenize::Tokens;
use crate::train::{AdamParams, LoopParams, Schedule, TrainProgress, Warmup};

/// One of several things that cells are classified by: their type, or a disease.
#[derive(Clone, Debug, PartialEq)]
pub struct CellTask {
    /// Its name, which no other task has.
    pub name: String,
    /// The class of each row of the data set, where it has one. A cell without one has no say in this task.
    pub labels: Vec<Option<String>>,
    /// What its loss counts for in the sum; above 0. The reference's default is 1.
    pub weight: f64,
}

/// How a classifier for several tasks is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskParams {
    /// The training. `class_weights` is refused: the reference has none.
    pub tuning: FineTuneParams,
    /// What stands for a cell. Default [`TaskPooling::Attention`], as in the reference.
    pub pooling: TaskPooling,
    /// Share that is dropped, in training, of what stands for a cell; at least 0 and below 1. Default 0.1.
    pub dropout: f64,
}

impl TaskParams {
    /// The defaults of the reference: one epoch, 4 cells a batch, AdamW with a decay of 0.1 (of matrices alone), a
    /// learning rate of 1e-3 that falls in a line after 1 % of warm-up. (It also freezes two layers: see
    /// [`FineTuneParams::freeze_layers`], 0 here, since not every model has three.)
    pub fn new(method: Method) -> Self {
        let train = LoopParams {
            epochs: 1,
            batch_size: 4,
            schedule: Schedule { warmup: Warmup::Ratio(0.01), ..Schedule::linear(1e-3) },
            optimizer: AdamParams::adamw(0.1),
            ..LoopParams::default()
        };
        let tuning = FineTuneParams { train, ..FineTuneParams::new(Kind::Geneformer, method) };
        Self { tuning, pooling: TaskPooling::Attention, dropout: 0.1 }
    }
}

/// Trains a Geneformer with a classifier of cells for each of several tasks at once: the loss is the weighted sum of
/// theirs, each the mean over the cells of a step that have a label in the task.
///
/// As Geneformer's multi-task classifier, but for padding: see
/// [`MultiTask`](crate::models::geneformer::MultiTask). The loss by which an epoch is chosen is the same sum over the
/// validation cells; accuracy and macro-F1 are means over the tasks.
///
/// * `tasks`: each with a label, or none, for every row; `train`, `validation`: rows, each with a label in some task.
/// * `state`, `watch`: as for [`fine_tune`](super::fine_tune), with the same promises.
///
/// # Errors
/// [`Error`] for rows, labels, parameters and models that do not do; otherwise as [`fine_tune`](super::fine_tune).
#[allow(clippy::too_many_arguments, reason = "as `fine_tune`")]
pub fn fine_tune_tasks(
    model: &FoundationModel,
    adata: &AnnData,
    tasks: &[CellTask],
    train: &[usize],
    validation: &[usize],
    params: &TaskParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTunedTasks> {
    params.validate(model, validation.is_empty())?;
    let tokens = model.tokenize(adata, &params.tuning.embed)?;
    fine_tune_tasks_tokens(model, &tokens, adata.n_obs(), tasks, train, validation, params, state, watch)
}

/// [`fine_tune_tasks`], on tokens that [`FoundationModel::tokenize`] made of a matrix of `n_rows` rows.
///
/// # Errors
/// As [`fine_tune_tasks`].
#[allow(clippy::too_many_arguments, reason = "as `fine_tune`")]
pub fn fine_tune_tasks_tokens(
    model: &FoundationModel,
    tokens: &Tokens,
    n_rows: usize,
    tasks: &[CellTask],
    train: &[usize],
    validation: &[usize],
    params: &TaskParams,
    state: Option<&Path>,
    watch: &mut dyn FnMut(&TrainProgress) -> ControlFlow<()>,
) -> Result<FineTunedTasks> {
    params.validate(model, validation.is_empty())?;
    let (pooling, dropout, tuning) = (params.pooling, params.dropout, &params.tuning);
    let head = format!("{pooling:?} {dropout}");
    let mut classes = TaskClasses::new(tokens, n_rows, tasks, (train, validation), head)?;
    let sizes = classes.sizes();
    let session = Session { model, tokens, params: tuning, state };
    let tuned = session.tune(Top::Tasks { sizes: &sizes, pooling, dropout }, &mut classes, watch)?;
    let tensors = tuned.weights.all().filter(|(name, _)| is_task_head(name));
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor.detach())).collect();
    let Body::Tasks { heads, .. } = &tuned.body else { unreachable!("the body is that of its top") };
    let head = TaskHead { network: heads.clone(), tensors };
    Ok(FineTunedTasks {
        tasks: classes.names().map(|(name, classes)| (name.to_owned(), classes.to_vec())).collect(),
        model: with_body(model, tuned.body),
        head,
        training: tuned.training,
        input: tuning.embed.clone(),
    })
}

impl TaskParams {
    fn validate(&self, model: &FoundationModel, no_validation: bool) -> Result<()> {
        let refuse = |field, found: String, expected: &str| {
            Err(Error::Param { field, found, expected: expected.to_owned() }.into())
        };
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse("dropout", self.dropout.to_string(), "at least 0 and below 1");
        }
        if self.tuning.class_weights {
            return refuse("class_weights", "true".to_owned(), "false for several tasks");
        }
        self.tuning.validate_for(TASKS, model, no_validation)
    }
}
