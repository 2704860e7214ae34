//! Every kernel against sums in f64, and the promises about bits.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

/// Shapes `(rows, inputs, outputs)` around the sizes of tiles, panels and blocks.
const SHAPES: [(usize, usize, usize); 16] = [
    (1, 1, 1),
    (1, 0, 3),
    (0, 4, 5),
    (3, 4, 0),
    (1, 7, 33),
    (1, 300, 65),
    (2, 255, 31),
    (11, 256, 32),
    (12, 257, 64),
    (13, 64, 15),
    (25, 513, 47),
    (32, 32, 32),
    (33, 1, 40),
    (97, 130, 96),
    (100, 768, 17),
    (205, 65, 129),
];

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Operands, a bias and what the output holds.
struct Case {
    shape: (usize, usize, usize),
    a: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    held: Vec<f32>,
}

impl Case {
    fn new(shape: (usize, usize, usize)) -> Self {
        let (m, k, n) = shape;
        Self { shape, a: values(m * k, 1), w: values(n * k, 2), bias: values(n, 3), held: values(m * n, 4) }
    }

    fn a(&self) -> View<'_> {
        View::new(&self.a, self.shape.0, self.shape.1)
    }

    fn w(&self) -> View<'_> {
        View::new(&self.w, self.shape.2, self.shape.1)
    }

    fn epilogue(&self) -> Epilogue<'_> {
        Epilogue { accumulate: true, bias: Some(&self.bias), relu: true }
    }

    fn gemm(&self, kernel: Kernel) -> Vec<f32> {
        let mut out = self.held.clone();
        gemm(self.a(), &Packed::new(self.w(), kernel), self.epilogue(), &mut out);
        out
    }

    /// The result in f64, and the sum of absolute products that its error is measured by.
    fn twin(&self, i: usize, j: usize) -> (f64, f64) {
        let (_, k, n) = self.shape;
        let start = (f64::from(self.held[i * n + j]), 1.0);
        let (sum, size) = (0..k).fold(start, |(sum, size), l| {
            let product = f64::from(self.a[i * k + l]) * f64::from(self.w[j * k + l]);
            (sum + product, size + product.abs())
        });
        ((sum + f64::from(self.bias[j])).max(0.0), size)
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

/// What an error may be, relative to the sum of absolute products.
fn tolerance(kernel: Kernel) -> f64 {
    match kernel.name().split('-').next() {
        Some("bf16") => 5e-3,
        Some("bf16x3") => 2e-5,
        _ => 1e-6,
    }
}

#[test]
fn every_kernel_agrees_with_sums_in_f64() {
    for kernel in Kernel::available() {
        for shape in SHAPES {
            let case = Case::new(shape);
            let out = case.gemm(kernel);
            for (at, &found) in out.iter().enumerate() {
                let (expected, size) = case.twin(at / shape.2, at % shape.2);
                let error = (f64::from(found) - expected).abs() / size;
                assert!(
                    error <= tolerance(kernel),
                    "{} {shape:?} at {at}: {found}, not {expected}",
                    kernel.name()
                );
            }
        }
    }
}

#[test]
fn all_f32_kernels_give_the_same_bits() {
    let [first, others @ ..] = &Kernel::available()[..] else { panic!("there is a plain kernel") };
    for kernel in others.iter().filter(|kernel| kernel.name().starts_with("f32")) {
        for shape in SHAPES {
            let case = Case::new(shape);
            assert_eq!(bits(&case.gemm(*first)), bits(&case.gemm(*kernel)), "{} {shape:?}", kernel.name());
        }
    }
}
