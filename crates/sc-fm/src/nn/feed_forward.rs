//! Two linear layers with a function between them.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd};
use rayon::prelude::*;

use super::gemm::View;
use super::simd::{Binary, Unary, map_binary, map_unary};
use super::{Activation, LayerDropout, Linear, Packing, cpu};

/// Rows that go through both layers together where nothing is trained: what lies between the layers then stays in the
/// cache, and the next rows use the same memory.
const ROWS: usize = 96;

/// Values that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// `f(x W₁ᵀ + b₁) W₂ᵀ + b₂`, row by row.
#[derive(Clone, Debug)]
pub struct FeedForward {
    pub(super) first: Linear,
    pub(super) second: Linear,
    pub(super) activation: Activation,
}

/// `second(activation(first(x)))`, or with a gate `second(activation(gate(x)) ∘ first(x))` (Shazeer 2020), for `x`:
/// `rows × width`; differentiable.
///
/// Where no layer can be trained and no gradient of `x` is wanted, some rows at a time, with the same bits.
///
/// # Errors
/// What the tensor library reports, shapes that do not fit above all.
pub fn feed_forward(
    x: &Tensor,
    gate: Option<&Linear>,
    (first, second): (&Linear, &Linear),
    activation: Activation,
) -> Result<Tensor> {
    if let Some(y) = in_parts(x, gate, (first, second), activation)? {
        return Ok(y);
    }
    let inner = match gate {
        Some(gate) => (gate.forward(x, activation)? * first.forward(x, Activation::Identity)?)?,
        None => first.forward(x, activation)?,
    };
    second.forward(&inner, Activation::Identity)
}

/// Some rows at a time, where that can be done.
fn in_parts(
    x: &Tensor,
    gate: Option<&Linear>,
    (first, second): (&Linear, &Linear),
    activation: Activation,
) -> Result<Option<Tensor>> {
    let (n_rows, width) = x.dims2()?;
    let (inner, inputs) = first.dims()?;
    let (outputs, between) = second.dims()?;
    let fits = inputs == width
        && between == inner
        && gate.is_none_or(|gate| gate.dims().is_ok_and(|dims| dims == (inner, width)));
    if x.track_op() || !cpu::is_fused(&[x]) || !fits {
        return Ok(None);
    }
    let (Some(to_inner), Some(to_outer)) = (first.frozen_product(), second.frozen_product()) else {
        return Ok(None);
    };
    let to_gate = gate.map(Linear::frozen_product);
    if matches!(to_gate, Some(None)) {
        return Ok(None);
    }
    let x = cpu::contiguous_rows(x)?;
    let (storage, layout) = x.storage_and_layout();
    let matrix = cpu::matrix(cpu::storage(&storage)?, layout)?;
    let arch = Arch::new();
    let at_once = n_rows.min(ROWS) * inner;
    let (mut values, mut gates, mut between) = (vec![0.0; at_once], vec![0.0; 0], vec![0.0; at_once]);
    gates.resize(if to_gate.is_some() { at_once } else { 0 }, 0.0);
    let mut y = vec![0.0; n_rows * outputs];
    for (part, y) in y.chunks_mut((ROWS * outputs).max(1)).enumerate() {
        let rows = (n_rows - part * ROWS).min(ROWS);
        let x = View::strided(&matrix.data[part * ROWS * matrix.stride..], (rows, width), (matrix.stride, 1));
        let (values, between) = (&mut values[..rows * inner], &mut between[..rows * inner]);
        to_inner(x, values);
        let gates: &[f32] = match &to_gate {
            Some(Some(to_gate)) => {
                to_gate(x, &mut gates[..rows * inner]);
                &gates[..rows * inner]
            }
            _ => values,
        };
        let chunks = between.par_chunks_mut(CHUNK).zip(gates.par_chunks(CHUNK)).zip(values.par_chunks(CHUNK));
        chunks.for_each(|((out, gates), values)| match to_gate.is_some() {
            true => map_binary(arch, &Gated(activation), gates, values, out),
            false => map_unary(arch, &activation, values, out),
        });
        to_outer(View::new(between, rows, inner), y);
    }
    Tensor::from_vec(y, (n_rows, outputs), x.device()).map(Some)
}

/// The function of the first value times the second.
struct Gated(Activation);

impl Binary for Gated {
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, gate: S::f32s, x: S::f32s) -> S::f32s {
        simd.mul_f32s(self.0.apply(simd, gate), x)
    }
}

impl FeedForward {
    /// * `first`: to the inner width; `second`: back again.
    pub fn new(first: Linear, second: Linear, activation: Activation) -> Self {
        Self { first, second, activation }
    }

    /// For `x`: `rows × width`, the same shape; differentiable.
    ///
    /// # Errors
    /// What the tensor library reports, shapes that do not fit above all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        feed_forward(x, None, (&self.first, &self.second), self.activation)
    }

    /// [`forward`](Self::forward) with dropout behind the function.
    pub(super) fn forward_with(
        &self,
        x: &Tensor,
        packing: &Packing,
        dropout: &LayerDropout<'_>,
    ) -> Result<Tensor> {
        let site = |number| Some(dropout.site(packing, number));
        let inner = self.first.forward_with(x, self.activation, site(LayerDropout::FIRST))?;
        let inner = dropout.at(LayerDropout::INNER, dropout.inner).forward(&inner, packing)?;
        self.second.forward_with(&inner, Activation::Identity, site(LayerDropout::SECOND))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::nn::gemm::Precision;
    use crate::nn::testing::{numbers, same_bits};

    fn linear(outputs: usize, inputs: usize, seed: u64, has_bias: bool, precision: Precision) -> Linear {
        let tensor = |n: usize, seed| Tensor::from_vec(numbers(seed, n), n, &Device::Cpu).unwrap();
        let weight = tensor(outputs * inputs, seed).reshape((outputs, inputs)).unwrap();
        Linear::with_precision(weight, has_bias.then(|| tensor(outputs, seed + 50)), precision)
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn rows_in_parts_have_the_bits_of_all_rows_at_once() {
        for precision in [Precision::F32Grade, Precision::Bf16, Precision::Q8_0] {
            for (gated, activation) in
                [(true, Activation::Silu), (false, Activation::GeluTanh), (false, Activation::Relu)]
            {
                let gate = gated.then(|| linear(70, 33, 1, false, precision));
                let (first, second) =
                    (linear(70, 33, 2, true, precision), linear(33, 70, 3, true, precision));
                for n_rows in [0, 1, ROWS, 2 * ROWS + 5] {
                    let x = Tensor::from_vec(numbers(4, n_rows * 33), (n_rows, 33), &Device::Cpu).unwrap();
                    let parts = in_parts(&x, gate.as_ref(), (&first, &second), activation).unwrap();
                    let inner = match &gate {
                        Some(gate) => {
                            let gate = gate.forward(&x, activation).unwrap();
                            (gate * first.forward(&x, Activation::Identity).unwrap()).unwrap()
                        }
                        None => first.forward(&x, activation).unwrap(),
                    };
                    let whole = second.forward(&inner, Activation::Identity).unwrap();
                    assert!(same_bits(&values(&parts.unwrap()), &values(&whole)), "{precision:?} {n_rows}");
                }
            }
        }
    }

    #[test]
    fn where_a_gradient_is_wanted_nothing_is_done_in_parts() {
        let precision = Precision::default();
        let (first, second) = (linear(7, 3, 1, true, precision), linear(3, 7, 2, true, precision));
        let x = Var::from_tensor(&Tensor::from_vec(numbers(3, 6), (2, 3), &Device::Cpu).unwrap()).unwrap();
        let y = feed_forward(&x, None, (&first, &second), Activation::Gelu).unwrap();
        assert!(y.sum_all().unwrap().backward().unwrap().get(&x).is_some());
        let narrow = Tensor::zeros((2, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        let error = feed_forward(&narrow, None, (&first, &second), Activation::Gelu).unwrap_err();
        assert!(error.to_string().contains("linear"), "{error}");
    }
}
