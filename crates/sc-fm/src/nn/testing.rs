//! What the tests of the layers share.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Numbers between −1 and 1.
pub(crate) fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The largest difference and its place; infinite where one is NaN.
pub(crate) fn largest_difference(x: &[f32], y: &[f32]) -> (f32, usize) {
    assert_eq!(x.len(), y.len());
    let differences = x.iter().zip(y).enumerate().map(|(i, (x, y))| {
        let difference = (x - y).abs();
        (if difference.is_nan() { f32::INFINITY } else { difference }, i)
    });
    differences.fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a })
}

/// Whether two results are the same to the last bit.
pub(crate) fn same_bits(x: &[f32], y: &[f32]) -> bool {
    x.len() == y.len() && x.iter().zip(y).all(|(x, y)| x.to_bits() == y.to_bits())
}

/// The result of a task in a pool of so many threads.
pub(crate) fn on_threads<R: Send>(threads: usize, task: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(task)
}
