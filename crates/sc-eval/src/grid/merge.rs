//! Reading a grid, and what its models are worth.

use std::path::{Path, PathBuf};

use super::cell::{Cell, SharedTime, Time};
use super::dataset;
use super::layout::{self, Kind, Layout};
use super::store::{self, Writer};
use super::{Key, ModelPlan, Plan, console, cz_benchmarks, results};
use crate::protocol::{Answered, CrossValidation, Intervals, Scores, from_answers};
use crate::statistics::Interval;
use crate::{Error, Labels, Result};

/// The files that [`Merged::write`] writes.
pub(super) const FILES: [&str; 4] = ["results.json", "results.csv", "times.csv", "cz_benchmarks.json"];
/// Missing cells that an error names.
const MOST: usize = 10;

/// All results of a grid.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The plan.
    pub plan: Plan,
    /// The data sets, in the order of the plan.
    pub datasets: Vec<MergedDataset>,
    /// Cells that are not there, or not whole; empty unless they were allowed.
    pub missing: Vec<Key>,
}

/// The results on one data set.
#[derive(Clone, Debug)]
pub struct MergedDataset {
    /// Its name.
    pub name: String,
    /// Its name as that of a folder: no other data set has it.
    pub slug: String,
    /// Name of each cell.
    pub cells: Vec<String>,
    /// Label of each cell.
    pub labels: Labels,
    /// The models in the order of the plan; those without any cell are left out.
    pub models: Vec<MergedModel>,
}

/// The results of a model on one data set.
#[derive(Clone, Debug)]
pub struct MergedModel {
    /// The model.
    pub plan: ModelPlan,
    /// Results by seed, in the order of the plan; seeds without any cell are left out.
    pub seeds: Vec<MergedSeed>,
    /// Mean of each score over the folds of all seeds.
    pub mean: Scores,
    /// Standard deviation of each score over the folds of all seeds (`n - 1` in the denominator); `None` with one fold.
    pub sd: Option<Scores>,
    /// 95 % intervals of the means: the ends of the seeds' intervals, averaged. More seeds do not make them narrower,
    /// because the same cells are tested again.
    pub intervals: Intervals,
}

/// The results of a model on one data set with one seed.
#[derive(Clone, Debug)]
pub struct MergedSeed {
    /// The seed.
    pub seed: u64,
    /// The number of each fold; they are all there unless missing cells were allowed.
    pub folds: Vec<usize>,
    /// Wall time of making the features of each fold, in seconds, which all models share; NaN if it is not known.
    pub prepare_seconds: Vec<f64>,
    /// What the model is worth; folds are in the order of `folds`.
    pub result: CrossValidation,
}

/// Reads all cells of the grid in `dir` and scores them; nothing is run or written.
///
/// * `allow_missing`: whether to go on with the cells that are there.
///
/// # Errors
/// [`Error::Incomplete`] with the cells that are missing, unless allowed, and if none is there at all;
/// [`Error::Damaged`] for a file that is not what was written (with missing cells allowed, a damaged cell is a missing
/// one); [`Error::Io`], also for a folder without a plan.
pub fn merge(dir: &Path, allow_missing: bool) -> Result<Merged> {
    let path = layout::plan(dir);
    let Some(plan) = store::json::<Plan>(&path)? else {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "the folder holds no plan");
        return Err(Error::Io { action: "read", path, source });
    };
    if let Err(invalid) = plan.validate() {
        return Err(Error::Damaged { path, reason: invalid.to_string() });
    }
    let mut reader =
        Reader { layout: Layout::new(dir, &plan), sha256: plan.sha256(), plan, missing: Vec::new() };
    let mut datasets = Vec::new();
    for index in 0..reader.plan.datasets.len() {
        datasets.push(reader.dataset(index, allow_missing)?);
    }
    let Reader { plan, missing, .. } = reader;
    let (n_missing, n_cells) = (missing.len(), plan.n_cells());
    if n_missing > 0 && (!allow_missing || n_missing == n_cells) {
        let mut named: Vec<String> = missing.iter().take(MOST).map(|key| key.words(&plan)).collect();
        if n_missing > MOST {
            named.push(format!("and {} more", n_missing - MOST));
        }
        return Err(Error::Incomplete { path: dir.to_owned(), missing: named, n_missing, n_cells });
    }
    Ok(Merged { plan, datasets, missing })
}

struct Reader {
    plan: Plan,
    sha256: String,
    layout: Layout,
    missing: Vec<Key>,
}

impl Reader {
    fn dataset(&mut self, index: usize, allow_missing: bool) -> Result<MergedDataset> {
        let path = self.layout.dataset(index);
        let damaged = |reason: &str| Error::Damaged { path: path.clone(), reason: reason.to_owned() };
        let record: dataset::Record = store::json(&path)?.ok_or_else(|| damaged("it is not there"))?;
        if record.sha256() != self.plan.datasets[index].sha256 {
            return Err(damaged("its SHA-256 is not the one of the plan"));
        }
        let labels = record.labels().ok_or_else(|| damaged("its labels do not go together"))?;
        // Each fold tests a cell that no other does.
        if self.plan.datasets[index].n_folds > labels.len() {
            return Err(damaged("the plan has more folds than there are cells"));
        }
        let mut models = Vec::new();
        for model in 0..self.plan.models.len() {
            let mut seeds = Vec::new();
            for seed in self.plan.seeds.clone() {
                let at = Key { dataset: index, model, seed, fold: 0 };
                seeds.extend(self.seed(at, &labels, allow_missing)?);
            }
            if !seeds.is_empty() {
                models.push(MergedModel::new(self.plan.models[model].clone(), seeds));
            }
        }
        let slug = self.layout.slug(index).to_owned();
        Ok(MergedDataset { name: record.name, slug, cells: record.cells, labels, models })
    }

    /// The folds of a model and seed; `None` if there is none.
    fn seed(&mut self, at: Key, labels: &Labels, allow_missing: bool) -> Result<Option<MergedSeed>> {
        let (mut folds, mut answers, mut prepare_seconds) = (Vec::new(), Vec::new(), Vec::new());
        for fold in 0..self.plan.datasets[at.dataset].n_folds {
            let key = Key { fold, ..at };
            match self.cell(&key, labels) {
                Ok(Some(answer)) => {
                    folds.push(fold);
                    answers.push(answer);
                    prepare_seconds.push(self.prepare_seconds(&key));
                }
                Ok(None) => self.missing.push(key),
                Err(Error::Damaged { .. }) if allow_missing => self.missing.push(key),
                Err(error) => return Err(error),
            }
        }
        if folds.is_empty() {
            return Ok(None);
        }
        let result = from_answers(labels, answers)?;
        Ok(Some(MergedSeed { seed: at.seed, folds, prepare_seconds, result }))
    }

    fn cell(&self, key: &Key, labels: &Labels) -> Result<Option<Answered>> {
        let path = self.layout.of(Kind::Cell, key);
        let Some(cell) = store::unseal::<Cell>(&path)? else { return Ok(None) };
        let misfit = match cell.plan == self.sha256 {
            true => cell.misfit(&self.plan, key, labels),
            false => Some("it is of another plan"),
        };
        if let Some(reason) = misfit {
            return Err(Error::Damaged { path, reason: reason.to_owned() });
        }
        // A time that is lost is no reason to lose a result.
        let time: Option<Time> = store::json(&self.layout.of(Kind::Time, key)).ok().flatten();
        Ok(Some(Answered { n_train: cell.n_train, test: cell.test.clone(), output: cell.output(time) }))
    }

    fn prepare_seconds(&self, key: &Key) -> f64 {
        let path = self.layout.shared_time(key.dataset, key.seed, key.fold);
        let time: Option<SharedTime> = store::json(&path).ok().flatten();
        time.map_or(f64::NAN, |time| time.prepare_seconds)
    }
}

impl MergedModel {
    fn new(plan: ModelPlan, seeds: Vec<MergedSeed>) -> Self {
        let scores: Vec<Scores> =
            seeds.iter().flat_map(|seed| &seed.result.folds).map(|fold| fold.scores).collect();
        let ends = |of: fn(&Intervals) -> Interval| {
            let n = seeds.len() as f64;
            let mean = |end: fn(&Interval) -> f64| {
                seeds.iter().map(|seed| end(&of(&seed.result.intervals))).sum::<f64>() / n
            };
            let level = of(&seeds[0].result.intervals).level;
            Interval { low: mean(|interval| interval.low), high: mean(|interval| interval.high), level }
        };
        Self {
            mean: Scores::mean(&scores),
            sd: Scores::sd(&scores),
            intervals: Intervals {
                accuracy: ends(|intervals| intervals.accuracy),
                balanced_accuracy: ends(|intervals| intervals.balanced_accuracy),
                f1_macro: ends(|intervals| intervals.f1_macro),
            },
            plan,
            seeds,
        }
    }

    /// Number of folds of all seeds.
    pub fn n_folds(&self) -> usize {
        self.seeds.iter().map(|seed| seed.folds.len()).sum()
    }
}

impl Merged {
    /// The results as aligned plain text for a terminal: a line for each data set and model, with means over the folds
    /// of all seeds.
    pub fn table(&self) -> String {
        console::table(self)
    }

    /// The files of the results: `results.json`, `results.csv`, `times.csv` and `cz_benchmarks.json`, by name.
    ///
    /// All but the times are the same bytes in every run of the plan.
    ///
    /// * `results.json`: scores by data set, model, seed and fold, with means, deviations, intervals and counts.
    /// * `results.csv`: a row for each data set and model: means over the folds of all seeds, intervals, deviations.
    /// * `times.csv`: wall times of each cell; `prepare_seconds` is shared by the models of a fold.
    /// * `cz_benchmarks.json`: the `mean_fold_*` metrics of cz-benchmarks' label prediction, as a list of its
    ///   `MetricResult`: `metric_type`, `value`, and `params` with the classifier and the data set. There is one entry
    ///   for each seed, which its `aggregate_results` averages. AUROC is left out for a model without probabilities.
    pub fn files(&self) -> [(&'static str, Vec<u8>); 4] {
        let contents =
            [results::json(self), results::csv(self), results::times(self), cz_benchmarks::json(self)];
        let mut contents = contents.into_iter();
        FILES.map(|name| (name, contents.next().unwrap_or_default()))
    }

    /// Writes [`Merged::files`] into `dir`, each aside first.
    ///
    /// # Errors
    /// [`Error::Locked`] while a run is at work in the folder; [`Error::Io`].
    pub fn write(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let writer = Writer::new(dir)?;
        let write = |(name, bytes): (&str, Vec<u8>)| {
            let path = dir.join(name);
            writer.write(&path, &bytes).map(|()| path)
        };
        self.files().into_iter().map(write).collect()
    }
}
