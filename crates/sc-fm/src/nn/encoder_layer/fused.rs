//! A post-norm layer in training as one operation of the tensor library.
//!
//! What passes between the parts of the layer, in either direction, stays in plain memory: the tensor library would fill a
//! tensor with zeros for each gradient, and add the gradient to it on threads of its own. Queries, keys and values are one
//! product, however the checkpoint has them.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use pulp::Arch;

use super::dense::Dense;
use super::parameters::{Pair, Waiting, chain, values_of};
use super::{EncoderLayer, LayerDropout, NormOrder, Projection};
use crate::nn::attention::{SelfAttention, Stats};
use crate::nn::cpu::{self, Matrix};
use crate::nn::dropout::Keep;
use crate::nn::dropout::elementwise::apply;
use crate::nn::norm::op::Norm;
use crate::nn::{Activation, Dropout, LayerNorm, Packing, activation};

/// What the layer makes of `x`, if it is one that can be computed so and there is something to train: else nothing.
pub(super) fn forward(
    layer: &EncoderLayer,
    x: &Tensor,
    packing: &Packing,
    dropout: Option<&LayerDropout<'_>>,
) -> Result<Option<Tensor>> {
    let Some(parts) = Parts::new(layer, x, packing) else { return Ok(None) };
    let trains = |pair: [&Tensor; 2]| pair.into_iter().any(Tensor::track_op);
    if !x.track_op() && !parts.parameters().into_iter().any(trains) {
        return Ok(None);
    }
    let waiting = Waiting::default();
    let end = chain(parts.parameters(), &waiting)?;
    let site = |number, rate: fn(&LayerDropout<'_>) -> f64| {
        let dropout = dropout.map(|dropout| dropout.at(number, rate(dropout)));
        Dropping::new(dropout, packing)
    };
    let weights = dropout.map(|dropout| dropout.at(LayerDropout::ATTENTION, dropout.attention));
    let op = Fused {
        attention: SelfAttention::new(packing, layer.attention, weights.as_ref())?,
        joined: site(LayerDropout::ATTENTION_OUTPUT, |dropout| dropout.output)?,
        inner: site(LayerDropout::INNER, |dropout| dropout.inner)?,
        fed: site(LayerDropout::OUTPUT, |dropout| dropout.output)?,
        layer: layer.clone(),
        packing: packing.clone(),
        by_x: x.track_op(),
        kept: OnceLock::new(),
        waiting,
    };
    x.contiguous()?.apply_op2(&end, op).map(Some)
}

/// The layer's parts, of which it is known that they fit one another.
struct Parts<'a> {
    projection: Dense<'a>,
    output: Dense<'a>,
    attention_norm: &'a LayerNorm,
    first: Dense<'a>,
    second: Dense<'a>,
    activation: Activation,
    feed_forward_norm: &'a LayerNorm,
}

impl<'a> Parts<'a> {
    /// Nothing unless all shapes fit, in f32 on the processor; the parts one by one say what does not.
    fn new(layer: &'a EncoderLayer, x: &Tensor, packing: &Packing) -> Option<Self> {
        let (rows, width) = x.dims2().ok()?;
        let heads = layer.attention.n_heads;
        if rows == 0 || rows != packing.n_rows() || width == 0 || heads == 0 || !width.is_multiple_of(heads) {
            return None;
        }
        let parts = Self::of(layer)?;
        let shape = |dense: &Dense<'_>| (dense.outputs, dense.inputs);
        let inner = parts.first.outputs;
        let norms = [parts.attention_norm, parts.feed_forward_norm];
        let fits = layer.order == NormOrder::Post
            && matches!(parts.activation, Activation::Relu | Activation::Gelu)
            && inner > 0
            && shape(&parts.projection) == (3 * width, width)
            && shape(&parts.output) == (width, width)
            && shape(&parts.first) == (inner, width)
            && shape(&parts.second) == (width, inner)
            && norms.iter().all(|norm| norm.weight.dims() == [width] && norm.bias.dims() == [width])
            && cpu::is_fused(&[x])
            && parts.parameters().as_flattened().iter().all(|p| p.is_contiguous() && cpu::is_fused(&[p]));
        fits.then_some(parts)
    }

    fn of(layer: &'a EncoderLayer) -> Option<Self> {
        let projection = match &layer.projection {
            Projection::Split { query, key, value } => vec![query, key, value],
            Projection::Fused(all) => vec![all],
        };
        Some(Self {
            projection: Dense::new(projection)?,
            output: Dense::new(vec![&layer.output])?,
            attention_norm: &layer.attention_norm,
            first: Dense::new(vec![&layer.feed_forward.first])?,
            second: Dense::new(vec![&layer.feed_forward.second])?,
            activation: layer.feed_forward.activation,
            feed_forward_norm: &layer.feed_forward_norm,
        })
    }

    /// Weights with their biases, in the order of their gradients.
    fn parameters(&self) -> Vec<[&'a Tensor; 2]> {
        let norm = |norm: &'a LayerNorm| [&norm.weight, &norm.bias];
        let mut all: Vec<_> = self.projection.parameters().chain(self.output.parameters()).collect();
        all.push(norm(self.attention_norm));
        all.extend(self.first.parameters().chain(self.second.parameters()));
        all.push(norm(self.feed_forward_norm));
        all
    }
}

/// Dropout of values where they lie; the gradient drops the same.
struct Dropping(Option<(Dropout, Keep)>);

impl Dropping {
    fn new(dropout: Option<Dropout>, packing: &Packing) -> Result<Self> {
        let Some(dropout) = dropout else { return Ok(Self(None)) };
        Ok(Self(dropout.keep(packing)?.map(|keep| (dropout, keep))))
    }

    fn apply(&self, packing: &Packing, values: &mut [f32]) {
        if let Some((dropout, keep)) = &self.0 {
            apply(dropout, packing, *keep, Arch::new(), values);
        }
    }
}

/// What the gradients need of the forward pass; rows of all tokens.
struct Kept {
    qkv: Vec<f32>,
    attended: Vec<f32>,
    stats: Stats,
    /// What the attention gives to the residual.
    joined: Vec<f32>,
    /// Between the two halves of the layer.
    middle: Vec<f32>,
    /// In front of the function, where its gradient does not follow from what is behind it.
    before: Option<Vec<f32>>,
    inner: Vec<f32>,
    /// What the feed-forward part gives to the residual.
    fed: Vec<f32>,
}

struct Fused {
    layer: EncoderLayer,
    packing: Packing,
    attention: SelfAttention,
    joined: Dropping,
    inner: Dropping,
    fed: Dropping,
    /// Whether the gradient of the input is wanted.
    by_x: bool,
    kept: OnceLock<Kept>,
    waiting: Waiting,
}

impl Fused {
    fn forward(&self, x: &[f32]) -> Result<Vec<f32>> {
        let parts = self.parts()?;
        let width = parts.output.outputs;
        let qkv = parts.projection.forward(x, false)?;
        let (attended, stats) = self.attention.forward(&qkv, width);
        let mut joined = parts.output.forward(&attended, false)?;
        self.joined.apply(&self.packing, &mut joined);
        let middle = norm(parts.attention_norm, &joined, x)?;

        let relu = parts.activation == Activation::Relu;
        let mut inner = parts.first.forward(&middle, relu)?;
        let before = match relu {
            true => None,
            false => {
                let values = activation::values(parts.activation, &inner);
                Some(std::mem::replace(&mut inner, values))
            }
        };
        self.inner.apply(&self.packing, &mut inner);
        let mut fed = parts.second.forward(&inner, false)?;
        self.fed.apply(&self.packing, &mut fed);
        let out = norm(parts.feed_forward_norm, &fed, &middle)?;
        // An op runs once.
        self.kept.get_or_init(|| Kept { qkv, attended, stats, joined, middle, before, inner, fed });
        Ok(out)
    }

    /// The gradient of `x`, and those of the parameters.
    fn backward(&self, kept: &Kept, x: &[f32], gradient: &[f32]) -> Result<(Option<Vec<f32>>, Vec<Pair>)> {
        let parts = self.parts()?;
        let width = parts.output.outputs;
        let (mut halves, mut second) = (vec![], vec![]);

        // `slopes` is the gradient on the residual way, to which that of the part beside it is added.
        let (mut slopes, of_norm) =
            norm_gradients(parts.feed_forward_norm, [&kept.fed, &kept.middle], gradient)?;
        let mut inner = self.beside(&self.fed, &slopes, |slopes| {
            parts.second.of_parameters(&kept.inner, slopes, &mut second);
            parts.second.gradient(slopes)
        })?;
        self.inner.apply(&self.packing, &mut inner);
        match &kept.before {
            None => activation::where_positive(&kept.inner, &mut inner),
            Some(before) => inner = activation::gradients(parts.activation, before, &inner),
        }
        let mut first = vec![];
        parts.first.of_parameters(&kept.middle, &inner, &mut first);
        parts.first.add_gradient(&inner, &mut slopes)?;
        drop(inner);
        halves.push((first, second, of_norm));

        let (mut slopes, of_norm) = norm_gradients(parts.attention_norm, [&kept.joined, x], &slopes)?;
        let mut output = vec![];
        let attended = self.beside(&self.joined, &slopes, |slopes| {
            parts.output.of_parameters(&kept.attended, slopes, &mut output);
            parts.output.gradient(slopes)
        })?;
        let qkv = self.attention.backward(&kept.qkv, (&kept.attended, &kept.stats), &attended, width);
        let mut projection = vec![];
        parts.projection.of_parameters(x, &qkv, &mut projection);
        if self.by_x {
            parts.projection.add_gradient(&qkv, &mut slopes)?;
        }
        halves.push((projection, output, of_norm));

        let all = halves
            .into_iter()
            .rev()
            .flat_map(|(first, second, norm)| first.into_iter().chain(second).chain(std::iter::once(norm)));
        Ok((self.by_x.then_some(slopes), all.collect()))
    }

    /// Calls `f` with the gradient behind a dropout, made of that in front of it.
    fn beside<T>(&self, dropping: &Dropping, slopes: &[f32], f: impl FnOnce(&[f32]) -> T) -> T {
        if dropping.0.is_none() {
            return f(slopes);
        }
        let mut slopes = slopes.to_vec();
        dropping.apply(&self.packing, &mut slopes);
        f(&slopes)
    }

    fn parts(&self) -> Result<Parts<'_>> {
        match Parts::of(&self.layer) {
            Some(parts) => Ok(parts),
            None => bail!("the parts of a layer do not fit one another"),
        }
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "encoder-layer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(cpu::result(self.forward(cpu::values(x, layout)?)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        end: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(kept) = self.kept.get() else {
            bail!("a layer was differentiated before it was computed");
        };
        let gradient = gradient.contiguous()?;
        let (by_x, of_parameters) =
            values_of(x, |x| values_of(&gradient, |gradient| self.backward(kept, x, gradient)))???;
        self.waiting.put(of_parameters);
        let by_x = by_x.map(|values| Tensor::from_vec(values, x.shape(), x.device())).transpose()?;
        Ok((by_x, end.track_op().then(|| end.zeros_like()).transpose()?))
    }
}

fn rows(values: &[f32], width: usize) -> Matrix<'_> {
    Matrix { data: values, stride: width, n_rows: values.len() / width, n_cols: width }
}

/// The norm of `x + residual`.
fn norm(norm: &LayerNorm, x: &[f32], residual: &[f32]) -> Result<Vec<f32>> {
    with_norm(norm, |op, parameters| {
        let width = parameters.n_cols;
        op.forward(rows(x, width), Some(rows(residual, width)), parameters)
    })
}

/// The gradient of `x` (and of the residual as well), and those of weight and bias.
fn norm_gradients(
    norm: &LayerNorm,
    [x, residual]: [&[f32]; 2],
    gradient: &[f32],
) -> Result<(Vec<f32>, Pair)> {
    let (slopes, of_parameters) = with_norm(norm, |op, parameters| {
        let width = parameters.n_cols;
        op.backward(rows(x, width), Some(rows(residual, width)), parameters, rows(gradient, width))
    })?;
    let (weight, bias) = of_parameters.split_at(of_parameters.len() / 2);
    let wanted = |tensor: &Tensor, values: &[f32]| tensor.track_op().then(|| values.to_vec());
    Ok((slopes, [wanted(&norm.weight, weight), wanted(&norm.bias, bias)]))
}

fn with_norm<T>(norm: &LayerNorm, f: impl FnOnce(Norm, Matrix<'_>) -> T) -> Result<T> {
    let mut parameters = vec![];
    for tensor in [&norm.weight, &norm.bias] {
        values_of(tensor, |values| parameters.extend_from_slice(values))?;
    }
    let op = Norm { eps: norm.eps as f32, arch: Arch::new() };
    Ok(f(op, rows(&parameters, parameters.len() / 2)))
}

#[cfg(test)]
mod tests;
