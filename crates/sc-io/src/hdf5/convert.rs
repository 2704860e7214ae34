//! Stored numbers to the numbers that are asked for, refusing any that would change.

use super::dtype::NumberKind;

/// A number that stored numbers can be read as; `None` where the value does not fit.
pub(crate) trait Number: Copy + Default + Send + Sync {
    /// What fits, for messages.
    const EXPECTED: &'static str;
    /// Bytes of one number in memory.
    const SIZE: u64 = size_of::<Self>() as u64;
    fn from_i64(value: i64) -> Option<Self>;
    fn from_u64(value: u64) -> Option<Self>;
    fn from_f64(value: f64) -> Option<Self>;
    fn from_f32(value: f32) -> Option<Self> {
        Self::from_f64(value.into())
    }
}

/// Real numbers round to the nearest, as numpy does, but may not overflow; whole numbers must be exact.
impl Number for f32 {
    const EXPECTED: &'static str = "a number that single precision holds exactly";
    fn from_i64(value: i64) -> Option<Self> {
        let near = value as f32;
        (near as i128 == i128::from(value)).then_some(near)
    }
    fn from_u64(value: u64) -> Option<Self> {
        let near = value as f32;
        (near as i128 == i128::from(value)).then_some(near)
    }
    fn from_f64(value: f64) -> Option<Self> {
        let near = value as f32;
        (near.is_finite() || !value.is_finite()).then_some(near)
    }
    fn from_f32(value: f32) -> Option<Self> {
        Some(value)
    }
}

impl Number for f64 {
    const EXPECTED: &'static str = "a number that double precision holds exactly";
    fn from_i64(value: i64) -> Option<Self> {
        let near = value as f64;
        (near as i128 == i128::from(value)).then_some(near)
    }
    fn from_u64(value: u64) -> Option<Self> {
        let near = value as f64;
        (near as i128 == i128::from(value)).then_some(near)
    }
    fn from_f64(value: f64) -> Option<Self> {
        Some(value)
    }
}

macro_rules! whole {
    ($($type:ty, $expected:literal;)*) => {$(
        impl Number for $type {
            const EXPECTED: &'static str = $expected;
            fn from_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_u64(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_f64(_: f64) -> Option<Self> {
                None
            }
        }
    )*};
}

whole! {
    i64, "a whole number below 2^63";
    i32, "a whole number below 2^31";
    u32, "a whole number from 0 to 2^32";
    usize, "a whole number that is not negative";
}

impl Number for bool {
    const EXPECTED: &'static str = "0 or 1";
    fn from_i64(value: i64) -> Option<Self> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn from_u64(value: u64) -> Option<Self> {
        i64::try_from(value).ok().and_then(Self::from_i64)
    }
    fn from_f64(_: f64) -> Option<Self> {
        None
    }
}

/// Converts as many numbers as `out` holds; the error is the position of the first that does not fit.
pub(super) fn convert<T: Number>(
    kind: NumberKind,
    big_endian: bool,
    bytes: &[u8],
    out: &mut [T],
) -> Result<(), usize> {
    let big = big_endian;
    match kind {
        NumberKind::I8 => each(bytes, out, big, |b| T::from_i64(i8::from_le_bytes(b).into())),
        NumberKind::I16 => each(bytes, out, big, |b| T::from_i64(i16::from_le_bytes(b).into())),
        NumberKind::I32 => each(bytes, out, big, |b| T::from_i64(i32::from_le_bytes(b).into())),
        NumberKind::I64 => each(bytes, out, big, |b| T::from_i64(i64::from_le_bytes(b))),
        NumberKind::U8 => each(bytes, out, big, |b| T::from_u64(u8::from_le_bytes(b).into())),
        NumberKind::U16 => each(bytes, out, big, |b| T::from_u64(u16::from_le_bytes(b).into())),
        NumberKind::U32 => each(bytes, out, big, |b| T::from_u64(u32::from_le_bytes(b).into())),
        NumberKind::U64 => each(bytes, out, big, |b| T::from_u64(u64::from_le_bytes(b))),
        NumberKind::F16 => each(bytes, out, big, |b| T::from_f32(half(u16::from_le_bytes(b)))),
        NumberKind::F32 => each(bytes, out, big, |b| T::from_f32(f32::from_le_bytes(b))),
        NumberKind::F64 => each(bytes, out, big, |b| T::from_f64(f64::from_le_bytes(b))),
        NumberKind::Bool => {
            each(bytes, out, big, |[b]: [u8; 1]| (b <= 1).then(|| T::from_u64(b.into())).flatten())
        }
    }
}

fn each<const N: usize, T>(
    bytes: &[u8],
    out: &mut [T],
    big_endian: bool,
    number: impl Fn([u8; N]) -> Option<T>,
) -> Result<(), usize> {
    let (stored, _) = bytes.as_chunks::<N>();
    if big_endian {
        for (at, (slot, &value)) in out.iter_mut().zip(stored).enumerate() {
            let mut value = value;
            value.reverse();
            *slot = number(value).ok_or(at)?;
        }
    } else {
        for (at, (slot, &value)) in out.iter_mut().zip(stored).enumerate() {
            *slot = number(value).ok_or(at)?;
        }
    }
    Ok(())
}

/// IEEE 754 half precision; every value has an exact `f32`.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 31, u32::from(bits) & 1023);
    match exponent {
        // Subnormal: a multiple of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * (1.0 / 16_777_216.0)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// One stored number in words, for messages.
pub(super) fn describe(kind: NumberKind, big_endian: bool, bytes: &[u8]) -> String {
    let mut real = [0f64];
    if kind.is_integer() {
        let mut whole = [0i64];
        if convert(kind, big_endian, bytes, &mut whole).is_ok() {
            return whole[0].to_string();
        }
        return "a number above 2^63".to_owned();
    }
    match convert(kind, big_endian, bytes, &mut real) {
        Ok(()) => real[0].to_string(),
        Err(_) => format!("{bytes:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32s(kind: NumberKind, big: bool, bytes: &[u8]) -> Result<Vec<f32>, usize> {
        let mut out = vec![0.0; bytes.len() / kind.size()];
        convert(kind, big, bytes, &mut out).map(|()| out)
    }

    #[test]
    fn whole_numbers_are_read_exactly_or_refused() {
        let bytes: Vec<u8> =
            [1i32, -5, 16_777_216, 16_777_217].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(f32s(NumberKind::I32, false, &bytes[..12]), Ok(vec![1.0, -5.0, 16_777_216.0]));
        assert_eq!(f32s(NumberKind::I32, false, &bytes), Err(3));
        assert_eq!(f32s(NumberKind::U64, false, &u64::MAX.to_le_bytes()), Err(0));
        assert_eq!(f32s(NumberKind::I64, false, &i64::MIN.to_le_bytes()), Ok(vec![i64::MIN as f32]));
        assert_eq!(f32s(NumberKind::I64, false, &i64::MAX.to_le_bytes()), Err(0));
    }

    #[test]
    fn real_numbers_round_but_do_not_overflow() {
        assert_eq!(f32s(NumberKind::F64, false, &0.1f64.to_le_bytes()), Ok(vec![0.1]));
        assert_eq!(f32s(NumberKind::F64, false, &1e300f64.to_le_bytes()), Err(0));
        assert_eq!(f32s(NumberKind::F64, false, &f64::INFINITY.to_le_bytes()), Ok(vec![f32::INFINITY]));
        assert!(f32s(NumberKind::F64, false, &f64::NAN.to_le_bytes()).unwrap()[0].is_nan());
    }

    #[test]
    fn big_endian_numbers_are_turned_round() {
        assert_eq!(f32s(NumberKind::F32, true, &1.5f32.to_be_bytes()), Ok(vec![1.5]));
        assert_eq!(f32s(NumberKind::I16, true, &(-300i16).to_be_bytes()), Ok(vec![-300.0]));
    }

    #[test]
    fn every_half_has_its_exact_single() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f32.powi(-24)), (0x8000, -0.0)];
        for (bits, expected) in cases {
            assert_eq!(half(bits).to_bits(), f32::to_bits(expected));
        }
        assert_eq!(half(0x03ff), 1023.0 * 2f32.powi(-24));
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn indices_and_truth_values_are_not_guessed() {
        let mut index = [0u32];
        assert_eq!(convert(NumberKind::I32, false, &(-5i32).to_le_bytes(), &mut index), Err(0));
        assert_eq!(convert(NumberKind::F32, false, &1f32.to_le_bytes(), &mut index), Err(0));
        let mut truth = [false];
        assert_eq!(convert(NumberKind::Bool, false, &[2], &mut truth), Err(0));
        assert_eq!(convert(NumberKind::U8, false, &[1], &mut truth), Ok(()));
        assert!(truth[0]);
        assert_eq!(describe(NumberKind::I32, false, &(-5i32).to_le_bytes()), "-5");
        assert_eq!(describe(NumberKind::Bool, false, &[2]), "[2]");
    }
}
