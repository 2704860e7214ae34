/// Scores that cannot be calibrated, or parameters that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two things that do not fit.
    #[error("{found} {what}, expected {expected}")]
    Length {
        /// What there is a wrong number of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Nothing to fit on, or nothing to score.
    #[error("there are no {what}")]
    Empty {
        /// What is not there.
        what: &'static str,
    },
    /// A score that is no number, or infinitely large.
    #[error("the score of label {label} for cell {cell} is {value}, expected a number or minus infinity")]
    Score {
        /// The cell, from 0.
        cell: usize,
        /// The label, from 0.
        label: usize,
        /// What was found.
        value: f64,
    },
    /// A cell to which the model gives no label at all.
    #[error("every label of cell {cell} has probability 0")]
    Impossible {
        /// The cell, from 0.
        cell: usize,
    },
    /// A right label that the model excludes.
    #[error("label {label}, the right one of cell {cell}, has probability 0")]
    Excluded {
        /// The cell, from 0.
        cell: usize,
        /// The label, from 0.
        label: usize,
    },
    /// A probability that is none.
    #[error("the probability of label {label} for cell {cell} is {value}, expected 0 to 1")]
    Probability {
        /// The cell, from 0.
        cell: usize,
        /// The label, from 0.
        label: usize,
        /// What was found.
        value: f64,
    },
    /// A label that there is not.
    #[error("the label of cell {cell} is {found}, but there are {n_labels}")]
    Label {
        /// The cell, or the spelling, from 0.
        cell: usize,
        /// What was found.
        found: usize,
        /// How many there are.
        n_labels: usize,
    },
    /// A parameter out of its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Param {
        /// Its name.
        field: &'static str,
        /// What was found.
        found: f64,
        /// What would do.
        expected: &'static str,
    },
    /// More cells than labels, each label to be given once.
    #[error("{n_cells} cells for {n_labels} labels that are to be given once each")]
    TooManyCells {
        /// Cells.
        n_cells: usize,
        /// Labels.
        n_labels: usize,
    },
    /// No way to give every cell a label of its own that the model does not exclude.
    #[error("no assignment gives cell {cell} a label of its own that is possible for it")]
    NoAssignment {
        /// The cell, from 0.
        cell: usize,
    },
}

impl Error {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::TooManyCells { .. } => {
                Some("assign clusters rather than cells, or answer each with its most probable label")
            }
            Self::NoAssignment { .. } => {
                Some("use scores that exclude no label, such as a softmax of logits")
            }
            _ => None,
        }
    }
}

/// Refuses scores that cannot be compared.
pub(super) fn check_scores(scores: ndarray::ArrayView2<'_, f64>) -> Result<(), Error> {
    if scores.ncols() == 0 {
        return Err(Error::Empty { what: "labels" });
    }
    match scores.indexed_iter().find(|(_, value)| value.is_nan() || **value == f64::INFINITY) {
        Some(((cell, label), &value)) => Err(Error::Score { cell, label, value }),
        None => Ok(()),
    }
}

/// Refuses what are no probabilities of labels, or labels that there are not.
pub(super) fn check_labelled(
    truth: &[usize],
    probabilities: ndarray::ArrayView2<'_, f64>,
) -> Result<(), Error> {
    check_probabilities(probabilities)?;
    check_truth(truth, probabilities.dim())
}

pub(super) fn check_truth(truth: &[usize], (n_cells, n_labels): (usize, usize)) -> Result<(), Error> {
    if truth.is_empty() {
        return Err(Error::Empty { what: "labelled cells" });
    }
    if truth.len() != n_cells {
        return Err(Error::Length { what: "labels of cells", found: truth.len(), expected: n_cells });
    }
    match truth.iter().enumerate().find(|&(_, &label)| label >= n_labels) {
        Some((cell, &found)) => Err(Error::Label { cell, found, n_labels }),
        None => Ok(()),
    }
}

pub(super) fn check_probabilities(probabilities: ndarray::ArrayView2<'_, f64>) -> Result<(), Error> {
    // Sums of the two are a little more than 1 at times.
    let is_one = |p: f64| (0.0..=1.0 + 1e-6).contains(&p);
    match probabilities.indexed_iter().find(|&(_, &p)| !is_one(p)) {
        Some(((cell, label), &value)) => Err(Error::Probability { cell, label, value }),
        None => Ok(()),
    }
}
