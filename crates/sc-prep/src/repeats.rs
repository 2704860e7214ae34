//! A function of one value, evaluated once per distinct value.
//!
//! The counts of a cell are mostly 1, 2, 3: a cell with thousands of stored values holds a few dozen different ones, and
//! normalising keeps it so. A small direct-mapped table turns nearly every logarithm into a look-up. The result does
//! not depend on what the table holds.

const SLOTS: usize = 128;

/// `function`, with its most recent results remembered.
pub(crate) struct Repeats<T, F> {
    function: F,
    slots: Box<[(u32, T); SLOTS]>,
}

impl<T: Copy, F: Fn(f32) -> T> Repeats<T, F> {
    pub(crate) fn new(function: F) -> Self {
        // Every slot starts with the result for +0, which is correct wherever it is found.
        let slots = Box::new([(0f32.to_bits(), function(0.0)); SLOTS]);
        Self { function, slots }
    }

    /// `function(value)`.
    #[inline]
    pub(crate) fn get(&mut self, value: f32) -> T {
        let bits = value.to_bits();
        // Multiplicative hashing: the low bits of a float alone are often all zero.
        let slot = &mut self.slots[(bits.wrapping_mul(0x9E37_79B1) >> 25) as usize];
        if slot.0 != bits {
            *slot = (bits, (self.function)(value));
        }
        slot.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_result_is_the_result() {
        let mut square = Repeats::new(|v: f32| f64::from(v) * f64::from(v));
        for round in 0..2 {
            for i in 0..1000 {
                let v = i as f32 * 0.37 - 100.0;
                assert_eq!(square.get(v), f64::from(v) * f64::from(v), "round {round}");
            }
        }
        assert!(square.get(f32::NAN).is_nan());
    }
}
