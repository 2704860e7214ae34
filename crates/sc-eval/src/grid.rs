//! A run as a grid of model × data set × fold × seed, kept on disk: it can be killed at any moment and resumed to the
//! same bytes.
//!
//! [`Grid::run`] makes the cells that are missing, and [`merge`] reads them all: two verbs, so that results can be merged
//! again without running anything. In the folder of a grid lie
//!
//! | file | holds |
//! |---|---|
//! | `plan.json` | the [`Plan`]: what is run, with SHA-256 of the inputs; a folder takes one plan only |
//! | `datasets/<data set>.json` | names and labels of the cells that take part |
//! | `cells/<data set>/<model>/seed<seed>-fold<fold>.json` | the answer of one model in one fold; no time, no thread count |
//! | `times/<data set>/<model>/…`, `times/<data set>/seed<seed>-fold<fold>.json` | wall times of that answer, and of the features that models share |
//! | `errors/<data set>/<model>/…` | why a cell has no answer; gone when it has one |
//! | `results.json`, `results.csv`, `times.csv`, `cz_benchmarks.json` | what [`Merged::write`] makes of them |
//!
//! Each file is written aside, flushed to disk and renamed; each cell ends with the SHA-256 of itself. A cell is the same
//! bytes in every run of a plan on one kind of machine, whatever the number of jobs and threads, provided that the
//! models are.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use sc_eval::grid::{Dataset, Grid, Group, ModelPlan, Plan, merge};
//! use sc_eval::protocol::FoldOutput;
//! use sc_eval::split::StratifiedKFold;
//! use sc_eval::{Labels, Prediction};
//!
//! let labels = Labels::new(&["T", "B", "T", "B", "T", "T"])?;
//! let splits = StratifiedKFold { n_splits: 2, ..Default::default() }.split(&labels)?;
//! let cells = (0..6).map(|cell| cell.to_string()).collect();
//! let six = Dataset { name: "six cells".into(), cells, labels, splits: vec![splits] };
//!
//! let mut plan = Plan::new("two models");
//! plan.models = ["always B", "always T"].map(ModelPlan::named).into();
//! plan.seeds = vec![42];
//! let grid = Grid::new(plan, vec![six])?;
//!
//! # let dir = tempfile::tempdir().expect("a temporary folder");
//! # let dir = dir.path().join("results");
//! let run = || {
//!     // What models share is made once for each fold; here there is nothing to share.
//!     let features = |_: &Group<'_>| Ok::<_, Infallible>(());
//!     let answer = |(): &(), group: &Group<'_>, model: usize| {
//!         let prediction = Prediction { codes: vec![model as u32; group.split.test.len()], probabilities: None };
//!         Ok(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
//!     };
//!     grid.run(&dir, 1, features, answer, |_| ())
//! };
//! assert_eq!(run()?.n_done, 4);
//! assert_eq!(run()?.n_kept, 4);
//!
//! let merged = merge(&dir, false)?;
//! let always_t = &merged.datasets[0].models[1];
//! assert_eq!(always_t.mean.balanced_accuracy, 0.5);
//! merged.write(&dir)?;
//! # Ok::<(), sc_eval::Error>(())
//! ```

mod cell;
mod console;
mod cz_benchmarks;
mod dataset;
mod difference;
mod layout;
mod merge;
mod plan;
mod results;
mod run;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;

pub use dataset::Dataset;
pub use merge::{Merged, MergedDataset, MergedModel, MergedSeed, merge};
pub use plan::{DatasetPlan, ModelPlan, Plan};
pub use run::{Event, Failure, Grid, Group, Outcome, clear};

/// The place of a cell in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Index of the data set in the plan.
    pub dataset: usize,
    /// Index of the model in the plan.
    pub model: usize,
    /// The seed.
    pub seed: u64,
    /// The fold, from 0.
    pub fold: usize,
}

impl Key {
    /// The key in words: `knn on pbmc3k, seed 42, fold 0`.
    pub fn words(&self, plan: &Plan) -> String {
        let model = plan.models.get(self.model).map_or("?", |model| &model.name);
        let dataset = plan.datasets.get(self.dataset).map_or("?", |dataset| &dataset.name);
        format!("{model} on {dataset}, seed {}, fold {}", self.seed, self.fold)
    }
}

/// An error with its causes, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!(": {error}"));
        cause = error.source();
    }
    text
}
