//! Types of numbers on disk, and their way into memory.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use super::Error;
use super::source::Source;

/// The type of the numbers of a tensor in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, five bits of exponent.
    F16,
    /// 16-bit floating point, eight bits of exponent.
    BF16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// Truth values of one byte.
    Bool,
}

impl Stored {
    /// The name that `.safetensors` files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        use Stored::*;
        [F64, F32, F16, BF16, I64, I32, I16, I8, U32, U16, U8, Bool].into_iter().find(|s| s.name() == name)
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The type in memory: floating point as `wanted`, or as stored; 8 bits unsigned and truth values as `u8`; every other
    /// whole number as `i64`.
    pub(crate) fn in_memory(self, wanted: Option<DType>) -> DType {
        match self {
            Self::F64 => wanted.unwrap_or(DType::F64),
            Self::F32 => wanted.unwrap_or(DType::F32),
            Self::F16 => wanted.unwrap_or(DType::F16),
            Self::BF16 => wanted.unwrap_or(DType::BF16),
            Self::U8 | Self::Bool => DType::U8,
            _ => DType::I64,
        }
    }
}

/// How many numbers a shape has. `None` if their number, or that of a part of the shape without its sizes of 0, does not
/// fit: the tensor library multiplies those too.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    let most = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { most })
}

/// Bytes of a file that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// CRC-32, where the file says it.
    pub(crate) crc: Option<u32>,
}

/// Numbers in memory, in their final type.
#[derive(Debug)]
pub(crate) enum Buffer {
    F64(Vec<f64>),
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

/// Appends the numbers of `N` bytes each that `read` takes from `bytes`.
fn append<T, const N: usize>(to: &mut Vec<T>, bytes: &[u8], read: impl Fn([u8; N]) -> T) {
    to.extend(bytes.chunks_exact(N).map(|number| read(number.try_into().expect("chunks of N bytes"))));
}

/// Floating point numbers of one type to those of another. As in PyTorch, conversions go by way of `f32`, and round to
/// the nearest, ties to even.
macro_rules! floats {
    ($to:expr, $bytes:expr, $stored:expr, $own:expr => $direct:expr, $from_f32:expr) => {
        match $stored {
            stored if stored == $own => append($to, $bytes, $direct),
            Stored::F64 => append($to, $bytes, |b| $from_f32(f64::from_le_bytes(b) as f32)),
            Stored::F32 => append($to, $bytes, |b| $from_f32(f32::from_le_bytes(b))),
            Stored::F16 => append($to, $bytes, |b| $from_f32(f16::from_le_bytes(b).to_f32())),
            _ => append($to, $bytes, |b| $from_f32(bf16::from_le_bytes(b).to_f32())),
        }
    };
}

impl Buffer {
    fn with_capacity(dtype: DType, count: usize) -> Self {
        match dtype {
            DType::F64 => Self::F64(Vec::with_capacity(count)),
            DType::F32 => Self::F32(Vec::with_capacity(count)),
            DType::F16 => Self::F16(Vec::with_capacity(count)),
            DType::BF16 => Self::BF16(Vec::with_capacity(count)),
            DType::U8 => Self::U8(Vec::with_capacity(count)),
            _ => Self::I64(Vec::with_capacity(count)),
        }
    }

    /// Appends the numbers in whole elements of `stored`, lowest byte first.
    fn extend(&mut self, stored: Stored, bytes: &[u8]) {
        match self {
            Self::F64(to) => floats!(to, bytes, stored, Stored::F64 => f64::from_le_bytes, f64::from),
            Self::F32(to) => floats!(to, bytes, stored, Stored::F32 => f32::from_le_bytes, |x: f32| x),
            Self::F16(to) => floats!(to, bytes, stored, Stored::F16 => f16::from_le_bytes, f16::from_f32),
            Self::BF16(to) => floats!(to, bytes, stored, Stored::BF16 => bf16::from_le_bytes, bf16::from_f32),
            Self::U8(to) => to.extend_from_slice(bytes),
            Self::I64(to) => match stored {
                Stored::I32 => append(to, bytes, |b| i64::from(i32::from_le_bytes(b))),
                Stored::I16 => append(to, bytes, |b| i64::from(i16::from_le_bytes(b))),
                Stored::I8 => append(to, bytes, |b| i64::from(i8::from_le_bytes(b))),
                Stored::U32 => append(to, bytes, |b| i64::from(u32::from_le_bytes(b))),
                Stored::U16 => append(to, bytes, |b| i64::from(u16::from_le_bytes(b))),
                _ => append(to, bytes, i64::from_le_bytes),
            },
        }
    }

    /// Numbers `span` of those of type `stored` at a place of a file; floating point as `wanted`. All of the place is read,
    /// and compared with its checksum if there is one.
    pub(crate) fn read(
        source: &Source,
        place: Place,
        stored: Stored,
        span: Range<usize>,
        wanted: Option<DType>,
    ) -> Result<Self, Error> {
        let mut buffer = Self::with_capacity(stored.in_memory(wanted), span.len());
        let span = (span.start * stored.size()) as u64..(span.end * stored.size()) as u64;
        let mut crc = crc32fast::Hasher::new();
        let mut at = 0;
        source.pieces(place.offset, place.length, |piece| {
            let length = piece.len() as u64;
            if place.crc.is_some() {
                crc.update(piece);
            }
            let within = |end: u64| end.saturating_sub(at).min(length) as usize;
            buffer.extend(stored, &piece[within(span.start)..within(span.end)]);
            at += length;
        })?;
        match place.crc {
            Some(expected) if crc.clone().finalize() != expected => {
                let found = format!("{} bytes with the checksum {:08x}", place.length, crc.finalize());
                Err(source.format(place.offset, found, "the checksum that the archive says"))
            }
            _ => Ok(buffer),
        }
    }

    pub(crate) fn into_tensor(self, shape: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Self::F64(numbers) => Tensor::from_vec(numbers, shape, device),
            Self::F32(numbers) => Tensor::from_vec(numbers, shape, device),
            Self::F16(numbers) => Tensor::from_vec(numbers, shape, device),
            Self::BF16(numbers) => Tensor::from_vec(numbers, shape, device),
            Self::I64(numbers) => Tensor::from_vec(numbers, shape, device),
            Self::U8(numbers) => Tensor::from_vec(numbers, shape, device),
        }
    }

    /// Numbers of the span at `start + Σ index·stride`, in the order of rows.
    pub(crate) fn picked(&self, start: usize, shape: &[usize], strides: &[usize]) -> Self {
        fn pick<T: Copy>(from: &[T], start: usize, shape: &[usize], strides: &[usize]) -> Vec<T> {
            if shape.contains(&0) {
                return Vec::new();
            }
            let mut places = vec![start];
            for (&size, &stride) in shape.iter().zip(strides) {
                places = places.iter().flat_map(|place| (0..size).map(move |i| place + i * stride)).collect();
            }
            places.into_iter().map(|place| from[place]).collect()
        }
        match self {
            Self::F64(from) => Self::F64(pick(from, start, shape, strides)),
            Self::F32(from) => Self::F32(pick(from, start, shape, strides)),
            Self::F16(from) => Self::F16(pick(from, start, shape, strides)),
            Self::BF16(from) => Self::BF16(pick(from, start, shape, strides)),
            Self::I64(from) => Self::I64(pick(from, start, shape, strides)),
            Self::U8(from) => Self::U8(pick(from, start, shape, strides)),
        }
    }
}
