//! Several classifiers of cells on one encoder.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::heads::HEAD_SITE;
use crate::Result;
use crate::checkpoint::{Error, Weights};
use crate::models::normal::uniform_within;
use crate::models::parts::Parts;
use crate::models::{Hidden, pooling};
use crate::nn::gemm::Precision;
use crate::nn::{Activation, Linear, Packing, TrainingStep, softmax};
use crate::train::loss::cross_entropy;

/// What stands for a cell in [`MultiTask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPooling {
    /// The state of the first token.
    First,
    /// The mean of the states, weighted by the softmax of `h · w` over the tokens of the cell.
    Attention,
}

/// A linear classifier for each of several tasks, on what stands for the cell.
///
/// Same logits as Geneformer's multi-task model, but for one point: the reference takes the softmax of its attention
/// pooling over padding too, so that a cell's logits depend on the longest cell of its batch. Ours are those of a cell
/// that is alone in its batch.
#[derive(Clone, Debug)]
pub struct MultiTask {
    /// `hidden_size × 1`.
    attention: Option<Tensor>,
    heads: Vec<Linear>,
}

const ATTENTION: &str = "attention_pool.attention_weights";

/// Streams of random numbers of heads begin behind those of encoders.
const FIRST_STREAM: u64 = 1 << 32;

impl MultiTask {
    /// From `classification_heads.{task}.{weight, bias}`, and `attention_pool.attention_weights` if it is there; all are
    /// taken out of the weights.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn take(weights: &mut Weights, precision: Precision) -> Result<Self, Error> {
        let first = weights.shape("classification_heads.0.weight");
        let width = first.and_then(|shape| shape.get(1).copied()).unwrap_or(0);
        let mut parts = Parts { weights, precision };
        let mut heads = vec![];
        loop {
            let name = format!("classification_heads.{}", heads.len());
            let n_classes = parts.n_rows(&format!("{name}.weight"));
            // The first must be there, even if only for the error.
            if n_classes == 0 && !heads.is_empty() {
                break;
            }
            heads.push(parts.linear(&name, n_classes, width)?);
        }
        let attention = parts.weights.contains(ATTENTION);
        let attention = attention.then(|| parts.take(ATTENTION, &[width, 1])).transpose()?;
        Ok(Self { attention, heads })
    }

    /// Tensors to begin training with: Xavier-uniform weights, biases 0.
    ///
    /// * `n_classes`: of each task.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn new_weights(
        width: usize,
        n_classes: &[usize],
        pooling: TaskPooling,
        seed: u64,
    ) -> Result<Vec<(String, Tensor)>> {
        let xavier = |rows: usize, columns: usize, stream: u64| {
            let bound = (6.0 / (rows + columns) as f64).sqrt();
            let values = uniform_within(rows * columns, bound, seed, FIRST_STREAM + stream);
            Tensor::from_vec(values, (rows, columns), &Device::Cpu)
        };
        let mut tensors = vec![];
        if pooling == TaskPooling::Attention {
            tensors.push((ATTENTION.to_owned(), xavier(width, 1, 0)?));
        }
        for ((task, stream), &n) in n_classes.iter().enumerate().map(|(task, n)| ((task, task as u64 + 1), n))
        {
            let name = format!("classification_heads.{task}");
            tensors.push((format!("{name}.weight"), xavier(n, width, stream)?));
            tensors.push((format!("{name}.bias"), Tensor::zeros(n, DType::F32, &Device::Cpu)?));
        }
        Ok(tensors)
    }

    /// What stands for each cell, `cells × hidden_size`, from the states of the last layer. Dropout, if any, belongs
    /// behind this.
    ///
    /// # Errors
    /// [`EmptyCell`](crate::models::Error::EmptyCell), and what the tensor library reports.
    pub fn pooled(&self, last: &Hidden) -> Result<Tensor> {
        if let Some(cell) = last.packing.iter().position(|rows| rows.is_empty()) {
            return Err(crate::models::Error::EmptyCell { cell }.into());
        }
        let Some(attention) = &self.attention else {
            return Ok(pooling::select(&last.states, last.packing.iter().map(|rows| rows.start))?);
        };
        // One product and sum for each token, in an order of its own.
        let scores = last.states.broadcast_mul(&attention.t()?)?.sum(1)?;
        let mut cells = vec![];
        for rows in last.packing.iter() {
            let weights = softmax(&scores.narrow(0, rows.start, rows.len())?.unsqueeze(0)?)?.t()?;
            let states = last.states.narrow(0, rows.start, rows.len())?;
            cells.push(states.broadcast_mul(&weights)?.sum(0)?);
        }
        match cells.is_empty() {
            true => Ok(last.states.narrow(0, 0, 0)?),
            false => Ok(Tensor::stack(&cells, 0)?),
        }
    }

    /// [`pooled`](Self::pooled), in a step of training with the share that is dropped of it.
    pub(crate) fn pooled_with(
        &self,
        last: &Hidden,
        training: Option<(&TrainingStep, f64)>,
    ) -> Result<Tensor> {
        let pooled = self.pooled(last)?;
        let Some((step, rate)) = training else { return Ok(pooled) };
        Ok(step.dropout(HEAD_SITE, rate).forward(&pooled, &Packing::new(vec![1; last.packing.n_cells()]))?)
    }

    /// Logits of each task, `cells × classes`.
    ///
    /// * `cells`: `cells × hidden_size`, from [`pooled`](Self::pooled).
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn logits(&self, cells: &Tensor) -> Result<Vec<Tensor>> {
        let heads = self.heads.iter().map(|head| head.forward(cells, Activation::Identity));
        Ok(heads.collect::<Result<_, _>>()?)
    }

    /// The weighted sum of the cross entropies of the tasks.
    ///
    /// * `labels`: for each task one for each cell; `weights`: one for each task.
    ///
    /// # Errors
    /// Labels or weights of another number of tasks, and those of [`cross_entropy`].
    pub fn loss(&self, logits: &[Tensor], labels: &[Vec<Option<u32>>], weights: &[f64]) -> Result<Tensor> {
        let n = self.heads.len();
        if logits.len() != n || labels.len() != n || weights.len() != n {
            let found = format!(
                "logits of {}, labels of {} and weights of {}",
                logits.len(),
                labels.len(),
                weights.len()
            );
            return Err(candle_core::Error::Msg(format!("{found} tasks, expected {n} each")).into());
        }
        let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        for ((logits, labels), &weight) in logits.iter().zip(labels).zip(weights) {
            sum = (sum + (cross_entropy(logits, labels, None)? * weight)?)?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::numbers;
    use crate::train::{Gradients, Variables};

    const WIDTH: usize = 4;

    fn hidden(states: &Tensor) -> Hidden {
        Hidden { states: states.clone(), packing: Packing::new([3, 2]) }
    }

    fn loss(weights: &mut Weights, states: &Tensor) -> Tensor {
        let tasks = MultiTask::take(weights, Precision::F32).unwrap();
        let logits = tasks.logits(&tasks.pooled(&hidden(states)).unwrap()).unwrap();
        let labels = [vec![Some(0), Some(2)], vec![None, Some(1)]];
        tasks.loss(&logits, &labels, &[0.5, 2.0]).unwrap()
    }

    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let states = Tensor::from_vec(numbers(1, 5 * WIDTH), (5, WIDTH), &Device::Cpu).unwrap();
        for pooling in [TaskPooling::First, TaskPooling::Attention] {
            let start = MultiTask::new_weights(WIDTH, &[3, 2], pooling, 7).unwrap();
            let mut all = start.clone();
            all.push(("states".to_owned(), states.clone()));
            let mut weights = Weights::new(all.clone());
            let variables = Variables::of(&mut weights, |_| true).unwrap();
            let states = weights.take("states", &[5, WIDTH]).unwrap();
            let gradients = Gradients::of(&loss(&mut weights, &states), &variables).unwrap();
            for (index, (name, tensor)) in variables.iter().enumerate() {
                let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                for (i, &found) in gradients.get(index).unwrap().iter().enumerate() {
                    let at = |by: f32| {
                        let mut values = values.clone();
                        values[i] += by;
                        let moved = Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap();
                        let all = all.iter().map(|(own, x)| {
                            (own.clone(), if own == name { moved.clone() } else { x.clone() })
                        });
                        let mut weights = Weights::new(all);
                        let states = weights.take("states", &[5, WIDTH]).unwrap();
                        loss(&mut weights, &states).to_scalar::<f32>().unwrap()
                    };
                    let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                    assert!((slope - found).abs() < 1e-3, "{name}, {i}: {found} instead of {slope}");
                }
            }
        }
    }

    #[test]
    fn a_cell_has_the_same_logits_in_any_company() {
        let mut weights =
            Weights::new(MultiTask::new_weights(WIDTH, &[3], TaskPooling::Attention, 7).unwrap());
        let tasks = MultiTask::take(&mut weights, Precision::F32).unwrap();
        let states = Tensor::from_vec(numbers(1, 5 * WIDTH), (5, WIDTH), &Device::Cpu).unwrap();
        let together = tasks.pooled(&hidden(&states)).unwrap().get(1).unwrap();
        let alone = Hidden { states: states.narrow(0, 3, 2).unwrap(), packing: Packing::new([2]) };
        let alone = tasks.pooled(&alone).unwrap().get(0).unwrap();
        assert_eq!(together.to_vec1::<f32>().unwrap(), alone.to_vec1::<f32>().unwrap());
        let empty = Hidden { states: states.narrow(0, 0, 0).unwrap(), packing: Packing::new([0]) };
        assert!(tasks.pooled(&empty).is_err());
        let error = MultiTask::take(&mut Weights::default(), Precision::F32).unwrap_err();
        assert!(error.to_string().contains("classification_heads.0"), "{error}");
    }
}
