//! Tables as text: comma- or tab-separated, the row names in the first column.

use std::path::Path;

use crate::{Column, DataFrame, Error, Problem, Result};

/// Reads a table of annotations, such as labels by cell.
///
/// * The first line names the columns; the first column holds the row names. Fields are separated by tabs if the first
///   line has one, else by commas, and may be quoted (RFC 4180).
/// * Every column is text; an empty field, `NA` or `nan` is missing. Row names stay as they are.
///
/// # Errors
/// [`Error::NoSuchPath`] or [`Error::Io`] if the file cannot be read; [`Error::Line`] for text that is not UTF-8, a row
/// with another number of fields than the header, or a file without a header; [`Error::DuplicateColumn`].
pub fn read(path: impl AsRef<Path>) -> Result<DataFrame> {
    let path = path.as_ref();
    let text = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchPath { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), doing: "read", source },
    })?;
    let header = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let delimiter = if header.contains(&b'\t') { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_slice());
    let invalid = |e: csv::Error| Error::Line {
        path: path.to_owned(),
        line: e.position().map_or(1, |at| at.line() as usize),
        source: Problem::Malformed(e.to_string()),
    };
    let names: Vec<String> = reader.headers().map_err(invalid)?.iter().skip(1).map(str::to_owned).collect();
    let mut index = Vec::new();
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(invalid)?;
        let mut fields = record.iter();
        index.push(fields.next().unwrap_or_default().to_owned());
        for (column, field) in columns.iter_mut().zip(fields) {
            let missing = matches!(field, "" | "NA" | "nan" | "NaN");
            column.push((!missing).then(|| field.to_owned()));
        }
    }
    let mut table = DataFrame::new(index);
    for (name, column) in names.into_iter().zip(columns) {
        table.insert(name, Column::NullableStrings(column))?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataFrame> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn commas_and_tabs_are_told_apart_by_the_header() {
        for text in ["barcode,type\nA-1,\"B, naive\"\nA-2,NA\n", "barcode\ttype\nA-1\tB, naive\nA-2\t\n"] {
            let table = parse(text).unwrap();
            assert_eq!(table.index(), ["A-1", "A-2"]);
            assert_eq!(table.labels("type").unwrap(), [Some("B, naive".to_owned()), None]);
        }
    }

    #[test]
    fn a_ragged_row_is_an_error_with_its_line() {
        let error = parse("barcode,type\nA-1,B\nA-2\n").unwrap_err();
        assert!(matches!(error, Error::Line { line: 3, .. }), "{error:?}");
        assert!(matches!(read("no/such/labels.csv"), Err(Error::NoSuchPath { .. })));
    }
}
