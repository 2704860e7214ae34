//! A right operand in the order in which the micro-kernels read it.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::kernel::Kernel;
use super::micro::{Format, PANEL};
use super::view::View;

/// A weight, `out × in`, laid out once for the kernel that will multiply with it.
///
/// Panels of 32 outputs; in a panel, the 32 values of one input after those of another, so that a kernel reads memory
/// from front to back. Missing outputs of the last panel are 0.
#[derive(Clone)]
pub struct Packed {
    pub(super) kernel: Kernel,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// Words of a panel divided by `PANEL`.
    pub(super) steps: usize,
    /// The panels; the low parts of all of them after the high parts.
    pub(super) words: Buffer,
}

impl Packed {
    /// Packs `weight`, `out × in`, on the threads of the caller's pool.
    pub fn new(weight: View<'_>, kernel: Kernel) -> Self {
        let mut packed = Self { kernel, outputs: 0, inputs: 0, steps: 0, words: Buffer::default() };
        packed.set_shape(weight);
        let (high, low, panel) = packed.parts();
        if panel > 0 {
            let low: Vec<&mut [u32]> = match low.is_empty() {
                true => high.chunks_exact(panel).map(|_| [].as_mut_slice()).collect(),
                false => low.chunks_exact_mut(panel).collect(),
            };
            let panels = high.par_chunks_exact_mut(panel).zip(low).enumerate();
            panels.for_each(|(index, (high, low))| fill(kernel, weight, index, high, low));
        }
        packed
    }

    /// Packs another weight into the same memory, on this thread alone.
    pub fn repack(&mut self, weight: View<'_>) {
        self.set_shape(weight);
        let kernel = self.kernel;
        let (high, mut low, panel) = self.parts();
        if panel > 0 {
            for (index, high) in high.chunks_exact_mut(panel).enumerate() {
                let (first, rest) = low.split_at_mut(panel.min(low.len()));
                fill(kernel, weight, index, high, first);
                low = rest;
            }
        }
    }

    /// The kernel that it is packed for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Number of outputs: rows of the weight, columns of the product.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of inputs: columns of the weight, and of what it is multiplied with.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    /// The words of a panel from a step on: the high parts, and the low ones, or nothing.
    pub(super) fn panel(&self, panel: usize, step: usize) -> [&[u32]; 2] {
        let words = self.steps * PANEL;
        let part = |first: usize| &self.words[first + panel * words..][step * PANEL..words];
        match self.kernel.format().parts() {
            1 => [part(0), &[]],
            _ => [part(0), part(self.panels() * words)],
        }
    }

    fn set_shape(&mut self, weight: View<'_>) {
        let format = self.kernel.format();
        (self.outputs, self.inputs) = (weight.rows(), weight.columns());
        self.steps = format.words(self.inputs);
        self.words.at_least(format.parts() * self.panels() * self.steps * PANEL);
    }

    /// All high parts, all low parts, and the words of a panel.
    fn parts(&mut self) -> (&mut [u32], &mut [u32], usize) {
        let panel = self.steps * PANEL;
        let (all, parts) = (self.panels() * panel, self.kernel.format().parts());
        let (high, low) = self.words[..parts * all].split_at_mut(all);
        (high, low, panel)
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, outputs, inputs, .. } = self;
        write!(f, "Packed({outputs} x {inputs}, {})", kernel.name())
    }
}

/// Steps that are packed at a time: a few, so that they stay in the nearest cache while the rows are read in turn.
const STEPS: usize = 16;

/// The words of some steps, high parts and low ones.
type Steps = [[[u32; PANEL]; STEPS]; 2];

/// Packs one panel of `weight`.
fn fill(kernel: Kernel, weight: View<'_>, panel: usize, high: &mut [u32], low: &mut [u32]) {
    let format = kernel.format();
    let rows = panel * PANEL..weight.rows().min((panel + 1) * PANEL);
    let steps = weight.columns().div_ceil(format.per_word());
    for start in (0..steps).step_by(STEPS) {
        let (block, inputs) = (start..steps.min(start + STEPS), weight.columns());
        let values = start * format.per_word()..inputs.min(block.end * format.per_word());
        let mut words: Steps = [[[0; PANEL]; STEPS]; 2];
        if weight.in_row(rows.start, values.clone()).is_some() {
            from_rows(format, weight, rows.clone(), values, &mut words);
        } else {
            from_columns(format, weight, rows.clone(), values, &mut words);
        }
        let places = block.start * PANEL..block.end * PANEL;
        high[places.clone()].copy_from_slice(&words[0].as_flattened()[..places.len()]);
        if let Some(low) = low.get_mut(places.clone()) {
            low.copy_from_slice(&words[1].as_flattened()[..places.len()]);
        }
    }
    high[steps * PANEL..].fill(0);
    if let Some(low) = low.get_mut(steps * PANEL..) {
        low.fill(0);
    }
}

/// Values that lie side by side in a row: each row is converted, and its words dealt out to the steps.
fn from_rows(format: Format, weight: View<'_>, rows: Range<usize>, values: Range<usize>, words: &mut Steps) {
    let [high, low] = words;
    for (j, row) in rows.enumerate() {
        let values = weight.in_row(row, values.clone()).expect("one row lies as the others do");
        let mut row = [[0; STEPS]; 2];
        let [row_high, row_low] = &mut row;
        format.convert(values, row_high, row_low);
        for (step, word) in high.iter_mut().zip(row_high) {
            step[j] = *word;
        }
        if format.parts() == 2 {
            for (step, word) in low.iter_mut().zip(row_low) {
                step[j] = *word;
            }
        }
    }
}

/// Values that lie side by side in a column (or nowhere): each step is read for all rows.
fn from_columns(
    format: Format,
    weight: View<'_>,
    rows: Range<usize>,
    values: Range<usize>,
    words: &mut Steps,
) {
    let [high, low] = words;
    let (per_word, n) = (format.per_word(), rows.len());
    let (mut first, mut second) = ([0f32; PANEL], [0f32; PANEL]);
    for ((high, low), k) in high.iter_mut().zip(low).zip(values.clone().step_by(per_word)) {
        weight.copy_column(rows.start, k, &mut first[..n]);
        match per_word == 2 && k + 1 < values.end {
            true => weight.copy_column(rows.start, k + 1, &mut second[..n]),
            false => second.fill(0.0),
        }
        for (((high, low), a), b) in high.iter_mut().zip(low).zip(first).zip(second) {
            [*high, *low] = format.word(a, b);
        }
    }
}
