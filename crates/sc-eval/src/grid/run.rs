//! Making the cells that are missing.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::cell::{Cell, SharedTime, Time};
use super::difference::differences;
use super::layout::{self, Kind, Layout};
use super::store::{self, Writer};
use super::{Dataset, Key, Plan, chain};
use crate::protocol::{FoldOutput, score};
use crate::split::Split;
use crate::{Error, Result};

/// A plan and its data, ready to run.
#[derive(Clone, Debug)]
pub struct Grid {
    plan: Plan,
    sha256: String,
    datasets: Vec<Dataset>,
}

/// The cells of one data set, seed and fold: one per model, on features that they share.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Index of the data set.
    pub dataset: usize,
    /// The seed.
    pub seed: u64,
    /// The fold, from 0.
    pub fold: usize,
    /// Its training and test cells.
    pub split: &'a Split,
}

/// What happens during a run, for a progress bar or a log. Events of several jobs come in any order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The cells that are there already, and those that are to be made.
    Start {
        /// Cells that are kept.
        n_kept: usize,
        /// Cells to be made.
        n_missing: usize,
    },
    /// A file is not what was written, or not of this plan: its cell is made again.
    Damaged(&'a Error),
    /// The features of a group are being made.
    Preparing(&'a Group<'a>),
    /// A model is being fitted and asked.
    Evaluating(&'a Key),
    /// A cell is on disk.
    Done(&'a Key),
    /// A cell has no answer.
    Failed(&'a Key),
}

/// A cell without an answer.
#[derive(Debug)]
pub struct Failure {
    /// The cell.
    pub key: Key,
    /// Why.
    pub error: Box<dyn StdError + Send + Sync>,
}

/// How a run ended.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// Cells that were there and whole.
    pub n_kept: usize,
    /// Cells that were made.
    pub n_done: usize,
    /// Cells that failed, in the order of the plan; they are tried again by the next run.
    pub failed: Vec<Failure>,
}

/// Why a cell has no answer, on disk.
#[derive(Serialize)]
struct Record<'a> {
    dataset: &'a str,
    model: &'a str,
    seed: u64,
    fold: usize,
    error: String,
}

impl Grid {
    /// Checks a plan and its data sets, and takes the data sets up into the plan.
    ///
    /// # Errors
    /// [`Error::Empty`] without data sets, models, seeds or folds; [`Error::Parameter`] for an empty name or one that
    /// occurs twice; [`Error::Length`] for lists that do not go together; [`Error::Fold`] around a split that leaks.
    pub fn new(plan: Plan, datasets: Vec<Dataset>) -> Result<Self> {
        let plan = plan.with_datasets(&datasets)?;
        let sha256 = plan.sha256();
        Ok(Self { plan, sha256, datasets })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The data sets, in the order of the plan.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// Whether `dir` holds this plan (true) or none (false).
    ///
    /// # Errors
    /// [`Error::OtherPlan`] with what differs; [`Error::Damaged`] or [`Error::Io`] for a plan that cannot be read.
    pub fn is_in(&self, dir: &Path) -> Result<bool> {
        let path = layout::plan(dir);
        let Some(there) = store::json::<serde_json::Value>(&path)? else { return Ok(false) };
        let there = match serde_json::from_value::<Plan>(there.clone()) {
            Ok(plan) => plan.essence(),
            Err(_) => there,
        };
        let differences = differences(&there, &self.plan.essence());
        if differences.is_empty() { Ok(true) } else { Err(Error::OtherPlan { path, differences }) }
    }

    /// Makes the cells that are missing in `dir`, `jobs` groups at once.
    ///
    /// * `prepare` makes what the models of a group share; it is called once for each group that lacks a cell, and must
    ///   learn from the training cells alone.
    /// * `evaluate` fits the model of that index in the plan, and asks it about the test cells in their order.
    /// * `progress` is told what happens, from any thread.
    ///
    /// With one job all is done on the calling thread, and so in its thread pool; more jobs are threads of their own.
    /// Neither their number nor an interruption changes a byte of a cell. Cells that are damaged or of another plan are
    /// made again. A cell that fails, by an error or a panic, is recorded under `errors`, and the others go on.
    ///
    /// # Errors
    /// [`Error::OtherPlan`] if the folder belongs to another plan; [`Error::Locked`] if another run is at work in it;
    /// [`Error::Parameter`] without jobs; [`Error::Io`] if a file cannot be written: the run then ends early, and what is
    /// done is kept.
    pub fn run<P, E>(
        &self,
        dir: &Path,
        jobs: usize,
        prepare: impl Fn(&Group<'_>) -> Result<P, E> + Sync,
        evaluate: impl Fn(&P, &Group<'_>, usize) -> Result<FoldOutput, E> + Sync,
        progress: impl Fn(Event<'_>) + Sync,
    ) -> Result<Outcome>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        if jobs == 0 {
            return Err(Error::Parameter { name: "jobs", value: "0".into(), expected: "at least 1" });
        }
        let writer = Writer::new(dir)?;
        let layout = Layout::new(dir, &self.plan);
        if !self.is_in(dir)? {
            for (i, dataset) in self.datasets.iter().enumerate() {
                writer.json(&layout.dataset(i), &dataset.record())?;
            }
            writer.json(&layout::plan(dir), &self.plan)?;
        }
        let groups = self.missing(&layout, &progress)?;
        let n_missing = groups.iter().map(|(_, models)| models.len()).sum();
        let n_kept = self.plan.n_cells() - n_missing;
        progress(Event::Start { n_kept, n_missing });

        let run = Run { grid: self, writer, layout, failed: Mutex::default(), progress: &progress };
        let next = AtomicUsize::new(0);
        let stopped = Mutex::new(None);
        let work = || {
            while let Some((group, models)) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = run.group(group, models, &prepare, &evaluate) {
                    next.store(groups.len(), Ordering::Relaxed);
                    locked(&stopped).get_or_insert(error);
                }
            }
        };
        match jobs.min(groups.len()) {
            0 | 1 => work(),
            n => std::thread::scope(|scope| {
                for _ in 0..n {
                    scope.spawn(work);
                }
            }),
        }
        if let Some(error) = locked(&stopped).take() {
            return Err(error);
        }
        let mut failed = std::mem::take(&mut *locked(&run.failed));
        failed.sort_by_key(|failure| failure.key);
        Ok(Outcome { n_kept, n_done: n_missing - failed.len(), failed })
    }

    /// The groups that lack cells, in the order of the plan, each with its models that do.
    fn missing<'a>(
        &'a self,
        layout: &Layout,
        progress: &impl Fn(Event<'_>),
    ) -> Result<Vec<(Group<'a>, Vec<usize>)>> {
        let mut groups = Vec::new();
        for (dataset, data) in self.datasets.iter().enumerate() {
            for (&seed, splits) in self.plan.seeds.iter().zip(&data.splits) {
                for (fold, split) in splits.iter().enumerate() {
                    let mut models = Vec::new();
                    for model in 0..self.plan.models.len() {
                        let key = Key { dataset, model, seed, fold };
                        match self.whole(layout, &key, split) {
                            Ok(true) => {}
                            Ok(false) => models.push(model),
                            Err(damaged @ Error::Damaged { .. }) => {
                                progress(Event::Damaged(&damaged));
                                models.push(model);
                            }
                            Err(other) => return Err(other),
                        }
                    }
                    if !models.is_empty() {
                        groups.push((Group { dataset, seed, fold, split }, models));
                    }
                }
            }
        }
        Ok(groups)
    }

    /// Whether a cell is on disk as this plan makes it.
    fn whole(&self, layout: &Layout, key: &Key, split: &Split) -> Result<bool> {
        let path = layout.of(Kind::Cell, key);
        let Some(cell) = store::unseal::<Cell>(&path)? else { return Ok(false) };
        let misfit = match cell.plan == self.sha256 {
            true => cell.misfit(&self.plan, key, &self.datasets[key.dataset].labels),
            false => Some("it is of another plan"),
        };
        let misfit = misfit.or_else(|| {
            let same = cell.test == split.test && cell.n_train == split.train.len();
            (!same).then_some("its training or test cells are others")
        });
        match misfit {
            None => Ok(true),
            Some(reason) => Err(Error::Damaged { path, reason: reason.to_owned() }),
        }
    }
}

/// A run at work.
struct Run<'a, F> {
    grid: &'a Grid,
    writer: Writer<'a>,
    layout: Layout,
    failed: Mutex<Vec<Failure>>,
    progress: &'a F,
}

impl<F: Fn(Event<'_>) + Sync> Run<'_, F> {
    /// Makes the cells of a group. Only what keeps files from being written is an error.
    fn group<P, E: Into<Box<dyn StdError + Send + Sync>>>(
        &self,
        group: &Group<'_>,
        models: &[usize],
        prepare: &impl Fn(&Group<'_>) -> Result<P, E>,
        evaluate: &impl Fn(&P, &Group<'_>, usize) -> Result<FoldOutput, E>,
    ) -> Result<()> {
        let Group { dataset, seed, fold, .. } = *group;
        (self.progress)(Event::Preparing(group));
        let start = Instant::now();
        let prepared = match caught(|| prepare(group)) {
            Ok(prepared) => prepared,
            Err(error) => {
                let text = chain(&*error);
                for &model in models {
                    self.failed(Key { dataset, model, seed, fold }, text.clone().into())?;
                }
                // The first failure keeps the error itself, with all that a program may read from it.
                let first = Key { dataset, model: models[0], seed, fold };
                if let Some(failure) = locked(&self.failed).iter_mut().find(|failure| failure.key == first) {
                    failure.error = error;
                }
                return Ok(());
            }
        };
        let time = SharedTime { prepare_seconds: start.elapsed().as_secs_f64() };
        self.writer.json(&self.layout.shared_time(dataset, seed, fold), &time)?;
        for &model in models {
            let key = Key { dataset, model, seed, fold };
            (self.progress)(Event::Evaluating(&key));
            match caught(|| evaluate(&prepared, group, model)) {
                Ok(output) => self.done(key, group.split, &output)?,
                Err(error) => self.failed(key, error)?,
            }
        }
        Ok(())
    }

    fn done(&self, key: Key, split: &Split, output: &FoldOutput) -> Result<()> {
        let (plan, labels) = (&self.grid.plan, &self.grid.datasets[key.dataset].labels);
        let scored = match score(labels, split.train.len(), &split.test, output) {
            Ok(scored) => scored,
            Err(invalid) => return self.failed(key, invalid.into()),
        };
        let place = (split.train.len(), split.test.as_slice());
        let answer = (&output.prediction, &scored.scores);
        let cell = Cell::new((plan, &self.grid.sha256), &key, labels, place, answer);
        let time = Time { fit_seconds: output.fit_seconds, predict_seconds: output.predict_seconds };
        // The cell comes last: once it is there, nothing of it is missing.
        self.writer.json(&self.layout.of(Kind::Time, &key), &time)?;
        self.writer.remove(&self.layout.of(Kind::Error, &key))?;
        self.writer.sealed(&self.layout.of(Kind::Cell, &key), &cell)?;
        (self.progress)(Event::Done(&key));
        Ok(())
    }

    fn failed(&self, key: Key, error: Box<dyn StdError + Send + Sync>) -> Result<()> {
        let plan = &self.grid.plan;
        let record = Record {
            dataset: &plan.datasets[key.dataset].name,
            model: &plan.models[key.model].name,
            seed: key.seed,
            fold: key.fold,
            error: chain(&*error),
        };
        self.writer.json(&self.layout.of(Kind::Error, &key), &record)?;
        (self.progress)(Event::Failed(&key));
        locked(&self.failed).push(Failure { key, error });
        Ok(())
    }
}

/// The result of a closure of the caller, whose panic is an error as any other.
fn caught<T, E: Into<Box<dyn StdError + Send + Sync>>>(
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, Box<dyn StdError + Send + Sync>> {
    // Nothing that a panic may have left half done is looked at afterwards.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("the model panicked: {}", text.unwrap_or_else(|| "no reason given".into())).into())
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Removes the files of the grid in `dir`, if there is one, and nothing else: a folder that anybody else put files into
/// keeps them. Without a plan that can be read, nothing is removed.
///
/// # Errors
/// [`Error::Locked`] if a run is at work in it; [`Error::Damaged`] for a plan that cannot be read; [`Error::Io`].
pub fn clear(dir: &Path) -> Result<()> {
    let path = layout::plan(dir);
    let Some(plan) = store::json::<Plan>(&path)? else { return Ok(()) };
    let writer = Writer::new(dir)?;
    let layout = Layout::new(dir, &plan);
    // Without a plan the cells are nobody's: it goes first, so that an interruption leaves no grid with holes.
    writer.remove(&path)?;
    for dataset in 0..plan.datasets.len() {
        writer.remove(&layout.dataset(dataset))?;
        for kind in Kind::ALL {
            for folder in layout.folders(kind, dataset) {
                writer.remove_from(&folder, layout::is_file_name)?;
            }
        }
    }
    for name in super::merge::FILES {
        writer.remove(&dir.join(name))?;
    }
    Ok(())
}
