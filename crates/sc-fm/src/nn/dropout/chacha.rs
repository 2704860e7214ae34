//! ChaCha8 (Bernstein 2008), <https://cr.yp.to/chacha/chacha-20080128.pdf>: sixteen blocks side by side.
//!
//! The words are those of `rand_chacha`'s `ChaCha8Rng` of the same key and stream, in another order, for the mask of an
//! attention takes more of them than its products leave time for.

use pulp::Simd;

use crate::nn::simd::LANES;

/// Words of sixteen blocks.
pub(super) const GROUP: usize = 16 * LANES;

/// Which blocks.
pub(super) struct Words {
    pub(super) key: [u32; 8],
    pub(super) stream: u64,
    /// The first of sixteen blocks; a multiple of 16.
    pub(super) first: u64,
}

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

const COUNT: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// `out[16 w + l]` is word `w` of block `first + l`.
#[inline(always)]
pub(super) fn words<S: Simd>(simd: S, at: Words, out: &mut [u32; GROUP]) {
    let low = |x: u64| x as u32;
    let high = |x: u64| (x >> 32) as u32;
    let mut start = [0; 16];
    start[..4].copy_from_slice(&CONSTANTS);
    start[4..12].copy_from_slice(&at.key);
    start[12..].copy_from_slice(&[low(at.first), high(at.first), low(at.stream), high(at.stream)]);
    for (register, count) in S::as_simd_u32s(&COUNT).0.iter().enumerate() {
        let begin = |w: usize| {
            let x = simd.splat_u32s(start[w]);
            if w == 12 { simd.add_u32s(x, *count) } else { x }
        };
        let mut x: [S::u32s; 16] = std::array::from_fn(begin);
        for _ in 0..4 {
            for i in 0..4 {
                quarter(simd, &mut x, [i, 4 + i, 8 + i, 12 + i]);
            }
            for i in 0..4 {
                quarter(simd, &mut x, [i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]);
            }
        }
        for (w, x) in x.into_iter().enumerate() {
            let lanes = S::as_mut_simd_u32s(&mut out[w * LANES..][..LANES]).0;
            lanes[register] = simd.add_u32s(x, begin(w));
        }
    }
}

/// A quarter of a round.
#[inline(always)]
fn quarter<S: Simd>(simd: S, x: &mut [S::u32s; 16], [a, b, c, d]: [usize; 4]) {
    for [sum, add, turn, by] in [[a, b, d, 16], [c, d, b, 12], [a, b, d, 8], [c, d, b, 7]] {
        x[sum] = simd.add_u32s(x[sum], x[add]);
        let mixed = simd.xor_u32s(x[turn], x[sum]);
        let up = simd.wrapping_dyn_shl_u32s(mixed, simd.splat_u32s(by as u32));
        let down = simd.wrapping_dyn_shr_u32s(mixed, simd.splat_u32s(32 - by as u32));
        x[turn] = simd.or_u32s(up, down);
    }
}
