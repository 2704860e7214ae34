//! Random orders and choices.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Puts `items` into random order.
    pub(super) fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            // The bias of this multiplication is below the number of items divided by 2^32.
            let j = ((u64::from(self.0.next_u32()) * (i as u64 + 1)) >> 32) as usize;
            items.swap(i, j);
        }
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (f64::EPSILON / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_and_every_place_is_reached() {
        let mut random = Random::new(1);
        let mut reached = [[0u32; 5]; 5];
        for _ in 0..5000 {
            let mut items = [0, 1, 2, 3, 4];
            random.shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                reached[place][item as usize] += 1;
            }
        }
        // Six standard deviations of a binomial count around 1000.
        assert!(reached.iter().flatten().all(|n| n.abs_diff(1000) < 170), "{reached:?}");
        assert!(reached.iter().all(|row| row.iter().sum::<u32>() == 5000));
    }
}
