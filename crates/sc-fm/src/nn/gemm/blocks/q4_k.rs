//! 256 values of 4 bits; every 32 of them have a scale and an offset of 6 bits.

use half::f16;

pub(super) const VALUES: usize = 256;
pub(super) const BYTES: usize = 144;

/// Parts of a block that have a scale and an offset of their own, and their values.
pub(in crate::nn::gemm) const PARTS: usize = 8;
const PART: usize = 32;

/// Bytes of the scales and offsets of all parts.
pub(super) const PACKED: usize = 12;

/// A block: `w = d · scales[part] · q − dmin · offsets[part]`.
#[derive(Clone, Copy)]
pub(in crate::nn::gemm) struct Q4K {
    /// Bits of the scale of the scales and of that of the offsets, both f16.
    pub(in crate::nn::gemm) d: u16,
    pub(in crate::nn::gemm) dmin: u16,
    /// 6 bits each.
    pub(in crate::nn::gemm) scales: [u8; PARTS],
    pub(in crate::nn::gemm) offsets: [u8; PARTS],
    /// Two values a byte: byte `32 p + l` holds value `l` of part `2p` below, and of part `2p + 1` above.
    pub(in crate::nn::gemm) nibbles: [u8; VALUES / 2],
}

impl Q4K {
    /// For each part, the scale and the offset whose values are nearest, by least squares with a weight for large values;
    /// then both rounded to what the block can hold, and each value to the nearest that there then is. A value that is
    /// not finite, or too large, makes the scale a NaN.
    pub(in crate::nn::gemm) fn new(values: &[f32; VALUES]) -> Self {
        let mut fits = [Fit::default(); PARTS];
        let parts = values.as_chunks::<PART>().0;
        for (fit, part) in fits.iter_mut().zip(parts) {
            *fit = Fit::new(part);
        }
        let largest = |value: fn(&Fit) -> f32| fits.iter().map(value).fold(0.0, f32::max);
        let (largest_scale, largest_offset) = (largest(|fit| fit.scale), largest(|fit| fit.offset));
        let (d, dmin) = (f16::from_f32(largest_scale / 63.0), f16::from_f32(largest_offset / 63.0));
        if !values.iter().all(|value| value.is_finite()) || !d.is_finite() || !dmin.is_finite() {
            return Self {
                d: f16::NAN.to_bits(),
                dmin: 0,
                scales: [0; PARTS],
                offsets: [0; PARTS],
                nibbles: [0; VALUES / 2],
            };
        }
        let six_bits = |value: f32, largest: f32| match largest > 0.0 {
            true => (value / largest * 63.0).round_ties_even().clamp(0.0, 63.0) as u8,
            false => 0,
        };
        let mut block = Self {
            d: d.to_bits(),
            dmin: dmin.to_bits(),
            scales: fits.map(|fit| six_bits(fit.scale, largest_scale)),
            offsets: fits.map(|fit| six_bits(fit.offset, largest_offset)),
            nibbles: [0; VALUES / 2],
        };
        for (p, part) in parts.iter().enumerate() {
            let (scale, offset) = block.part(p);
            if scale == 0.0 {
                continue;
            }
            for (nibble, value) in block.nibbles[p / 2 * PART..].iter_mut().zip(part) {
                let quant = ((value + offset) / scale).round_ties_even().clamp(0.0, 15.0) as u8;
                *nibble |= quant << (4 * (p % 2));
            }
        }
        block
    }

    /// Scale and offset of a part, both without rounding: 11 bits times 6.
    #[inline(always)]
    pub(in crate::nn::gemm) fn part(&self, part: usize) -> (f32, f32) {
        let (d, dmin) = (f16::from_bits(self.d).to_f32(), f16::from_bits(self.dmin).to_f32());
        (d * f32::from(self.scales[part]), dmin * f32::from(self.offsets[part]))
    }

    /// The 4 bits of a value.
    #[inline(always)]
    fn quant(&self, at: usize) -> u8 {
        self.nibbles[at / (2 * PART) * PART + at % PART] >> (4 * (at / PART % 2)) & 15
    }

    #[inline(always)]
    pub(in crate::nn::gemm) fn dequantize(&self, values: &mut [f32; VALUES]) {
        for (at, value) in values.iter_mut().enumerate() {
            let (scale, offset) = self.part(at / PART);
            *value = scale * f32::from(self.quant(at)) - offset;
        }
    }

    pub(in crate::nn::gemm) fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (packed, low) = bytes[4..].split_at(PACKED);
        let [scales, offsets] = scales_and_offsets(packed);
        let mut nibbles = [0; VALUES / 2];
        nibbles.copy_from_slice(low);
        Self { d: half(0), dmin: half(2), scales, offsets, nibbles }
    }

    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&self.d.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.dmin.to_le_bytes());
        for part in 0..4 {
            let (scale, offset) = (self.scales[4 + part], self.offsets[4 + part]);
            bytes[4 + part] = self.scales[part] | scale >> 4 << 6;
            bytes[8 + part] = self.offsets[part] | offset >> 4 << 6;
            bytes[12 + part] = scale & 15 | (offset & 15) << 4;
        }
        bytes[16..].copy_from_slice(&self.nibbles);
        bytes
    }
}

/// Those of 12 bytes: 6 bits of those of the first four parts, and above them the high 2 bits of those of the last four,
/// whose low 4 bits share the last four bytes.
#[inline(always)]
pub(super) fn scales_and_offsets(packed: &[u8]) -> [[u8; PARTS]; 2] {
    let six_bits = |first: usize, shift: usize| {
        std::array::from_fn(|part| match part.checked_sub(4) {
            None => packed[first + part] & 63,
            Some(part) => packed[8 + part] >> shift & 15 | packed[first + part] >> 6 << 4,
        })
    };
    [six_bits(0, 0), six_bits(4, 4)]
}

/// What a part is stored with before it shares bits with others: `w ≈ scale · q − offset`, neither below 0.
#[derive(Clone, Copy, Default)]
struct Fit {
    scale: f32,
    offset: f32,
}

impl Fit {
    /// Tries some spacings near the one that spans the values, each followed by the best line through its whole numbers.
    fn new(values: &[f32; PART]) -> Self {
        let low = values.iter().fold(0.0, |low: f32, value| low.min(*value));
        let high = values.iter().fold(f32::MIN, |high: f32, value| high.max(*value));
        let spread = high - low;
        if !(spread > 0.0 && spread.is_finite() && (16.0 / spread).is_finite()) {
            return Self { scale: 0.0, offset: -low };
        }
        let size = (values.iter().map(|value| value * value).sum::<f32>() / PART as f32).sqrt();
        let weights = values.map(|value| size + value.abs());
        let mut best = Self { scale: spread / 15.0, offset: -low };
        let mut least = f32::INFINITY;
        for trial in 0..=20 {
            let per_value = (14.0 + 0.1 * trial as f32) / spread;
            let quants = values.map(|value| ((value - low) * per_value).round_ties_even().clamp(0.0, 15.0));
            let line = Self::through(&quants, values, &weights);
            let error = quants.iter().zip(values).zip(&weights).fold(0.0, |sum, ((quant, value), weight)| {
                let off = line.scale * quant - line.offset - value;
                sum + weight * off * off
            });
            if error < least {
                (best, least) = (line, error);
            }
        }
        best
    }

    /// The line of least squares; through 0 where its offset would be below 0.
    fn through(quants: &[f32; PART], values: &[f32; PART], weights: &[f32; PART]) -> Self {
        let (mut n, mut q, mut qq, mut x, mut qx) = (0f32, 0f32, 0f32, 0f32, 0f32);
        for ((quant, value), weight) in quants.iter().zip(values).zip(weights) {
            n += weight;
            q += weight * quant;
            qq += weight * quant * quant;
            x += weight * value;
            qx += weight * quant * value;
        }
        let determinant = n * qq - q * q;
        let free = Self { scale: (n * qx - q * x) / determinant, offset: (q * qx - qq * x) / determinant };
        if determinant > 0.0 && free.offset >= 0.0 && free.scale >= 0.0 {
            return free;
        }
        Self { scale: if qq > 0.0 { (qx / qq).max(0.0) } else { 0.0 }, offset: 0.0 }
    }
}
