//! The Matrix Market format, as far as Cell Ranger and its kin use it: coordinates, `general`.

use std::io::Read;
use std::path::Path;

use super::super::tsv;
use super::whole;
use crate::{Csr, Error, InvalidSparse, Problem, Result};

/// Bytes of text in memory at a time; no line is longer.
const BUFFER: usize = 1 << 18;
/// The shortest entry is `1 1\n`.
const SHORTEST_ENTRY: u64 = 4;

/// How the values are written.
#[derive(Clone, Copy, PartialEq)]
enum Field {
    Integer,
    Real,
    /// No value: whatever is listed is 1.
    Pattern,
}

/// Reads `genes × cells` and returns `cells × genes`.
pub(super) fn matrix(path: &Path, n_genes: usize, n_cells: usize) -> Result<Csr> {
    let mut lines = Lines::open(path)?;
    let field = header(&mut lines)?;
    let stored = size(&mut lines, n_genes, n_cells)?;
    let mut entries = Entries::new(n_cells, stored);
    let mut seen = 0usize;
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        let parsed = entry(line, field, n_genes, n_cells);
        let (gene, cell, value) = parsed.map_err(|p| lines.error(p))?;
        seen += 1;
        if seen > stored {
            return Err(lines.error(Problem::Malformed(format!("more than the {stored} entries declared"))));
        }
        entries.push(gene, cell, value);
    }
    if seen < stored {
        let why = format!("the file is cut short: {seen} entries of {stored} declared");
        return Err(whole(path, Problem::Malformed(why)));
    }
    entries.into_csr(n_genes).map_err(|e| match e {
        InvalidSparse::IndexOrder { major, before, .. } => whole(
            path,
            Problem::Malformed(format!("gene {} of cell {} is listed twice", before + 1, major + 1)),
        ),
        other => whole(path, other),
    })
}

fn header(lines: &mut Lines<'_>) -> Result<Field> {
    let first = lines.next()?.unwrap_or_default();
    let words: Vec<String> =
        String::from_utf8_lossy(first).split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", field, "general"] => match field {
            "integer" => Ok(Field::Integer),
            "real" | "double" => Ok(Field::Real),
            "pattern" => Ok(Field::Pattern),
            other => Err(lines.error(Problem::Unsupported { what: format!("values of kind {other:?}") })),
        },
        ["%%matrixmarket", ref rest @ ..] => {
            let what = format!("a matrix of kind {:?}", rest.join(" "));
            Err(lines.error(Problem::Unsupported { what }))
        }
        _ => {
            Err(lines
                .error(Problem::Malformed("the first line is not that of a Matrix Market file".to_owned())))
        }
    }
}

/// The line of sizes, behind the comments; gives the number of entries.
fn size(lines: &mut Lines<'_>, n_genes: usize, n_cells: usize) -> Result<usize> {
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.error(Problem::Malformed("the file ends before the line of sizes".to_owned())));
        };
        if line.is_empty() || line[0] == b'%' {
            continue;
        }
        let mut rest = line;
        let (genes, cells, stored) = (number(&mut rest), number(&mut rest), number(&mut rest));
        let (Some(genes), Some(cells), Some(stored)) = (genes, cells, stored) else {
            return Err(lines.error(Problem::Malformed("expected three whole numbers, the sizes".to_owned())));
        };
        if (genes, cells) != (n_genes as u64, n_cells as u64) {
            let expected = format!("{n_genes} genes x {n_cells} cells, as the other two files have");
            return Err(lines.error(Problem::Shape { found: vec![genes, cells], expected }));
        }
        let declared = stored.saturating_mul(SHORTEST_ENTRY);
        if declared > lines.at_most {
            let why =
                format!("{stored} entries are declared, but the file holds at most {} bytes", lines.at_most);
            return Err(lines.error(Problem::Malformed(why)));
        }
        return usize::try_from(stored).map_err(|_| lines.error(Problem::TooMany { limit: usize::MAX }));
    }
}

/// One line: gene, cell (from 1) and value, as positions from 0.
fn entry(line: &[u8], field: Field, n_genes: usize, n_cells: usize) -> Result<(u32, u32, f32), Problem> {
    let mut rest = line;
    let position = |rest: &mut &[u8], what: &str, bound: usize| {
        let n = number(rest).ok_or_else(|| unreadable(line))?;
        if n == 0 || n > bound as u64 {
            let why = format!("{what} {n} is outside 1..={bound}");
            return Err(Problem::Malformed(why));
        }
        Ok((n - 1) as u32)
    };
    let gene = position(&mut rest, "gene", n_genes)?;
    let cell = position(&mut rest, "cell", n_cells)?;
    let value = match field {
        Field::Pattern => 1.0,
        Field::Integer => integer(&mut rest, line)?,
        Field::Real => {
            let word = word(&mut rest);
            let value: Option<f32> = std::str::from_utf8(word).ok().and_then(|w| w.parse().ok());
            value.ok_or_else(|| unreadable(line))?
        }
    };
    if word(&mut rest).is_empty() { Ok((gene, cell, value)) } else { Err(unreadable(line)) }
}

fn unreadable(line: &[u8]) -> Problem {
    let shown = &line[..line.len().min(60)];
    Problem::Malformed(format!("expected gene, cell and value, found \"{}\"", shown.escape_ascii()))
}

/// A whole number that `f32` holds exactly.
fn integer(rest: &mut &[u8], line: &[u8]) -> Result<f32, Problem> {
    skip_spaces(rest);
    let negative = rest.first() == Some(&b'-');
    if negative {
        *rest = &rest[1..];
    }
    let n = number(rest).ok_or_else(|| unreadable(line))?;
    let near = n as f32;
    if near as u64 != n {
        return Err(Problem::NotExact { at: 2, value: n.to_string() });
    }
    Ok(if negative { -near } else { near })
}

fn skip_spaces(rest: &mut &[u8]) {
    while let [b' ' | b'\t' | b'\r', tail @ ..] = rest {
        *rest = tail;
    }
}

fn word<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    skip_spaces(rest);
    let end = rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r')).unwrap_or(rest.len());
    let (word, tail) = rest.split_at(end);
    *rest = tail;
    word
}

/// A whole number, and nothing else up to the next space.
fn number(rest: &mut &[u8]) -> Option<u64> {
    skip_spaces(rest);
    let mut value = 0u64;
    let mut digits = 0;
    while let [b @ b'0'..=b'9', tail @ ..] = rest {
        value = value.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
        digits += 1;
        *rest = tail;
    }
    (digits > 0 && matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r'))).then_some(value)
}

/// Entries as they come. Cell Ranger lists them cell by cell, so that the cells need not be kept; the first entry out
/// of that order makes them be.
struct Entries {
    /// Entries of each cell.
    counts: Vec<usize>,
    genes: Vec<u32>,
    values: Vec<f32>,
    /// The cell of every entry, once they are out of order.
    cells: Option<Vec<u32>>,
    last_cell: u32,
}

impl Entries {
    fn new(n_cells: usize, stored: usize) -> Self {
        let (genes, values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
        Self { counts: vec![0; n_cells], genes, values, cells: None, last_cell: 0 }
    }

    fn push(&mut self, gene: u32, cell: u32, value: f32) {
        if self.cells.is_none() && cell < self.last_cell {
            let runs = self.counts.iter().enumerate();
            self.cells = Some(runs.flat_map(|(cell, &n)| std::iter::repeat_n(cell as u32, n)).collect());
        }
        self.last_cell = cell;
        self.counts[cell as usize] += 1;
        self.genes.push(gene);
        self.values.push(value);
        if let Some(cells) = &mut self.cells {
            cells.push(cell);
        }
    }

    fn into_csr(self, n_genes: usize) -> Result<Csr, InvalidSparse> {
        let n_cells = self.counts.len();
        let mut indptr = Vec::with_capacity(n_cells + 1);
        indptr.push(0);
        let mut total = 0;
        for n in self.counts {
            total += n;
            indptr.push(total);
        }
        let Some(cells) = self.cells else {
            return Csr::from_unsorted(n_cells, n_genes, indptr, self.genes, self.values);
        };
        let mut next = indptr.clone();
        let (mut genes, mut values) = (vec![0; total], vec![0.0; total]);
        for ((cell, gene), value) in cells.into_iter().zip(self.genes).zip(self.values) {
            let at = &mut next[cell as usize];
            genes[*at] = gene;
            values[*at] = value;
            *at += 1;
        }
        Csr::from_unsorted(n_cells, n_genes, indptr, genes, values)
    }
}

/// The lines of a text, without their ends, read in large blocks.
struct Lines<'a> {
    path: &'a Path,
    file: Box<dyn Read>,
    /// Bytes of text there can be.
    at_most: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    number: usize,
    finished: bool,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let (file, at_most) = tsv::open(path)?;
        let buffer = vec![0; BUFFER];
        Ok(Self { path, file, at_most, buffer, start: 0, end: 0, number: 0, finished: false })
    }

    fn error(&self, source: Problem) -> Error {
        Error::Line { path: self.path.to_owned(), line: self.number, source }
    }

    fn next(&mut self) -> Result<Option<&[u8]>> {
        self.number += 1;
        let mut searched = self.start;
        loop {
            if let Some(n) = self.buffer[searched..self.end].iter().position(|&b| b == b'\n') {
                let line = self.start..searched + n;
                self.start = line.end + 1;
                return Ok(Some(trimmed(&self.buffer[line])));
            }
            if self.finished {
                let line = self.start..self.end;
                self.start = self.end;
                return Ok(if line.is_empty() { None } else { Some(trimmed(&self.buffer[line])) });
            }
            // The rest of a line goes to the front, to be read on.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            searched = self.end;
            if self.end == self.buffer.len() {
                return Err(self.error(Problem::Malformed(format!("the line is longer than {BUFFER} bytes"))));
            }
            match self.file.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.finished = true,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error(e.into())),
            }
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
