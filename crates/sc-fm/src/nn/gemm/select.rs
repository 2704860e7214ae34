//! Some outputs of a packed weight.

use super::buffer::Buffer;
use super::micro::{Format, PANEL, widen};
use super::packed::Packed;

impl Packed {
    /// The weight of some outputs, in the order given, in the format that it has: products with it have the bits of those
    /// with the whole weight.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn select(&self, outputs: &[u32]) -> Self {
        let empty = Self {
            kernel: self.kernel,
            outputs: outputs.len(),
            inputs: self.inputs,
            steps: self.steps,
            words: Buffer::default(),
        };
        let mut selected = empty;
        let (parts, panel) = (self.kernel.format().parts(), self.steps * PANEL);
        let (from, to) = (self.panels() * panel, selected.panels() * panel);
        selected.words.at_least(parts * to);
        for part in 0..parts {
            for (place, &output) in outputs.iter().enumerate() {
                let output = output as usize;
                assert!(output < self.outputs, "output {output} of {}", self.outputs);
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
        is_bf16 || self.kernel.format() == Format::F32
    }

    /// The weight of one output, as it is held.
    ///
    /// # Panics
    /// If there is no such output, or `out` has not a value for each input.
    pub(crate) fn weight_of(&self, output: usize, out: &mut [f32]) {
        assert!(output < self.outputs, "output {output} of {}", self.outputs);
        assert_eq!(out.len(), self.inputs, "a value for each input");
        let (format, panel) = (self.kernel.format(), self.steps * PANEL);
        out.fill(0.0);
        for part in 0..format.parts() {
            let words = &self.words[part * self.panels() * panel + output / PANEL * panel..][..panel];
            let words = words.chunks_exact(PANEL).map(|step| step[output % PANEL]);
            match format {
                Format::F32 => out.iter_mut().zip(words).for_each(|(x, word)| *x = f32::from_bits(word)),
                Format::Bf16 | Format::Bf16Split => {
                    let halves = words.flat_map(|word| [widen(word & 0xffff), widen(word >> 16)]);
                    out.iter_mut().zip(halves).for_each(|(x, half)| *x += half);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Epilogue, Kernel, View, gemm_vec};
    use super::*;
    use crate::nn::testing::numbers;

    #[test]
    fn selected_outputs_have_the_bits_of_the_whole_product() {
        let (rows, inputs, outputs) = (5, 410, 100);
        let (a, w) = (numbers(1, rows * inputs), numbers(2, outputs * inputs));
        let chosen: Vec<u32> = (0..70).map(|i| i * 37 % 100).collect();
        for kernel in Kernel::available() {
            let packed = Packed::new(View::new(&w, outputs, inputs), kernel);
            let product = |packed| gemm_vec(View::new(&a, rows, inputs), packed, Epilogue::default());
            let (all, some) = (product(&packed), product(&packed.select(&chosen)));
            for row in 0..rows {
                for (place, &output) in chosen.iter().enumerate() {
                    let (found, expected) = (some[row * 70 + place], all[row * outputs + output as usize]);
                    assert_eq!(found.to_bits(), expected.to_bits(), "{} output {output}", kernel.name());
                }
            }
        }
    }

    #[test]
    fn a_weight_is_read_back_as_it_is_held() {
        let (inputs, outputs) = (75, 70);
        let exact: Vec<f32> = numbers(2, outputs * inputs);
        let rounded: Vec<f32> = exact.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect();
        for kernel in Kernel::available() {
            for (w, is_bf16) in [(&exact, false), (&rounded, true)] {
                let packed = Packed::new(View::new(w, outputs, inputs), kernel);
                let mut found = vec![0.0; inputs];
                for (output, expected) in w.chunks(inputs).enumerate() {
                    packed.weight_of(output, &mut found);
                    match packed.is_lossless(is_bf16) {
                        true => assert_eq!(found, expected, "{} output {output}", kernel.name()),
                        false => {
                            let close = |(x, y): (&f32, &f32)| (x - y).abs() <= 0.004 * y.abs();
                            assert!(
                                found.iter().zip(expected).all(close),
                                "{} output {output}",
                                kernel.name()
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "output 3 of 3")]
    fn an_output_that_is_not_there_is_refused() {
        Packed::new(View::new(&[0.0; 6], 3, 2), Kernel::available()[0]).select(&[3]);
    }
}
