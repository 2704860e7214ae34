use std::path::PathBuf;

/// A perturbation that cannot be computed, or results that cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] sc_io::Error),
    /// An id that is no gene of the model.
    #[error("{gene:?} is no gene of the model")]
    UnknownGene {
        /// The id.
        gene: String,
    },
    /// The same gene more than once.
    #[error("{gene:?} is a gene that is already in the list")]
    GeneTwice {
        /// Its second id.
        gene: String,
    },
    /// An empty list.
    #[error("the list of genes to perturb is empty")]
    NoGenes,
    /// More genes to put in front than a cell has room for.
    #[error(
        "{found} genes are to stand in front, but a cell has room for {room} genes, one other gene among them"
    )]
    TooManyGenes {
        /// Genes of the list.
        found: usize,
        /// Genes of the longest cell.
        room: usize,
    },
    /// No cell is left.
    #[error("no cell to perturb: {0}")]
    NoCells(super::Selection),
    /// A label without an embedding.
    #[error("no state {label:?}, only {}", quoted(known))]
    NoState {
        /// The label asked for.
        label: String,
        /// Labels that are there.
        known: Vec<String>,
    },
    /// A state in two roles.
    #[error("state {label:?} is named twice")]
    StateTwice {
        /// The label.
        label: String,
    },
    /// A state that is no more than a cell.
    #[error("state {label:?} has {found} cells with an embedding, expected at least 2")]
    FewCells {
        /// The label.
        label: String,
        /// Its cells.
        found: usize,
    },
    /// Embeddings of states that are not of this model.
    #[error("the embeddings of the states have {found} values, but the model's have {expected}")]
    StateWidth {
        /// Their width.
        found: usize,
        /// The model's.
        expected: usize,
    },
    /// Rows without a label.
    #[error("{found} labels, but cells up to row {row} of the data set")]
    Labels {
        /// Labels given.
        found: usize,
        /// The last row.
        row: usize,
    },
    /// Values that no cosine can be taken of.
    #[error("the model gives values that are no numbers for row {row} of the data set")]
    NotFinite {
        /// The row of the data set.
        row: usize,
    },
    /// A file that is not of this run.
    #[error("{}: exists, and is not the result of this run", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another run writes it right now.
    #[error("{}: another run is writing this file", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A file that is shorter than its journal says.
    #[error("{}: {found} bytes, but {expected} were written", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size noted.
        expected: u64,
    },
    /// A file that is no table of perturbations.
    #[error("{}: {what}", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Tables that do not belong together.
    #[error("tables with shifts to different states: {} and {}", quoted(first), quoted(second))]
    OtherStates {
        /// States of the one.
        first: Vec<String>,
        /// States of the other.
        second: Vec<String>,
    },
    /// Too few values for a statistic.
    #[error("{what} needs at least {expected} {of}, found {found}")]
    TooFew {
        /// The statistic.
        what: &'static str,
        /// What it needs.
        of: &'static str,
        /// How many there are.
        found: usize,
        /// How many it needs.
        expected: usize,
    },
    /// The callback wanted no more.
    #[error("stopped by the caller")]
    Cancelled,
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    }
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io(error) => error.help(),
            Self::UnknownGene { .. } => Some(
                "give Ensembl ids of genes; symbols are known only if the release's mapping was loaded too",
            ),
            Self::NoCells(_) => {
                Some("see whether the genes are expressed in these cells, and in the start state")
            }
            Self::NoState { .. } => {
                Some("labels are compared as they are written, upper and lower case apart")
            }
            Self::FewCells { .. } => Some("a state is a mean over cells; take labels with more of them"),
            Self::StateWidth { .. } => {
                Some("embed the cells of the states with the same model, layer and mode as the perturbations")
            }
            Self::Exists { .. } => Some("give another file name, or remove the file and its .run.json"),
            Self::Short { .. } => Some("remove the .part file and the .run.json beside it to begin anew"),
            Self::Cancelled => Some("the same call goes on where this one stopped, if it writes to a file"),
            _ => None,
        }
    }
}
