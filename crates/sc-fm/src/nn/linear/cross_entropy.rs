//! A linear layer and the cross entropy of its result, without the result in memory.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::op::{Matrix, column_sums};
use crate::nn::gemm::{Epilogue, Kernel, Packed, View, gemm};
use crate::nn::softmax::{rows_of_a_task, weights};
use crate::nn::{cpu, gather};

/// Rows whose logits are in memory at a time: one block of the products' inner dimension, so that the gradient of the
/// weight is summed as if all rows were there. Part of the definition of the result.
const ROWS: usize = 384;

/// `mean −log softmax(x Wᵀ + b)[label]`. The gradients are linear in that of the result, a single number: the forward pass
/// computes them as long as the logits are there, and the backward pass multiplies.
pub(super) struct LinearCrossEntropy {
    pub(super) labels: Vec<u32>,
    pub(super) kernel: Kernel,
    pub(super) arch: Arch,
    /// Which gradients are wanted: those of x, the weight, the bias.
    pub(super) wanted: [bool; 3],
    pub(super) gradients: OnceLock<[Option<Tensor>; 3]>,
}

impl LinearCrossEntropy {
    fn forward(&self, x: &Matrix<'_>, weight: &Matrix<'_>, bias: &[f32]) -> Result<f64> {
        let (n, width, classes) = (x.rows, x.columns, bias.len());
        let factor = 1.0 / n.max(1) as f32;
        let packed = Packed::new(weight.view(), self.kernel);
        let [by_x, by_weight, by_bias] = self.wanted;
        let transposed = by_x.then(|| Packed::new(weight.view().t(), self.kernel));
        let room = |wanted: bool, values: usize| vec![0.0; if wanted { values } else { 0 }];
        let (mut dx, mut dw) = (room(by_x, n * width), room(by_weight, classes * width));
        let mut db = room(by_bias, classes);
        let mut loss = 0.0;
        let mut logits = vec![0.0; n.min(ROWS) * classes];
        let mut losses = vec![0.0; n.min(ROWS)];
        for (i, labels) in self.labels.chunks(ROWS).enumerate() {
            let (first, rows) = (i * ROWS, labels.len());
            let (logits, losses) = (&mut logits[..rows * classes], &mut losses[..rows]);
            let x = x.rows(first, rows);
            gemm(x, &packed, Epilogue { bias: Some(bias), ..Epilogue::default() }, logits);
            let per_task = rows_of_a_task(classes);
            let tasks = logits.par_chunks_mut(per_task * classes).zip(labels.par_chunks(per_task));
            tasks.zip(losses.par_chunks_mut(per_task)).for_each(|((logits, labels), losses)| {
                self.arch.dispatch(Rows { logits, labels, losses, factor });
            });
            loss += losses.iter().sum::<f64>();
            let slopes = View::new(logits, rows, classes);
            if let Some(transposed) = &transposed {
                gemm(slopes, transposed, Epilogue::default(), &mut dx[first * width..][..rows * width]);
            }
            if by_weight {
                let x = Packed::new(x.t(), self.kernel);
                gemm(slopes.t(), &x, Epilogue { accumulate: i > 0, ..Epilogue::default() }, &mut dw);
            }
            if by_bias {
                let sums = column_sums(logits, classes);
                db.iter_mut().zip(sums).for_each(|(sum, x)| *sum += x);
            }
        }
        let tensor = |wanted: bool, values: Vec<f32>, shape: Shape| {
            wanted.then(|| Tensor::from_vec(values, shape, &candle_core::Device::Cpu)).transpose()
        };
        let gradients = [
            tensor(by_x, dx, (n, width).into())?,
            tensor(by_weight, dw, (classes, width).into())?,
            tensor(by_bias, db, classes.into())?,
        ];
        // An op runs once.
        self.gradients.get_or_init(|| gradients);
        Ok(loss / n.max(1) as f64)
    }
}

impl CustomOp3 for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear-cross-entropy"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = cpu::values(bias, bias_layout)?;
        let loss = self.forward(&Matrix::new(x, x_layout)?, &Matrix::new(weight, weight_layout)?, bias)?;
        Ok(cpu::result(vec![loss as f32], ()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        node: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some([x, of_weight, bias]) = self.gradients.get() else {
            bail!("a cross entropy was differentiated before it was computed");
        };
        let factor = f64::from(gradient.to_scalar::<f32>()?);
        let times = |gradient: &Option<Tensor>| {
            let times =
                |gradient: &Tensor| if factor == 1.0 { Ok(gradient.clone()) } else { gradient * factor };
            gradient.as_ref().map(times).transpose()
        };
        // That of the weight is large: it goes the short way, if there is one.
        let of_weight = match times(of_weight)? {
            Some(of_weight) => {
                let (storage, layout) = of_weight.storage_and_layout();
                let values = cpu::values(cpu::storage(&storage)?, layout)?;
                let is_gathered = gather::add_with(node, weight, |sum| gather::add(sum, values));
                (!is_gathered).then(|| of_weight.clone())
            }
            None => None,
        };
        Ok((times(x)?, of_weight, times(bias)?))
    }
}

/// Of each row: the loss, and in place of the logits their gradient, `(softmax − [class = label]) · factor`.
struct Rows<'a> {
    logits: &'a mut [f32],
    labels: &'a [u32],
    losses: &'a mut [f64],
    factor: f32,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { logits, labels, losses, factor } = self;
        let classes = logits.len() / labels.len().max(1);
        let mut scratch = vec![0.0; classes];
        for ((row, &label), loss) in logits.chunks_exact_mut(classes).zip(labels).zip(losses) {
            let (highest, sum) = weights(simd, row, &mut scratch);
            *loss = libm::log(f64::from(sum)) + f64::from(highest) - f64::from(row[label as usize]);
            let scale = factor / sum;
            row.iter_mut().zip(&scratch).for_each(|(x, weight)| *x = weight * scale);
            row[label as usize] -= factor;
        }
    }
}
