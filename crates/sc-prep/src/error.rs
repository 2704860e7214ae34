//! What can go wrong here, in words that name the place.

pub use sc_io::expression::{NotCounts, Place};

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What should be raw counts is something else.
    #[error(transparent)]
    NotCounts(#[from] NotCounts),
    /// A value of what should be log-normalised expression is not finite, negative, or too large for a logarithm.
    #[error("`X` holds {value} for cell {obs}, gene {var}: not a log-normalised value")]
    NotLogNormalized {
        /// The cell.
        obs: Place,
        /// The gene.
        var: Place,
        /// The value.
        value: f32,
    },
    /// A value is NaN or infinite.
    #[error("the value of cell {obs}, gene {var} is {value}, expected a finite number")]
    NotFinite {
        /// The cell.
        obs: Place,
        /// The gene.
        var: Place,
        /// NaN or an infinity.
        value: f32,
    },
    /// Two inputs that go together differ in length.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// The input that does not fit.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// An index lies outside the matrix.
    #[error("{what} {index} is outside 0..{bound}")]
    OutOfBounds {
        /// What the index counts.
        what: &'static str,
        /// The index.
        index: usize,
        /// One more than the largest index that exists.
        bound: usize,
    },
    /// Nothing to learn from.
    #[error("{what}: none are left")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// A parameter is outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The range that is allowed.
        expected: &'static str,
    },
    /// More principal components than the matrix has.
    #[error("`n_components` is {requested}, but {n_obs} cells x {n_vars} genes have at most {available}")]
    TooManyComponents {
        /// Components asked for.
        requested: usize,
        /// Components that exist: the smaller of cells - 1 and genes.
        available: usize,
        /// Number of cells.
        n_obs: usize,
        /// Number of genes.
        n_vars: usize,
    },
    /// The eigenvalue iteration ended before it reached the tolerance.
    #[error(
        "PCA stopped after {products} matrix products with residual {residual:e}, expected {tolerance:e}"
    )]
    NotConverged {
        /// Products with the matrix and its transpose that were spent.
        products: usize,
        /// The largest relative residual reached.
        residual: f64,
        /// The tolerance asked for.
        tolerance: f64,
    },
    /// A coordinate of the embedding is NaN, infinite or too large to compute distances from.
    #[error("row {row}, column {column} of {matrix} is {value}, expected a finite number within ±1e18")]
    Coordinate {
        /// Which matrix.
        matrix: &'static str,
        /// Its row (cell).
        row: usize,
        /// Its column (dimension).
        column: usize,
        /// The value.
        value: f32,
    },
    /// More neighbours asked for than there are cells.
    #[error("`{name}` is {requested}, but only {available} cells are there to choose from")]
    TooManyNeighbors {
        /// The parameter.
        name: &'static str,
        /// Its value.
        requested: usize,
        /// The largest value that these cells allow.
        available: usize,
    },
    /// A graph's matrix must have a row and a column for each cell.
    #[error("the graph has {n_rows} rows and {n_cols} columns, expected a square matrix")]
    NotSquare {
        /// Rows found.
        n_rows: usize,
        /// Columns found.
        n_cols: usize,
    },
    /// A graph's weight is NaN, infinite or negative.
    #[error("the weight of edge ({row}, {column}) is {value}, expected a finite number >= 0")]
    EdgeWeight {
        /// Row of the graph.
        row: usize,
        /// Column of the graph.
        column: usize,
        /// The weight.
        value: f32,
    },
    /// An undirected graph's matrix equals its transpose.
    #[error(
        "edge ({row}, {column}) weighs {value}, but ({column}, {row}) weighs {mirrored}: expected a symmetric graph"
    )]
    NotSymmetric {
        /// Row of the graph.
        row: usize,
        /// Column of the graph.
        column: usize,
        /// The weight there; 0 where none is stored.
        value: f32,
        /// The weight of the opposite entry.
        mirrored: f32,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotCounts(error) => error.help(),
            Self::NotLogNormalized { .. } => {
                Some("pass the result of normalize_total and log1p, before any scaling")
            }
            Self::NotFinite { .. } => Some("check the matrix for NaN and infinities before this step"),
            Self::Empty { .. } => Some("loosen the filters, or check that the matrix is cells x genes"),
            Self::TooManyComponents { .. } => Some("ask for fewer components, or keep more cells and genes"),
            Self::NotConverged { .. } => Some(
                "many components explain nearly the same variance; ask for fewer, or raise the tolerance",
            ),
            Self::Coordinate { .. } => Some("check the embedding for NaN; a cell without counts has none"),
            Self::TooManyNeighbors { .. } => Some("ask for fewer neighbours, or keep more cells"),
            Self::NotSquare { .. } => Some("pass the cells x cells graph in obsp, not X"),
            Self::NotSymmetric { .. } => Some("pass the connectivities of `neighbors`, not its distances"),
            _ => None,
        }
    }
}
