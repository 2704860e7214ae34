//! Self-attention on rows of queries, keys and values side by side, for layers that keep what they need themselves.

use candle_core::Result;
use pulp::Arch;

use super::dropped::Dropped;
use super::op::{Attention, Shape};
use super::{AttentionParams, backward};
use crate::nn::cpu::Matrix;
use crate::nn::{Dropout, Packing};

/// The attention of the tokens of each cell to one another.
pub(in crate::nn) struct SelfAttention {
    op: Attention,
    shape: Shape,
}

/// What the gradients need of the forward pass, besides its rows: shift and factor of the weights of each query and head.
pub(in crate::nn) type Stats = Vec<[f32; 2]>;

impl SelfAttention {
    /// * `params`: its heads divide the width.
    pub(in crate::nn) fn new(
        packing: &Packing,
        params: AttentionParams,
        dropout: Option<&Dropout>,
    ) -> Result<Self> {
        let op = Attention::new(packing.clone(), packing.clone(), params, Arch::new());
        let keep = match dropout {
            Some(dropout) => dropout.keep(packing)?.map(|keep| Dropped { dropout: dropout.clone(), keep }),
            None => None,
        };
        let op = match keep {
            Some(dropped) => op.with_dropout(dropped),
            None => op,
        };
        Ok(Self { op, shape: params.into() })
    }

    /// * `qkv`: rows of queries, keys and values, `3 × width` columns. Returns rows of `width`.
    pub(in crate::nn) fn forward(&self, qkv: &[f32], width: usize) -> (Vec<f32>, Stats) {
        let [q, k, v] = self.parts(qkv, width);
        self.op.forward(q, k, v)
    }

    /// The gradient of `qkv` from that of the result, `gradient`.
    pub(in crate::nn) fn backward(
        &self,
        qkv: &[f32],
        (out, stats): (&[f32], &Stats),
        gradient: &[f32],
        width: usize,
    ) -> Vec<f32> {
        let [q, k, v] = self.parts(qkv, width);
        let rows = |data| Matrix { data, stride: width, n_rows: q.n_rows, n_cols: width };
        let inputs = backward::Inputs { q, k, v, out: rows(out), gradient: rows(gradient), stats };
        backward::side_by_side(&self.op, inputs, self.shape.heads(width))
    }

    fn parts<'a>(&self, qkv: &'a [f32], width: usize) -> [Matrix<'a>; 3] {
        let n_rows = self.op.queries.n_rows();
        let part = |i: usize| Matrix {
            data: qkv.get(i * width..).unwrap_or_default(),
            stride: 3 * width,
            n_rows,
            n_cols: width,
        };
        [part(0), part(1), part(2)]
    }
}
