use std::path::PathBuf;

use crate::embed::Kind;

/// A classifier that cannot be trained on these cells, or is none of this model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] sc_io::Error),
    /// Not one label a row.
    #[error("{found} labels for {expected} rows, expected one for each")]
    Labels {
        /// Labels given.
        found: usize,
        /// Rows of the data set.
        expected: usize,
    },
    /// A row that the data set does not have.
    #[error("row {row} is among the {set} rows, but the data set has {n_rows}")]
    Row {
        /// The row.
        row: usize,
        /// `training`, `validation` or `asked for`.
        set: &'static str,
        /// Rows of the data set.
        n_rows: usize,
    },
    /// A row that is given more than once.
    #[error("row {row} is more than once among the {set} rows")]
    Twice {
        /// The row.
        row: usize,
        /// `training` or `validation`.
        set: &'static str,
    },
    /// Rows that are trained on and validated with.
    #[error("{n_rows} rows are among both the training and the validation rows, row {first} first")]
    Overlap {
        /// How many.
        n_rows: usize,
        /// The first.
        first: usize,
    },
    /// Rows without a label.
    #[error("{n_rows} of the {set} rows have no label, row {first} first")]
    Unlabelled {
        /// How many.
        n_rows: usize,
        /// The first.
        first: usize,
        /// `training` or `validation`.
        set: &'static str,
    },
    /// Fewer than two classes.
    #[error("the {of} have {found} classes, expected at least 2")]
    Classes {
        /// How many.
        found: usize,
        /// `training rows` or `training genes`.
        of: &'static str,
    },
    /// A class of which there is next to nothing to learn.
    #[error("class {class:?} has {found} training cells, expected at least 2")]
    RareClass {
        /// The class.
        class: String,
        /// Its cells.
        found: usize,
    },
    /// A label that only validation cells have.
    #[error("class {class:?} is among the validation cells, but not among the training cells")]
    UnseenClass {
        /// The class.
        class: String,
    },
    /// Nothing to choose an epoch by.
    #[error("there are no validation rows, by which `select` chooses an epoch")]
    NoValidation,
    /// Cells that the model sees nothing of.
    #[error("{n_rows} of the {set} rows have no gene of the model with counts, row {first} first")]
    EmptyCells {
        /// How many.
        n_rows: usize,
        /// The first.
        first: usize,
        /// `training` or `validation`.
        set: &'static str,
    },
    /// A gene with a class more than once.
    #[error("gene {gene:?} is of the classes {first:?} and {second:?}")]
    TwoClasses {
        /// Its id.
        gene: String,
        /// The class that came first.
        first: String,
        /// The other.
        second: String,
    },
    /// Genes that are trained on and validated with.
    #[error("{n_genes} genes are among both the training and the validation genes, {first:?} first")]
    GeneOverlap {
        /// How many.
        n_genes: usize,
        /// The first.
        first: String,
    },
    /// Ids that are no genes of the model.
    #[error("none of the {n_genes} training genes is in the dictionary of the model, {first:?} for instance")]
    NoKnownGenes {
        /// How many.
        n_genes: usize,
        /// One of them.
        first: String,
    },
    /// A class of which there are not genes enough.
    #[error("class {class:?} has {found} genes in the training cells, expected at least 2")]
    RareGeneClass {
        /// The class.
        class: String,
        /// Its genes.
        found: usize,
    },
    /// A class that only validation genes have.
    #[error("class {class:?} is among the validation genes, but not among the training genes")]
    UnseenGeneClass {
        /// The class.
        class: String,
    },
    /// Validation genes that no validation cell has.
    #[error("none of the {n_cells} validation cells has any of the {n_genes} validation genes")]
    NoValidationGenes {
        /// The cells.
        n_cells: usize,
        /// The genes.
        n_genes: usize,
    },
    /// One of several tasks that cannot be trained.
    #[error("the task {task:?} cannot be trained")]
    Task {
        /// Its name.
        task: String,
        /// Why.
        source: Box<Error>,
    },
    /// Several tasks of which there is none, or two of one name.
    #[error("the tasks are {found:?}, expected at least one, each of its own name")]
    Tasks {
        /// Their names.
        found: Vec<String>,
    },
    /// A head that only a Geneformer can have.
    #[error("{kind} cannot have {head}, expected a Geneformer")]
    OfGeneformer {
        /// What the head is.
        head: &'static str,
        /// The model.
        kind: Kind,
    },
    /// A model that is not trained here.
    #[error("{kind} cannot be tuned (`Method::{method}`)")]
    Unsupported {
        /// The model.
        kind: Kind,
        /// The method.
        method: &'static str,
    },
    /// A model that has adapters already.
    #[error("this {kind} has adapters, and cannot be trained further with them")]
    HasAdapters {
        /// The model.
        kind: Kind,
    },
    /// A parameter that the model has no use for.
    #[error("`{field}` is {found}, expected {expected}")]
    Param {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A folder without a classifier.
    #[error("{}: no classifier in this folder", path.display())]
    NoClassifier {
        /// The folder.
        path: PathBuf,
    },
    /// The description of a classifier that cannot be read.
    #[error("{}: not the description of a classifier", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A classifier and a model, or its labels, that do not belong together.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Mismatch {
        /// The folder of the classifier.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A classifier that is kept without its model.
    #[error("{}: the classifier was trained on a frozen model, which is not in this folder", path.display())]
    NoBase {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io(error) => error.help(),
            Self::Labels { .. } => {
                Some("give a label, or none, for each row of the data set, trained on or not")
            }
            Self::Overlap { .. } => {
                Some("take a row for one of the two: what a model has seen says nothing of what it has not")
            }
            Self::Unlabelled { .. } => Some("leave rows without a label out"),
            Self::Classes { .. } | Self::RareClass { .. } => {
                Some("leave rare classes out, or split so that each is among the training cells")
            }
            Self::TwoClasses { .. } => Some("give each gene one class, or leave it out"),
            Self::GeneOverlap { .. } => Some(
                "take a gene for one of the two: what a model has learnt by heart says nothing of other genes",
            ),
            Self::NoKnownGenes { .. } => {
                Some("give Ensembl ids, such as ENSG00000139618, of the model's species")
            }
            Self::RareGeneClass { .. } => {
                Some("leave the class out, or give more genes of it, or cells in which they are expressed")
            }
            Self::UnseenGeneClass { .. } => Some("split so that each class is among the training genes"),
            Self::NoValidationGenes { .. } => {
                Some("validate with cells and genes of which some go together, or keep the last epoch")
            }
            Self::Task { source, .. } => source.help(),
            Self::Tasks { .. } => Some("name each task once; a single task is what `fine_tune` is for"),
            Self::OfGeneformer { .. } => {
                Some("take a Geneformer; `fine_tune` trains classifiers of cells for all models")
            }
            Self::UnseenClass { .. } => Some("split so that each class is among the training cells"),
            Self::NoValidation => Some("give validation rows, or keep the last epoch with `Select::Last`"),
            Self::EmptyCells { .. } => Some("leave cells without a gene of the model out before training"),
            Self::Unsupported { .. } => {
                Some("train a `Method::LinearProbe` on its embeddings; the model itself stays as it is")
            }
            Self::HasAdapters { .. } => Some("merge the adapters with `FineTuned::merged` first"),
            Self::NoClassifier { .. } => {
                Some("give the folder that `save` of a classifier wrote, `FineTuned::save` for instance")
            }
            Self::Mismatch { .. } => {
                Some("open it with the model that it was trained on, and leave its files together")
            }
            Self::NoBase { .. } => Some("open the model that it was trained on, and give it along"),
            _ => None,
        }
    }
}
