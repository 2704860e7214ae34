//! Why a pickle is refused.

/// What a pickle does that plain data does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A class or function outside the list of those that are data.
    #[error("the pickle names {name:?}, which is not on the list of plain data; nothing was run")]
    Global {
        /// Module and name.
        name: String,
    },
    /// An instruction that plain data does not need.
    #[error("the pickle has the instruction {name}, which plain data does not need; nothing was run")]
    Opcode {
        /// The instruction's name in Python's `pickletools`.
        name: &'static str,
    },
    /// A byte that is no instruction.
    #[error("the pickle has the byte {byte:#04x} where an instruction is expected")]
    NoOpcode {
        /// The byte.
        byte: u8,
    },
    /// A protocol that is not read.
    #[error("the pickle is of protocol {found}, expected 2 to 5")]
    Protocol {
        /// The protocol that the file declares.
        found: u8,
    },
    /// The file ends too early, or a length is wrong.
    #[error("{wanted} bytes are declared, but {left} are left")]
    Truncated {
        /// Bytes declared.
        wanted: u64,
        /// Bytes left.
        left: u64,
    },
    /// There are bytes after the end of the pickle.
    #[error("the pickle has ended, but {bytes} bytes follow")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// An instruction takes a value that is not there.
    #[error("{opcode} needs {needed}, which is not there")]
    Stack {
        /// The instruction.
        opcode: &'static str,
        /// What it takes.
        needed: &'static str,
    },
    /// A reference to a value that was not kept.
    #[error("the pickle refers to the kept value {index}, but there is none")]
    Memo {
        /// Its number.
        index: u64,
    },
    /// A known constructor with arguments that it does not take.
    #[error("{name} is built from {expected}, but the pickle gives something else")]
    Arguments {
        /// The constructor.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A state is set on a value that has none.
    #[error("the pickle sets the state of a value that has none")]
    State,
    /// A call of what cannot be called.
    #[error("the pickle calls a value that is no constructor")]
    NotCallable,
    /// A class where a value is expected.
    #[error("the pickle leaves {name} itself where a value is expected")]
    Class {
        /// The class.
        name: &'static str,
    },
    /// A key that no dictionary of a checkpoint has.
    #[error("a key of a dictionary is neither text nor a whole number")]
    Key,
    /// The same key twice in one dictionary.
    #[error("a dictionary holds the key {key} twice")]
    KeyTwice {
        /// The key.
        key: String,
    },
    /// An integer outside 64 bits.
    #[error("an integer does not fit 64 bits")]
    Integer,
    /// Text that is not UTF-8.
    #[error("a text is not valid Unicode")]
    Text,
    /// Values inside values, too deep or without end.
    #[error("values are nested deeper than {limit}")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// More values than any checkpoint has.
    #[error("the pickle holds more than {limit} {what}")]
    Size {
        /// The limit.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

impl Problem {
    /// What the user can do next.
    pub(crate) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Global { .. } | Self::Opcode { .. } => Some(
                "a pickle from a source that you trust can be saved again as plain data: a state_dict as .safetensors, \
                 a dictionary as .json",
            ),
            Self::Truncated { .. } | Self::NoOpcode { .. } | Self::Trailing { .. } => {
                Some("the file was probably cut short or damaged; fetch it again and compare its SHA-256")
            }
            _ => None,
        }
    }
}
