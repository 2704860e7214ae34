//! What the template is given: texts, and places in the small plots, ready to print.

use serde::Serialize;

use crate::manifest::InputFile;
use crate::report::number;
use crate::report::words;

#[derive(Serialize)]
pub(super) struct Page {
    pub(super) style: &'static str,
    pub(super) title: String,
    pub(super) eyebrow: String,
    pub(super) answer: Vec<Part>,
    pub(super) tiles: Vec<Tile>,
    pub(super) interval_note: &'static str,
    pub(super) axis: Axis,
    pub(super) models: Vec<Model>,
    pub(super) best: String,
    pub(super) pairs_note: &'static str,
    pub(super) pairs: Vec<Pair>,
    pub(super) classes: Vec<Class>,
    pub(super) f1_means: Vec<String>,
    pub(super) n_cells: String,
    pub(super) dense: bool,
    pub(super) maps: Vec<MapView>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
    pub(super) command: String,
    pub(super) run: Vec<(String, String)>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) inputs: Vec<Input>,
    pub(super) files: Vec<String>,
    pub(super) footer: String,
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
    name: &'static str,
    value: String,
    note: String,
}

impl Tile {
    pub(super) fn new(name: &'static str, value: String, note: String) -> Self {
        Self { name, value, note }
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
    pub(super) predict_seconds: String,
    /// `None` if the score is below the axis.
    pub(super) bar: Option<Bar>,
    /// Empty if there are too many classes for a matrix.
    pub(super) confusion: Vec<Row>,
    pub(super) correct: String,
    /// The most frequent confusions, in words.
    pub(super) worst: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Score {
    pub(super) value: String,
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
    pub(super) other_only: String,
    pub(super) p: String,
    pub(super) reading: &'static str,
}

#[derive(Serialize)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) colour: String,
    pub(super) support: String,
    pub(super) f1: Vec<Shade>,
}

/// A number on a colour; the level is 0 to 10.
#[derive(Serialize)]
pub(super) struct Shade {
    pub(super) level: u8,
    pub(super) text: String,
    pub(super) title: String,
}

#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) support: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Serialize)]
pub(super) struct Cell {
    /// Class of the style sheet; empty for a count of zero.
    pub(super) heat: String,
    pub(super) text: String,
    pub(super) title: String,
}

#[derive(Serialize)]
pub(super) struct MapView {
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
