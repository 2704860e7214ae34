//! A heatmap.

use ndarray::Array2;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::table::{Cell, Column, Kind, Table};

/// A heatmap with named rows and columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrix {
    /// What the rows are, such as `trained on`.
    pub row_axis: String,
    /// What the columns are, such as `tested on`.
    pub column_axis: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows × columns; NaN for a field without a value.
    #[serde(serialize_with = "nested")]
    pub values: Array2<f64>,
    /// What the values are.
    pub measure: MatrixValues,
    /// A sentence above the heatmap; may be empty.
    pub caption: String,
}

/// What the fields of a heatmap hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixValues {
    /// Whole numbers, coloured by their share of the row; the page can print the share instead. Where rows and columns
    /// have the same names, the diagonal is what is right.
    Counts,
    /// Numbers with so many decimals; dark is high.
    Scores(u8),
}

impl Matrix {
    pub(super) fn table(&self) -> Table {
        let kind = match self.measure {
            MatrixValues::Counts => Kind::Count,
            MatrixValues::Scores(decimals) => Kind::Number(decimals),
        };
        let head = match (self.row_axis.as_str(), self.column_axis.as_str()) {
            ("", "") => "row".to_owned(),
            (row, "") => row.to_owned(),
            (row, column) => format!("{row} \\ {column}"),
        };
        let columns = self.columns.iter().map(|name| Column::new(name, kind));
        let mut table = Table::new([Column::text(head)].into_iter().chain(columns).collect());
        for (name, values) in self.rows.iter().zip(self.values.rows()) {
            let values = values.iter().map(|&value| Cell::Value(value));
            table.row([name.as_str().into()].into_iter().chain(values).collect::<Vec<_>>());
        }
        table
    }
}

pub(super) fn nested<S: Serializer>(values: &Array2<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut rows = serializer.serialize_seq(Some(values.nrows()))?;
    for row in values.rows() {
        rows.serialize_element(&row.iter().map(|v| v.is_finite().then_some(*v)).collect::<Vec<_>>())?;
    }
    rows.end()
}
