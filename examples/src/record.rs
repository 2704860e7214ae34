//! What a report says besides results, kept beside a grid, so that a report can be made without the data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use sc_eval::grid::{Merged, MergedDataset, MergedModel};
use sc_eval::report::{Best, Cell, Column, KeyFigure, Kind, Section, Table};
use sc_eval::{Manifest, Report};
use serde::{Deserialize, Serialize};

/// Protocol, notes and manifests of a run: `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// How cells were divided and features made, as named facts.
    pub protocol: Vec<(String, String)>,
    /// The data sets in the order of the plan.
    pub datasets: Vec<DatasetRecord>,
}

/// What is known of a data set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRecord {
    /// Remarks, a sentence each.
    pub notes: Vec<String>,
    /// What made the run.
    pub manifest: Manifest,
}

/// A map on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    plan_sha256: String,
    points: Vec<[f32; 2]>,
}

impl Record {
    /// Writes `run.json`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        write(&dir.join("run.json"), self)
    }

    /// The record of the run whose results are `merged`.
    ///
    /// # Errors
    /// If there is none, or it is of another plan.
    pub fn read(dir: &Path, merged: &Merged) -> Result<Self> {
        let path = dir.join("run.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let record: Self = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        if record.plan_sha256 != merged.plan.sha256() || record.datasets.len() != merged.datasets.len() {
            bail!("{} is of another plan than the results beside it: resume the run", path.display());
        }
        Ok(record)
    }

    /// Writes the map of a data set.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_map(&self, dir: &Path, dataset: usize, points: &Array2<f32>) -> Result<()> {
        let path = map_path(dir, dataset);
        fs::create_dir_all(dir.join("maps")).with_context(|| format!("cannot create {}", path.display()))?;
        let points = points.rows().into_iter().map(|row| [row[0], row[1]]).collect();
        write(&path, &Map { plan_sha256: self.plan_sha256.clone(), points })
    }

    /// The map of a data set, if there is one of this plan.
    pub fn map(&self, dir: &Path, dataset: usize) -> Option<Array2<f32>> {
        let map: Map = serde_json::from_slice(&fs::read(map_path(dir, dataset)).ok()?).ok()?;
        let shape = (map.points.len(), 2);
        let points = Array2::from_shape_vec(shape, map.points.into_iter().flatten().collect()).ok()?;
        (map.plan_sha256 == self.plan_sha256).then_some(points)
    }

    /// Writes a report of each data set that has results: into `output` itself if there is one data set, into a folder
    /// of it each if there are several. Returns the pages.
    ///
    /// * `dir`: the folder of the run.
    ///
    /// # Errors
    /// As [`Report::write`].
    pub fn write_reports(&self, merged: &Merged, dir: &Path, output: &Path) -> Result<Vec<PathBuf>> {
        let mut pages = Vec::new();
        for (index, data) in merged.datasets.iter().enumerate().filter(|(_, data)| !data.models.is_empty()) {
            let folder = match merged.datasets.len() {
                1 => output.to_owned(),
                _ => output.join("reports").join(&data.slug),
            };
            let map = self.map(dir, index).filter(|points| points.nrows() == data.labels.len());
            self.report(merged, data, index, map).write(&folder, true)?;
            pages.push(folder.join("report.html"));
        }
        Ok(pages)
    }

    /// The report of a data set, to which a program adds what it knows besides.
    ///
    /// * `map`: its map, if there is one.
    pub fn report(
        &self,
        merged: &Merged,
        data: &MergedDataset,
        index: usize,
        map: Option<Array2<f32>>,
    ) -> Report {
        let DatasetRecord { notes, manifest } = self.datasets[index].clone();
        let mut report = Report::new(&merged.plan.name, &data.name, data.labels.clone(), manifest);
        report.cells.clone_from(&data.cells);
        report.umap = map;
        report.protocol.clone_from(&self.protocol);
        report.notes = notes;
        // Answers about cells are those of one seed; a model that has none of it has another.
        for model in &data.models {
            if let Some(first) = model.seeds.first() {
                report.models.push((model.plan.name.clone(), first.result.clone()));
            }
        }
        if merged.plan.seeds.len() > 1 {
            report.notes.push(format!(
                "Answers about single cells are those of seed {}; a section of its own has the figures over all {} seeds.",
                merged.plan.seeds[0],
                merged.plan.seeds.len()
            ));
            report.scope = Some(format!("seed {}", merged.plan.seeds[0]));
            report.key_figures.extend(best_of_seeds(&data.models));
            report.sections.push(over_seeds(&data.models).leading());
        }
        if !merged.missing.is_empty() {
            let (missing, all) = (merged.missing.len(), merged.plan.n_cells());
            report.notes.push(format!("The run is not complete: {missing} of {all} results are missing."));
        }
        report
    }
}

/// The best model over all seeds.
fn best_of_seeds(models: &[MergedModel]) -> Option<KeyFigure> {
    let best = models.iter().reduce(|best, model| match model.mean.accuracy > best.mean.accuracy {
        true => model,
        false => best,
    })?;
    let note = format!("{}, mean of {} seeds", best.plan.name, best.seeds.len());
    Some(KeyFigure {
        name: "Best accuracy".to_owned(),
        value: format!("{:.1} %", best.mean.accuracy * 100.0),
        note,
    })
}

/// Means over the folds of all seeds.
fn over_seeds(models: &[MergedModel]) -> Section {
    let mut table = Table::new(vec![
        Column::text("model"),
        Column::new("accuracy", Kind::Interval(3)).best(Best::Highest),
        Column::new("sd of accuracy", Kind::Number(3)),
        Column::new("macro-F1", Kind::Interval(3)).best(Best::Highest),
        Column::new("balanced accuracy", Kind::Interval(3)).best(Best::Highest),
        Column::new("folds", Kind::Count),
    ]);
    for model in models {
        let cell = |value: f64, name: &str| match model.intervals.get(name) {
            Some(ends) => Cell::Interval { value, low: ends.low, high: ends.high },
            None => Cell::Value(value),
        };
        let mean = &model.mean;
        table.row([
            Cell::Text(model.plan.name.clone()),
            cell(mean.accuracy, "accuracy"),
            model.sd.map_or(Cell::Empty, |sd| Cell::Value(sd.accuracy)),
            cell(mean.f1_macro, "f1_macro"),
            cell(mean.balanced_accuracy, "balanced_accuracy"),
            Cell::Value(model.n_folds() as f64),
        ]);
    }
    let lede = "Means and standard deviations over the folds of all seeds. Intervals are for the draw of the cells: more \
                seeds test the same cells again, and do not make them narrower.";
    Section::new("All seeds", lede, table)
}

fn map_path(dir: &Path, dataset: usize) -> PathBuf {
    dir.join("maps").join(format!("{dataset}.json"))
}

fn write(path: &Path, document: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(document)?;
    Ok(sc_io::atomic::write_aside(path, true, |file| std::io::Write::write_all(file, &bytes))?)
}
