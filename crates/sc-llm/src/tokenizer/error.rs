//! What can go wrong with a tokeniser.

use std::path::PathBuf;

/// A tokeniser that cannot be used, a text that it cannot take, or labels that it cannot tell apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: sc_io::Error,
    },
    /// A tokeniser inside a GGUF file that is not read.
    #[error(transparent)]
    Gguf(Box<crate::gguf::Error>),
    /// A file far larger than any of its kind.
    #[error("{} has more than {limit} bytes, expected a file of a tokeniser", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes at most.
        limit: u64,
    },
    /// A folder without a tokeniser.
    #[error("{} holds neither tokenizer.json nor vocab.json and merges.txt", folder.display())]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// A SentencePiece model without `tokenizer.json`.
    #[error("{} holds a SentencePiece model, but no tokenizer.json", folder.display())]
    SentencePieceOnly {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that is no JSON.
    #[error("{} is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// A value that does not fit.
    #[error("{}: {slot} is {found}, expected {expected}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        slot: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A file that looks right and that the tokeniser does not take.
    #[error("{} is not a tokeniser", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A special token that the tokeniser does not have.
    #[error("{}: {named_by} is not one of the {n_tokens} tokens of the tokeniser", path.display())]
    NoSuchToken {
        /// The file that names it.
        path: PathBuf,
        /// The slot and the token.
        named_by: String,
        /// Number of tokens.
        n_tokens: usize,
    },
    /// The tokeniser failed in a way that it should not.
    #[error("the tokeniser gave up on {on}")]
    GaveUp {
        /// What it was given.
        on: String,
    },
    /// The tokeniser refuses a text or tokens.
    #[error("the tokeniser does not take {on}")]
    NotEncoded {
        /// What it was given.
        on: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text beyond any context.
    #[error("a text of {found} bytes, expected at most {limit}")]
    TextTooLong {
        /// Its bytes.
        found: usize,
        /// Bytes at most.
        limit: usize,
    },
    /// An id without a token.
    #[error("token {id} is unknown; the tokeniser has {n_tokens}")]
    UnknownId {
        /// The id.
        id: u32,
        /// One more than the highest id.
        n_tokens: usize,
    },
    /// A label without a form that could be said.
    #[error("label {label} has no text")]
    NoForms {
        /// The label's place.
        label: usize,
    },
    /// A form of a label that is no word.
    #[error("label {label} has an empty text")]
    EmptyForm {
        /// The label's place.
        label: usize,
    },
    /// A label that the tokeniser cannot spell.
    #[error("label {name:?} has characters that the tokeniser does not know")]
    UnknownInLabel {
        /// The text.
        name: String,
    },
    /// A label that holds the name of a special token.
    #[error("label {name:?} holds the special token {token:?}")]
    SpecialInLabel {
        /// The text.
        name: String,
        /// The token.
        token: String,
    },
    /// Labels that become the same tokens.
    #[error("labels {first:?} and {second:?} become the same tokens")]
    SameTokens {
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// None of the ends can be told from the labels.
    #[error("no token that may end an answer stands apart from the label {name:?}")]
    NoEnd {
        /// The first label that the last end runs into.
        name: String,
    },
    /// An end of text that the model does not have.
    #[error("the tokeniser names no token that ends a text")]
    NoEos,
    /// A prompt that does not end in the tokens that the labels were made for.
    #[error("the prompt's last tokens are {found:?}, expected {expected:?} as before every label")]
    OtherPrefix {
        /// Its last tokens.
        found: Vec<u32>,
        /// The tokens of the prefix that the labels were made for.
        expected: Vec<u32>,
    },
    /// A vocabulary of words that has no room for words.
    #[error(
        "a vocabulary of {found} tokens, expected at least {expected}: those of every byte and the special ones"
    )]
    TooFewTokens {
        /// Tokens asked for.
        found: usize,
        /// Tokens at least.
        expected: usize,
    },
}

impl From<crate::gguf::Error> for Error {
    fn from(error: crate::gguf::Error) -> Self {
        Self::Gguf(Box::new(error))
    }
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Gguf(error) => error.help(),
            Self::NoTokenizer { .. } => {
                Some("give the folder of the model, with the files as they were published")
            }
            Self::SentencePieceOnly { .. } => Some(
                "save the tokeniser once with Hugging Face transformers (a fast tokeniser), which writes tokenizer.json",
            ),
            Self::NoSuchToken { .. } => Some("the files in the folder belong to different models"),
            Self::UnknownInLabel { .. } | Self::SameTokens { .. } => {
                Some("give the label another spelling for this model, without the characters that it lacks")
            }
            Self::SpecialInLabel { .. } => Some("labels are plain text; check where they come from"),
            Self::NoEnd { .. } => Some("allow the end of text as an end (End::Eos): no label runs into it"),
            Self::OtherPrefix { .. } => Some(
                "make the label tokens with the text that stands before every answer (Prompt::answer_prefix)",
            ),
            _ => None,
        }
    }
}
