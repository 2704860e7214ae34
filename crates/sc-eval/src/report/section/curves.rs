//! Lines over two axes.

use serde::Serialize;

use super::table::{Cell, Column, Kind, Table};

/// Lines over two axes: learning, robustness, ROC, risk and coverage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curves {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Lines to compare with.
    pub baselines: Vec<Baseline>,
    /// A sentence below the drawing; may be empty.
    pub caption: String,
}

/// An axis of a drawing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// Whether it is logarithmic; values that are not above 0 are then left out.
    pub log: bool,
    /// Its ends; `None` for those of the values.
    pub range: Option<[f64; 2]>,
}

/// A line with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, in the order in which they are joined. A point that is not finite breaks the line.
    pub points: Vec<Point>,
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Place on the horizontal axis.
    pub x: f64,
    /// Place on the vertical axis.
    pub y: f64,
    /// Interval of `y`, low and high.
    pub interval: Option<[f64; 2]>,
}

/// A line to compare with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The same value everywhere.
    Level {
        /// What it is.
        name: String,
        /// The value.
        y: f64,
    },
    /// Where both axes have the same value.
    Diagonal {
        /// What it is.
        name: String,
    },
}

impl Axis {
    /// A linear axis over the values.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: false, range: None }
    }

    /// A logarithmic axis over the values.
    pub fn log(label: impl Into<String>) -> Self {
        Self { log: true, ..Self::new(label) }
    }

    /// A linear axis from 0 to 1.
    pub fn share(label: impl Into<String>) -> Self {
        Self { range: Some([0.0, 1.0]), ..Self::new(label) }
    }
}

impl Series {
    /// A line through points.
    pub fn new(name: impl Into<String>, points: impl Into<Vec<Point>>) -> Self {
        Self { name: name.into(), points: points.into() }
    }
}

impl Point {
    /// A point without an interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, interval: None }
    }

    /// A point with the interval of its height.
    pub fn with_interval(x: f64, y: f64, low: f64, high: f64) -> Self {
        Self { x, y, interval: Some([low, high]) }
    }
}

impl Baseline {
    pub(in crate::report) fn name(&self) -> &str {
        match self {
            Self::Level { name, .. } | Self::Diagonal { name } => name,
        }
    }
}

impl Curves {
    /// A row a point; the baselines at fixed heights come last.
    pub(super) fn table(&self) -> Table {
        let named = |axis: &Axis, other: &str| match axis.label.is_empty() {
            true => other.to_owned(),
            false => axis.label.clone(),
        };
        let with_interval = self.series.iter().flat_map(|s| &s.points).any(|p| p.interval.is_some());
        let kind = if with_interval { Kind::Interval(4) } else { Kind::Number(4) };
        let x = named(&self.x, "x");
        let values = || self.series.iter().flat_map(|series| &series.points).map(|point| point.x);
        let whole = values().all(|x| x.fract() == 0.0) && values().any(|x| x.abs() > 1.0);
        let x_kind = if whole { Kind::Count } else { Kind::Number(4) };
        let columns =
            vec![Column::text("line"), Column::new(x, x_kind), Column::new(named(&self.y, "y"), kind)];
        let mut table = Table::new(columns);
        for series in &self.series {
            for point in &series.points {
                let y = match point.interval {
                    Some([low, high]) => Cell::Interval { value: point.y, low, high },
                    None => Cell::Value(point.y),
                };
                table.row([series.name.as_str().into(), Cell::Value(point.x), y]);
            }
        }
        for baseline in &self.baselines {
            if let Baseline::Level { name, y } = baseline {
                table.row([name.as_str().into(), Cell::Empty, Cell::Value(*y)]);
            }
        }
        table
    }
}
