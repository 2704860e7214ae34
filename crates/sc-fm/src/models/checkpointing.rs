//! Gradients with the inputs of the layers alone in memory (Chen et al. 2016), <https://arxiv.org/abs/1604.06174>: what a
//! layer keeps for its gradient is computed again when its turn comes.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};

use crate::Result;

/// A network as a chain of layers.
pub(crate) trait Chain {
    /// Everything in front of the first layer.
    fn first(&self) -> Result<Tensor>;

    /// Number of layers.
    fn n_layers(&self) -> usize;

    /// One layer, counted from 0.
    fn layer(&self, layer: usize, states: &Tensor) -> Result<Tensor>;
}

/// The loss, and the gradients of all variables; the same bits as those of `loss(chain).backward()`.
pub(crate) fn gradients(
    chain: &impl Chain,
    loss: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<(Tensor, GradStore)> {
    // The input of each layer, and whether anything up to there can be trained.
    let mut inputs: Vec<(Tensor, bool)> = Vec::with_capacity(chain.n_layers());
    let mut states = chain.first()?;
    let mut trainable = states.track_op();
    states = states.detach();
    for layer in 0..chain.n_layers() {
        let output = chain.layer(layer, &states)?;
        inputs.push((states, trainable));
        trainable |= output.track_op();
        states = output.detach();
    }
    let (last, variable) = cut(states, trainable)?;
    let loss = loss(&last)?;
    let mut all = loss.backward()?;
    let loss = loss.detach();
    let mut upstream = variable.and_then(|variable| all.remove(&variable));
    drop(last);
    while let Some(gradient) = upstream.take() {
        let Some((input, trainable)) = inputs.pop() else {
            descend(chain.first()?, gradient, None, &mut all)?;
            break;
        };
        let (input, variable) = cut(input, trainable)?;
        let output = chain.layer(inputs.len(), &input)?;
        upstream = descend(output, gradient, variable, &mut all)?;
    }
    Ok((loss, all))
}

/// The states as the beginning of a graph: a variable, where what is below wants a gradient.
fn cut(states: Tensor, trainable: bool) -> Result<(Tensor, Option<Var>)> {
    if !trainable {
        return Ok((states, None));
    }
    let variable = Var::from_tensor(&states)?;
    Ok((variable.as_tensor().clone(), Some(variable)))
}

/// Adds the gradients of the variables that `output` was made of, and returns that of its input.
fn descend(
    output: Tensor,
    gradient: Tensor,
    input: Option<Var>,
    all: &mut GradStore,
) -> Result<Option<Tensor>> {
    let root = match output.device().is_cpu() {
        true => output.apply_op1(Upstream(gradient))?,
        false => (output * gradient)?.sum_all()?,
    };
    let mut found = root.backward()?;
    let by_input = input.and_then(|input| found.remove(&input));
    all.extend(found)?;
    Ok(by_input)
}

/// A number whose gradient with respect to the tensor is given.
struct Upstream(Tensor);

impl CustomOp1 for Upstream {
    fn name(&self) -> &'static str {
        "upstream-gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
