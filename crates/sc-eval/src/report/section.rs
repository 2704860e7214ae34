//! Parts of a report beyond its cross-validated models: what a protocol found, as tables, curves, heatmaps and words.
//!
//! A [`Section`] is a title, a sentence or two below it, and a [`Content`]. The page draws it, `report.md` holds it as
//! a table, a CSV file of its name holds its numbers, and `metrics.json` holds all of it.

mod bars;
mod check;
mod curves;
mod findings;
mod map;
mod matrix;
mod reliability;
mod table;
mod text;

use serde::Serialize;

pub use bars::{Bars, Tone};
pub(super) use check::check;
pub use curves::{Axis, Baseline, Curves, Point, Series};
pub use findings::{Finding, Findings, Severity};
pub use map::{Answers, CellMap};
pub use matrix::{Matrix, MatrixValues};
pub use reliability::{Reliability, ReliabilityBin, ReliabilityCurve};
pub use table::{Best, Cell, Column, Kind, Table};

/// A part of a report with a title.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// Its title, which also names its file and its place in the page.
    pub title: String,
    /// What the reader should know before the content; may be empty.
    pub lede: String,
    /// Whether the page begins with it, before the models.
    #[serde(skip)]
    pub leads: bool,
    /// What it shows.
    #[serde(flatten)]
    pub content: Content,
}

/// What a section shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Rows and typed columns.
    Table(Table),
    /// Lines over two axes: learning, robustness, ROC, risk and coverage.
    Curves(Curves),
    /// A heatmap: transfer between data sets, confusions.
    Matrix(Matrix),
    /// How often a model is right when it says how sure it is.
    Reliability(Reliability),
    /// Stacked bars: what became of the cells of each group.
    Bars(Bars),
    /// Cells on a map.
    Map(CellMap),
    /// What a check found.
    Findings(Findings),
    /// Paragraphs, set apart by blank lines.
    Text {
        /// The words.
        text: String,
    },
}

impl Section {
    /// A section of a content, such as a [`Table`] or [`Curves`].
    pub fn new(title: impl Into<String>, lede: impl Into<String>, content: impl Into<Content>) -> Self {
        Self { title: title.into(), lede: lede.into(), leads: false, content: content.into() }
    }

    /// The section at the beginning of the page, before the models.
    #[must_use]
    pub fn leading(self) -> Self {
        Self { leads: true, ..self }
    }

    /// A section of words alone; a blank line begins a paragraph.
    pub fn text(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(title, "", Content::Text { text: text.into() })
    }

    /// The numbers as one table, for the formats that have nothing else; `None` for words and maps.
    pub(super) fn table(&self) -> Option<Table> {
        match &self.content {
            Content::Table(table) => Some(table.clone()),
            Content::Curves(curves) => Some(curves.table()),
            Content::Matrix(matrix) => Some(matrix.table()),
            Content::Reliability(reliability) => Some(reliability.table()),
            Content::Bars(bars) => Some(bars.table()),
            Content::Findings(findings) => Some(findings.table()),
            Content::Map(_) | Content::Text { .. } => None,
        }
    }
}

macro_rules! content_from {
    ($($variant:ident($body:ty)),*) => {$(
        impl From<$body> for Content {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        }
    )*};
}

content_from!(
    Table(Table),
    Curves(Curves),
    Matrix(Matrix),
    Reliability(Reliability),
    Bars(Bars),
    Map(CellMap),
    Findings(Findings)
);

/// Short names of sections, each once: letters, digits and `_`; none is among `taken`.
pub(super) fn slugs(sections: &[Section], taken: &[&str]) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::with_capacity(sections.len());
    for section in sections {
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
        let folded: String = section.title.chars().take(60).map(fold).collect();
        let words: Vec<_> = folded.split_whitespace().collect();
        let base = if words.is_empty() { "section".to_owned() } else { words.join("_") };
        let used = |slug: &str| taken.contains(&slug) || slugs.iter().any(|other| other == slug);
        slugs.push(super::files::slug(&base, used));
    }
    slugs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_one_title_have_names_of_their_own() {
        let titles = ["Learning curve", "learning  curve!", "Metrics", "細胞", "細胞"];
        let sections = titles.map(|title| Section::text(title, "words"));
        let slugs = slugs(&sections, &["metrics"]);
        assert_eq!(slugs, ["learning_curve", "learning_curve_2", "metrics_2", "section", "section_2"]);
    }
}
