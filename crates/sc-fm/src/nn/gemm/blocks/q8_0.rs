//! 32 values of 8 bits with one scale.

use half::f16;

pub(super) const VALUES: usize = 32;
pub(super) const BYTES: usize = 34;

/// A block.
#[derive(Clone, Copy)]
pub(in crate::nn::gemm) struct Q8 {
    /// Bits of the scale, an f16.
    pub(in crate::nn::gemm) scale: u16,
    pub(in crate::nn::gemm) quants: [i8; VALUES],
}

impl Q8 {
    /// Scale `d = max |w| / 127` in f16, and the nearest whole numbers to `w / d` (of the scale before it is rounded),
    /// halves away from 0. A value that is not finite, or too large for the scale, makes the scale a NaN.
    #[inline(always)]
    pub(in crate::nn::gemm) fn new(values: &[f32; VALUES]) -> Self {
        // As bits, so that a NaN is larger than any number.
        let largest = values.iter().fold(0, |largest: u32, value| largest.max(value.to_bits() & 0x7fff_ffff));
        let scale = f32::from_bits(largest) / 127.0;
        let half = f16::from_f32(scale);
        if !half.is_finite() {
            return Self { scale: f16::NAN.to_bits(), quants: [0; VALUES] };
        }
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        // The reciprocal of the smallest numbers overflows; their scale is 0 in f16.
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        let mut quants = [0; VALUES];
        for (quant, value) in quants.iter_mut().zip(values) {
            *quant = round(value * inverse) as i8;
        }
        Self { scale: half.to_bits(), quants }
    }

    pub(in crate::nn::gemm) fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let [low, high, quants @ ..] = bytes;
        Self { scale: u16::from_le_bytes([*low, *high]), quants: quants.map(|byte| byte as i8) }
    }

    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&self.scale.to_le_bytes());
        bytes[2..].iter_mut().zip(self.quants).for_each(|(byte, quant)| *byte = quant as u8);
        bytes
    }

    #[inline(always)]
    pub(in crate::nn::gemm) fn dequantize(&self, values: &mut [f32; VALUES]) {
        let scale = f16::from_bits(self.scale).to_f32();
        values.iter_mut().zip(self.quants).for_each(|(value, quant)| *value = scale * f32::from(quant));
    }
}

/// The nearest whole number, halves away from 0; made of what vector units have.
#[inline(always)]
fn round(value: f32) -> i32 {
    let whole = value as i32;
    let rest = value - whole as f32;
    whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)
}
