//! Dropout of the values of a matrix.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::{CHUNKS, Drop, Dropout, Keep};
use crate::nn::simd::LANES;
use crate::nn::{Packing, cpu};

/// Groups of a task.
const GROUPS: usize = 32;

/// Drops among the rows of packed cells. The gradient drops the same values.
pub(super) struct Elementwise {
    dropout: Dropout,
    packing: Packing,
    keep: Keep,
    arch: Arch,
}

impl Elementwise {
    pub(super) fn new(dropout: Dropout, packing: Packing, keep: Keep, arch: Arch) -> Self {
        Self { dropout, packing, keep, arch }
    }

    fn of(&self, x: &[f32]) -> Vec<f32> {
        let mut values = x.to_vec();
        apply(&self.dropout, &self.packing, self.keep, self.arch, &mut values);
        values
    }
}

/// Drops among `values`, the rows of all cells.
pub(in crate::nn) fn apply(dropout: &Dropout, packing: &Packing, keep: Keep, arch: Arch, values: &mut [f32]) {
    if values.is_empty() {
        return;
    }
    let width = values.len() / packing.n_rows();
    let cells = cpu::split(values, packing.iter().map(|rows| rows.len() * width));
    let tasks: Vec<_> = cells
        .into_iter()
        .enumerate()
        .flat_map(|(cell, values)| {
            let draws = dropout.draws(cell, 0);
            let parts = values.chunks_mut(GROUPS * CHUNKS * LANES).enumerate();
            parts.map(move |(i, values)| Drop { draws, keep, group: (i * GROUPS) as u64, values })
        })
        .collect();
    tasks.into_par_iter().for_each(|task| arch.dispatch(task));
}

impl CustomOp1 for Elementwise {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(cpu::result(self.of(cpu::values(x, layout)?), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let (storage, layout) = gradient.storage_and_layout();
        let values = self.of(cpu::values(cpu::storage(&storage)?, layout)?);
        Ok(Some(Tensor::from_vec(values, x.shape(), x.device())?))
    }
}
