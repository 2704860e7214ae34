//! The cells of a grid's data set: names, labels, folds.

use serde::{Deserialize, Serialize};

use super::DatasetPlan;
use super::store::sha256;
use crate::split::{Split, check_splits};
use crate::{Error, Labels, Result};

/// A data set of a grid.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its name in the results.
    pub name: String,
    /// Name of each cell.
    pub cells: Vec<String>,
    /// Label of each cell.
    pub labels: Labels,
    /// The folds of each seed of the plan, in the order of its seeds; as many folds for each.
    pub splits: Vec<Vec<Split>>,
}

/// What is kept of a data set on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) classes: Vec<String>,
    pub(super) labels: Vec<u32>,
    pub(super) cells: Vec<String>,
}

impl Dataset {
    pub(super) fn record(&self) -> Record {
        Record {
            name: self.name.clone(),
            classes: self.labels.classes().to_vec(),
            labels: self.labels.codes().to_vec(),
            cells: self.cells.clone(),
        }
    }

    /// The entry of a plan, once the folds are known to be valid.
    pub(super) fn plan(&self, n_seeds: usize) -> Result<DatasetPlan> {
        let n_cells = self.labels.len();
        let same = |what, found, expected| match found == expected {
            true => Ok(()),
            false => Err(Error::Length { what, found, expected }),
        };
        same("the list of cell names", self.cells.len(), n_cells)?;
        same("the list of folds by seed", self.splits.len(), n_seeds)?;
        let n_folds = self.splits.first().map_or(0, Vec::len);
        for splits in &self.splits {
            same("the list of folds of a seed", splits.len(), n_folds)?;
            check_splits(splits, n_cells)?;
        }
        Ok(DatasetPlan {
            name: self.name.clone(),
            n_cells,
            n_folds,
            sha256: self.record().sha256(),
            splits_sha256: digest(&self.splits),
        })
    }
}

impl Record {
    pub(super) fn sha256(&self) -> String {
        sha256(&serde_json::to_vec(self).expect("strings and numbers are JSON"))
    }

    /// The labels, if there is one class index for each cell name and they make labels at all.
    pub(super) fn labels(&self) -> Option<Labels> {
        let name = |&code: &u32| self.classes.get(code as usize).map(String::as_str);
        let names: Vec<&str> = self.labels.iter().map(name).collect::<Option<_>>()?;
        let labels = Labels::new(&names).ok()?;
        let same = labels.classes() == self.classes && self.cells.len() == labels.len();
        same.then_some(labels)
    }
}

/// SHA-256 of all index sets, each preceded by its length.
fn digest(splits: &[Vec<Split>]) -> String {
    let mut bytes = Vec::new();
    let mut number = |n: usize| bytes.extend((n as u64).to_le_bytes());
    for folds in splits {
        number(folds.len());
        for side in folds.iter().flat_map(|split| [&split.train, &split.test]) {
            number(side.len());
            side.iter().for_each(|&cell| number(cell));
        }
    }
    sha256(&bytes)
}
