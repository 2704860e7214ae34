//! What the template is given: texts, and places in the small plots, ready to print.

use serde::Serialize;

use super::cells::Block;
use super::matrices::HeatView;
use crate::manifest::InputFile;
use crate::report::number;
use crate::report::section::Finding;
use crate::report::words;

#[derive(Serialize)]
pub(super) struct Page {
    pub(super) policy: String,
    pub(super) style: String,
    pub(super) script: &'static str,
    pub(super) title: String,
    pub(super) eyebrow: String,
    pub(super) answer: Vec<Part>,
    pub(super) tiles: Vec<Tile>,
    pub(super) contents: Vec<Content>,
    pub(super) leading: Vec<SectionView>,
    pub(super) models_title: String,
    pub(super) interval_note: String,
    pub(super) axis: Option<Axis>,
    pub(super) models: Vec<Model>,
    pub(super) best: String,
    pub(super) pairs_note: &'static str,
    pub(super) pairs: Vec<Pair>,
    pub(super) classes: Vec<Class>,
    pub(super) f1_means: Vec<String>,
    pub(super) n_cells: String,
    pub(super) map: Option<MapView>,
    pub(super) sections: Vec<SectionView>,
    pub(super) blocks: Vec<Block>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
    pub(super) command: String,
    pub(super) run: Vec<(String, String)>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) inputs: Vec<Input>,
    pub(super) files: Vec<String>,
    pub(super) footer: String,
}

/// A line of the table of contents.
#[derive(Serialize)]
pub(super) struct Content {
    pub(super) anchor: String,
    pub(super) title: String,
}

#[derive(Serialize)]
pub(super) struct Part {
    text: String,
    strong: bool,
}

impl From<words::Part> for Part {
    fn from(words::Part { text, strong }: words::Part) -> Self {
        Self { text, strong }
    }
}

#[derive(Serialize)]
pub(super) struct Tile {
    name: String,
    value: String,
    note: String,
}

impl Tile {
    pub(super) fn new(name: impl Into<String>, value: String, note: String) -> Self {
        Self { name: name.into(), value, note }
    }
}

#[derive(Serialize)]
pub(super) struct Axis {
    pub(super) ticks: Vec<Tick>,
    pub(super) majority: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) label: String,
}

#[derive(Serialize)]
pub(super) struct Model {
    pub(super) name: String,
    /// The name, divided where a line may break.
    pub(super) parts: Vec<String>,
    pub(super) is_best: bool,
    pub(super) accuracy: Score,
    pub(super) f1_macro: Score,
    pub(super) balanced_accuracy: Score,
    pub(super) fit_seconds: String,
    pub(super) fit_key: f64,
    pub(super) predict_seconds: String,
    pub(super) predict_key: f64,
    /// `None` if the score is below the axis.
    pub(super) bar: Option<Bar>,
    /// `None` if there are too many classes for a matrix.
    pub(super) heat: Option<HeatView>,
    pub(super) heat_name: String,
    pub(super) per_class: TableView,
    pub(super) per_class_name: String,
    pub(super) correct: String,
    /// The most frequent confusions, in words.
    pub(super) worst: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Score {
    pub(super) value: String,
    pub(super) key: f64,
    pub(super) low: String,
    pub(super) high: String,
    pub(super) best: bool,
}

#[derive(Serialize)]
pub(super) struct Bar {
    pub(super) at: String,
    pub(super) low: String,
    pub(super) high: String,
    pub(super) folds: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Pair {
    /// The name, divided where a line may break.
    pub(super) parts: Vec<String>,
    pub(super) best_only: String,
    pub(super) best_key: usize,
    pub(super) other_only: String,
    pub(super) other_key: usize,
    pub(super) p: String,
    pub(super) p_key: f64,
    pub(super) reading: &'static str,
}

#[derive(Serialize)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) colour: String,
    pub(super) support: String,
    pub(super) key: usize,
    pub(super) f1: Vec<Shade>,
}

/// A number on a colour; the level is 0 to 10.
#[derive(Serialize)]
pub(super) struct Shade {
    pub(super) level: u8,
    pub(super) text: String,
    pub(super) key: String,
    pub(super) title: String,
}

#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) support: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Default, Serialize)]
pub(super) struct Cell {
    /// Class of the style sheet; empty for a count of zero.
    pub(super) heat: String,
    pub(super) text: String,
}

/// A map: data for the script, and pictures where it does not run.
#[derive(Serialize)]
pub(super) struct MapView {
    /// The block of data; `None` where there is none.
    pub(super) block: Option<String>,
    pub(super) pictures: Vec<Picture>,
}

#[derive(Serialize)]
pub(super) struct Picture {
    pub(super) base64: String,
    pub(super) alt: String,
    pub(super) title: String,
    pub(super) caption: String,
    pub(super) legend: Vec<Key>,
}

/// A line of a legend.
#[derive(Serialize)]
pub(super) struct Key {
    pub(super) colour: String,
    pub(super) name: String,
    pub(super) n: String,
}

#[derive(Serialize)]
pub(super) struct Input {
    path: String,
    bytes: String,
    sha256: String,
}

impl From<&InputFile> for Input {
    fn from(file: &InputFile) -> Self {
        let bytes = number::count(usize::try_from(file.bytes).unwrap_or(usize::MAX));
        Self { path: file.path.clone(), bytes, sha256: file.sha256.clone() }
    }
}

/// A section of the report.
#[derive(Default, Serialize)]
pub(super) struct SectionView {
    pub(super) anchor: String,
    pub(super) title: String,
    pub(super) lede: String,
    /// How its plots are laid out.
    pub(super) kind: &'static str,
    pub(super) plots: Vec<Plot>,
    pub(super) lines: Vec<Line>,
    pub(super) paragraphs: Vec<String>,
    pub(super) findings: Vec<FindingView>,
    pub(super) heat: Option<HeatView>,
    pub(super) map: Option<MapView>,
    pub(super) table: Option<TableView>,
    /// Whether the table waits to be opened.
    pub(super) folded: bool,
}

/// A drawing; its markup is this program's own.
#[derive(Serialize)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) svg: String,
    pub(super) caption: String,
}

/// A line of a legend of lines.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) class: String,
    pub(super) name: String,
}

#[derive(Serialize)]
pub(super) struct FindingView {
    severity: &'static str,
    text: String,
    numbers: Vec<(String, String)>,
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        let (severity, text) = (finding.severity.name(), finding.text.clone());
        Self { severity, text, numbers: finding.numbers.clone() }
    }
}

#[derive(Serialize)]
pub(super) struct TableView {
    pub(super) caption: String,
    pub(super) head: Vec<TableHead>,
    pub(super) rows: Vec<Vec<TableCell>>,
    /// Whether it may be narrower than the page.
    pub(super) narrow: bool,
    /// Whether it has so many columns that they stand closer.
    pub(super) wide: bool,
}

#[derive(Serialize)]
pub(super) struct TableHead {
    pub(super) name: String,
    pub(super) number: bool,
}

#[derive(Serialize)]
pub(super) struct TableCell {
    /// The text, divided where a line may break.
    pub(super) parts: Vec<String>,
    /// What stands beside it in small letters.
    pub(super) small: String,
    /// Classes of the style sheet.
    pub(super) class: &'static str,
    /// The number to sort by; empty for a text.
    pub(super) key: String,
}
