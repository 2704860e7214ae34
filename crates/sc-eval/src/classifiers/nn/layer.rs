//! The weights of one layer.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::split::RandomState;

/// Outputs that are worked together, whatever the SIMD width of the machine.
pub(crate) const LANES: usize = 16;

/// A linear map with intercepts.
///
/// The outputs come in panels of [`LANES`]: a panel holds its weights by input, then one row of intercepts, as if there
/// were one more input that is always 1. Outputs beyond the last are zero and stay so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    n_in: usize,
    n_out: usize,
    panels: Vec<f32>,
}

impl Layer {
    pub(crate) fn zeros(n_in: usize, n_out: usize) -> Self {
        Self { n_in, n_out, panels: vec![0.0; n_out.div_ceil(LANES) * (n_in + 1) * LANES] }
    }

    /// Weights and intercepts drawn evenly from ±√(6 / (n_in + n_out)) (Glorot and Bengio, AISTATS 2010), in the order in
    /// which scikit-learn draws them.
    pub(crate) fn glorot(n_in: usize, n_out: usize, random: &mut RandomState) -> Self {
        let bound = (6.0 / (n_in + n_out) as f64).sqrt();
        let mut layer = Self::zeros(n_in, n_out);
        // The row after the last input is that of the intercepts.
        for input in 0..=n_in {
            for output in 0..n_out {
                *layer.at_mut(input, output) = random.uniform(-bound, bound) as f32;
            }
        }
        layer
    }

    /// * `weights`: inputs × outputs; `intercepts`: one per output.
    pub(crate) fn new(weights: ArrayView2<'_, f32>, intercepts: ArrayView1<'_, f32>) -> Self {
        let mut layer = Self::zeros(weights.nrows(), weights.ncols());
        for ((input, output), &w) in weights.indexed_iter() {
            *layer.at_mut(input, output) = w;
        }
        for (output, &b) in intercepts.iter().enumerate() {
            *layer.at_mut(layer.n_in, output) = b;
        }
        layer
    }

    /// Inputs × outputs.
    pub(crate) fn weights(&self) -> Array2<f32> {
        Array2::from_shape_fn((self.n_in, self.n_out), |(input, output)| {
            self.panels[self.place(input, output)]
        })
    }

    /// One per output.
    pub(crate) fn intercepts(&self) -> Array1<f32> {
        Array1::from_shape_fn(self.n_out, |output| self.panels[self.place(self.n_in, output)])
    }

    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    pub(crate) fn n_out(&self) -> usize {
        self.n_out
    }

    /// Values of a row of outputs, the unused ones included.
    pub(crate) fn width(&self) -> usize {
        self.n_out.div_ceil(LANES) * LANES
    }

    /// Values of one panel.
    pub(crate) fn stride(&self) -> usize {
        (self.n_in + 1) * LANES
    }

    pub(crate) fn panels(&self) -> &[f32] {
        &self.panels
    }

    pub(crate) fn panels_mut(&mut self) -> &mut [f32] {
        &mut self.panels
    }

    pub(crate) fn at_mut(&mut self, input: usize, output: usize) -> &mut f32 {
        let place = self.place(input, output);
        &mut self.panels[place]
    }

    fn place(&self, input: usize, output: usize) -> usize {
        output / LANES * self.stride() + input * LANES + output % LANES
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.panels.iter().all(|w| w.is_finite())
    }

    /// Proves what the kernels rely on, for a value that was read from a file.
    pub(crate) fn check(&self, n_in: usize, n_out: usize) -> Result<(), String> {
        if (self.n_in, self.n_out) != (n_in, n_out) {
            return Err(format!(
                "a layer maps {} values to {}, expected {n_in} to {n_out}",
                self.n_in, self.n_out
            ));
        }
        let expected =
            n_in.checked_add(1).and_then(|n| n.checked_mul(n_out.checked_next_multiple_of(LANES)?));
        if expected != Some(self.panels.len()) {
            return Err(format!("{} weights do not make a layer of {n_in} to {n_out}", self.panels.len()));
        }
        match self.is_finite() {
            true => Ok(()),
            false => Err("a weight is not finite".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn weights_come_back_as_they_were_given() {
        let weights = Array2::from_shape_fn((3, 18), |(i, j)| (i * 18 + j) as f32);
        let intercepts = Array1::from_shape_fn(18, |j| -(j as f32));
        let layer = Layer::new(weights.view(), intercepts.view());
        assert_eq!((layer.weights(), layer.intercepts()), (weights, intercepts));
        assert_eq!(layer.width(), 32);
        layer.check(3, 18).unwrap();
    }

    #[test]
    fn layers_that_lie_are_found() {
        let layer = Layer::new(array![[1.0], [2.0]].view(), array![f32::NAN].view());
        assert_eq!(layer.check(2, 1).unwrap_err(), "a weight is not finite");
        assert_eq!(layer.check(3, 1).unwrap_err(), "a layer maps 2 values to 1, expected 3 to 1");
        let lying = Layer { n_in: usize::MAX, n_out: usize::MAX, panels: Vec::new() };
        assert!(lying.check(usize::MAX, usize::MAX).unwrap_err().starts_with("0 weights do not make"));
    }

    #[test]
    fn seed_42_draws_what_scikit_learn_draws() {
        // MLPClassifier(hidden_layer_sizes=(3,), random_state=42) on 2 features: coefs_[0], intercepts_[0] at the start.
        let layer = Layer::glorot(2, 3, &mut RandomState::new(42).unwrap());
        let expected = [-0.274_868_8, 0.987_465_6, 0.508_273_3, 0.216_149_9, -0.753_625_4, -0.753_678_2];
        for (found, expected) in layer.weights().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
    }
}
