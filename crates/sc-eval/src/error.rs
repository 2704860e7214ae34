//! What can go wrong here, in words that name the place.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two inputs that go together differ in length.
    #[error("{what} has {found} entries, expected {expected}")]
    Length {
        /// The input that does not fit.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length of the input beside it.
        expected: usize,
    },
    /// Nothing to score, split or fit.
    #[error("{what} is empty")]
    Empty {
        /// The input without entries.
        what: &'static str,
    },
    /// Every cell has the same label.
    #[error("all {n_cells} cells have the label {label:?}: there is nothing to tell apart")]
    OneClass {
        /// Number of labelled cells.
        n_cells: usize,
        /// Their label.
        label: String,
    },
    /// A class has fewer cells than there are folds.
    #[error("class {label:?} has {n_cells} cells, fewer than the {n_folds} folds")]
    ClassSmallerThanFolds {
        /// The class.
        label: String,
        /// Its number of cells.
        n_cells: usize,
        /// Folds asked for.
        n_folds: usize,
    },
    /// A class index lies outside the classes.
    #[error("{what} holds class {code}, but there are {n_classes} classes")]
    ClassCode {
        /// The input that holds it.
        what: &'static str,
        /// The index.
        code: u32,
        /// Number of classes.
        n_classes: usize,
    },
    /// A feature is NaN or infinite.
    #[error("feature {column} of row {row} is {value}")]
    NotFinite {
        /// Row of the feature matrix.
        row: usize,
        /// Column of the feature matrix.
        column: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// No classifier has this name.
    #[error("no classifier is called {name:?}; there are {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No metric has this name.
    #[error("no metric is called {name:?}; there are {known}")]
    UnknownMetric {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
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
    /// A file or folder cannot be read, written or renamed.
    #[error("cannot {action} `{path}`", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Results would fall among files that are there already.
    #[error("`{path}` exists and is not empty", path = path.display())]
    NotEmpty {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// A figure or a page could not be drawn.
    #[error("cannot draw `{what}`: {reason}")]
    Draw {
        /// The file.
        what: String,
        /// What the drawing library says.
        reason: String,
    },
    /// A predicted probability is NaN or outside 0 to 1.
    #[error("the probability of class {class} for cell {cell} is {value}, expected 0 to 1")]
    Probability {
        /// Row of the probabilities.
        cell: usize,
        /// Column of the probabilities.
        class: usize,
        /// The value.
        value: f32,
    },
    /// The predicted probabilities of a cell do not sum to 1.
    #[error("the probabilities of cell {cell} sum to {sum}, expected 1")]
    ProbabilitySum {
        /// Row of the probabilities.
        cell: usize,
        /// Their sum.
        sum: f64,
    },
    /// A class has too few cells to be in both halves of a split.
    #[error("class {label:?} has {n_cells} cell, too few for both sides of a stratified split")]
    ClassTooSmallToSplit {
        /// The class.
        label: String,
        /// Its number of cells.
        n_cells: usize,
    },
    /// A split names a cell that does not exist.
    #[error("{what} holds cell {cell}, but there are {n_cells} cells")]
    CellOutOfBounds {
        /// The training or the test set.
        what: &'static str,
        /// The index.
        cell: usize,
        /// Number of cells.
        n_cells: usize,
    },
    /// A model would be asked about a cell that it learns from.
    #[error("cell {cell} is both trained on and tested")]
    TestInTraining {
        /// Index of the cell.
        cell: usize,
    },
    /// Two test sets share a cell, or one holds it twice.
    #[error("cell {cell} is tested twice, first in fold {earlier}")]
    TestedTwice {
        /// Index of the cell.
        cell: usize,
        /// The fold that tests it first, counted from 0.
        earlier: usize,
    },
    /// Something is wrong with one fold of a cross-validation.
    #[error("fold {fold} (counted from 0) is not valid")]
    Fold {
        /// The fold.
        fold: usize,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The model failed.
    #[error("the model failed in fold {fold} (counted from 0)")]
    Model {
        /// The fold.
        fold: usize,
        /// What the model said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn in_fold(fold: usize, source: Self) -> Self {
        Self::Fold { fold, source: Box::new(source) }
    }

    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::OneClass { .. } => Some("choose a label column with at least two values"),
            Self::ClassSmallerThanFolds { .. } => {
                Some("use fewer folds, or leave the class out (--min-cells-per-class)")
            }
            Self::NotEmpty { .. } => Some(
                "name a new folder, or allow overwriting (--force): only files of an earlier report are replaced",
            ),
            Self::NotFinite { .. } => Some("check the matrix for NaN before fitting"),
            Self::ClassTooSmallToSplit { .. } => Some("leave the class out with a minimum class size"),
            Self::TestInTraining { .. } => {
                Some("a score on training cells says nothing; make the splits with `sc_eval::split`")
            }
            Self::Probability { .. } | Self::ProbabilitySum { .. } => {
                Some("pass probabilities, not decision values or logits; a model may also give none")
            }
            Self::Fold { source, .. } => source.help(),
            _ => None,
        }
    }
}
