//! The types of values that AnnData files use.

use rust_hdf5::format::FormatContext;
use rust_hdf5::format::global_heap::vlen_reference_size;

mod decode;

pub(super) use decode::decode;

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
    /// h5py's boolean: an enumeration of FALSE = 0 and TRUE = 1 over one byte.
    Bool,
}

impl NumberKind {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Whether it is a whole number (a boolean is none).
    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::F32 | Self::F64 | Self::Bool)
    }
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) dtype: Dtype,
}

/// The type of the values of a dataset or attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Dtype {
    Number {
        kind: NumberKind,
        big_endian: bool,
    },
    FixedString {
        size: usize,
        padding: u8,
    },
    VarString {
        null_terminated: bool,
    },
    Compound {
        size: usize,
        members: Vec<Member>,
    },
    /// A fixed number of values in one.
    Array {
        element: Box<Dtype>,
        length: usize,
    },
    Reference {
        size: usize,
    },
    Other {
        size: usize,
        name: String,
    },
}

impl Dtype {
    /// Bytes of one value; of a string of any length, those of the reference to it.
    pub(super) fn size(&self, context: &FormatContext) -> usize {
        match self {
            Self::Number { kind, .. } => kind.size(),
            Self::VarString { .. } => vlen_reference_size(context),
            Self::Array { element, length } => element.size(context).saturating_mul(*length),
            Self::FixedString { size, .. }
            | Self::Compound { size, .. }
            | Self::Reference { size }
            | Self::Other { size, .. } => *size,
        }
    }

    /// Whether the values are text.
    pub(crate) fn is_string(&self) -> bool {
        matches!(self, Self::FixedString { .. } | Self::VarString { .. })
    }

    /// How the values are stored, if they are numbers.
    pub(crate) fn number(&self) -> Option<NumberKind> {
        match self {
            Self::Number { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// The type in words, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Number { kind, big_endian } => {
                let name = match kind {
                    NumberKind::I8 => "int8",
                    NumberKind::I16 => "int16",
                    NumberKind::I32 => "int32",
                    NumberKind::I64 => "int64",
                    NumberKind::U8 => "uint8",
                    NumberKind::U16 => "uint16",
                    NumberKind::U32 => "uint32",
                    NumberKind::U64 => "uint64",
                    NumberKind::F16 => "float16",
                    NumberKind::F32 => "float32",
                    NumberKind::F64 => "float64",
                    NumberKind::Bool => "bool",
                };
                if *big_endian && kind.size() > 1 { format!("big-endian {name}") } else { name.to_owned() }
            }
            Self::FixedString { size, .. } => format!("text of {size} bytes"),
            Self::VarString { .. } => "text".to_owned(),
            Self::Compound { members, .. } => format!("record of {} fields", members.len()),
            Self::Array { element, length } => format!("{length} times {}", element.describe()),
            Self::Reference { .. } => "reference".to_owned(),
            Self::Other { name, .. } => name.clone(),
        }
    }
}
