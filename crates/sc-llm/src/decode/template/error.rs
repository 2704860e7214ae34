//! What can be wrong with a template.

use super::MAX_DECIMALS;

/// A template that cannot be filled. Holes are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to fill.
    #[error("the template has no hole")]
    NoHole,
    /// Holes side by side.
    #[error("there is no text before hole {hole}")]
    NoText {
        /// The second of them.
        hole: usize,
    },
    /// A second hole for labels.
    #[error("hole {hole} is a second one of labels")]
    SecondLabels {
        /// The hole.
        hole: usize,
    },
    /// A label that nothing means.
    #[error("label {label} has no name")]
    NoName {
        /// Its place.
        label: usize,
    },
    /// A key twice.
    #[error("the object has the key {key:?} twice")]
    SameKey {
        /// The key.
        key: String,
    },
    /// A hole of a kind that does not fit there.
    #[error("hole {hole} is {kind} {}", if *is_quoted { "in quotation marks" } else { "without quotation marks" })]
    NotQuoted {
        /// The hole.
        hole: usize,
        /// Its kind.
        kind: &'static str,
        /// Whether it stands in quotation marks.
        is_quoted: bool,
    },
    /// More decimals than a list of numbers should have.
    #[error("hole {hole} is a number of {found} decimals, expected at most {MAX_DECIMALS}")]
    Decimals {
        /// The hole.
        hole: usize,
        /// Its decimals.
        found: u32,
    },
    /// A hole without texts.
    #[error("hole {hole} has no texts to choose from")]
    NoTexts {
        /// The hole.
        hole: usize,
    },
    /// An empty text.
    #[error("text {text} of hole {hole} is empty")]
    EmptyText {
        /// The hole.
        hole: usize,
        /// The text.
        text: usize,
    },
    /// A text of a hole that the tokeniser cannot spell.
    #[error("the text {text:?} of hole {hole} has characters that the tokeniser does not know")]
    Unknown {
        /// The hole.
        hole: usize,
        /// The text.
        text: String,
    },
    /// A text of a hole that holds the name of a special token.
    #[error("the text {text:?} of hole {hole} holds the special token {token:?}")]
    Special {
        /// The hole.
        hole: usize,
        /// The text.
        text: String,
        /// The token.
        token: String,
    },
    /// Texts whose tokens do not tell them apart.
    #[error("the tokens of the texts {first:?} and {second:?} of hole {hole} begin alike and end alike")]
    SameTokens {
        /// The hole.
        hole: usize,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// A hole behind which there is no token of the template.
    #[error("the text behind hole {hole} has no token of its own behind {text:?}")]
    NoEnd {
        /// The hole.
        hole: usize,
        /// The text in the hole.
        text: String,
    },
    /// A text between holes that runs into both.
    #[error("no token of the text before hole {hole} stands apart from what is before and behind it")]
    NoJoint {
        /// The hole.
        hole: usize,
    },
    /// Text of the template with the name of a special token inside.
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::Error),
}

impl Error {
    /// What the user can do next; a program prints it after the cause chain.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoText { .. } | Self::NoEnd { .. } | Self::NoJoint { .. } => {
                Some("put words between the holes, such as the keys of a JSON object")
            }
            Self::NotQuoted { kind: "thoughts", .. } => Some("let the thoughts come before the object"),
            Self::NotQuoted { .. } => Some("give it as Part::Quoted"),
            Self::Unknown { .. } => {
                Some("give the label another spelling for this model, without the characters that it lacks")
            }
            Self::SameTokens { .. } => {
                Some("let the text behind the hole begin with a character of no label")
            }
            Self::Special { .. } => Some("labels are plain text; check where they come from"),
            Self::Tokenizer(error) => error.help(),
            _ => None,
        }
    }
}
