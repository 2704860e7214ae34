//! What can go wrong here, in words that name the place.

use crate::{checkpoint, registry};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// Files or a dictionary that are not those of a release.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The tensor library refused.
    #[error("the tensor library reports an error")]
    Tensor(#[from] candle_core::Error),
    /// The token dictionary lists a key twice.
    #[error("the token dictionary holds {key:?} twice")]
    KeyTwice {
        /// The gene or special token.
        key: String,
    },
    /// Two keys of the token dictionary share a token.
    #[error("the token dictionary gives token {token} to both {first:?} and {second:?}")]
    TokenTwice {
        /// The token.
        token: u32,
        /// The key that has it, in order of names.
        first: String,
        /// The next key that has it.
        second: String,
    },
    /// A gene has a token and no median.
    #[error("gene {gene:?} has a token, but no median")]
    NoMedian {
        /// The gene.
        gene: String,
    },
    /// A median that nothing can be divided by.
    #[error("the median of gene {gene:?} is {median}, expected a finite number above 0")]
    Median {
        /// The gene.
        gene: String,
        /// Its median.
        median: f64,
    },
    /// The model wants a special token that the dictionary lacks.
    #[error(
        "the token dictionary has no {name:?}, but the model's input starts with <cls> and ends with <eos>"
    )]
    NoSpecial {
        /// The special token.
        name: &'static str,
    },
    /// No column is a gene of the model.
    #[error("none of the {n_columns} columns is a gene of the model; the first is {first:?}")]
    NoGenes {
        /// Number of columns.
        n_columns: usize,
        /// Id of the first column; empty without columns.
        first: String,
    },
    /// Columns and values of a row differ in number.
    #[error("the row has {indices} columns, but {values} values")]
    RowLength {
        /// Number of column indices.
        indices: usize,
        /// Number of values.
        values: usize,
    },
    /// A row names a column that the matrix does not have.
    #[error("the row has an entry in column {column}, but the matrix has {n_columns} columns")]
    Column {
        /// The column.
        column: u32,
        /// Number of columns.
        n_columns: usize,
    },
    /// A value that is no count.
    #[error("the value in column {column} is {value}, expected a count: finite, whole and at least 0")]
    NotCounts {
        /// The column.
        column: u32,
        /// The value.
        value: f32,
    },
    /// A total that no cell with counts can have.
    #[error("`n_counts` of a cell with counts is {value}, expected a finite number of at least 1")]
    TotalCounts {
        /// The total given.
        value: f64,
    },
    /// A value that has no bin.
    #[error("value {position} is {value}, expected a finite number of at least 0")]
    NotExpression {
        /// Place in the slice.
        position: usize,
        /// The value.
        value: f64,
    },
    /// Quantiles of nothing.
    #[error("there is no value above 0 to take quantiles of")]
    NoValues,
    /// Not one draw per value above 0.
    #[error("{found} random draws for {expected} values above 0, expected one for each")]
    Draws {
        /// Draws given.
        found: usize,
        /// Values above 0.
        expected: usize,
    },
    /// A draw outside its range.
    #[error("random draw {position} is {value}, expected 0 <= u < 1")]
    Draw {
        /// Place in the slice.
        position: usize,
        /// The draw.
        value: f64,
    },
    /// A parameter is outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: usize,
        /// The range that is allowed.
        expected: &'static str,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Checkpoint(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::NoMedian { .. } => {
                Some("take the median and token dictionaries of the same Geneformer release")
            }
            Self::NoSpecial { .. } => Some("for a V1 dictionary use `RankParams::V1`"),
            Self::NoGenes { .. } => Some(
                "give Ensembl gene ids (ENSG...), or add the mapping dictionary with `with_mapping` for symbols",
            ),
            Self::NotCounts { .. } => {
                Some("give the raw counts, not a normalised, logarithmic or scaled matrix")
            }
            Self::NotExpression { .. } => {
                Some("give counts or their logarithm, not a scaled or centred matrix")
            }
            _ => None,
        }
    }
}
