//! Random weights to start from.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// `n` numbers of N(0, `deviation`²), by the method of Box and Muller (1958). Same seed and stream, same bits on every
/// machine.
pub(crate) fn normal(n: usize, deviation: f64, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        // In (0, 1]: its logarithm is finite.
        let u = 1.0 - uniform(&mut rng);
        let radius = deviation * (-2.0 * libm::log(u)).sqrt();
        let (sin, cos) = libm::sincos(TAU * uniform(&mut rng));
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(n);
    values
}

/// `n` numbers, uniform between `−bound` and `bound`. Same seed and stream, same bits on every machine.
pub(crate) fn uniform_within(n: usize, bound: f64, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    (0..n).map(|_| ((2.0 * uniform(&mut rng) - 1.0) * bound) as f32).collect()
}

/// A number in `[0, 1)` from the upper 53 bits of a draw.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_have_the_moments_of_the_distribution() {
        let values = normal(20_001, 0.5, 1, 2);
        assert_eq!(values.len(), 20_001);
        let n = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let moment = |k| values.iter().map(|&x| ((f64::from(x) - mean) / 0.5).powi(k)).sum::<f64>() / n;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((moment(2) - 1.0).abs() < 0.05 && moment(3).abs() < 0.1 && (moment(4) - 3.0).abs() < 0.2);
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        let values = uniform_within(20_000, 0.25, 1, 2);
        assert!(values.iter().all(|x| x.abs() <= 0.25));
        let mean = |f: fn(f32) -> f32| values.iter().map(|&x| f(x)).sum::<f32>() / values.len() as f32;
        assert!(mean(|x| x).abs() < 0.005);
        assert!((mean(|x| x * x) - 0.0625 / 3.0).abs() < 5e-4);
    }

    #[test]
    fn a_stream_is_repeated_by_its_seed_and_number_alone() {
        assert_eq!(normal(5, 1.0, 7, 3), normal(6, 1.0, 7, 3)[..5]);
        assert_ne!(normal(5, 1.0, 7, 3), normal(5, 1.0, 7, 4));
        assert_ne!(normal(5, 1.0, 7, 3), normal(5, 1.0, 8, 3));
    }
}
