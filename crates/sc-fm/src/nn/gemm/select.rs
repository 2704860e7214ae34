//! Some outputs of a packed weight.

use super::buffer::Buffer;
use super::micro::PANEL;
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
    #[should_panic(expected = "output 3 of 3")]
    fn an_output_that_is_not_there_is_refused() {
        Packed::new(View::new(&[0.0; 6], 3, 2), Kernel::available()[0]).select(&[3]);
    }
}
