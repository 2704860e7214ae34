//! A right operand in the order in which the micro-kernels read it.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::kernel::Kernel;
use super::micro::PANEL;
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

/// Packs one panel of `weight`.
fn fill(kernel: Kernel, weight: View<'_>, panel: usize, high: &mut [u32], low: &mut [u32]) {
    let format = kernel.format();
    let (outputs, inputs) = (weight.rows(), weight.columns());
    let rows = panel * PANEL..outputs.min((panel + 1) * PANEL);
    if rows.len() < PANEL {
        high.fill(0);
        low.fill(0);
    }
    let per_word = format.per_word();
    let steps = inputs.div_ceil(per_word);
    high[steps * PANEL..].fill(0);
    if let Some(low) = low.get_mut(steps * PANEL..) {
        low.fill(0);
    }
    let mut put = |at: usize, word: [u32; 2]| {
        high[at] = word[0];
        if let Some(low) = low.get_mut(at) {
            *low = word[1];
        }
    };
    // A few steps of all rows at a time: what is written stays in the cache while the rows are read in turn.
    for start in (0..steps).step_by(16) {
        let block = start..steps.min(start + 16);
        let values = start * per_word..inputs.min(block.end * per_word);
        for (j, row) in rows.clone().enumerate() {
            match weight.in_row(row, values.clone()) {
                Some(values) => {
                    for (step, pair) in values.chunks(per_word).enumerate() {
                        let second = if let [_, second] = pair { *second } else { 0.0 };
                        put((start + step) * PANEL + j, format.word(pair[0], second));
                    }
                }
                None => {
                    for step in block.clone() {
                        let get = |k: usize| if k < values.end { weight.get(row, k) } else { 0.0 };
                        let second = if per_word == 2 { get(step * 2 + 1) } else { 0.0 };
                        put(step * PANEL + j, format.word(get(step * per_word), second));
                    }
                }
            }
        }
    }
}
