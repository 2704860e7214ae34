//! Random numbers of perturbations: one stream for each item and purpose.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::normal::normal_quantile;

/// What a stream is for, so that two perturbations with one seed are independent.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Noise,
    Mask,
    Thin,
    Membership,
    Factors,
    Rounding,
}

/// Purposes that a stream number has room for.
const PURPOSES: u64 = 8;

/// The stream of one cell; [`Purpose::Factors`] has a single one.
pub(super) fn stream(seed: u64, purpose: Purpose, item: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((item as u64).wrapping_mul(PURPOSES).wrapping_add(purpose as u64));
    rng
}

/// Uniform in (0, 1), both ends excluded; 53 bits.
#[inline]
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Standard normal, from one uniform number.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    normal_quantile(uniform(rng))
}
