//! What can be wrong with a model's files, and with what it is asked.

use std::path::PathBuf;

/// An error of a language model. Texts are counted from 0, in the order in which they were given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A configuration that is none of its architecture.
    #[error("{} is no configuration of {model}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The architecture, or "a language model" if it is not known yet.
        model: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An architecture that is not known here.
    #[error("`model_type` of the configuration is {found:?}, expected one of {}", known.join(", "))]
    Architecture {
        /// What the file says.
        found: String,
        /// Those known.
        known: Vec<&'static str>,
    },
    /// A field of the configuration with a value that the model cannot have.
    #[error("`{field}` of the configuration is {found}, expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A text without tokens.
    #[error("text {text} has no tokens")]
    EmptyText {
        /// The text.
        text: usize,
    },
    /// A text of more tokens than the model has positions.
    #[error("text {text} has {tokens} tokens, but the model reads {limit} at most")]
    TooLong {
        /// The text.
        text: usize,
        /// Its tokens, those read before included.
        tokens: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// A token outside the vocabulary.
    #[error("token {position} of text {text} is {token}, but the model has {vocab_size} tokens")]
    Token {
        /// The text.
        text: usize,
        /// Place among the tokens given.
        position: usize,
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// Not as many of one thing as of another.
    #[error("{found} {what}, expected {expected}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A text for a model that answers prompts, without a prompt.
    #[error("text {text} answers no prompt: the model reads prompts with an encoder")]
    NoPrompt {
        /// The text.
        text: usize,
    },
    /// Something that only models with an encoder have.
    #[error("a model of the architecture {architecture} has no encoder")]
    NoEncoder {
        /// The architecture.
        architecture: &'static str,
    },
    /// Logits that are no numbers.
    #[error(
        "the logits after {tokens} tokens of text {text} are no numbers: that of token {token} is {value}"
    )]
    NotANumber {
        /// The text.
        text: usize,
        /// Its tokens so far.
        tokens: usize,
        /// The first token with such a logit.
        token: usize,
        /// The logit.
        value: f32,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Architecture { .. } => Some("other models can be asked through an endpoint"),
            Self::Config { field: "rope_scaling", .. } => {
                Some("remove the entry to read texts up to the context that the model was trained with")
            }
            Self::EmptyText { .. } => Some("give at least one token, such as the one that begins a text"),
            Self::NoPrompt { .. } => Some("begin with the prompt: `encode` it, or `start` with it"),
            Self::TooLong { .. } => Some("name fewer genes or examples in the prompt"),
            Self::Token { .. } => Some("tokenise with the model's own tokenizer.json"),
            Self::NotANumber { .. } => {
                Some("the weights may be damaged, or too large for the precision chosen")
            }
            _ => None,
        }
    }
}
