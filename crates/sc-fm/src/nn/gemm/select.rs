//! Some outputs of a packed weight.

use candle_core::DType;

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
        let panel = self.panel_words();
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
        let format = self.kernel.format();
        let (parts, step_words) = (format.parts(), format.step_words());
        let (from, to) = (self.panels() * panel, selected.panels() * panel);
        selected.words.at_least(parts * to);
        for part in 0..parts {
            for (place, output) in places() {
                let source = &self.words[part * from + output / PANEL * panel..][..panel];
                let target = &mut selected.words[part * to + place / PANEL * panel..][..panel];
                let steps = target.chunks_exact_mut(step_words).zip(source.chunks_exact(step_words));
                let (place, output) = (place % PANEL, output % PANEL);
                match format {
                    Format::F16 => steps.for_each(|(target, source)| {
                        let half = source[output / 2] >> (16 * (output % 2)) & 0xffff;
                        target[place / 2] |= half << (16 * (place % 2));
                    }),
                    _ => steps.for_each(|(target, source)| target[place] = source[output]),
                }
            }
        }
        selected
    }

    /// Whether the weight is held as it was, for one of this type.
    pub(crate) fn is_lossless(&self, of: DType) -> bool {
        self.kernel.quantized().is_none()
            && match self.kernel.format() {
                Format::F32 => true,
                Format::F16 => of == DType::F16,
                Format::Bf16 | Format::Bf16Split => of == DType::BF16,
            }
    }
}
