//! Gradient of a layer's weights and one step of Adam, in one sweep over the weights.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::layer::{LANES, Layer};
use crate::features::Lines;

type Lanes = [f32; LANES];

/// Inputs whose weights one task updates.
const BLOCK: usize = 256;
/// Inputs whose gradients are held in registers together.
const TILE: usize = 4;

/// The moments of one layer's gradient.
pub(super) struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    pub(super) fn new(layer: &Layer) -> Self {
        let zeros = vec![0.0; layer.panels().len()];
        Self { first: zeros.clone(), second: zeros }
    }
}

/// One step of Adam (Kingma and Ba, ICLR 2015), with the decays .9 and .999 and the term 1e-8 against division by 0.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Learning rate with the correction of both moments.
    rate: f32,
    /// Factor of the L2 penalty, not of intercepts.
    alpha: f32,
    /// One over the sum of the weights of the batch's cells.
    scale: f32,
}

impl Step {
    /// Step `t`, counted from 1.
    pub(super) fn new(t: usize, learning_rate: f64, alpha: f64, batch_weight: f64) -> Self {
        let t = t as f64;
        let rate = learning_rate * (1.0 - libm::pow(0.999, t)).sqrt() / (1.0 - libm::pow(0.9, t));
        Self { rate: rate as f32, alpha: alpha as f32, scale: (1.0 / batch_weight) as f32 }
    }

    #[inline(always)]
    fn take(self, w: &mut [f32], m: &mut [f32], v: &mut [f32], gradient: &Lanes, alpha: f32) {
        for lane in 0..LANES {
            let g = alpha.mul_add(w[lane], gradient[lane]) * self.scale;
            m[lane] = 0.9f32.mul_add(m[lane], 0.1 * g);
            v[lane] = 0.999f32.mul_add(v[lane], 0.001 * (g * g));
            w[lane] -= self.rate * m[lane] / (v[lane].sqrt() + 1e-8);
        }
    }
}

/// The inputs of a layer, for the cells of a batch.
#[derive(Clone, Copy)]
pub(super) enum Inputs<'a> {
    /// Rows of `width` values.
    Dense { x: &'a [f32], width: usize },
    /// By input: cells of the batch and their deltas, over a background.
    Sparse { columns: &'a Lines, background: &'a [f32] },
}

/// Steps along the gradient `inputs · delta`; returns the sum of squared weights, intercepts left out, before the step.
///
/// * `delta`: gradient by the outputs, rows of the layer's width.
pub(super) fn update(
    layer: &mut Layer,
    moments: &mut Moments,
    inputs: Inputs<'_>,
    delta: &[f32],
    step: Step,
) -> f64 {
    let arch = Arch::new();
    let (stride, width, n_in) = (layer.stride(), layer.width(), layer.n_in());
    let mut total = vec![0f32; width];
    for row in delta.chunks_exact(width) {
        total.iter_mut().zip(row).for_each(|(total, d)| *total += d);
    }
    let total = &total;
    let panels = layer.panels_mut().par_chunks_mut(stride);
    let panels = panels.zip(moments.first.par_chunks_mut(stride)).zip(moments.second.par_chunks_mut(stride));
    let squares: Vec<f64> = panels
        .enumerate()
        .flat_map(|(panel, ((w, m), v))| {
            let gradient = Gradient { inputs, n_in, width, at: panel * LANES, delta, total };
            let blocks = w.par_chunks_mut(BLOCK * LANES);
            let blocks = blocks.zip(m.par_chunks_mut(BLOCK * LANES)).zip(v.par_chunks_mut(BLOCK * LANES));
            blocks.enumerate().map(move |(block, ((w, m), v))| {
                arch.dispatch(Block { w, m, v, gradient, first: block * BLOCK, step })
            })
        })
        .collect();
    squares.iter().sum()
}

/// The gradient of one panel's weights.
#[derive(Clone, Copy)]
struct Gradient<'a> {
    inputs: Inputs<'a>,
    n_in: usize,
    /// Values of a row of `delta`; the panel's begin at `at`.
    width: usize,
    at: usize,
    delta: &'a [f32],
    /// Sum of the rows of `delta`.
    total: &'a [f32],
}

impl Gradient<'_> {
    #[inline(always)]
    fn delta(&self, row: usize) -> &Lanes {
        self.delta[row * self.width + self.at..][..LANES].first_chunk().expect("LANES values")
    }

    #[inline(always)]
    fn total(&self) -> &Lanes {
        self.total[self.at..][..LANES].first_chunk().expect("LANES values")
    }

    #[inline(always)]
    fn sparse(&self, cells: &[u32], deltas: &[f32], background: f32) -> Lanes {
        let mut sum = self.total().map(|total| background * total);
        for (&cell, &d) in cells.iter().zip(deltas) {
            let delta = self.delta(cell as usize);
            for lane in 0..LANES {
                sum[lane] = d.mul_add(delta[lane], sum[lane]);
            }
        }
        sum
    }

    #[inline(always)]
    fn dense<const K: usize>(&self, x: &[f32], in_width: usize, input: usize) -> [Lanes; K] {
        let mut sums = [[0f32; LANES]; K];
        for (row, x) in x.chunks_exact(in_width).enumerate() {
            let delta = self.delta(row);
            let x = &x[input..input + K];
            for k in 0..K {
                for lane in 0..LANES {
                    sums[k][lane] = x[k].mul_add(delta[lane], sums[k][lane]);
                }
            }
        }
        sums
    }
}

/// A block of one panel's weights: inputs from `first` on, and the intercepts where the panel ends. A struct, because
/// closures are not always inlined into the code for the machine's instructions.
struct Block<'a> {
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    gradient: Gradient<'a>,
    first: usize,
    step: Step,
}

impl NullaryFnOnce for Block<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let Self { w, m, v, gradient, first, step } = self;
        let end = (w.len() / LANES).min(gradient.n_in - first.min(gradient.n_in));
        let mut squares = [0f32; LANES];
        let mut take = |row: usize, g: &Lanes, alpha: f32| {
            let at = row * LANES..(row + 1) * LANES;
            let w = &mut w[at.clone()];
            if row < end {
                for lane in 0..LANES {
                    squares[lane] = w[lane].mul_add(w[lane], squares[lane]);
                }
            }
            step.take(w, &mut m[at.clone()], &mut v[at], g, alpha);
        };
        match gradient.inputs {
            Inputs::Sparse { columns, background } => {
                for row in 0..end {
                    let (cells, deltas) = columns.line(first + row);
                    take(row, &gradient.sparse(cells, deltas, background[first + row]), step.alpha);
                }
            }
            Inputs::Dense { x, width } => {
                let tiled = end - end % TILE;
                for row in (0..tiled).step_by(TILE) {
                    let sums = gradient.dense::<TILE>(x, width, first + row);
                    for (k, sum) in sums.iter().enumerate() {
                        take(row + k, sum, step.alpha);
                    }
                }
                for row in tiled..end {
                    let [sum] = gradient.dense::<1>(x, width, first + row);
                    take(row, &sum, step.alpha);
                }
            }
        }
        if end < w.len() / LANES {
            let total = *gradient.total();
            let at = end * LANES..(end + 1) * LANES;
            step.take(&mut w[at.clone()], &mut m[at.clone()], &mut v[at], &total, 0.0);
        }
        squares.iter().map(|&square| f64::from(square)).sum()
    }
}
