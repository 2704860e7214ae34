use std::path::PathBuf;

use sc_io::NotCounts;
use sc_io::expression::Place;

/// Input that no tokeniser takes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The matrix holds something else than raw counts.
    #[error(transparent)]
    NotCounts(#[from] NotCounts),
    /// A table or a file that cannot be read or written.
    #[error(transparent)]
    Io(Box<sc_io::Error>),
    /// A pickled dictionary that cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// A folder lacks a dictionary.
    #[error("{}: no {what} (`{pattern}`) in this folder", folder.display())]
    NoDictionary {
        /// The folder.
        folder: PathBuf,
        /// Which dictionary.
        what: &'static str,
        /// How its file is called.
        pattern: String,
    },
    /// A folder holds the dictionaries of several releases.
    #[error("{}: several files could be the {what}: {}", folder.display(), found.join(", "))]
    SeveralDictionaries {
        /// The folder.
        folder: PathBuf,
        /// Which dictionary.
        what: &'static str,
        /// The files.
        found: Vec<String>,
    },
    /// The dictionary is not that of the model.
    #[error("the token dictionary has {found} tokens, but the model's `vocab_size` is {expected}")]
    VocabSize {
        /// Tokens of the dictionary.
        found: usize,
        /// Tokens of the model.
        expected: usize,
    },
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
    /// Tokens that do not run from 0 without a gap.
    #[error("{key:?} has token {token}, but the vocabulary has {n_tokens} tokens, numbered from 0")]
    TokenGap {
        /// The gene or special token.
        key: String,
        /// Its token.
        token: u32,
        /// Number of tokens.
        n_tokens: usize,
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
    /// A gene list that cannot be used.
    #[error("{}: line {line} is {found:?}, expected {expected}", path.display())]
    GeneList {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// No column is a gene of the model.
    #[error("none of the {n_columns} columns is a gene of the model; the first is {first:?}")]
    NoGenes {
        /// Number of columns.
        n_columns: usize,
        /// Id of the first column; empty without columns.
        first: String,
    },
    /// The model knows too few of the columns.
    #[error(
        "{n_known} of {n_columns} columns are genes of the model, expected a share of at least {min_known}; the first unknown one is {first:?}"
    )]
    FewGenes {
        /// Columns that are genes of the model.
        n_known: usize,
        /// Number of columns.
        n_columns: usize,
        /// The share that was asked for.
        min_known: f64,
        /// The first column that is none.
        first: String,
    },
    /// The genes are those of another species.
    #[error(
        "{n} of {n_columns} columns are genes of {species}, such as {first:?}; the model knows human genes"
    )]
    OtherSpecies {
        /// The species.
        species: &'static str,
        /// Columns of that species.
        n: usize,
        /// Number of columns.
        n_columns: usize,
        /// The first of them.
        first: String,
    },
    /// Columns that share their gene, in a matrix of logarithms, which cannot be summed.
    #[error("columns {first} and {second} are both gene {gene:?}, and logarithms cannot be summed")]
    SharedGene {
        /// The gene.
        gene: String,
        /// Its first column.
        first: usize,
        /// Its second column.
        second: usize,
    },
    /// The table of genes was written by a tokeniser.
    #[error("var already has a column \"ensembl_id_collapsed\"")]
    CollapsedBefore,
    /// A gene without id.
    #[error("var[{column:?}] has no id in row {row}")]
    MissingId {
        /// The column.
        column: String,
        /// The row.
        row: usize,
    },
    /// A cell without total.
    #[error("obs[\"n_counts\"] has no value for cell {row}")]
    NoTotal {
        /// The row.
        row: usize,
    },
    /// A total that no cell with counts can have.
    #[error("`n_counts` of cell {row}, which has counts, is {value}, expected a finite number of at least 1")]
    TotalCounts {
        /// Row of the matrix.
        row: usize,
        /// The total given.
        value: f64,
    },
    /// Two inputs that go together differ in length.
    #[error("`{what}` has {found} entries, expected {expected}")]
    Length {
        /// The input that does not fit.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A matrix of another width than the tokeniser was made for.
    #[error("the matrix has {found} columns, but the tokeniser was made for {expected}")]
    Columns {
        /// Columns of the matrix.
        found: usize,
        /// Columns of the tokeniser.
        expected: usize,
    },
    /// A row names a column that the matrix does not have.
    #[error("the row has an entry in column {column}, but the matrix has {n_columns} columns")]
    Column {
        /// The column.
        column: u32,
        /// Number of columns.
        n_columns: usize,
    },
    /// A value that is no expression.
    #[error("`X` holds {value} for cell {obs}, gene {var}: neither a count nor a logarithm of one")]
    Scaled {
        /// The cell.
        obs: Place,
        /// The gene.
        var: Place,
        /// The value.
        value: f32,
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
    /// An order that is no permutation of the genes of a cell.
    #[error("the order of cell {row} is no permutation of its {expected} genes")]
    Permutation {
        /// Row of the matrix.
        row: usize,
        /// Genes of the cell.
        expected: usize,
    },
    /// A cell with so few counts that the model could not see its own total.
    #[error(
        "cell {row} has a total of {total} and a target of {target}: the model leaves out values that are not above 0"
    )]
    FewCounts {
        /// Row of the matrix.
        row: usize,
        /// The total token.
        total: f64,
        /// The target token.
        target: f64,
    },
    /// A value that the model takes for something else.
    #[error("cell {row} has the value {value} at position {position}, which the model takes for {meaning}")]
    Reserved {
        /// Row of the matrix.
        row: usize,
        /// Place in the gene list; behind it the target and the total.
        position: usize,
        /// The value.
        value: f32,
        /// What the model takes it for.
        meaning: &'static str,
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
    /// A number outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Number {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The range that is allowed.
        expected: &'static str,
    },
    /// A share outside its range.
    #[error("`{name}` is {value}, expected 0 to 1")]
    Fraction {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: f64,
    },
    /// A folder of tokens that does not hold what it should.
    #[cfg(feature = "arrow")]
    #[error("{}: {problem}", path.display())]
    Dataset {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The Arrow library refused.
    #[cfg(feature = "arrow")]
    #[error("{}: not an Arrow file of tokens", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// Why.
        source: arrow_schema::ArrowError,
    },
}

impl From<sc_io::Error> for Error {
    fn from(error: sc_io::Error) -> Self {
        // By far the largest of all; in a box, the others travel lightly.
        Self::Io(Box::new(error))
    }
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotCounts(error) => error.help(),
            Self::Io(error) => error.help(),
            Self::Checkpoint(error) => error.help(),
            Self::NoDictionary { .. } => Some(
                "name the folder with the release's token_dictionary, gene_median_dictionary and ensembl_mapping_dict, as .pkl or .json",
            ),
            Self::SeveralDictionaries { .. } => {
                Some("name the series of the model, such as gc104M, with `open_series`")
            }
            Self::VocabSize { .. } | Self::NoMedian { .. } => {
                Some("take all dictionaries from the release of the model")
            }
            Self::NoSpecial { .. } => Some("for a V1 dictionary use `RankParams::V1`"),
            Self::NoGenes { .. } => Some(
                "give Ensembl gene ids (ENSG...) or symbols, as the model wants them; for Geneformer, symbols need the mapping dictionary",
            ),
            Self::FewGenes { .. } => Some(
                "check which column names the genes; if the matrix has no more of them, lower `min_known`",
            ),
            Self::OtherSpecies { .. } => {
                Some("map the genes to their human one-to-one orthologs first, or set `min_known` to 0")
            }
            Self::SharedGene { .. } => Some("sum the columns before the logarithm is taken, or give counts"),
            Self::CollapsedBefore => {
                Some("read the original matrix, or take the column of ids by name with `GeneIds::column`")
            }
            Self::TotalCounts { .. } | Self::NoTotal { .. } => {
                Some("recompute obs[\"n_counts\"] as the sum of all counts of each cell, or remove it")
            }
            Self::Scaled { .. } | Self::NotExpression { .. } => {
                Some("give counts or their logarithm, not a scaled or centred matrix")
            }
            Self::FewCounts { .. } => Some("drop cells with a total of 1 or less"),
            Self::Reserved { .. } => Some("give counts: their logarithms stay far below 102"),
            _ => None,
        }
    }
}
