//! NumPy's scalars.

use half::f16;

use super::machine::Node;

/// The type of a scalar: `kind` as NumPy writes it (`i`, `u`, `f`, `b`, `U`), `size` in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dtype {
    kind: u8,
    size: usize,
    big_endian: bool,
}

impl Dtype {
    /// From the text that `numpy.dtype` is built from, such as `f8`.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (kind, size) = (*text.as_bytes().first()?, text.get(1..)?.parse::<usize>().ok()?);
        let size = match (kind, size) {
            (b'i' | b'u', 1 | 2 | 4 | 8) | (b'f', 2 | 4 | 8) | (b'b', 1) => size,
            (b'U', 0..=0xffff) => size * 4,
            _ => return None,
        };
        Some(Self { kind, size, big_endian: false })
    }

    /// With the order of bytes that the state of the type says: `<`, `>`, or `|` where there is none.
    pub(super) fn ordered(self, order: &str) -> Option<Self> {
        match order {
            "<" | "|" => Some(Self { big_endian: false, ..self }),
            ">" => Some(Self { big_endian: true, ..self }),
            _ => None,
        }
    }

    /// The value in the bytes; `None` if their number is wrong or there is no such value.
    pub(super) fn scalar(self, bytes: &[u8]) -> Option<Node> {
        if bytes.len() != self.size {
            return None;
        }
        if self.kind == b'U' {
            return self.text(bytes);
        }
        let mut low = [0_u8; 8];
        low[..self.size].copy_from_slice(bytes);
        if self.big_endian {
            low[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(low);
        Some(match (self.kind, self.size) {
            (b'b', _) => Node::Bool(bits != 0),
            (b'u', _) => Node::Int(i64::try_from(bits).ok()?),
            // Truncation keeps the bits of the smaller type, whose sign then counts.
            (b'i', 1) => Node::Int(i64::from(bits as u8 as i8)),
            (b'i', 2) => Node::Int(i64::from(bits as u16 as i16)),
            (b'i', 4) => Node::Int(i64::from(bits as u32 as i32)),
            (b'i', _) => Node::Int(bits as i64),
            (_, 2) => Node::Float(f64::from(f16::from_bits(bits as u16))),
            (_, 4) => Node::Float(f64::from(f32::from_bits(bits as u32))),
            _ => Node::Float(f64::from_bits(bits)),
        })
    }

    /// UTF-32, filled up with zeros.
    fn text(self, bytes: &[u8]) -> Option<Node> {
        let code = |unit: &[u8]| {
            let unit = <[u8; 4]>::try_from(unit).expect("chunks of four bytes");
            if self.big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) }
        };
        let text: Option<String> = bytes.chunks_exact(4).map(|unit| char::from_u32(code(unit))).collect();
        Some(Node::Str(text?.trim_end_matches('\0').into()))
    }
}
