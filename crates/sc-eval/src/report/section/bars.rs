//! Stacked bars.

use ndarray::Array2;
use serde::Serialize;

use super::table::{Cell, Column, Kind, Table};

/// Stacked bars: what became of the cells of each group, as shares of the group.
///
/// ```
/// use sc_eval::report::{Bars, Tone};
///
/// let mut bars = Bars::new("label", [("right", Tone::Right), ("wrong", Tone::Wrong)]);
/// bars.bar("T cell", &[7, 3]);
/// assert_eq!(bars.counts.dim(), (1, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bars {
    /// What a bar is, such as `label`.
    pub axis: String,
    /// Names of the bars, from the top.
    pub bars: Vec<String>,
    /// Names of the parts of each bar, from the left, and how they are coloured.
    pub parts: Vec<(String, Tone)>,
    /// Cells, bars × parts.
    #[serde(serialize_with = "super::matrix::nested")]
    pub counts: Array2<f64>,
    /// A sentence below the drawing; may be empty.
    pub caption: String,
}

/// How good it is to be in a part of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Right.
    Right,
    /// Right in part.
    Partly,
    /// Wrong.
    Wrong,
    /// Nobody knows.
    Open,
}

impl Tone {
    /// Its class in the style sheet.
    pub(in crate::report) fn class(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Partly => "partly",
            Self::Wrong => "wrong",
            Self::Open => "open",
        }
    }
}

impl Bars {
    /// No bars yet.
    pub fn new<S: Into<String>>(axis: impl Into<String>, parts: impl IntoIterator<Item = (S, Tone)>) -> Self {
        let parts: Vec<(String, Tone)> = parts.into_iter().map(|(name, tone)| (name.into(), tone)).collect();
        let counts = Array2::zeros((0, parts.len()));
        Self { axis: axis.into(), bars: Vec::new(), parts, counts, caption: String::new() }
    }

    /// Adds a bar below the others.
    ///
    /// * `counts`: cells in each part; parts without a count get 0, and counts beyond the parts are passed over.
    pub fn bar(&mut self, name: impl Into<String>, counts: &[usize]) {
        self.bars.push(name.into());
        let row = (0..self.counts.ncols()).map(|part| counts.get(part).map_or(0.0, |&n| n as f64));
        self.counts.push_row(row.collect::<ndarray::Array1<f64>>().view()).expect("as long as a row");
    }

    /// A row a bar.
    pub(super) fn table(&self) -> Table {
        let parts = self.parts.iter().map(|(name, _)| Column::new(name, Kind::Count));
        let cells = Column::new("cells", Kind::Count);
        let mut table =
            Table::new([Column::text(&self.axis)].into_iter().chain(parts).chain([cells]).collect());
        for (name, counts) in self.bars.iter().zip(self.counts.rows()) {
            let counts = counts.iter().copied().chain([counts.sum()]).map(Cell::Value);
            table.row([name.as_str().into()].into_iter().chain(counts).collect::<Vec<_>>());
        }
        table
    }
}
