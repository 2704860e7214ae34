//! Results on disk: one page for people, tables and JSON for programs, figures for papers.
//!
//! [`Report::write`] puts all of it into a folder. The page is one file that asks for nothing: no font, no picture, no
//! script from elsewhere, and a content security policy that would not let it. Its own small script sorts tables and
//! draws the map; without it the page still says everything. Names of cells, cell types, models and files are data and
//! never markup, in every format.
//!
//! A report may hold models that were cross-validated, [`Section`]s of any other protocol, or both.

mod chart;
mod confidence;
mod console;
mod draw;
mod facts;
mod figures;
mod files;
mod json;
mod markdown;
mod number;
mod page;
mod paired;
#[cfg(test)]
mod sample;
mod section;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::Array2;
use serde::Serialize;

pub use files::{OutputFile, check_folder, write_files};
pub use paired::{Paired, compare};
pub use section::{
    Answers, Axis, Bars, Baseline, Best, Cell, CellMap, Column, Content, Curves, Finding, Findings, Kind,
    Matrix, MatrixValues, Point, Reliability, ReliabilityBin, ReliabilityCurve, Section, Series, Severity,
    Table, Tone,
};

use crate::protocol::CrossValidation;
use crate::{Error, Labels, Manifest, Result};
use draw::{Figures, Pictures};
use facts::Facts;

/// Names of files that no section takes.
const RESERVED: [&str; 3] = ["metrics", "per_class", "predictions"];

/// The results of several models on the same cells.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::protocol::{FoldOutput, cross_validate};
/// use sc_eval::split::StratifiedKFold;
/// use sc_eval::{Labels, Manifest, Prediction, Report};
///
/// let labels = Labels::new(&["T", "B", "T", "B", "T", "T"])?;
/// let splits = StratifiedKFold { n_splits: 2, ..Default::default() }.split(&labels)?;
/// let majority = cross_validate(&labels, &splits, |_, test| {
///     let prediction = Prediction { codes: vec![1; test.len()], probabilities: None };
///     Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
/// })?;
///
/// let mut manifest = Manifest::new("my_benchmark", "1.0.0");
/// manifest.labels(&labels);
/// let mut report = Report::new("Two types", "six cells", labels, manifest);
/// report.models.push(("majority".to_owned(), majority));
/// report.protocol.push(("Folds".to_owned(), "2, stratified by label".to_owned()));
/// assert!(report.table().contains("0.667"));
/// # let dir = tempfile::tempdir().expect("a temporary folder");
/// # let dir = dir.path().join("results");
/// report.write(&dir, false)?;
/// assert!(dir.join("report.html").exists());
/// # Ok::<(), sc_eval::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    /// Headline of the page.
    pub title: String,
    /// Name of the data set.
    pub dataset: String,
    /// Label of each cell.
    pub labels: Labels,
    /// Name of each cell, in the order of the labels.
    pub cells: Vec<String>,
    /// Place of each cell on a map, cells × 2, if there is one. A place that is not finite is left out of the map.
    pub umap: Option<Array2<f32>>,
    /// Models by name, in the order of the tables; no name twice. There may be none.
    pub models: Vec<(String, CrossValidation)>,
    /// Which part of a study the results in `models` are, if there is more of it: `"seed 1"`. The page names it wherever
    /// it shows them, and has no figures of theirs at its top.
    pub scope: Option<String>,
    /// What other protocols found, in the order of the page: those that lead it before the models, the others after
    /// them and after what their probabilities are worth.
    pub sections: Vec<Section>,
    /// The first sentence of the page, in place of the one that the models give.
    pub answer: Option<String>,
    /// Numbers for the top of the page, after those of the models; before them where these have a `scope`.
    pub key_figures: Vec<KeyFigure>,
    /// How the data were prepared and the cells divided, as named facts: `("Folds", "5, stratified by label")`.
    pub protocol: Vec<(String, String)>,
    /// Remarks, a sentence each: `"62 cells without a label were left out."`
    pub notes: Vec<String>,
    /// What made the run.
    pub manifest: Manifest,
}

/// A number that the top of the page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyFigure {
    /// What it is.
    pub name: String,
    /// The number, as it is printed.
    pub value: String,
    /// What the reader should know beside it; may be empty.
    pub note: String,
}

impl Report {
    /// A report without models, map, protocol and notes; cells are named by their number until `cells` says better.
    pub fn new(
        title: impl Into<String>,
        dataset: impl Into<String>,
        labels: Labels,
        manifest: Manifest,
    ) -> Self {
        Self {
            title: title.into(),
            dataset: dataset.into(),
            cells: (0..labels.len()).map(|cell| cell.to_string()).collect(),
            labels,
            umap: None,
            models: Vec::new(),
            scope: None,
            sections: Vec::new(),
            answer: None,
            key_figures: Vec::new(),
            protocol: Vec::new(),
            notes: Vec::new(),
            manifest,
        }
    }

    /// A report of sections alone, about no cells of its own.
    pub fn of_sections(title: impl Into<String>, dataset: impl Into<String>, manifest: Manifest) -> Self {
        Self::new(title, dataset, Labels::none(), manifest)
    }

    /// Checks that all parts are about the same cells and classes.
    ///
    /// # Errors
    /// [`Error::Empty`] without models and sections, and for models without labels; [`Error::Length`], [`Error::ClassCode`] or [`Error::Parameter`] for
    /// a part that does not fit the labels, for two models of one name, and for a section whose parts do not fit.
    pub fn validate(&self) -> Result<()> {
        let n_cells = self.labels.len();
        let same = |what, found, expected| match found == expected {
            true => Ok(()),
            false => Err(Error::Length { what, found, expected }),
        };
        if self.models.is_empty() && self.sections.is_empty() {
            return Err(Error::Empty { what: "the report (no models, no sections)" });
        }
        if self.labels.is_empty() && !self.models.is_empty() {
            return Err(Error::Empty { what: "the list of labels beside models" });
        }
        same("the list of cell names", self.cells.len(), n_cells)?;
        if let Some(umap) = &self.umap {
            same("the axis of cells of the map", umap.nrows(), n_cells)?;
            same("the second axis of the map", umap.ncols(), 2)?;
        }
        let mut names = BTreeSet::new();
        for (name, result) in &self.models {
            if name.is_empty() || !names.insert(name) {
                let expected = "names that are not empty, each once";
                return Err(Error::Parameter { name: "models", value: format!("{name:?}"), expected });
            }
            if result.classes != self.labels.classes() || result.truth != self.labels.codes() {
                let expected = "a result on the report's cells and classes";
                return Err(Error::Parameter { name: "models", value: format!("{name:?}"), expected });
            }
            let n_classes = self.labels.n_classes();
            same("the list of predictions", result.predicted.len(), n_cells)?;
            same("the list of scores by class", result.per_class.len(), n_classes)?;
            same("the confusion matrix", result.confusion.n_classes(), n_classes)?;
            let codes = result.predicted.iter().flatten();
            if let Some(&code) = codes.into_iter().find(|&&code| code as usize >= n_classes) {
                return Err(Error::ClassCode { what: "the list of predictions", code, n_classes });
            }
            if let Some(probabilities) = &result.probabilities {
                same("the axis of cells of the probabilities", probabilities.nrows(), n_cells)?;
            }
        }
        self.sections.iter().try_for_each(section::check)
    }

    /// The results as aligned plain text for a terminal, narrower than 100 columns; `*` marks the best of a column.
    ///
    /// Empty if the report has no models.
    pub fn table(&self) -> String {
        Facts::new(self).map(|facts| console::table(&facts)).unwrap_or_default()
    }

    /// All files of the report, in memory.
    ///
    /// * `report.html`: the page, whole in itself.
    /// * `report.md`: its tables as Markdown.
    /// * With models, `metrics.csv`, `per_class.csv`, `predictions.csv`: tables; what does not end in `_seconds` is the
    ///   same in every run of one seed.
    /// * `<section>.csv`: the numbers of each section that has any, under its title in lowercase letters, digits and `_`.
    ///   With models that gave probabilities, `reliability.csv` and `risk_and_coverage.csv`.
    /// * `metrics.json`: everything that can be read by a program, the manifest and the files' SHA-256 included.
    /// * `accuracy.png`, `confusion_<model>.png` and, with a map, `umap_labels.png`, `umap_errors.png` (how many models
    ///   are wrong) and, for models that beat the baseline, `umap_errors_<model>.png` (what the wrong cells were called);
    ///   `map_<section>.png` for a section that is a map. The same bytes in every run on one kind of processor; characters
    ///   outside the font (DejaVu Sans) are boxes.
    ///
    /// # Errors
    /// As [`Report::validate`]; [`Error::Draw`].
    pub fn render(&self) -> Result<Vec<OutputFile>> {
        self.validate()?;
        let facts = Facts::new(self);
        let facts = facts.as_ref();
        let (sections, slugs) = self.all_sections();
        let Figures { files: figures, pictures } = Figures::draw(self, facts, &sections, &slugs)?;
        let mut files = Vec::new();
        if let Some(facts) = facts {
            files.push(OutputFile::new("metrics.csv", tables::metrics(facts)));
            files.push(OutputFile::new("per_class.csv", tables::per_class(facts, self.labels.classes())));
            files.push(OutputFile::new("predictions.csv", tables::predictions(self)));
        }
        for (section, slug) in sections.iter().zip(&slugs) {
            if let Some(table) = section.table() {
                files.push(OutputFile::new(format!("{slug}.csv"), tables::section(&table)));
            }
        }
        files.push(OutputFile::new("report.md", markdown::page(self, facts, &sections)));
        let names = ["report.html", files::INDEX].into_iter().map(str::to_owned);
        let names = names.chain(files.iter().chain(&figures).map(|file| file.name.clone()));
        let html = page::page(self, facts, (&sections, &slugs), &pictures, &names.collect::<Vec<_>>())?;
        files.insert(0, OutputFile::new("report.html", html));
        files.extend(figures);
        let records: Vec<_> = files.iter().map(OutputFile::record).collect();
        files.push(OutputFile::new(files::INDEX, json::document(self, facts, &sections, &records)));
        Ok(files)
    }

    /// The page alone, without the files beside it.
    ///
    /// # Errors
    /// As [`Report::render`].
    pub fn page(&self) -> Result<String> {
        self.validate()?;
        let facts = Facts::new(self);
        let (sections, slugs) = self.all_sections();
        let pictures = Pictures::draw(self, facts.as_ref(), &sections)?;
        page::page(self, facts.as_ref(), (&sections, &slugs), &pictures, &[])
    }

    /// What the models' probabilities are worth and then the caller's sections, with a name for each.
    fn all_sections(&self) -> (Vec<Section>, Vec<String>) {
        let mut sections = confidence::sections(self);
        sections.extend(self.sections.iter().cloned());
        let slugs = section::slugs(&sections, &RESERVED);
        (sections, slugs)
    }

    /// Writes all files of [`Report::render`] into `dir`, each aside first; see [`write_files`] for what `overwrite`
    /// does and does not do.
    ///
    /// # Errors
    /// As [`Report::render`] and [`write_files`].
    pub fn write(&self, dir: &Path, overwrite: bool) -> Result<()> {
        write_files(dir, &self.render()?, overwrite)
    }
}
