//! The answers of a model, and what is the label in each.

use std::path::Path;

use sc_io::{Column, DataFrame, delimited};

use crate::Result;

/// What a model said about one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellResult {
    /// The cell.
    pub cell_name: String,
    /// The answer, as it came.
    pub response: String,
    /// The true label, where it is known.
    pub label: Option<String>,
}

impl CellResult {
    /// The label in the answer: [`parse_response`].
    pub fn prediction(&self) -> &str {
        parse_response(&self.response)
    }
}

/// The label in an answer: what stands behind the last `</think>`, or, where thoughts come without that mark, the last line
/// that is not empty. White space around it is taken off; an answer without a label is empty.
///
/// Behind the mark too the last line counts, so that a sentence between thoughts and label does no harm.
pub fn parse_response(response: &str) -> &str {
    const END: &str = "</think>";
    let answer = response.rfind(END).map_or(response, |at| &response[at + END.len()..]);
    answer.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
}

const CELL: &str = "cell_name";
const RESPONSE: &str = "response";
const LABELS: &str = "labels";

/// Writes `NAME_CellReasoner_result.csv`: `cell_name,response`, and `labels` if any cell has one.
///
/// # Errors
/// [`sc_io::Error::Exists`] if there is a file that may not be replaced; [`sc_io::Error::Io`].
pub fn write_results(results: &[CellResult], path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    let mut table = DataFrame::new(results.iter().map(|r| r.cell_name.clone()).collect());
    table.set_index_name(Some(CELL))?;
    table.insert(RESPONSE, Column::Strings(results.iter().map(|r| r.response.clone()).collect()))?;
    if results.iter().any(|r| r.label.is_some()) {
        let labels = results.iter().map(|r| r.label.clone()).collect();
        table.insert(LABELS, Column::NullableStrings(labels))?;
    }
    Ok(delimited::write(&table, path, overwrite)?)
}

/// Reads the results of [`write_results`] or of the script. An answer that is an empty field, `NA` or `nan` is empty.
///
/// # Errors
/// As [`delimited::read`]; [`sc_io::Error::NoColumn`] without a column `response`.
pub fn read_results(path: impl AsRef<Path>) -> Result<Vec<CellResult>> {
    let table = delimited::read(path)?;
    let responses = table.labels(RESPONSE)?;
    let labels = match table.get(LABELS) {
        Some(column) => column.labels()?,
        None => vec![None; table.n_rows()],
    };
    let one = |((cell, response), label): ((&String, Option<String>), Option<String>)| CellResult {
        cell_name: cell.clone(),
        response: response.unwrap_or_default(),
        label,
    };
    Ok(table.index().iter().zip(responses).zip(labels).map(one).collect())
}
