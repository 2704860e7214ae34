//! One answer of one model, as it lies on disk.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::plan::FORMAT;
use super::{Key, Plan};
use crate::protocol::{FoldOutput, Scores};
use crate::{Labels, Prediction};

/// A cell of the grid. It holds no time and nothing of how the run went: the same plan gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    format: u32,
    /// SHA-256 of the plan.
    pub(super) plan: String,
    dataset: String,
    model: String,
    parameters: Value,
    seed: u64,
    fold: usize,
    classes: Vec<String>,
    pub(super) n_train: usize,
    /// Index of each test cell in the data set; true class and predicted class beside it.
    pub(super) test: Vec<usize>,
    truth: Vec<u32>,
    predicted: Vec<u32>,
    /// Rows of test cells, columns of classes.
    probabilities: Option<Vec<Vec<f32>>>,
    /// For readers of the file; merging works them out again.
    scores: ByName,
    provenance: Provenance,
}

/// What made the cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provenance {
    crates: BTreeMap<String, String>,
    inputs_sha256: Vec<String>,
    os: String,
    arch: String,
}

/// Scores by name, in the order in which they are reported; null for one that does not exist.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct ByName(BTreeMap<String, Option<f64>>);

impl Serialize for ByName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl From<&Scores> for ByName {
    fn from(scores: &Scores) -> Self {
        Self(scores.iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Wall times, apart from what must be the same in every run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Time {
    pub(super) fit_seconds: f64,
    pub(super) predict_seconds: f64,
}

/// Wall time of what the models of a fold share.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SharedTime {
    pub(super) prepare_seconds: f64,
}

impl Cell {
    pub(super) fn new(
        (plan, plan_sha256): (&Plan, &str),
        key: &Key,
        labels: &Labels,
        (n_train, test): (usize, &[usize]),
        (prediction, scores): (&Prediction, &Scores),
    ) -> Self {
        let model = &plan.models[key.model];
        let rows = |p: &Array2<f32>| p.rows().into_iter().map(|row| row.to_vec()).collect();
        Self {
            format: FORMAT,
            plan: plan_sha256.to_owned(),
            dataset: plan.datasets[key.dataset].name.clone(),
            model: model.name.clone(),
            parameters: model.parameters.clone(),
            seed: key.seed,
            fold: key.fold,
            classes: labels.classes().to_vec(),
            n_train,
            test: test.to_vec(),
            truth: labels.select(test),
            predicted: prediction.codes.clone(),
            probabilities: prediction.probabilities.as_ref().map(rows),
            scores: scores.into(),
            provenance: Provenance {
                crates: plan.crates.clone(),
                inputs_sha256: plan.inputs.iter().map(|input| input.sha256.clone()).collect(),
                os: std::env::consts::OS.to_owned(),
                arch: std::env::consts::ARCH.to_owned(),
            },
        }
    }

    /// What does not fit the place where the cell lies, in words.
    pub(super) fn misfit(&self, plan: &Plan, key: &Key, labels: &Labels) -> Option<&'static str> {
        let in_bounds = self.test.iter().all(|&cell| cell < labels.len());
        let n_test = self.test.len();
        let n_classes = labels.n_classes();
        let wide = |p: &Vec<Vec<f32>>| p.len() == n_test && p.iter().all(|row| row.len() == n_classes);
        [
            (self.format == FORMAT, "its format is not known"),
            (self.dataset == plan.datasets[key.dataset].name, "it is of another data set"),
            (self.model == plan.models[key.model].name, "it is of another model"),
            ((self.seed, self.fold) == (key.seed, key.fold), "it is of another seed or fold"),
            (self.classes == labels.classes(), "its classes are others"),
            (n_test > 0 && in_bounds, "its test cells are not in the data set"),
            (in_bounds && self.truth == labels.select(&self.test), "its true classes are others"),
            (self.predicted.len() == n_test, "it answers about another number of cells"),
            (
                self.predicted.iter().all(|&code| (code as usize) < n_classes),
                "it predicts a class that does not exist",
            ),
            (self.probabilities.as_ref().is_none_or(wide), "its probabilities have another shape"),
        ]
        .into_iter()
        .find_map(|(fits, reason)| (!fits).then_some(reason))
    }

    /// The answer; times are NaN where they are not known.
    pub(super) fn output(self, time: Option<Time>) -> FoldOutput {
        let n_classes = self.classes.len();
        let probabilities = self.probabilities.map(|rows| {
            let n = rows.len();
            Array2::from_shape_vec((n, n_classes), rows.into_iter().flatten().collect())
                .expect("the shape is known to fit")
        });
        let time = time.unwrap_or(Time { fit_seconds: f64::NAN, predict_seconds: f64::NAN });
        FoldOutput {
            prediction: Prediction { codes: self.predicted, probabilities },
            fit_seconds: time.fit_seconds,
            predict_seconds: time.predict_seconds,
        }
    }
}
