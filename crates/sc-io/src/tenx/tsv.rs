//! Lines of text files that may be compressed, and the tables of names in them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Problem, Result};

/// A longer line is no table.
const MAX_LINE: u64 = 1 << 20;

/// Opens a file of text; what is compressed is told by its first bytes, not by its name. Also says how many bytes of
/// text the file can hold at most.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, u64)> {
    let failed = |source| Error::Io { path: path.to_owned(), doing: "read", source };
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut file = BufReader::with_capacity(1 << 16, file);
    if file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        // Deflate cannot shrink anything by more than a factor of 1032.
        Ok((Box::new(MultiGzDecoder::new(file)), meta.len().saturating_mul(1032)))
    } else {
        Ok((Box::new(file), meta.len()))
    }
}

/// The first `columns` fields of every line; lines may have more.
pub(super) fn columns(path: &Path, columns: usize) -> Result<Vec<Vec<String>>> {
    let (file, _) = open(path)?;
    let mut file = BufReader::new(file);
    let mut table: Vec<Vec<String>> = vec![Vec::new(); columns];
    let mut line = Vec::new();
    for number in 1.. {
        let at = |source: Problem| Error::Line { path: path.to_owned(), line: number, source };
        line.clear();
        let n = file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| at(e.into()))?;
        if n == 0 {
            break;
        }
        if n as u64 == MAX_LINE {
            return Err(at(Problem::Malformed(format!("the line is longer than {MAX_LINE} bytes"))));
        }
        let text = std::str::from_utf8(&line).map_err(|_| at(Problem::Text { at: 0 }))?;
        let text = text.trim_end_matches(['\n', '\r']);
        let mut fields = text.split('\t');
        for (i, column) in table.iter_mut().enumerate() {
            let Some(field) = fields.next() else {
                return Err(at(Problem::Malformed(format!(
                    "found {i} fields, expected {columns}, separated by tabs"
                ))));
            };
            column.push(field.to_owned());
        }
    }
    Ok(table)
}

/// Number of fields in the first line.
pub(super) fn width(path: &Path) -> Result<usize> {
    let failed = |source| Error::Io { path: path.to_owned(), doing: "read", source };
    let (file, _) = open(path)?;
    let mut line = Vec::new();
    BufReader::new(file).take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
    Ok(line.split(|&b| b == b'\t').count())
}
