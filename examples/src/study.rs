//! A study: data sets, models and seeds as a grid on disk.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Result, bail};
use sc_eval::grid::{self, Dataset, Event, Grid, Group, Outcome, Plan};
use sc_eval::report;
use sc_prep::LogNormalized;
use serde_json::json;

use crate::cells::Cells;
use crate::end::Usage;
use crate::fold::{Failure, Fold};
use crate::map;
use crate::models::NamedModel;
use crate::progress::{bar, say};
use crate::record::{DatasetRecord, Record};
use crate::settings::Settings;

/// Data that is read, and a plan.
pub struct Study {
    settings: Settings,
    cells: Vec<Cells>,
    x: Vec<LogNormalized>,
    grid: Grid,
    record: Record,
}

impl Study {
    /// Reads the data sets, divides their cells, and makes the plan.
    ///
    /// * `program`: its name, for the manifest.
    ///
    /// # Errors
    /// If the folder of the results is taken; as reading and dividing the cells.
    pub fn load(program: &str, settings: Settings) -> Result<Self> {
        check_folder(&settings.out, settings.run.force, settings.resume)?;
        settings.run.set_threads()?;
        let started = SystemTime::now();
        let cells: Vec<Cells> = settings.datasets.iter().map(Cells::load).collect::<Result<_>>()?;
        let x = cells.iter().map(Cells::log_normalized).collect::<Result<_>>()?;
        let mut plan = plan(&settings)?;
        let mut records = Vec::new();
        for set in &cells {
            let mut manifest = settings.run.manifest(program, set)?;
            manifest.started(started);
            manifest.parameters = parameters(&plan);
            plan.inputs.extend(manifest.inputs.iter().cloned());
            records.push(DatasetRecord { notes: set.notes(), manifest });
        }
        let datasets = cells.iter().map(|set| dataset(&settings, set)).collect::<Result<_>>()?;
        let grid = Grid::new(plan, datasets)?;
        let record =
            Record { plan_sha256: grid.plan().sha256(), protocol: settings.protocol(), datasets: records };
        Ok(Self { settings, cells, x, grid, record })
    }

    /// Makes the cells that are missing, then the maps.
    ///
    /// # Errors
    /// As [`Grid::run`]; the first cell that failed, and how many did.
    pub fn run(&self) -> Result<()> {
        let Settings { out, jobs, models, .. } = &self.settings;
        let at_hand = grid_at_hand(out);
        if self.settings.run.force && at_hand {
            grid::clear(out)?;
        }
        let bar = bar(self.grid.plan().n_cells());
        let words = |group: &Group<'_>| {
            let dataset = &self.cells[group.dataset].dataset;
            format!("{dataset}, seed {}, fold {}", group.seed, group.fold)
        };
        let recorded = Mutex::new(None);
        let outcome = self.grid.run(
            out,
            *jobs,
            |group| {
                let labels = &self.cells[group.dataset].labels;
                let x = &self.x[group.dataset];
                Fold::of_split(x, group.split, labels, &self.settings.fold, self.settings.use_pca)
            },
            |fold, group, model| models[model].run(fold, group.seed),
            |event| match event {
                Event::Start { n_kept, n_missing } => {
                    if n_kept > 0 {
                        say(&format!("{n_kept} results are there, {n_missing} are missing"));
                    }
                    bar.set_position(n_kept as u64);
                    // From here on a report can be made of what is there.
                    if let Ok(mut recorded) = recorded.lock() {
                        *recorded = Some(self.record.write(out));
                    }
                }
                Event::Damaged(error) => say(&format!("made again: {error}")),
                Event::Preparing(group) => bar.set_message(format!("{}: genes", words(group))),
                Event::Evaluating(key) => bar.set_message(key.words(self.grid.plan())),
                Event::Done(_) | Event::Failed(_) => bar.inc(1),
                _ => {}
            },
        );
        let outcome = outcome?;
        if let Ok(Some(recorded)) = recorded.into_inner() {
            recorded?;
        }
        if self.settings.map {
            self.maps(|step| bar.set_message(format!("map: {step}")))?;
        }
        bar.finish_and_clear();
        ended(self.grid.plan(), outcome)
    }

    /// Draws the maps that are not there.
    fn maps(&self, mut progress: impl FnMut(&str)) -> Result<()> {
        for (index, x) in self.x.iter().enumerate() {
            if self.record.map(&self.settings.out, index).is_none() {
                let genes = &self.settings.fold.genes;
                if let Some(points) = map::umap(x, genes, self.settings.run.seed, &mut progress)? {
                    self.record.write_map(&self.settings.out, index, &points)?;
                }
            }
        }
        Ok(())
    }
}

/// Says which results failed.
///
/// # Errors
/// The first of them.
pub fn ended(plan: &Plan, outcome: Outcome) -> Result<()> {
    let (n_failed, n_cells) = (outcome.failed.len(), plan.n_cells());
    for failure in outcome.failed.iter().take(10) {
        say(&format!("failed: {}: {}", failure.key.words(plan), failure.error));
    }
    let Some(first) = outcome.failed.into_iter().next() else { return Ok(()) };
    let key = first.key.words(plan);
    let text = format!("{n_failed} of {n_cells} results failed, the first of them {key}");
    Err(Failed { text, source: first.error }.into())
}

/// That results failed, with the error of the first of them as it is, so that its advice and its exit code are found.
#[derive(Debug)]
struct Failed {
    text: String,
    source: Failure,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Whether a folder holds a grid.
pub fn grid_at_hand(dir: &Path) -> bool {
    dir.join("plan.json").exists()
}

/// Refuses a folder of results that may not be written into.
pub fn check_folder(dir: &Path, force: bool, resume: bool) -> Result<()> {
    if !grid_at_hand(dir) {
        // A run that was interrupted at its very beginning leaves the lock and no plan.
        let begun = resume && dir.join(".lock").exists();
        return Ok(report::check_folder(dir, force || begun)?);
    }
    if !resume && !force {
        let shown = dir.display();
        bail!(Usage(format!("{shown} holds a run: go on with it (--resume), or start anew (--force)")));
    }
    Ok(())
}

fn plan(settings: &Settings) -> Result<Plan> {
    let mut plan = Plan::new(&settings.name);
    for name in ["sc-io", "sc-prep"] {
        // All crates of the workspace have one version.
        plan.crates.insert(name.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    }
    plan.models = settings.models.iter().map(NamedModel::plan).collect::<Result<_>>()?;
    plan.seeds = settings.seeds.clone();
    let group = settings.datasets.iter().find_map(|set| set.group.as_deref());
    plan.parameter("folds", settings.rule.words(group, &settings.seeds));
    plan.parameter("n_genes", settings.fold.genes.n_top_genes);
    plan.parameter("use_pca", settings.use_pca);
    plan.parameter("pca_components", settings.fold.n_components);
    let sets = settings.datasets.iter().map(|set| {
        json!({
            "label": set.label,
            "layer": set.layer,
            "group": set.group,
            "only": set.only,
            "max_cells": set.max_cells.map(|(n, _)| n),
            "min_cells_per_class": set.min_cells_per_class,
        })
    });
    plan.parameter("datasets", sets.collect::<Vec<_>>());
    Ok(plan)
}

/// The plan's parameters as a manifest lists them.
fn parameters(plan: &Plan) -> Vec<(String, String)> {
    let models: Vec<&str> = plan.models.iter().map(|model| model.name.as_str()).collect();
    let named = plan.parameters.iter().filter(|(name, _)| *name != "datasets");
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parameters = vec![("models".to_owned(), models.join(","))];
    parameters.extend(named.map(|(name, value)| (name.clone(), text(value))));
    parameters
}

fn dataset(settings: &Settings, cells: &Cells) -> Result<Dataset> {
    let splits = settings.seeds.iter().map(|&seed| settings.rule.split(cells, seed));
    Ok(Dataset {
        name: cells.dataset.clone(),
        cells: cells.names.clone(),
        labels: cells.labels.clone(),
        splits: splits.collect::<Result<_>>()?,
    })
}
