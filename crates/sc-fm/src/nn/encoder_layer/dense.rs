//! A linear layer, or several side by side, and the derivatives, on plain values.

use candle_core::{Result, Tensor};

use super::parameters::{Pair, values_of};
use crate::nn::Linear;
use crate::nn::gemm::{Epilogue, Kernel, Packed, View, gemm, gemm_vec};
use crate::nn::linear::op::column_sums;

/// Layers of the same input, whose outputs stand side by side.
pub(super) struct Dense<'a> {
    layers: Vec<&'a Linear>,
    kernel: Kernel,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
}

impl<'a> Dense<'a> {
    /// Nothing for layers without a bias, with an adapter, whose weight is packed alone, with other kernels or inputs than
    /// the first, or none at all.
    pub(super) fn new(layers: Vec<&'a Linear>) -> Option<Self> {
        let first = layers.first()?;
        let (kernel, inputs) = (first.kernel(), first.weight()?.dim(1).ok()?);
        let mut outputs = 0;
        for layer in &layers {
            let (own, columns) = layer.weight()?.dims2().ok()?;
            let bias = layer.bias()?;
            let fits = columns == inputs && bias.dims() == [own] && layer.kernel() == kernel;
            if !fits || layer.is_adapted() {
                return None;
            }
            outputs += own;
        }
        Some(Self { layers, kernel, outputs, inputs })
    }

    /// Weight and bias of each layer.
    pub(super) fn parameters(&self) -> impl Iterator<Item = [&'a Tensor; 2]> {
        self.layers.iter().filter_map(|layer| Some([layer.weight()?, layer.bias()?]))
    }

    /// `f(x Wᵀ + b)` for `rows × inputs` values, with `relu` as f if asked.
    pub(super) fn forward(&self, x: &[f32], relu: bool) -> Result<Vec<f32>> {
        let weight = self.packed(|weight| Packed::new(weight, self.kernel))?;
        let mut bias = Vec::with_capacity(self.outputs);
        for [_, values] in self.parameters() {
            values_of(values, |values| bias.extend_from_slice(values))?;
        }
        let epilogue = Epilogue { bias: Some(&bias), relu, accumulate: false };
        Ok(gemm_vec(View::new(x, x.len() / self.inputs, self.inputs), &weight, epilogue))
    }

    /// The gradient of `x`, into new memory.
    pub(super) fn gradient(&self, slopes: &[f32]) -> Result<Vec<f32>> {
        let weight = self.packed(|weight| Packed::new(weight.t(), self.kernel))?;
        Ok(gemm_vec(self.rows(slopes), &weight, Epilogue::default()))
    }

    /// Adds the gradient of `x`.
    pub(super) fn add_gradient(&self, slopes: &[f32], sum: &mut [f32]) -> Result<()> {
        let weight = self.packed(|weight| Packed::new(weight.t(), self.kernel))?;
        gemm(self.rows(slopes), &weight, Epilogue { accumulate: true, ..Epilogue::default() }, sum);
        Ok(())
    }

    /// The gradients of weights and biases, as far as they can be trained.
    pub(super) fn of_parameters(&self, x: &[f32], slopes: &[f32], out: &mut Vec<Pair>) {
        let rows = x.len() / self.inputs;
        let mut packed = None;
        let sums =
            self.parameters().any(|[_, bias]| bias.track_op()).then(|| column_sums(slopes, self.outputs));
        let mut first = 0;
        for [weight, bias] in self.parameters() {
            let outputs = bias.elem_count();
            let of_weight = weight.track_op().then(|| {
                let x = packed
                    .get_or_insert_with(|| Packed::new(View::new(x, rows, self.inputs).t(), self.kernel));
                let slopes = View::strided(&slopes[first..], (rows, outputs), (self.outputs, 1));
                gemm_vec(slopes.t(), x, Epilogue::default())
            });
            let of_bias = sums.as_ref().filter(|_| bias.track_op());
            out.push([of_weight, of_bias.map(|sums| sums[first..first + outputs].to_vec())]);
            first += outputs;
        }
    }

    fn rows<'b>(&self, slopes: &'b [f32]) -> View<'b> {
        View::new(slopes, slopes.len() / self.outputs, self.outputs)
    }

    /// What is made of the weight of all layers, one below the other.
    fn packed(&self, pack: impl FnOnce(View<'_>) -> Packed) -> Result<Packed> {
        if let [only] = self.layers[..]
            && let Some(weight) = only.weight()
        {
            return values_of(weight, |values| pack(View::new(values, self.outputs, self.inputs)));
        }
        let mut all = Vec::with_capacity(self.outputs * self.inputs);
        for [weight, _] in self.parameters() {
            values_of(weight, |values| all.extend_from_slice(values))?;
        }
        Ok(pack(View::new(&all, self.outputs, self.inputs)))
    }
}
