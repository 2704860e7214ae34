//! Every kernel against sums in f64, and the promises about bits.

#![allow(unsafe_code, reason = "a plain twin of a kernel is a kernel")]

pub(super) mod plain;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::kernel::Kind;
use super::*;

/// Shapes `(rows, inputs, outputs)` around the sizes of tiles, panels and blocks.
const SHAPES: [(usize, usize, usize); 20] = [
    (1, 1, 1),
    (1, 0, 3),
    (0, 4, 5),
    (3, 4, 0),
    (1, 7, 33),
    (1, 300, 65),
    (2, 383, 31),
    (5, 384, 8),
    (7, 385, 96),
    (11, 256, 32),
    (12, 257, 64),
    (13, 64, 15),
    (17, 769, 40),
    (25, 513, 47),
    (32, 32, 32),
    (33, 1, 40),
    (97, 130, 96),
    (100, 768, 17),
    (193, 33, 513),
    (205, 65, 129),
];

/// The kernels of this processor for floating point numbers, and the plain twins of those that it may lack.
fn kernels() -> Vec<Kernel> {
    let mut kernels = Kernel::available();
    kernels.retain(|kernel| kernel.blocks().is_none());
    kernels.push(Kernel(Kind::PlainBf16));
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    kernels.extend([Kind::EmulatedBf16, Kind::EmulatedSplit].map(Kernel));
    kernels
}

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

/// All NaN are one.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

/// What an error may be, relative to the sum of absolute products: a few roundings of f32; of bf16, half a unit of 8
/// bits for each operand; of two bf16, the product of the low parts that is left out, and their rounding.
fn tolerance(kernel: Kernel) -> f64 {
    match kernel.name().split('-').next() {
        Some("bf16") => 2f64.powi(-8),
        Some("bf16x3") => 2f64.powi(-16),
        Some("f16") => 2f64.powi(-11),
        _ => 2f64.powi(-21),
    }
}

#[test]
fn every_kernel_agrees_with_sums_in_f64() {
    for kernel in kernels() {
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

#[test]
fn all_f16_kernels_give_the_bits_of_f32_with_the_rounded_weight() {
    for kernel in kernels().iter().filter(|kernel| kernel.name().starts_with("f16")) {
        for shape in SHAPES {
            let mut case = Case::new(shape);
            let found = case.gemm(*kernel);
            let packed = Packed::new(case.w(), *kernel);
            let mut whole = vec![0.0; case.w.len()];
            packed.unpack(0..shape.2, &mut whole);
            for value in &mut case.w {
                *value = half::f16::from_f32(*value).to_f32();
            }
            assert_eq!(whole, case.w);
            assert_eq!(bits(&found), bits(&case.gemm(Kernel::new(Precision::F32))), "{}", kernel.name());
            let chosen: Vec<u32> = (0..shape.2 as u32).rev().step_by(3).collect();
            let some = gemm_vec(case.a(), &packed.select(&chosen), Epilogue::default());
            let all = gemm_vec(case.a(), &packed, Epilogue::default());
            let expected =
                (0..shape.0).flat_map(|row| chosen.iter().map(move |&j| row * shape.2 + j as usize));
            assert_eq!(some, expected.map(|at| all[at]).collect::<Vec<_>>(), "{}", kernel.name());
        }
    }
}

#[test]
fn values_too_large_for_f16_are_refused_with_their_place() {
    let kernel = Kernel::new(Precision::F16);
    let mut values = vec![0.5f32; 300 * 40];
    values[7] = 65_519.0;
    values[8] = f32::INFINITY;
    let packed = Packed::try_new(View::new(&values, 300, 40), kernel).unwrap();
    let mut row = [0.0; 40];
    packed.unpack(0..1, &mut row);
    assert_eq!(
        row[7..9],
        [65_504.0, f32::INFINITY],
        "the largest, to which it is rounded, and what is no number"
    );
    values[290 * 40 + 3] = -65_520.0;
    let refused = |error: Error| {
        let place = (290, 3, -65_520.0);
        assert!(
            matches!(error, Error::NotHeld { output, input, value, .. } if (output, input, value) == place)
        );
        assert!(error.to_string().contains("f16"), "{error}");
    };
    refused(Packed::try_new(View::new(&values, 300, 40), kernel).unwrap_err());
    let read = |rows: std::ops::Range<usize>, into: &mut [f32]| {
        into.copy_from_slice(&values[rows.start * 40..rows.end * 40]);
        Ok::<(), Error>(())
    };
    refused(Packed::from_pieces((300, 40), kernel, read).unwrap_err());
}

#[test]
fn f32_results_are_what_the_documentation_defines() {
    let case = Case::new((3, 900, 5));
    let out = case.gemm(Kernel::new(Precision::F32));
    for (at, found) in out.iter().enumerate() {
        let (a, w) = (&case.a[at / 5 * 900..][..900], &case.w[at % 5 * 900..][..900]);
        let blocks = a.chunks(384).zip(w.chunks(384));
        let sums = blocks.map(|(a, w)| a.iter().zip(w).fold(0f32, |sum, (a, w)| a.mul_add(*w, sum)));
        let sum = sums.fold(case.held[at], |sum, block| sum + block) + case.bias[at % 5];
        assert_eq!(*found, sum.max(0.0), "{at}");
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    for kernel in kernels() {
        let case = Case::new((100, 20, 300));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bits(&case.gemm(kernel)))
        };
        let one = run(1);
        assert_eq!(one, run(2), "{}", kernel.name());
        assert_eq!(one, run(4), "{}", kernel.name());
    }
}

#[test]
fn bits_of_a_row_do_not_depend_on_other_rows() {
    let case = Case::new((101, 400, 70));
    let (_, k, n) = case.shape;
    for kernel in kernels() {
        let packed = Packed::new(case.w(), kernel);
        let all = case.gemm(kernel);
        for rows in [0..1, 0..13, 13..29, 100..101] {
            let a = View::new(&case.a[rows.start * k..rows.end * k], rows.len(), k);
            let places = rows.start * n..rows.end * n;
            let mut out = case.held[places.clone()].to_vec();
            gemm(a, &packed, case.epilogue(), &mut out);
            assert_eq!(bits(&out), bits(&all[places]), "{} {rows:?}", kernel.name());
        }
    }
}

#[test]
fn one_thread_new_memory_wide_rows_and_transposes_give_the_same_bits() {
    let case = Case::new((37, 70, 45));
    let (m, k, n) = case.shape;
    let transposed = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        (0..columns * rows).map(|at| values[at % rows * columns + at / rows]).collect()
    };
    let (a_t, w_t) = (transposed(&case.a, m, k), transposed(&case.w, n, k));
    let epilogue = Epilogue { accumulate: false, ..case.epilogue() };
    for kernel in kernels() {
        let packed = Packed::new(case.w(), kernel);
        let expected = bits(&gemm_vec(case.a(), &packed, epilogue));
        let mut again = Packed::new(View::new(&[1.0; 64 * 99], 64, 99), kernel);
        again.repack(View::new(&w_t, k, n).t());
        assert_eq!((again.outputs(), again.inputs(), again.kernel()), (n, k, kernel));
        let mut wide = vec![7.0; m * 50];
        Serial::default().gemm(View::new(&a_t, k, m).t(), &again, epilogue, &mut wide, 50);
        for (i, row) in wide.chunks(50).enumerate() {
            assert_eq!(bits(&row[..n]), expected[i * n..][..n], "{} row {i}", kernel.name());
            assert_eq!(row[n..], [7.0; 5], "{} row {i}", kernel.name());
        }
    }
}

#[test]
fn nan_and_infinity_go_where_they_belong_and_nowhere_else() {
    let mut case = Case::new((14, 50, 40));
    case.a[3 * 50 + 9] = f32::NAN;
    case.a[5 * 50 + 49] = f32::INFINITY;
    case.w[11 * 50 + 2] = f32::NEG_INFINITY;
    for kernel in kernels() {
        let epilogue = Epilogue { relu: false, accumulate: false, bias: None };
        let plain = gemm_vec(case.a(), &Packed::new(case.w(), kernel), epilogue);
        let relu = gemm_vec(case.a(), &Packed::new(case.w(), kernel), Epilogue { relu: true, ..epilogue });
        for (at, (value, positive)) in plain.iter().zip(&relu).enumerate() {
            let (i, j, name) = (at / 40, at % 40, kernel.name());
            assert_eq!(value.is_finite(), i != 3 && i != 5 && j != 11, "{name} ({i}, {j}): {value}");
            if i == 3 {
                assert!(positive.is_nan(), "{name} ({i}, {j}): {positive}");
            }
            if (i == 5) != (j == 11) && i != 3 && !name.starts_with("bf16x3") {
                let sign = if i == 5 { case.w[j * 50 + 49] } else { -case.a[i * 50 + 2] };
                assert_eq!(*value, f32::INFINITY.copysign(sign), "{name} ({i}, {j})");
            }
        }
    }
}

#[test]
fn the_precision_chooses_and_less_than_the_processor_has_is_more_exact() {
    let kinds = |precision| Kernel::new(precision).name().split('-').next().unwrap().to_owned();
    assert_eq!(kinds(Precision::F32), "f32");
    assert!(["f32", "bf16x3"].contains(&kinds(Precision::F32Grade).as_str()));
    assert!(["f32", "bf16"].contains(&kinds(Precision::Bf16).as_str()));
    assert_eq!(kinds(Precision::F16), "f16");
    assert_eq!([kinds(Precision::Q8_0), kinds(Precision::Q4_K)], ["q8_0", "q4_k"]);
    assert_eq!(Precision::default(), Precision::F32Grade);
}

#[test]
#[should_panic(expected = "rows have a value for each input of the weight")]
fn operands_must_fit() {
    let packed = Packed::new(View::new(&[0.0; 6], 2, 3), Kernel::new(Precision::F32));
    gemm(View::new(&[0.0; 4], 2, 2), &packed, Epilogue::default(), &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "the bias has a value for each output")]
fn the_bias_must_fit() {
    let packed = Packed::new(View::new(&[0.0; 6], 2, 3), Kernel::new(Precision::F32));
    let epilogue = Epilogue { bias: Some(&[0.0; 3]), ..Default::default() };
    gemm(View::new(&[0.0; 3], 1, 3), &packed, epilogue, &mut [0.0; 2]);
}
