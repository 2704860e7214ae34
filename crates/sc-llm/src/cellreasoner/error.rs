//! What can go wrong on the way from counts to a score.

use std::path::PathBuf;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A list without genes.
    #[error("the list of genes is empty")]
    NoGenes,
    /// None of the genes of the list is in the data.
    #[error(
        "none of the {listed} listed genes (the first is {first:?}) is among the {found} of the data ({example})"
    )]
    NoGeneFound {
        /// Number of genes in the list.
        listed: usize,
        /// The first of them.
        first: String,
        /// Number of genes in the data.
        found: usize,
        /// The first of them, quoted, or `none`.
        example: String,
    },
    /// Cells of one name cannot be joined with their labels.
    #[error("two cells are named {name:?} in {place}")]
    SameCell {
        /// The name.
        name: String,
        /// Where.
        place: &'static str,
    },
    /// Cells of the matrix that the table of cells does not have.
    #[error(
        "{lost} of {total} cells are not in the table of cells; the first is {first:?}, the first of the table is {table:?}"
    )]
    LostCells {
        /// How many.
        lost: usize,
        /// Number of cells in the matrix.
        total: usize,
        /// The first that is lost.
        first: String,
        /// The first row of the table, if it has any.
        table: Option<String>,
    },
    /// Cells that express none of the listed genes.
    #[error("{empty} of {total} cells have none of the listed genes; the first is {first:?}")]
    EmptyCells {
        /// How many.
        empty: usize,
        /// Number of cells.
        total: usize,
        /// The first of them.
        first: String,
    },
    /// A label column was asked for without a table of cells.
    #[error("column {column:?} was asked for, and there is no table of cells")]
    NoTable {
        /// The column.
        column: String,
    },
    /// A matrix that is not there.
    #[error("the data have no X")]
    NoMatrix,
    /// A file of records is not one.
    #[error("{}: not a list of records with cell_name, instruction and input", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A table of pairs without a column that it needs.
    #[error("{}: no column {column:?}; there are {found:?}", path.display())]
    PairColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// Those that are there.
        found: Vec<String>,
    },
    /// A score that is none.
    #[error("{}: row {row} has the score {found:?}, expected a number from 0 to 1", path.display())]
    PairScore {
        /// The file.
        path: PathBuf,
        /// The row, from 1, without the header.
        row: usize,
        /// What is there.
        found: String,
    },
    /// A pair with two scores.
    #[error("{}: the pair of truth {truth:?} and prediction {prediction:?} has the scores {first} and {second}", path.display())]
    PairTwice {
        /// The file.
        path: PathBuf,
        /// The truth.
        truth: String,
        /// The prediction.
        prediction: String,
        /// Its first score.
        first: f64,
        /// Another one.
        second: f64,
    },
    /// A workbook that cannot be read.
    #[cfg(feature = "xlsx")]
    #[error("{}: cannot read the workbook", path.display())]
    Workbook {
        /// The file.
        path: PathBuf,
        /// Why.
        source: calamine::XlsxError,
    },
    /// A workbook without a table.
    #[cfg(feature = "xlsx")]
    #[error("{}: the workbook has no sheet with rows", path.display())]
    NoSheet {
        /// The file.
        path: PathBuf,
    },
    /// A workbook, in a build that reads none.
    #[cfg(not(feature = "xlsx"))]
    #[error("{}: workbooks are read with the feature \"xlsx\" of sc-llm, which is off", path.display())]
    XlsxOff {
        /// The file.
        path: PathBuf,
    },
    /// A pair that is not in the table, where that is an error.
    #[error(
        "{missing} of {total} pairs are not in the table; the first is truth {truth:?} and prediction {prediction:?}"
    )]
    MissingPair {
        /// How many.
        missing: usize,
        /// Number of cells.
        total: usize,
        /// The truth of the first.
        truth: String,
        /// Its prediction.
        prediction: String,
    },
    /// Results without a label for every cell.
    #[error("{unlabelled} of {total} results have no label; the first is that of {first:?}")]
    Unlabelled {
        /// How many.
        unlabelled: usize,
        /// Number of results.
        total: usize,
        /// The cell of the first.
        first: String,
    },
    /// No results.
    #[error("there are no results")]
    NoResults,
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoGeneFound { .. } => {
                Some("the list holds gene symbols; name the genes of the data by symbols before this step")
            }
            Self::SameCell { .. } => Some("make the names of the cells unique"),
            Self::LostCells { .. } => Some(
                "names must be equal letter by letter; programs that read barcodes as numbers change them. Ask for lost cells to be counted to go on without them",
            ),
            Self::EmptyCells { .. } => Some(
                "such a cell has an empty prompt; filter it, or ask for empty cells to be left out and counted",
            ),
            #[cfg(not(feature = "xlsx"))]
            Self::XlsxOff { .. } => Some("save the sheet as .csv, or build the program with this feature"),
            Self::MissingPair { .. } => Some(
                "the table knows the answers of the published models only; choose to drop such pairs, as published, or to count them 0",
            ),
            Self::Unlabelled { .. } => Some("build the data set with a label column"),
            _ => None,
        }
    }
}
