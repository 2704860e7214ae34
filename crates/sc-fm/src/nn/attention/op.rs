//! Attention as an operation of the tensor library: packing, tasks, gradients.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::forward::{Block, Context, QUERIES, Scratch};
use super::pack::{self, View};
use super::{AttentionParams, backward};
use crate::nn::Packing;
use crate::nn::cpu::{self, Matrix};
use crate::nn::simd::LANES;

/// Attention of the queries of each cell to its keys.
pub(super) struct Attention {
    pub(super) queries: Packing,
    pub(super) keys: Packing,
    pub(super) params: AttentionParams,
    pub(super) arch: Arch,
    /// Shift and factor of the weights of each query and head, as the forward pass found them.
    stats: OnceLock<Vec<[f32; 2]>>,
}

/// Sizes that follow from the width.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) n_heads: usize,
    /// Columns of a head.
    pub(super) size: usize,
    /// `size` rounded up to a whole number of registers.
    pub(super) padded: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
}

impl Heads {
    fn new(width: usize, n_heads: usize) -> Self {
        let size = width / n_heads;
        let scale = (1.0 / (size as f64).sqrt()) as f32;
        Self { n_heads, size, padded: size.next_multiple_of(LANES), scale }
    }
}

/// The columns of head `h` in the rows of one cell.
pub(super) fn head<'a>(x: Matrix<'a>, rows: &std::ops::Range<usize>, heads: Heads, h: usize) -> View<'a> {
    View {
        data: &x.data[rows.start * x.stride + h * heads.size..],
        stride: x.stride,
        n_rows: rows.len(),
        size: heads.size,
    }
}

impl Attention {
    pub(super) fn new(queries: Packing, keys: Packing, params: AttentionParams, arch: Arch) -> Self {
        Self { queries, keys, params, arch, stats: OnceLock::new() }
    }

    /// Keys that the first query of a cell sees, if that is not all of them.
    pub(super) fn causal(&self, cell: usize) -> Option<usize> {
        let (queries, keys) = (self.queries.rows(cell).len(), self.keys.rows(cell).len());
        self.params.causal.then(|| keys + 1 - queries.max(1))
    }

    fn forward(&self, q: Matrix<'_>, k: Matrix<'_>, v: Matrix<'_>) -> (Vec<f32>, Vec<[f32; 2]>) {
        let width = q.n_cols;
        let heads = Heads::new(width, self.params.n_heads);
        let Heads { n_heads, size, padded, .. } = heads;

        let mut panels =
            vec![0.0; self.keys.iter().map(|rows| rows.len().next_multiple_of(LANES)).sum::<usize>() * width];
        let mut values = vec![0.0; self.keys.n_rows() * n_heads * padded];
        let cell_panels =
            cpu::split(&mut panels, self.keys.iter().map(|rows| rows.len().next_multiple_of(LANES) * width));
        let cell_values = cpu::split(&mut values, self.keys.iter().map(|rows| rows.len() * n_heads * padded));
        let mut parts = Vec::with_capacity(self.keys.n_cells() * n_heads);
        for ((rows, panels), values) in self.keys.iter().zip(cell_panels).zip(cell_values) {
            if rows.is_empty() {
                continue;
            }
            let panels = panels.chunks_exact_mut(panels.len() / n_heads);
            let values = values.chunks_exact_mut(values.len() / n_heads);
            for (h, (panels, values)) in panels.zip(values).enumerate() {
                parts.push((rows.clone(), h, panels, values));
            }
        }
        parts.into_par_iter().for_each(|(rows, h, panels, values)| {
            pack::panels(head(k, &rows, heads, h), panels);
            pack::rows(head(v, &rows, heads, h), 1.0, padded, values);
        });

        let mut out = vec![0.0; q.n_rows * width];
        let mut stats = vec![[0.0; 2]; q.n_rows * n_heads];
        let (mut panels, mut values) = (panels.as_slice(), values.as_slice());
        let mut tasks = Vec::new();
        let outs = cpu::split(&mut out, self.queries.iter().map(|rows| rows.len() * width));
        let cell_stats = cpu::split(&mut stats, self.queries.iter().map(|rows| rows.len() * n_heads));
        for (cell, (out, stats)) in outs.into_iter().zip(cell_stats).enumerate() {
            let (queries, n_keys) = (self.queries.rows(cell), self.keys.rows(cell).len());
            let context;
            (context, panels, values) = {
                let (keys, panels) = panels.split_at(n_keys.next_multiple_of(LANES) * width);
                let (cell_values, values) = values.split_at(n_keys * n_heads * padded);
                let causal = self.causal(cell);
                (Context { keys, values: cell_values, n_keys, n_heads, size, padded, causal }, panels, values)
            };
            let blocks = out.chunks_mut(QUERIES * width).zip(stats.chunks_mut(QUERIES * n_heads));
            for (b, (out, stats)) in blocks.enumerate() {
                tasks.push((context, queries.start, b * QUERIES, out, stats));
            }
        }
        tasks.into_par_iter().with_max_len(1).for_each_init(
            || Scratch::new(size, padded),
            |scratch, (context, start, first, out, stats)| {
                let queries = &q.data[start * q.stride..];
                let scale = heads.scale;
                self.arch.dispatch(Block {
                    context,
                    queries,
                    stride: q.stride,
                    first,
                    scale,
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
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (cpu::matrix(q, q_layout)?, cpu::matrix(k, k_layout)?, cpu::matrix(v, v_layout)?);
        let (out, stats) = self.forward(q, k, v);
        // The same op never runs twice; should it, the statistics are those of the same tensors.
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
        let gradient = cpu::contiguous_rows(gradient)?;
        let tensors = [q, k, v, out, &gradient].map(Tensor::storage_and_layout);
        let [q_rows, k_rows, v_rows, out, gradient] = {
            let mut matrices = Vec::with_capacity(tensors.len());
            for (storage, layout) in &tensors {
                matrices.push(cpu::matrix(cpu::storage(storage)?, layout)?);
            }
            matrices
                .try_into()
                .map_err(|_| candle_core::Error::msg("five matrices"))
                .expect("one for each tensor")
        };
        let Some(stats) = self.stats.get() else {
            candle_core::bail!("attention was differentiated before it was computed");
        };
        let inputs = backward::Inputs { q: q_rows, k: k_rows, v: v_rows, out, gradient, stats };
        let heads = Heads::new(q_rows.n_cols, self.params.n_heads);
        let [dq, dk, dv] = backward::gradients(self, inputs, heads);
        Ok((
            Some(Tensor::from_vec(dq, q.shape(), q.device())?),
            Some(Tensor::from_vec(dk, k.shape(), k.device())?),
            Some(Tensor::from_vec(dv, v.shape(), v.device())?),
        ))
    }
}
