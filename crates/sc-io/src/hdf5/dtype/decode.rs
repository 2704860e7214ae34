//! The datatype message.
//!
//! Ours, because that of `rust-hdf5` slices past the end of a damaged array type. Format: HDF5 File Format
//! Specification 3.0, IV.A.2.d.

use super::{Dtype, Member, NumberKind};
use crate::Problem;
use crate::hdf5::Decoded;
use crate::hdf5::bytes::Bytes;

/// Types within types are refused beyond this.
const MAX_DEPTH: usize = 16;

/// The type that a message describes.
pub(in crate::hdf5) fn decode(message: &[u8]) -> Decoded<Dtype> {
    one(&mut Bytes::new(message, "a datatype"), MAX_DEPTH)
}

fn one(bytes: &mut Bytes<'_>, depth_left: usize) -> Decoded<Dtype> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(Problem::Malformed(format!("a datatype is nested deeper than {MAX_DEPTH} levels")));
    };
    let head = bytes.u8()?;
    let (class, version) = (head & 0x0f, head >> 4);
    let flags = bytes.uint(3)? as u32;
    let size = bytes.uint(4)? as usize;
    let other = |name: &str| Dtype::Other { size, name: name.to_owned() };
    Ok(match class {
        0 => integer(bytes, flags, size)?,
        1 => float(bytes, flags, size)?,
        2 => {
            bytes.skip(2)?;
            other("time")
        }
        3 => Dtype::FixedString { size, padding: (flags & 0x0f) as u8 },
        4 => {
            bytes.skip(4)?;
            other("bit field")
        }
        5 => {
            bytes.skip((flags & 0xff) as usize)?;
            other("opaque")
        }
        6 => compound(bytes, flags, size, version, depth_left)?,
        7 => Dtype::Reference { size },
        8 => enumeration(bytes, flags, version, depth_left)?,
        9 => {
            one(bytes, depth_left)?;
            match flags & 0x0f {
                1 => Dtype::VarString { null_terminated: flags >> 4 & 0x0f == 0 },
                _ => other("lists of any length"),
            }
        }
        10 => array(bytes, size, version, depth_left)?,
        11 => {
            one(bytes, depth_left)?;
            other("complex number")
        }
        class => return Err(Problem::Unsupported { what: format!("a datatype of class {class}") }),
    })
}

fn integer(bytes: &mut Bytes<'_>, flags: u32, size: usize) -> Decoded<Dtype> {
    let (offset, precision) = (bytes.uint(2)?, bytes.uint(2)?);
    let kind = match (size, flags & 0x08 != 0) {
        (1, true) => NumberKind::I8,
        (2, true) => NumberKind::I16,
        (4, true) => NumberKind::I32,
        (8, true) => NumberKind::I64,
        (1, false) => NumberKind::U8,
        (2, false) => NumberKind::U16,
        (4, false) => NumberKind::U32,
        (8, false) => NumberKind::U64,
        _ => return Ok(Dtype::Other { size, name: format!("integer of {size} bytes") }),
    };
    if offset != 0 || precision != size as u64 * 8 {
        return Ok(Dtype::Other { size, name: format!("integer of {precision} bits in {size} bytes") });
    }
    Ok(Dtype::Number { kind, big_endian: flags & 1 != 0 })
}

/// Only the formats of IEEE 754 are numbers here.
fn float(bytes: &mut Bytes<'_>, flags: u32, size: usize) -> Decoded<Dtype> {
    let (offset, precision) = (bytes.uint(2)?, bytes.uint(2)?);
    let (exponent_at, exponent_bits) = (bytes.u8()?, bytes.u8()?);
    let (mantissa_at, mantissa_bits) = (bytes.u8()?, bytes.u8()?);
    let bias = bytes.uint(4)?;
    let sign_at = flags >> 8 & 0xff;
    let layout = (size, sign_at, exponent_at, exponent_bits, mantissa_at, mantissa_bits, bias);
    let kind = match layout {
        (2, 15, 10, 5, 0, 10, 15) => NumberKind::F16,
        (4, 31, 23, 8, 0, 23, 127) => NumberKind::F32,
        (8, 63, 52, 11, 0, 52, 1023) => NumberKind::F64,
        _ => return Ok(Dtype::Other { size, name: format!("real number of {size} bytes") }),
    };
    // Bit 6 is the order of bytes of a VAX.
    if offset != 0 || precision != size as u64 * 8 || flags & 0x40 != 0 {
        return Ok(Dtype::Other { size, name: format!("real number of {precision} bits in {size} bytes") });
    }
    Ok(Dtype::Number { kind, big_endian: flags & 1 != 0 })
}

fn compound(
    bytes: &mut Bytes<'_>,
    flags: u32,
    size: usize,
    version: u8,
    depth_left: usize,
) -> Decoded<Dtype> {
    let count = flags & 0xffff;
    let mut members = Vec::new();
    for _ in 0..count {
        let name = name(bytes, version)?;
        // From version 3 on, an offset has as many bytes as the size needs.
        let width = match size {
            _ if version < 3 => 4,
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xff_ffff => 3,
            _ => 4,
        };
        let offset = bytes.uint(width)? as usize;
        let mut length = None;
        if version == 1 {
            // Version 1 keeps the axes of an array in the record itself.
            let axes = bytes.u8()?;
            bytes.skip(11)?;
            let sizes: Vec<u64> = (0..4).map(|_| bytes.uint(4)).collect::<Decoded<_>>()?;
            if axes > 0 {
                length = Some(product(sizes.get(..usize::from(axes)).unwrap_or(&sizes))?);
            }
        }
        let element = one(bytes, depth_left)?;
        let dtype = match length {
            Some(length) => Dtype::Array { element: Box::new(element), length },
            None => element,
        };
        members.push(Member { name, offset, dtype });
    }
    Ok(Dtype::Compound { size, members })
}

/// A name that ends in a zero; up to version 2 filled up to a multiple of 8 bytes.
fn name(bytes: &mut Bytes<'_>, version: u8) -> Decoded<String> {
    let text = bytes.until_zero()?;
    if version < 3 {
        bytes.skip((text.len() + 1).next_multiple_of(8) - text.len() - 1)?;
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn enumeration(bytes: &mut Bytes<'_>, flags: u32, version: u8, depth_left: usize) -> Decoded<Dtype> {
    let count = (flags & 0xffff) as usize;
    let base = one(bytes, depth_left)?;
    let Dtype::Number { kind, .. } = base else {
        return Err(Problem::Malformed("an enumeration is not of whole numbers".to_owned()));
    };
    let names = (0..count).map(|_| name(bytes, version)).collect::<Decoded<Vec<_>>>()?;
    let values = bytes.take(count.saturating_mul(kind.size()))?;
    let value = |wanted: &str| {
        let at = names.iter().position(|n| n.eq_ignore_ascii_case(wanted))?;
        values.get(at).copied()
    };
    let boolean = kind.size() == 1 && count == 2 && value("FALSE") == Some(0) && value("TRUE") == Some(1);
    // Any other enumeration is read as the numbers that it is stored as.
    Ok(if boolean { Dtype::Number { kind: NumberKind::Bool, big_endian: false } } else { base })
}

fn array(bytes: &mut Bytes<'_>, size: usize, version: u8, depth_left: usize) -> Decoded<Dtype> {
    let axes = usize::from(bytes.u8()?);
    if version < 3 {
        bytes.skip(3)?;
    }
    let sizes: Vec<u64> = (0..axes).map(|_| bytes.uint(4)).collect::<Decoded<_>>()?;
    if version < 3 {
        bytes.skip(4 * axes)?;
    }
    let element = one(bytes, depth_left)?;
    let length = product(&sizes)?;
    if let Dtype::Number { kind, .. } = element
        && length.checked_mul(kind.size()) != Some(size)
    {
        return Err(Problem::Malformed(format!("an array type of {size} bytes has {length} values")));
    }
    Ok(Dtype::Array { element: Box::new(element), length })
}

fn product(sizes: &[u64]) -> Decoded<usize> {
    let product = sizes.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    product
        .and_then(|n| u32::try_from(n).ok())
        .map(|n| n as usize)
        .ok_or_else(|| Problem::Malformed(format!("an array type has the shape {sizes:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const I16: [u8; 12] = [0x10, 0x08, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0];

    fn unsupported(dtype: Dtype) -> bool {
        matches!(dtype, Dtype::Other { .. })
    }

    #[test]
    fn whole_numbers_are_told_by_size_sign_and_order() {
        let i16 = Dtype::Number { kind: NumberKind::I16, big_endian: false };
        assert_eq!(decode(&I16).unwrap(), i16);
        let mut big = I16;
        big[1] = 0x01;
        assert_eq!(decode(&big).unwrap(), Dtype::Number { kind: NumberKind::U16, big_endian: true });
        let mut narrow = I16;
        narrow[10] = 12;
        assert!(unsupported(decode(&narrow).unwrap()));
    }

    #[test]
    fn an_array_that_lies_about_its_length_is_refused() {
        let mut message = vec![0x2a, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        message.extend(I16);
        let Dtype::Array { length: 3, .. } = decode(&message).unwrap() else { panic!("an array of three") };
        message[12] = 4;
        assert!(decode(&message).is_err());
        for cut in 0..message.len() {
            assert!(decode(&message[..cut]).is_err());
        }
    }

    #[test]
    fn types_within_types_end() {
        let message: Vec<u8> = [0x19u8, 0, 0, 0, 16, 0, 0, 0].repeat(1000);
        assert!(matches!(decode(&message), Err(Problem::Malformed(_))));
    }
}
