//! What can go wrong here, in words that name the place.

/// An error of this crate. Labels are named by their place in the list that was given, from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A closed label set needs labels.
    #[error("there are no labels")]
    NoLabels,
    /// A label without text or tokens.
    #[error("label {label} is empty")]
    EmptyLabel {
        /// The label.
        label: usize,
    },
    /// Two labels that nothing tells apart.
    #[error("labels {first} and {second} are the same")]
    SameLabel {
        /// The first of them.
        first: usize,
        /// The second of them.
        second: usize,
    },
    /// The end token inside a label.
    #[error("token {position} of label {label} is {end}, the token that ends an answer")]
    EndInLabel {
        /// The label.
        label: usize,
        /// Place in the label, from 0.
        position: usize,
        /// The end token.
        end: u32,
    },
    /// The model answered for more or fewer tokens than it was asked for.
    #[error("{found} scores after {prefix:?}, expected one for each of {expected} tokens")]
    ScoreCount {
        /// The tokens so far.
        prefix: Vec<u32>,
        /// Scores returned.
        found: usize,
        /// Tokens asked for.
        expected: usize,
    },
    /// A score that cannot be compared.
    #[error("the score of token {token} after {prefix:?} is NaN")]
    ScoreIsNan {
        /// The tokens so far.
        prefix: Vec<u32>,
        /// The token.
        token: u32,
    },
    /// Scores that are no logarithms of probabilities.
    #[error(
        "the scores after {prefix:?} are no log-probabilities: those up to token {token} add up to more than 1"
    )]
    NotLogProbabilities {
        /// The tokens so far.
        prefix: Vec<u32>,
        /// The token at which the sum passes 1.
        token: u32,
    },
    /// Scores that cannot be calibrated.
    #[error(transparent)]
    Calibrate(#[from] crate::calibrate::Error),
    /// A posterior of nothing.
    #[error("the model gives each of the {n_labels} labels probability 0")]
    Impossible {
        /// Number of labels.
        n_labels: usize,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::SameLabel { .. } => {
                Some("give each label once; labels that differ may still become the same unknown tokens")
            }
            Self::EndInLabel { .. } => Some("tokenise the labels without special tokens"),
            Self::NotLogProbabilities { .. } => {
                Some("return log-softmax of the logits over the whole vocabulary, not the logits")
            }
            Self::Calibrate(error) => error.help(),
            _ => None,
        }
    }
}
