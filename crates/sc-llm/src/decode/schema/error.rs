//! What can go wrong with a grammar.

use std::fmt::Display;

/// A schema, regular expression or grammar that cannot be used, or a text that cannot go on. Places in schemas are JSON
/// pointers, `#` for the whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text far larger than any of its kind.
    #[error("the {what} has {found} {unit}, expected at most {limit}")]
    TooLarge {
        /// What kind.
        what: &'static str,
        /// How many.
        found: usize,
        /// Of what: bytes or rules.
        unit: &'static str,
        /// How many at most.
        limit: usize,
    },
    /// A schema that is no JSON, or nested deeper than 128 levels.
    #[error("the JSON schema is not valid JSON")]
    Json {
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// A part of a schema that is none.
    #[error("{at} of the JSON schema is {found}, expected {expected}")]
    Invalid {
        /// Its place.
        at: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A keyword that no grammar can hold, or that no draft knows.
    #[error("{at} of the JSON schema has the keyword {keyword:?}, which cannot be enforced")]
    Keyword {
        /// The place of the schema that has it.
        at: String,
        /// The keyword.
        keyword: String,
    },
    /// A reference to nowhere.
    #[error("{at} of the JSON schema refers to {reference:?}, which is no place in it")]
    Reference {
        /// The place of the schema that has it.
        at: String,
        /// The reference.
        reference: String,
    },
    /// References that lead deeper and deeper.
    #[error("what the JSON schema refers to has {found} levels together, expected at most {limit}")]
    Levels {
        /// Levels of all places referred to, added up.
        found: usize,
        /// Levels at most.
        limit: usize,
    },
    /// Schemas that combine to far more than was written.
    #[error("the combinations in the JSON schema come to more than {limit} parts")]
    Combinations {
        /// Parts at most.
        limit: u64,
    },
    /// What the parser of grammars does not take.
    #[error("the {what} cannot be used")]
    Refused {
        /// What kind.
        what: &'static str,
        /// What the parser says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More tokens, or longer ones, than any model has.
    #[error("the tokens of the tokeniser have {found} beginnings, expected at most {limit}")]
    Vocabulary {
        /// Different beginnings of tokens, themselves included.
        found: usize,
        /// Beginnings at most.
        limit: usize,
    },
    /// No token can end a text.
    #[error("neither the parameters nor the tokeniser name a token that ends a text")]
    NoEnd,
    /// A text that the grammar does not let go on, or that it takes too much work to follow.
    #[error("the text cannot go on behind {n_tokens} tokens")]
    Stuck {
        /// Tokens of the text so far.
        n_tokens: usize,
        /// What the parser says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread to compile on that cannot be had.
    #[error("no thread for compiling a grammar")]
    Thread {
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Keyword { .. } => Some(
                "leave it out and check the finished text for it; annotations are title, description, default, examples and $comment",
            ),
            Self::Reference { .. } => Some("refer to places of the same schema, as `#/$defs/name`"),
            Self::Levels { .. } | Self::Combinations { .. } => {
                Some("write what is combined by `$ref` and `allOf` as one schema")
            }
            Self::TooLarge { .. } => Some("for a closed set of many labels take a template or a trie"),
            Self::NoEnd => Some("name the model's end of text in GenerateParams::stop"),
            Self::Stuck { .. } => {
                Some("the grammar is too ambiguous, or the vocabulary lacks characters of its text")
            }
            _ => None,
        }
    }

    pub(super) fn refused(what: &'static str, error: &dyn Display) -> Self {
        Self::Refused { what, source: said(error) }
    }
}

/// What the parser says, without what it tells of its state.
pub(super) fn said(error: &dyn Display) -> Box<dyn std::error::Error + Send + Sync> {
    let text = format!("{error:#}");
    let end = ["\n<non-verbose/>", "\n<backtrace>"].into_iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end().into()
}
