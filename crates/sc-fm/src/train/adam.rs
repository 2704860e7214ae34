//! Adam (Kingma and Ba 2015), <https://arxiv.org/abs/1412.6980>, and AdamW (Loshchilov and Hutter 2019),
//! <https://arxiv.org/abs/1711.05101>.

mod params;
mod step;

use candle_core::{DType, Device, Tensor};
use pulp::Arch;

pub use params::AdamParams;

use self::step::{Factors, Step};
use super::{Error, Gradients, Variables};
use crate::Result;
use crate::checkpoint::Weights;

/// The optimizer, with what it remembers of each variable.
///
/// The operations are those of PyTorch's `Adam` and `AdamW`, in their order, in f32; factors that hold for a whole step
/// are computed in f64. A variable without a gradient is left alone, its decay included, as one whose `grad` is `None`.
#[derive(Clone, Debug)]
pub struct Adam {
    params: AdamParams,
    moments: Vec<Moments>,
}

/// Running means of the gradient and of its square.
#[derive(Clone, Debug, PartialEq)]
struct Moments {
    steps: u32,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Ends of names in a file of the optimizer's state; PyTorch's words.
const PARTS: [&str; 3] = ["exp_avg", "exp_avg_sq", "step"];

impl Adam {
    /// An optimizer that has made no step.
    ///
    /// # Errors
    /// [`Error::Param`].
    pub fn new(variables: &Variables, params: AdamParams) -> Result<Self> {
        params.validate()?;
        let zero = |(_, variable): (&str, &Tensor)| Moments {
            steps: 0,
            first: vec![0.0; variable.elem_count()],
            second: vec![0.0; variable.elem_count()],
        };
        Ok(Self { params, moments: variables.iter().map(zero).collect() })
    }

    /// What it was made with.
    pub fn params(&self) -> &AdamParams {
        &self.params
    }

    /// Bytes that the state takes, for variables of so many numbers.
    pub fn bytes(n_parameters: usize) -> usize {
        2 * size_of::<f32>() * n_parameters
    }

    /// Changes every variable that has a gradient.
    ///
    /// # Errors
    /// [`Error::Variables`] and [`Error::Gradient`] for gradients of other variables; nothing has changed then.
    pub fn step(&mut self, variables: &Variables, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        variables.check("moments", self.moments.len())?;
        variables.check("gradients", gradients.len())?;
        for (index, ((name, _), moments)) in variables.iter().zip(&self.moments).enumerate() {
            let Some(gradient) = gradients.get(index) else { continue };
            let (found, expected) = (gradient.len(), moments.first.len());
            if found != expected {
                return Err(Error::Gradient { name: name.to_owned(), found, expected }.into());
            }
        }
        let arch = Arch::new();
        for (index, moments) in self.moments.iter_mut().enumerate() {
            let Some(gradient) = gradients.get(index) else { continue };
            let variable = variables.variable(index);
            moments.steps += 1;
            let decay = self.params.decay(variable.rank());
            let factors = Factors::new(&self.params, decay, learning_rate, moments.steps);
            variable.inplace_op1(&Step::new(arch, factors, gradient, moments))?;
        }
        Ok(())
    }

    /// All that it remembers, for a file: `{variable}.exp_avg`, `{variable}.exp_avg_sq`, `{variable}.step`.
    ///
    /// # Errors
    /// [`Error::Variables`] for other variables, and what the tensor library reports.
    pub fn state(&self, variables: &Variables) -> Result<Vec<(String, Tensor)>> {
        variables.check("moments", self.moments.len())?;
        let mut state = Vec::with_capacity(3 * self.moments.len());
        for ((name, variable), moments) in variables.iter().zip(&self.moments) {
            let tensors = [
                Tensor::from_slice(&moments.first, variable.shape(), &Device::Cpu)?,
                Tensor::from_slice(&moments.second, variable.shape(), &Device::Cpu)?,
                Tensor::new(moments.steps, &Device::Cpu)?,
            ];
            state.extend(PARTS.iter().zip(tensors).map(|(part, tensor)| (format!("{name}.{part}"), tensor)));
        }
        Ok(state)
    }

    /// Takes up a [`state`](Self::state); nothing changes if it is one of other variables.
    ///
    /// # Errors
    /// Those of [`Weights::build`]; [`Error::Variables`].
    pub fn read(&mut self, variables: &Variables, state: &mut Weights) -> Result<()> {
        variables.check("moments", self.moments.len())?;
        self.moments = state.build(|state| {
            let of = |(name, variable): (&str, &Tensor)| {
                let mut take = |part: &str, shape: &[usize]| state.take(&format!("{name}.{part}"), shape);
                let [first, second, steps] = [
                    take(PARTS[0], variable.dims())?,
                    take(PARTS[1], variable.dims())?,
                    take(PARTS[2], &[])?,
                ];
                let values = |tensor: Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
                let steps = steps.to_dtype(DType::U32)?.to_scalar::<u32>()?;
                Ok::<_, crate::Error>(Moments { steps, first: values(first)?, second: values(second)? })
            };
            variables.iter().map(of).collect::<Result<_>>()
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
