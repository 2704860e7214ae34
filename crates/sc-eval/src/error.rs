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
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::OneClass { .. } => Some("choose a label column with at least two values"),
            Self::ClassSmallerThanFolds { .. } => {
                Some("use fewer folds, or leave the class out with a minimum class size")
            }
            Self::NotFinite { .. } => Some("check the matrix for NaN before fitting"),
            _ => None,
        }
    }
}
