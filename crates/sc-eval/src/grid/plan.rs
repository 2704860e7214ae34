//! What a grid runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dataset;
use super::store::sha256;
use crate::manifest::InputFile;
use crate::{Error, Result};

/// Version of the files of a grid; it rises when a field changes its meaning.
pub(super) const FORMAT: u32 = 1;

/// What a grid runs, and on what: everything that its results depend on.
///
/// The caller fills in what it knows; `datasets` is filled by [`Grid::new`](super::Grid::new).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the files' layout.
    pub format: u32,
    /// Name of the run.
    pub name: String,
    /// Versions of the crates that do the work.
    pub crates: BTreeMap<String, String>,
    /// The data sets, in the order of the results.
    pub datasets: Vec<DatasetPlan>,
    /// The models, in the order of the results; no name twice.
    pub models: Vec<ModelPlan>,
    /// Seeds of folds and models; none twice.
    pub seeds: Vec<u64>,
    /// Parameters that all models share, such as the number of genes.
    pub parameters: BTreeMap<String, Value>,
    /// The files that were read. Where they lie does not matter to a plan, only what is in them.
    pub inputs: Vec<InputFile>,
}

/// A model of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// Its name in the results.
    pub name: String,
    /// Its parameters; null for none.
    #[serde(default)]
    pub parameters: Value,
}

impl ModelPlan {
    /// A model without parameters.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Value::Null }
    }
}

/// A data set of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetPlan {
    /// Its name in the results.
    pub name: String,
    /// Number of cells.
    pub n_cells: usize,
    /// Number of folds, the same for every seed.
    pub n_folds: usize,
    /// SHA-256 of the names and labels of the cells.
    pub sha256: String,
    /// SHA-256 of the training and test cells of all folds.
    pub splits_sha256: String,
}

impl Plan {
    /// A plan without models and seeds.
    pub fn new(name: impl Into<String>) -> Self {
        let this = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Self {
            format: FORMAT,
            name: name.into(),
            crates: BTreeMap::from([this]),
            datasets: Vec::new(),
            models: Vec::new(),
            seeds: Vec::new(),
            parameters: BTreeMap::new(),
            inputs: Vec::new(),
        }
    }

    /// Adds a shared parameter.
    pub fn parameter(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.parameters.insert(name.into(), value.into());
    }

    /// Number of cells of the grid.
    pub fn n_cells(&self) -> usize {
        let folds: usize = self.datasets.iter().map(|dataset| dataset.n_folds).sum();
        folds * self.models.len() * self.seeds.len()
    }

    /// SHA-256 of the plan, by which a cell knows where it belongs; the paths of the inputs are no part of it.
    pub fn sha256(&self) -> String {
        sha256(&serde_json::to_vec(&self.essence()).expect("strings and numbers are JSON"))
    }

    /// The plan without what it may differ in.
    pub(super) fn essence(&self) -> Value {
        let mut plan = self.clone();
        for input in &mut plan.inputs {
            input.path.clear();
        }
        let mut essence = serde_json::to_value(plan).expect("strings and numbers are JSON");
        essence.sort_all_objects();
        essence
    }

    /// Checks that there is something to run, and that every cell has one name.
    pub(super) fn validate(&self) -> Result<()> {
        for (what, empty) in [
            ("the list of data sets", self.datasets.is_empty()),
            ("the list of models", self.models.is_empty()),
            ("the list of seeds", self.seeds.is_empty()),
        ] {
            if empty {
                return Err(Error::Empty { what });
            }
        }
        once("models", self.models.iter().map(|model| model.name.clone()))?;
        once("datasets", self.datasets.iter().map(|dataset| dataset.name.clone()))?;
        once("seeds", self.seeds.iter().map(u64::to_string))
    }

    /// Takes up the data sets, which have folds for each seed.
    pub(super) fn with_datasets(mut self, datasets: &[Dataset]) -> Result<Self> {
        self.datasets =
            datasets.iter().map(|dataset| dataset.plan(self.seeds.len())).collect::<Result<_>>()?;
        self.validate()?;
        // Parameters are written with their keys in order, whatever order a map keeps in this build.
        let of_models = self.models.iter_mut().map(|model| &mut model.parameters);
        self.parameters.values_mut().chain(of_models).for_each(Value::sort_all_objects);
        Ok(self)
    }
}

fn once(name: &'static str, values: impl Iterator<Item = String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for value in values {
        if value.is_empty() || seen.contains(&value) {
            let expected = "names that are not empty, each once";
            return Err(Error::Parameter { name, value: format!("{value:?}"), expected });
        }
        seen.insert(value);
    }
    Ok(())
}
