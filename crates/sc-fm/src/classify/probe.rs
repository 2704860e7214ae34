//! A linear layer on embeddings of a model that stays as it is.

use candle_core::{Device, Tensor};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::task::{CellClasses, Objective};
use crate::Result;
use crate::checkpoint::Weights;
use crate::embed::Choice;
use crate::nn::gemm::Precision;
use crate::nn::{Activation, Linear};
use crate::train::{At, Scores, Task, Variables};

/// The names of its tensors.
pub(super) const WEIGHT: &str = "classifier.weight";
pub(super) const BIAS: &str = "classifier.bias";
pub(super) const MEAN: &str = "mean";
pub(super) const DEVIATION: &str = "deviation";

/// A trained probe.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probe {
    /// What it is on top of.
    pub(super) choice: Choice,
    pub(super) scale: Scale,
    /// `classes × width`.
    pub(super) weight: Array2<f32>,
    /// One for each class.
    pub(super) bias: Array1<f32>,
}

impl Probe {
    /// `cells × classes`, of embeddings. A row depends on its cell alone.
    pub(super) fn logits(&self, embeddings: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let (weight, bias) = (
            tensor(self.weight.view())?,
            Tensor::from_vec(self.bias.to_vec(), self.bias.len(), &Device::Cpu)?,
        );
        let linear = Linear::with_precision(weight, Some(bias), Precision::F32);
        let rows = linear.forward(&tensor(self.scale.apply(embeddings).view())?, Activation::Identity)?;
        array(&rows)
    }

    /// From its variables after training.
    pub(super) fn of(choice: Choice, scale: Scale, variables: &Variables) -> Result<Self> {
        let mut weights = super::task::constants(variables);
        let n_classes = weights.shape(BIAS).map_or(0, |shape| shape[0]);
        let weight = array(&weights.take(WEIGHT, &[n_classes, scale.mean.len()])?)?;
        let bias = Array1::from_vec(weights.take(BIAS, &[n_classes])?.to_vec1()?);
        Ok(Self { choice, scale, weight, bias })
    }
}

/// Brings each value to mean 0 and deviation 1 over the cells that it was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) mean: Array1<f32>,
    /// 1 where all cells agree.
    pub(super) deviation: Array1<f32>,
}

impl Scale {
    pub(super) fn of(embeddings: ArrayView2<'_, f32>) -> Self {
        let n = embeddings.nrows().max(1) as f64;
        let moments = |column: ArrayView1<'_, f32>| {
            let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let square = column.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            (mean as f32, if square > 1e-24 { square.sqrt() as f32 } else { 1.0 })
        };
        let (mean, deviation): (Vec<f32>, Vec<f32>) = embeddings.columns().into_iter().map(moments).unzip();
        Self { mean: mean.into(), deviation: deviation.into() }
    }

    pub(super) fn apply(&self, embeddings: ArrayView2<'_, f32>) -> Array2<f32> {
        (&embeddings - &self.mean) / &self.deviation
    }
}

/// Weights to begin with: 0. The loss has but one valley.
pub(super) fn start(n_classes: usize, width: usize) -> Result<Weights> {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu);
    let weight = (WEIGHT.to_owned(), zeros(&[n_classes, width])?);
    Ok(Weights::new([weight, (BIAS.to_owned(), zeros(&[n_classes])?)]))
}

/// The probe as the loop trains it.
pub(super) struct Probing<'t> {
    /// The variables.
    pub(super) linear: Linear,
    /// Scaled embeddings of the training cells, and of the validation cells.
    pub(super) train: Array2<f32>,
    pub(super) validation: Array2<f32>,
    pub(super) objective: &'t CellClasses,
}

impl Task for Probing<'_> {
    fn weight(&mut self, items: &[usize], _: At) -> Result<f64> {
        Ok(self.objective.weight(items))
    }

    fn loss(&mut self, items: &[usize], _: At) -> Result<Tensor> {
        let rows = tensor(self.train.select(Axis(0), items).view())?;
        self.objective.loss(&self.linear.forward(&rows, Activation::Identity)?, items)
    }

    fn evaluate(&mut self, _: &Variables) -> Result<Option<Scores>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let logits = array(&self.linear.forward(&tensor(self.validation.view())?, Activation::Identity)?)?;
        Ok(Some(self.objective.fit(logits.view())))
    }

    fn row(&self, item: usize) -> usize {
        self.objective.sets.train.rows[item]
    }
}

pub(super) fn tensor(values: ArrayView2<'_, f32>) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values.iter().copied().collect(), values.dim(), &Device::Cpu)
}

fn array(tensor: &Tensor) -> Result<Array2<f32>> {
    let dim = tensor.dims2()?;
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(Array2::from_shape_vec(dim, values).expect("as many values as the shape has"))
}
