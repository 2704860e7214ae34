//! The second step: one record a cell, for a model to answer or to be trained on.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Write};
use std::path::Path;

use sc_io::named_matrix::NamedMatrix;
use sc_io::{DataFrame, atomic};
use serde::{Deserialize, Serialize};

use super::{Error, N_GENES};
use crate::Result;

/// What the model is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The label alone.
    #[default]
    Direct,
    /// Thoughts, `</think>`, and the label.
    Reasoning,
}

impl Mode {
    /// The instruction that the published models were trained with, word for word.
    pub fn instruction(self) -> &'static str {
        match self {
            Self::Direct => {
                "These are highly expressed genes within a certain type of tumor cells; please annotate the cell type based on these marker genes. Please infer the cell type based on the marker genes, and directly give the final annotation result."
            }
            Self::Reasoning => {
                "These are highly expressed genes within a certain type of tumor cells; please annotate the cell type based on these marker genes. Please infer the cell type based on the marker genes, and place the reason within the <think></think> tag."
            }
        }
    }
}

/// What happens to cells that cannot become a whole record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// It is an error.
    #[default]
    Error,
    /// They are left out and listed.
    Count,
}

/// How records are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetOptions {
    /// What the model is asked for. Default: the label alone.
    pub mode: Mode,
    /// Another instruction than that of the mode. Default: none.
    pub instruction: Option<String>,
    /// Genes of a cell, at most. Default 1,000.
    pub n_genes: usize,
    /// The column of the table of cells that becomes `output`. Default: none, and records without `output`.
    pub label_column: Option<String>,
    /// Cells that the table of cells does not have. Only asked with a label column. Default: an error.
    pub on_lost: OnLoss,
    /// Cells without a listed gene. Default: an error.
    pub on_empty: OnLoss,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            instruction: None,
            n_genes: N_GENES,
            label_column: None,
            on_lost: OnLoss::default(),
            on_empty: OnLoss::default(),
        }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub cell_name: String,
    /// What the model is asked.
    pub instruction: String,
    /// Its genes, separated by a comma and a space.
    pub input: String,
    /// Its label, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The records of a data set, and the cells that have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// One a cell, in the order of the matrix.
    pub records: Vec<Record>,
    /// Cells that the table of cells does not have.
    pub lost: Vec<String>,
    /// Cells without a listed gene.
    pub empty: Vec<String>,
    /// Cells whose label is missing; their records have no `output`.
    pub unlabelled: Vec<String>,
}

impl Dataset {
    /// Makes the records.
    ///
    /// A gene counts if its value is neither 0 nor NaN: a negative value of an `integrated` assay does. Genes stand in the
    /// order of the columns, which [`Prepared`](super::Prepared) takes from the list.
    ///
    /// * `cells`: the table of cells, by name; needed for labels only.
    ///
    /// # Errors
    /// [`Error::SameCell`]; with a label column [`Error::NoTable`], [`sc_io::Error::NoColumn`],
    /// [`sc_io::Error::NotLabels`]; [`Error::LostCells`] and [`Error::EmptyCells`] unless they are to be counted.
    pub fn build(matrix: &NamedMatrix, cells: Option<&DataFrame>, options: &DatasetOptions) -> Result<Self> {
        unique(matrix.row_names(), "the matrix")?;
        let labels = match &options.label_column {
            Some(column) => {
                let cells = cells.ok_or_else(|| Error::NoTable { column: column.clone() })?;
                Some((cells, Labels::new(cells, column)?))
            }
            None => None,
        };
        let instruction = options.instruction.as_deref().unwrap_or(options.mode.instruction());
        let mut out = Self::default();
        for (row, name) in matrix.row_names().iter().enumerate() {
            let label = match &labels {
                None => None,
                Some((_, labels)) => match labels.of(name) {
                    Some(label) => Some(label),
                    None => {
                        out.lost.push(name.clone());
                        continue;
                    }
                },
            };
            let (columns, values) = matrix.values().row(row);
            let expressed = columns.iter().zip(values).filter(|(_, value)| **value != 0.0 && !value.is_nan());
            let genes: Vec<&str> = expressed
                .take(options.n_genes)
                .map(|(&column, _)| matrix.column_names()[column as usize].as_str())
                .collect();
            if genes.is_empty() {
                out.empty.push(name.clone());
                continue;
            }
            if label == Some(None) {
                out.unlabelled.push(name.clone());
            }
            out.records.push(Record {
                cell_name: name.clone(),
                instruction: instruction.to_owned(),
                input: genes.join(", "),
                output: label.flatten().map(str::to_owned),
            });
        }
        let total = matrix.row_names().len();
        if let (Some(first), OnLoss::Error) = (out.lost.first().cloned(), options.on_lost) {
            let table = labels.and_then(|(cells, _)| cells.index().first().cloned());
            return Err(Error::LostCells { lost: out.lost.len(), total, first, table }.into());
        }
        if let (Some(first), OnLoss::Error) = (out.empty.first().cloned(), options.on_empty) {
            return Err(Error::EmptyCells { empty: out.empty.len(), total, first }.into());
        }
        Ok(out)
    }
}

/// Labels by the name of the cell.
struct Labels {
    labels: Vec<Option<String>>,
    place: HashMap<String, usize>,
}

impl Labels {
    fn new(cells: &DataFrame, column: &str) -> Result<Self> {
        let labels = cells.labels(column)?;
        unique(cells.index(), "the table of cells")?;
        let place = cells.index().iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        Ok(Self { labels, place })
    }

    /// The label of a cell, which may be missing; `None` if there is no such cell.
    fn of(&self, cell: &str) -> Option<Option<&str>> {
        self.place.get(cell).map(|&at| self.labels[at].as_deref())
    }
}

fn unique(names: &[String], place: &'static str) -> Result<()> {
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(Error::SameCell { name: name.clone(), place }.into()),
        None => Ok(()),
    }
}

/// Writes `NAME_for_CellReasoner.json`: a list of records, indented by four spaces as the script does.
///
/// # Errors
/// [`sc_io::Error::Exists`] if there is a file that may not be replaced; [`sc_io::Error::Io`].
pub fn write_records(records: &[Record], path: impl AsRef<Path>, overwrite: bool) -> Result<()> {
    atomic::write_aside(path, overwrite, |file| {
        let mut out = std::io::BufWriter::new(file);
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        records.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
        out.flush()
    })?;
    Ok(())
}

/// Reads the records of [`write_records`] or of the script.
///
/// # Errors
/// [`sc_io::Error::NoSuchPath`] or [`sc_io::Error::Io`]; [`Error::Records`].
pub fn read_records(path: impl AsRef<Path>) -> Result<Vec<Record>> {
    let path = path.as_ref();
    let file = std::fs::File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => sc_io::Error::NoSuchPath { path: path.to_owned() },
        _ => sc_io::Error::Io { path: path.to_owned(), doing: "open", source },
    })?;
    let records = serde_json::from_reader(BufReader::new(file));
    Ok(records.map_err(|source| Error::Records { path: path.to_owned(), source })?)
}
