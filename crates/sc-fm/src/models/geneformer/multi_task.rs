//! Several classifiers of cells on one encoder.

use candle_core::{DType, Device, Tensor};

use crate::Result;
use crate::checkpoint::{Error, Weights};
use crate::models::normal::uniform_within;
use crate::models::parts::Parts;
use crate::models::{Hidden, pooling};
use crate::nn::gemm::Precision;
use crate::nn::{Activation, Linear, softmax};
use crate::train::loss::cross_entropy;

/// What stands for a cell in [`MultiTask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
