//! The parts of numpy's legacy `RandomState` that scikit-learn's splitters use, draw for draw.

use super::mersenne_twister::MersenneTwister;
use crate::{Error, Result};

/// numpy's `RandomState(seed)`.
#[derive(Clone, Debug)]
pub(crate) struct RandomState(MersenneTwister);

impl RandomState {
    /// # Errors
    /// [`Error::Parameter`] from 2³² on, as in numpy.
    pub(crate) fn new(seed: u64) -> Result<Self> {
        let seed = u32::try_from(seed).map_err(|_| Error::Parameter {
            name: "seed",
            value: seed.to_string(),
            expected: "at most 4294967295, as in numpy's RandomState",
        })?;
        Ok(Self(MersenneTwister::new(seed)))
    }

    /// `RandomState.shuffle`: Fisher and Yates' shuffle from the end.
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.interval(i as u64) as usize);
        }
    }

    /// `RandomState.permutation(n)`.
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `RandomState.choice(values, size, replace=False)`; at most `values.len()`.
    pub(crate) fn choice(&mut self, values: &[usize], size: usize) -> Vec<usize> {
        self.permutation(values.len()).into_iter().take(size).map(|i| values[i]).collect()
    }

    /// `RandomState.uniform(low, high)`: 53 random bits between the two.
    #[cfg(feature = "classifiers")]
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let (upper, lower) = (f64::from(self.0.next_u32() >> 5), f64::from(self.0.next_u32() >> 6));
        let unit = (upper * f64::from(1u32 << 26) + lower) / (1u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// A uniform integer in `0..=max`: draws as many bits as `max` has, again until the value fits.
    fn interval(&mut self, max: u64) -> u64 {
        if max == 0 {
            return 0;
        }
        let mask = u64::MAX >> max.leading_zeros();
        loop {
            let bits = match u32::try_from(max) {
                Ok(_) => u64::from(self.0.next_u32()),
                Err(_) => (u64::from(self.0.next_u32()) << 32) | u64::from(self.0.next_u32()),
            };
            if bits & mask <= max {
                return bits & mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RandomState;

    #[test]
    fn seed_42_permutes_ten_as_numpy_does() {
        let order = RandomState::new(42).unwrap().permutation(10);
        assert_eq!(order, [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
    }

    #[cfg(feature = "classifiers")]
    #[test]
    fn seed_42_draws_uniform_numbers_as_numpy_does() {
        let mut state = RandomState::new(42).unwrap();
        let expected = [0.374_540_118_847_362_5, 0.950_714_306_409_916_2, 0.731_993_941_811_405_1];
        assert_eq!([(); 3].map(|()| state.uniform(0.0, 1.0)), expected);
    }

    #[test]
    fn a_seed_beyond_32_bits_is_refused() {
        assert!(RandomState::new(u64::from(u32::MAX)).is_ok());
        assert!(RandomState::new(1 << 32).is_err());
    }

    #[test]
    fn a_choice_is_the_head_of_a_permutation() {
        let mut state = RandomState::new(0).unwrap();
        let order = state.clone().permutation(5);
        assert_eq!(state.choice(&[10, 11, 12, 13, 14], 2), [10 + order[0], 10 + order[1]]);
    }
}
