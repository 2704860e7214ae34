//! Random numbers for the layout.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream is for; each purpose draws from its own.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Eigenvectors = 0,
    Start = 1,
    NegativeSamples = 2,
}

/// The stream of one purpose.
pub(super) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose as u64);
    rng
}

/// Uniform in `[-1, 1)`.
pub(super) fn symmetric(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * f64::EPSILON - 1.0
}

/// The generator of one cell's negative samples: a 64-bit linear congruence with Knuth's multiplier.
///
/// A layout draws tens of millions of indices, and each cell needs a state of its own to be independent of the others.
/// The high half of such a state is random enough to pick a cell, in a few cycles.
#[derive(Clone, Copy)]
pub(super) struct CellRng(u64);

impl CellRng {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        Self(rng.next_u64())
    }

    /// An index below `n < 2^32`.
    #[inline(always)]
    pub(super) fn below(&mut self, n: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * n) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_indices_are_spread_evenly() {
        let mut rng = CellRng::new(&mut stream(3, Purpose::NegativeSamples));
        let mut seen = [0u32; 10];
        for _ in 0..100_000 {
            seen[rng.below(10)] += 1;
        }
        // Six standard deviations of a binomial count.
        assert!(seen.iter().all(|&n| n.abs_diff(10_000) < 570), "{seen:?}");
    }

    #[test]
    fn symmetric_numbers_fill_their_interval() {
        let mut rng = stream(0, Purpose::Start);
        let drawn: Vec<f64> = (0..10_000).map(|_| symmetric(&mut rng)).collect();
        assert!(drawn.iter().all(|v| (-1.0..1.0).contains(v)));
        assert!((drawn.iter().sum::<f64>() / 1e4).abs() < 0.03);
        assert!(drawn.iter().any(|&v| v < -0.99) && drawn.iter().any(|&v| v > 0.99));
    }
}
