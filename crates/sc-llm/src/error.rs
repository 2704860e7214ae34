//! What can go wrong here, in words that name the place.

/// An error of this crate. Labels are named by their place in the list that was given, from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A chat template that cannot be used.
    #[error(transparent)]
    Chat(#[from] crate::chat::Error),
    /// A cell or cluster of which there is nothing to say.
    #[error(transparent)]
    Evidence(#[from] crate::evidence::Error),
    /// A prompt that cannot be made.
    #[error(transparent)]
    Prompt(#[from] crate::prompt::Error),
    /// A tokeniser that cannot be used, or text that it cannot take.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::Error),
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
    /// A share or temperature that no sampling has.
    #[error("`{field}` of the sampling is {found}, expected {expected}")]
    Sampling {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Logits of which none can be chosen.
    #[error("no token can be chosen at step {step}: {problem}")]
    NoToken {
        /// Tokens generated before.
        step: usize,
        /// What is wrong with the logits.
        problem: &'static str,
    },
    /// A template that cannot be filled.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Template(#[from] crate::decode::template::Error),
    /// A schema, regular expression or grammar that cannot be used, or a text that it does not let go on.
    #[cfg(feature = "schema")]
    #[error(transparent)]
    Schema(#[from] crate::decode::schema::Error),
    /// A model that cannot be opened, or what it cannot read.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Model(#[from] crate::models::Error),
    /// A GGUF file that holds no model for us, or a model that cannot be written as one.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Gguf(#[from] crate::gguf::Error),
    /// Items that cannot be named.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Annotate(#[from] crate::annotate::Error),
    /// Examples that cannot be trained on, or a folder that cannot be written.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Sft(#[from] crate::sft::Error),
    /// Training that cannot begin or go on.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Training(#[from] sc_fm::Error),
    /// Files of a model that cannot be used.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Checkpoint(#[from] sc_fm::checkpoint::Error),
    /// Somewhere that a model cannot compute.
    #[cfg(feature = "local")]
    #[error(transparent)]
    Compute(#[from] sc_fm::compute::Error),
    /// The tensor library refused.
    #[cfg(feature = "local")]
    #[error("the tensor library reports an error")]
    Tensor(#[from] candle_core::Error),
    /// Scores that cannot be calibrated.
    #[error(transparent)]
    Calibrate(#[from] crate::calibrate::Error),
    /// A posterior of nothing.
    #[error("the model gives each of the {n_labels} labels probability 0")]
    Impossible {
        /// Number of labels.
        n_labels: usize,
    },
    /// Something between this program and a model on a server.
    #[cfg(feature = "endpoint")]
    #[error(transparent)]
    Endpoint(#[from] crate::endpoint::Error),
    /// A file or data that cannot be read or written.
    #[error(transparent)]
    Data(#[from] sc_io::Error),
    /// Something on CellReasoner's way from counts to a score.
    #[error(transparent)]
    CellReasoner(#[from] crate::cellreasoner::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Chat(error) => error.help(),
            Self::Evidence(error) => error.help(),
            Self::Prompt(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Tokenizer(error) => error.help(),
            Self::SameLabel { .. } => {
                Some("give each label once; labels that differ may still become the same unknown tokens")
            }
            Self::EndInLabel { .. } => Some("tokenise the labels without special tokens"),
            Self::NotLogProbabilities { .. } => {
                Some("return log-softmax of the logits over the whole vocabulary, not the logits")
            }
            #[cfg(feature = "local")]
            Self::Template(error) => error.help(),
            #[cfg(feature = "schema")]
            Self::Schema(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Model(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Gguf(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Annotate(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Sft(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Training(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Checkpoint(error) => error.help(),
            #[cfg(feature = "local")]
            Self::Compute(error) => error.help(),
            Self::Calibrate(error) => error.help(),
            #[cfg(feature = "endpoint")]
            Self::Endpoint(e) => e.help(),
            Self::Data(error) => error.help(),
            Self::CellReasoner(error) => error.help(),
            _ => None,
        }
    }
}
