//! 256 values of 3 bits, with scales of 6 bits for 16 values each.

use half::f16;

pub(super) const VALUES: usize = 256;
pub(super) const BYTES: usize = 110;

/// The third bit of all values, of which one that is not set stands for −4; their low 2 bits; 16 scales in 12 bytes; the
/// scale of the scales. Each half of the block deals the bytes of the low bits out to four runs of 32 values; bit `r` of
/// the 32 bytes of third bits is that of run `r` of all eight.
pub(super) fn dequantize(block: &[u8; BYTES], values: &mut [f32; VALUES]) {
    let (third, rest) = block.split_at(32);
    let (low, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(12);
    let d = f16::from_le_bytes([d[0], d[1]]).to_f32();
    for (part, values) in values.chunks_exact_mut(16).enumerate() {
        let (run, from) = (part / 2, 16 * (part % 2));
        let scale = d * f32::from(scale(scales, part));
        let (low, third) = (&low[32 * (run / 4) + from..], &third[from..]);
        for ((value, low), third) in values.iter_mut().zip(low).zip(third) {
            let quant = (low >> (2 * (run % 4)) & 3) as i8 - if third >> run & 1 == 1 { 0 } else { 4 };
            *value = scale * f32::from(quant);
        }
    }
}

/// The first eight bytes hold the low four bits of scales 0 to 7 below, and of scales 8 to 15 above. The last four hold the
/// high two bits: byte `b` those of scales `b`, `4 + b`, `8 + b` and `12 + b`, from the lowest bits on.
fn scale(scales: &[u8], part: usize) -> i8 {
    let low = scales[part % 8] >> (part / 8 * 4) & 15;
    let high = scales[8 + part % 4] >> (part / 4 * 2) & 3;
    (low | high << 4) as i8 - 32
}
