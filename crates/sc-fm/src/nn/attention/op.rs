//! Attention as an operation of the tensor library.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::dropped::Dropped;
use super::forward::{Block, Scratch};
use super::head::{Heads, QUERIES, Visible};
use super::{AttentionParams, backward};
use crate::nn::Packing;
use crate::nn::cpu::{self, Matrix};

/// What distinguishes one attention from another, the width apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    /// What scores are multiplied by; `1 / √size` if none is given.
    pub(super) scale: Option<f64>,
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
}

impl Shape {
    /// The sizes, if heads divide the width and one another.
    pub(super) fn checked_heads(self, width: usize) -> Result<Heads> {
        let Self { n_heads, n_kv_heads, window, .. } = self;
        if width == 0 || n_heads == 0 || !width.is_multiple_of(n_heads) {
            bail!("attention: {n_heads} heads do not divide a width of {width}");
        }
        if n_kv_heads == 0 || !n_heads.is_multiple_of(n_kv_heads) {
            bail!("attention: {n_kv_heads} heads of keys do not divide {n_heads} heads");
        }
        if window == Some(0) {
            bail!("attention: a window of 0 keys, expected at least 1");
        }
        Ok(self.heads(width))
    }

    pub(super) fn heads(self, width: usize) -> Heads {
        let scale = self.scale.unwrap_or_else(|| 1.0 / ((width / self.n_heads) as f64).sqrt());
        Heads::new(width, self.n_heads, self.n_kv_heads, scale as f32)
    }
}

impl From<AttentionParams> for Shape {
    fn from(AttentionParams { n_heads, causal }: AttentionParams) -> Self {
        Self { n_heads, n_kv_heads: n_heads, scale: None, causal, window: None }
    }
}

/// Attention of the queries of each cell to its keys.
pub(super) struct Attention {
    pub(super) queries: Packing,
    pub(super) keys: Packing,
    shape: Shape,
    pub(super) arch: Arch,
    /// Shift and factor of the weights of each query and head, as the forward pass found them.
    stats: OnceLock<Vec<[f32; 2]>>,
    pub(super) dropped: Option<Dropped>,
}

impl Attention {
    pub(super) fn new(queries: Packing, keys: Packing, shape: impl Into<Shape>, arch: Arch) -> Self {
        Self { queries, keys, shape: shape.into(), arch, stats: OnceLock::new(), dropped: None }
    }

    /// The same with dropout of the weights; queries and keys are the same tokens.
    pub(super) fn with_dropout(self, dropped: Dropped) -> Self {
        Self { dropped: Some(dropped), ..self }
    }

    /// What the queries of a cell see.
    pub(super) fn visible(&self, cell: usize) -> Visible {
        let (n_queries, n_keys) = (self.queries.rows(cell).len(), self.keys.rows(cell).len());
        let causal = self.shape.causal.then(|| n_keys + 1 - n_queries.max(1));
        Visible { n_keys, causal, window: self.shape.window.unwrap_or(usize::MAX) }
    }

    pub(super) fn forward(&self, q: Matrix<'_>, k: Matrix<'_>, v: Matrix<'_>) -> (Vec<f32>, Vec<[f32; 2]>) {
        let width = q.n_cols;
        let heads = self.shape.heads(width);
        let mut out = vec![0.0; q.n_rows * width];
        let mut stats = vec![[0.0; 2]; q.n_rows * heads.n_heads];
        let outs = cpu::split(&mut out, self.queries.iter().map(|rows| rows.len() * width));
        let cell_stats = cpu::split(&mut stats, self.queries.iter().map(|rows| rows.len() * heads.n_heads));
        let mut tasks = Vec::new();
        for (cell, (out, stats)) in outs.into_iter().zip(cell_stats).enumerate() {
            let blocks = out.chunks_mut(QUERIES * width).zip(stats.chunks_mut(QUERIES * heads.n_heads));
            tasks.extend(blocks.enumerate().map(|(b, (out, stats))| (cell, b * QUERIES, out, stats)));
        }
        tasks.into_par_iter().with_max_len(1).for_each_init(
            || Scratch::new(heads),
            |scratch, (cell, first, out, stats)| {
                let start = self.queries.rows(cell).start + first;
                let queries = start..start + out.len() / width;
                let (keys, visible) = (self.keys.rows(cell), self.visible(cell));
                self.arch.dispatch(Block {
                    q,
                    k,
                    v,
                    heads,
                    queries,
                    first,
                    keys,
                    visible,
                    dropped: self.dropped.as_ref().map(|dropped| (dropped, cell)),
                    out,
                    stats,
                    scratch,
                });
            },
        );
        (out, stats)
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        let (q, k, v) = (cpu::matrix(q, q_layout)?, cpu::matrix(k, k_layout)?, cpu::matrix(v, v_layout)?);
        let (out, stats) = self.forward(q, k, v);
        // An op runs once.
        self.stats.get_or_init(|| stats);
        Ok(cpu::result(out, (q.n_rows, q.n_cols)))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(stats) = self.stats.get() else {
            candle_core::bail!("attention was differentiated before it was computed");
        };
        let gradient = cpu::contiguous_rows(gradient)?;
        let [dq, dk, dv] = {
            let tensors = [q, k, v, out, &gradient].map(Tensor::storage_and_layout);
            let matrix = |i: usize| {
                let (storage, layout) = &tensors[i];
                cpu::matrix(cpu::storage(storage)?, layout)
            };
            let inputs = backward::Inputs {
                q: matrix(0)?,
                k: matrix(1)?,
                v: matrix(2)?,
                out: matrix(3)?,
                gradient: matrix(4)?,
                stats,
            };
            backward::gradients(self, inputs, self.shape.heads(inputs.q.n_cols))
        };
        Ok((
            Some(Tensor::from_vec(dq, q.shape(), q.device())?),
            Some(Tensor::from_vec(dk, k.shape(), k.device())?),
            Some(Tensor::from_vec(dv, v.shape(), v.device())?),
        ))
    }
}
