//! What keeps examples from being learnt.

/// An error of supervised training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to learn from.
    #[error("there are no examples")]
    NoExamples,
    /// A parameter that language models do not have.
    #[error("`{field}` is set, expected it unset for a language model")]
    Unsupported {
        /// The parameter.
        field: &'static str,
    },
    /// An example without a prompt or an answer.
    #[error("the {part} of {set} example {example} has no tokens")]
    Empty {
        /// Prompt or answer.
        part: &'static str,
        /// Training or validation.
        set: &'static str,
        /// Its place.
        example: usize,
    },
    /// An example longer than the model reads.
    #[error("{set} example {example} has {found} tokens, but the model reads {limit} at most")]
    TooLong {
        /// Training or validation.
        set: &'static str,
        /// Its place.
        example: usize,
        /// Its tokens.
        found: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// A token that the model does not have.
    #[error("{set} example {example} has token {token}, but the model has {vocab_size} tokens")]
    Token {
        /// Training or validation.
        set: &'static str,
        /// Its place.
        example: usize,
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A shape that no model has.
    #[error("`{field}` of the small decoder is {found}, expected {expected}")]
    Small {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// A configuration that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A configuration that is no JSON.
    #[error("{} is no JSON", path.display())]
    Json {
        /// The file.
        path: std::path::PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A folder that cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unsupported { .. } => {
                Some("lower `batch_size` and raise `accumulate` where memory is short")
            }
            Self::TooLong { .. } => Some("fit the prompt to fewer tokens (Prompter::fit), never cut its end"),
            Self::Token { .. } => Some("tokenise with the model's own tokenizer.json"),
            _ => None,
        }
    }
}
