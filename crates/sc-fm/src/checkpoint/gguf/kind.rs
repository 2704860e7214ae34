//! How the values of a tensor are stored.

use half::{bf16, f16};

use crate::nn::gemm::BlockFormat;

/// How the values of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, five bits of exponent.
    F16,
    /// 16-bit floating point, eight bits of exponent.
    BF16,
    /// Blocks of whole numbers.
    Blocks(BlockFormat),
}

/// Numbers and names that the format gives to types; those without a name here are called by their number.
const NAMES: [(u32, &str); 35] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (8, "Q8_0"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (30, "BF16"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
    (42, "Q2_0"),
];

impl Kind {
    /// Its name in the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Blocks(format) => format.name(),
        }
    }

    /// The blocks, if values are in blocks.
    pub fn blocks(self) -> Option<BlockFormat> {
        match self {
            Self::Blocks(format) => Some(format),
            _ => None,
        }
    }

    /// The number that the format gives it.
    pub(super) fn number(self) -> u32 {
        let entry = NAMES.iter().find(|(_, name)| *name == self.name());
        entry.expect("every type that is read has a number").0
    }

    /// # Errors
    /// The name of a type that is not read.
    pub(super) fn from_number(number: u32) -> Result<Self, String> {
        let name = NAMES.iter().find(|(other, _)| *other == number).map(|(_, name)| *name);
        let mut all = [Self::F32, Self::F16, Self::BF16]
            .into_iter()
            .chain(BlockFormat::ALL.into_iter().map(Self::Blocks));
        let kind = all.find(|kind| Some(kind.name()) == name);
        kind.ok_or_else(|| name.map_or_else(|| format!("{number}"), str::to_owned))
    }

    /// Bytes of a row; none if it is not whole blocks, or too long.
    pub(super) fn bytes(self, columns: usize) -> Option<usize> {
        match self {
            Self::F32 => columns.checked_mul(4),
            Self::F16 | Self::BF16 => columns.checked_mul(2),
            Self::Blocks(format) => format.row_bytes(columns).ok(),
        }
    }

    /// The values of whole rows.
    pub(super) fn to_f32(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::F32 => {
                let pairs = values.iter_mut().zip(bytes.as_chunks::<4>().0);
                pairs.for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
            }
            Self::F16 => {
                let pairs = values.iter_mut().zip(bytes.as_chunks::<2>().0);
                pairs.for_each(|(value, bytes)| *value = f16::from_le_bytes(*bytes).to_f32());
            }
            Self::BF16 => {
                let pairs = values.iter_mut().zip(bytes.as_chunks::<2>().0);
                pairs.for_each(|(value, bytes)| *value = bf16::from_le_bytes(*bytes).to_f32());
            }
            Self::Blocks(format) => format.dequantize(bytes, values),
        }
    }

    /// Appends the bytes of whole rows, rounded to the nearest. Returns whether the type is written at all.
    pub(super) fn put_f32(self, values: &[f32], bytes: &mut Vec<u8>) -> bool {
        match self {
            Self::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => bytes.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
            Self::BF16 => bytes.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes())),
            Self::Blocks(format) => return format.quantize(values, bytes),
        }
        true
    }
}
