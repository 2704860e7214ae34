//! What keeps items from being named.

/// An error of naming items.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Names of other labels than those in tokens.
    #[error("names of {found} labels, but there are tokens of {expected}")]
    Labels {
        /// Labels that have names.
        found: usize,
        /// Labels that have tokens.
        expected: usize,
    },
    /// A label that nothing means.
    #[error("label {label} has no name")]
    NoName {
        /// Its place.
        label: usize,
    },
    /// A template without a place for the answer.
    #[error("the template has no hole for labels")]
    NoLabelHole,
    /// A way of decoding that a template is not filled in.
    #[error("a template is filled constrained or by posterior, not {found}")]
    Decoding {
        /// The way.
        found: &'static str,
    },
    /// A parameter outside its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Param {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// A prompt without tokens.
    #[error("the prompt of item {id:?} has no tokens")]
    Empty {
        /// The item.
        id: String,
    },
    /// A prompt that labels do not follow.
    #[error("the labels do not fit behind the prompt of item {id:?}")]
    Prompt {
        /// The item.
        id: String,
        /// Why.
        source: Box<crate::tokenizer::Error>,
    },
    /// A prompt that leaves no room for an answer.
    #[error(
        "the prompt of item {id:?} has {found} tokens with {answer} of the longest answer, but the model reads {limit} at most"
    )]
    TooLong {
        /// The item.
        id: String,
        /// Tokens together.
        found: usize,
        /// Those of the longest label; 0 for free text.
        answer: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// A token that the model does not have.
    #[error("token {position} of item {id:?} is {token}, but the model has {vocab_size} tokens")]
    Token {
        /// The item.
        id: String,
        /// Place in the prompt.
        position: usize,
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Prompt { source, .. } => source.help(),
            Self::TooLong { .. } => Some(
                "fit the prompt to fewer tokens (Prompter::fit), name fewer labels, or give free text a smaller budget",
            ),
            Self::NoLabelHole => Some("add Hole::Labels"),
            Self::Token { .. } => Some("tokenise with the model's own tokenizer.json"),
            _ => None,
        }
    }
}
