//! Some outputs of a packed weight.

use super::buffer::Buffer;
use super::micro::{Format, PANEL};
use super::packed::Packed;
use super::quantized;

impl Packed {
    /// The weight of some outputs, in the order given, in the format that it has: products with it have the bits of those
    /// with the whole weight.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn select(&self, outputs: &[u32]) -> Self {
        let panel = self.steps * PANEL;
        let mut selected = Self { outputs: outputs.len(), words: Buffer::default(), ..*self };
        let places = || {
            outputs.iter().map(|&output| output as usize).enumerate().inspect(|&(_, output)| {
                assert!(output < self.outputs, "output {output} of {}", self.outputs);
            })
        };
        if let Some(kernel) = self.kernel.quantized() {
            selected.words.at_least(outputs.len().div_ceil(quantized::PANEL) * panel);
            for (place, output) in places() {
                let from = (self.quantized_panel(output / quantized::PANEL), output % quantized::PANEL);
                let to = &mut selected.words[place / quantized::PANEL * panel..][..panel];
                quantized::copy_row(kernel.weight, self.inputs, from, (to, place % quantized::PANEL));
            }
            return selected;
        }
        let parts = self.kernel.format().parts();
        let (from, to) = (self.panels() * panel, selected.panels() * panel);
        selected.words.at_least(parts * to);
        for part in 0..parts {
            for (place, output) in places() {
                let source = &self.words[part * from + output / PANEL * panel..][..panel];
                let target = &mut selected.words[part * to + place / PANEL * panel..][..panel];
                for (target, source) in target.chunks_exact_mut(PANEL).zip(source.chunks_exact(PANEL)) {
                    target[place % PANEL] = source[output % PANEL];
                }
            }
        }
        selected
    }

    /// Whether the weight is held as it was, for one that was stored as bf16 or as f32.
    pub(crate) fn is_lossless(&self, is_bf16: bool) -> bool {
        self.kernel.quantized().is_none() && (is_bf16 || self.kernel.format() == Format::F32)
    }
}
