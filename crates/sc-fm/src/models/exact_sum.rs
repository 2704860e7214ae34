//! A sum that does not depend on the order of its terms.

/// 2⁻⁶⁴, the unit of the sum.
const UNIT: f64 = 1.0 / (1u128 << 64) as f64;

/// A sum of values as a whole number of 2⁻⁶⁴: each term is rounded to that once (not at all from 2⁻⁴⁰ on), and whole
/// numbers have the same sum in any order. Terms of 2⁴⁰ and more, and those that are no numbers, make it NaN, for no
/// hidden value is like that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExactSum {
    units: i128,
    is_nan: bool,
}

impl ExactSum {
    pub(crate) fn add(&mut self, value: f32) {
        // 2²³ terms of the largest kind fit; a sum of more that does not fit says so.
        let is_small = value.abs() < (1u64 << 40) as f32;
        let units = if is_small { (f64::from(value) / UNIT) as i128 } else { 0 };
        let (sum, overflows) = self.units.overflowing_add(units);
        self.units = sum;
        self.is_nan |= !is_small | overflows;
    }

    /// The sum divided by `n`.
    pub(crate) fn mean(self, n: u64) -> f32 {
        match self.is_nan {
            true => f32::NAN,
            false => (self.units as f64 * UNIT / n as f64) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f32]) -> f32 {
        let mut sum = ExactSum::default();
        values.iter().for_each(|&value| sum.add(value));
        sum.mean(values.len() as u64)
    }

    #[test]
    fn the_order_of_the_terms_does_not_matter() {
        let mut values: Vec<f32> =
            (0..1000).map(|i| (i as f32 * 12.9898).sin() * 10f32.powi(i % 9 - 4)).collect();
        let forward = mean(&values);
        values.reverse();
        assert_eq!(mean(&values).to_bits(), forward.to_bits());
        values.sort_by(f32::total_cmp);
        assert_eq!(mean(&values).to_bits(), forward.to_bits());
        let exact = values.iter().map(|&value| f64::from(value)).sum::<f64>() / 1000.0;
        assert!((f64::from(forward) - exact).abs() < 1e-7 * exact.abs());
    }

    #[test]
    fn small_terms_survive_beside_large_ones() {
        assert_eq!(mean(&[1e9, 1e-9, -1e9, 1e-9]), 5e-10);
        assert_eq!(mean(&[1e-30]), 0.0);
    }

    #[test]
    fn what_no_hidden_value_is_makes_the_sum_no_number() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 2e12] {
            assert!(mean(&[1.0, value, 1.0]).is_nan(), "{value}");
        }
    }
}
