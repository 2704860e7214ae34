//! `numpy.quantile` with linear interpolation, bit for bit.

/// A stored value: `f32` or `f64`. Edges differ between the two, for NumPy subtracts neighbours in the type of its
/// input and does the rest in f64.
pub trait Value: sealed::Arithmetic {}

impl Value for f32 {}
impl Value for f64 {}

mod sealed {
    pub trait Arithmetic: Copy {
        /// The value, widened.
        fn to_f64(self) -> f64;

        /// Sorts numbers that are at least 0.
        fn sort(values: &mut [Self]);

        /// `self - lower` in the type's own precision, widened.
        fn difference(self, lower: Self) -> f64;
    }

    impl Arithmetic for f32 {
        fn to_f64(self) -> f64 {
            f64::from(self)
        }

        // The bits of such numbers are in their order, and quicker to compare.
        fn sort(values: &mut [Self]) {
            values.sort_unstable_by_key(|value| value.to_bits());
        }

        fn difference(self, lower: Self) -> f64 {
            f64::from(self - lower)
        }
    }

    impl Arithmetic for f64 {
        fn to_f64(self) -> f64 {
            self
        }

        fn sort(values: &mut [Self]) {
            values.sort_unstable_by_key(|value| value.to_bits());
        }

        fn difference(self, lower: Self) -> f64 {
            self - lower
        }
    }
}

/// The quantiles at `n_edges` equal steps from 0 to 1 of at least one finite value above 0; `values` are sorted on the way.
pub(super) fn edges<T: Value>(values: &mut [T], n_edges: usize) -> Vec<f64> {
    T::sort(values);
    let last = values.len() - 1;
    // `numpy.linspace` multiplies by the step and sets the last point itself.
    let step = 1.0 / (n_edges.max(2) - 1) as f64;
    (0..n_edges)
        .map(|i| {
            let q = if i > 0 && i == n_edges - 1 { 1.0 } else { i as f64 * step };
            let place = last as f64 * q;
            let below = place.floor();
            let t = place - below;
            let (a, b) = (values[below as usize], values[(below as usize + 1).min(last)]);
            let d = b.difference(a);
            // From the nearer end, so that a quantile never leaves the two values.
            if t >= 0.5 { b.to_f64() - d * (1.0 - t) } else { a.to_f64() + d * t }
        })
        .collect()
}
