//! Tables as text: comma- or tab-separated, the row names in the first column.

use std::path::Path;

use crate::{Column, DataFrame, Error, Problem, Result, atomic};

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
    let (text, delimiter) = text(path)?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_slice());
    let invalid = |e| invalid(path, &e);
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

/// Reads the fields of every line, those of the first too, as they are: a table whose rows have no names.
///
/// # Errors
/// As [`read`].
pub fn read_fields(path: impl AsRef<Path>) -> Result<Vec<Vec<String>>> {
    let path = path.as_ref();
    let (text, delimiter) = text(path)?;
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text.as_slice());
    let fields = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
    reader.records().map(|record| record.map(fields).map_err(|e| invalid(path, &e))).collect()
}

/// The bytes of a file, and what separates its fields.
fn text(path: &Path) -> Result<(Vec<u8>, u8)> {
    let text = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoSuchPath { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), doing: "read", source },
    })?;
    let header = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let delimiter = if header.contains(&b'\t') { b'\t' } else { b',' };
    Ok((text, delimiter))
}

fn invalid(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, |at| at.line() as usize);
    Error::Line { path: path.to_owned(), line, source: Problem::Malformed(error.to_string()) }
}

/// Writes a table, comma-separated, as [`read`] reads it and as pandas writes it; aside first, as
/// [`atomic::write_aside`] does.
///
/// * The first column holds the row names, under the name of the index, or under none.
/// * What is missing, and NaN, is an empty field; truth values are `True` and `False`.
///
/// # Errors
/// [`Error::Exists`] if there is a file that may not be replaced; [`Error::Io`].
pub fn write(table: &DataFrame, path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    let path = path.as_ref();
    let columns: Vec<Vec<String>> = table.columns().map(|(_, column)| fields(column)).collect();
    atomic::write_aside(path, overwrite, |file| {
        let mut writer = csv::Writer::from_writer(std::io::BufWriter::new(file));
        let header = std::iter::once(table.index_name().unwrap_or_default()).chain(table.column_names());
        writer.write_record(header)?;
        for (row, name) in table.index().iter().enumerate() {
            writer.write_record(std::iter::once(name).chain(columns.iter().map(|column| &column[row])))?;
        }
        writer.flush()
    })
}

/// The fields of a column, as text.
fn fields(column: &Column) -> Vec<String> {
    let real = |x: f64| if x.is_nan() { String::new() } else { format!("{x:?}") };
    match column {
        Column::F64(v) => v.iter().map(|&x| real(x)).collect(),
        Column::F32(v) => {
            v.iter().map(|x| if x.is_nan() { String::new() } else { format!("{x:?}") }).collect()
        }
        other => {
            let labels = other.labels().expect("only real numbers are no labels");
            labels.into_iter().map(Option::unwrap_or_default).collect()
        }
    }
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
    fn what_is_written_is_read_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut table = DataFrame::new(vec!["A-1".to_owned(), "A, \"2\"".to_owned()]);
        table.set_index_name(Some("cell")).unwrap();
        let some = |text: &str| Some(text.to_owned());
        table.insert("label", Column::NullableStrings(vec![some("B\ncell"), None])).unwrap();
        table.insert("n", Column::F64(vec![1.0, f64::NAN])).unwrap();
        table.insert("doublet", Column::Bool(vec![true, false])).unwrap();
        write(&table, &path, false).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "cell,label,n,doublet\nA-1,\"B\ncell\",1.0,True\n\"A, \"\"2\"\"\",,,False\n");
        let back = read(&path).unwrap();
        assert_eq!(back.index(), table.index());
        assert_eq!(back.labels("label").unwrap(), [some("B\ncell"), None]);
        assert!(matches!(write(&table, &path, false), Err(Error::Exists { .. })));
        assert_eq!(read_fields(&path).unwrap()[2], ["A, \"2\"", "", "", "False"]);
    }

    #[test]
    fn a_ragged_row_is_an_error_with_its_line() {
        let error = parse("barcode,type\nA-1,B\nA-2\n").unwrap_err();
        assert!(matches!(error, Error::Line { line: 3, .. }), "{error:?}");
        assert!(matches!(read("no/such/labels.csv"), Err(Error::NoSuchPath { .. })));
    }
}
