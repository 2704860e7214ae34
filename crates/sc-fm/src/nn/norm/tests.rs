use candle_core::{DType, Device, Tensor, Var};
use pulp::Arch;

use super::{LayerNorm, op};
use crate::nn::simd::every_arch;
use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};

fn tensor(seed: u64, dims: &[usize]) -> Tensor {
    Tensor::from_vec(numbers(seed, dims.iter().product()), dims, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Result and gradients of `Σ w ∘ norm(x + residual)`.
fn all(rows: usize, width: usize, dtype: DType, residual: bool, arch: Option<Arch>) -> Vec<Vec<f32>> {
    let var = |seed, dims: &[usize]| Var::from_tensor(&tensor(seed, dims).to_dtype(dtype).unwrap()).unwrap();
    let (x, y) = (var(1, &[rows, width]), var(2, &[rows, width]));
    let (weight, bias) = (var(3, &[width]), var(4, &[width]));
    let norm = LayerNorm::new(weight.as_tensor().clone(), bias.as_tensor().clone(), 1e-5);
    let out = match arch {
        None if residual => norm.forward_residual(&x, &y),
        None => norm.forward(&x),
        Some(arch) => x.apply_op3(&y, &norm.parameters().unwrap(), op::Norm { eps: 1e-5, arch }),
    };
    let out = out.unwrap();
    let w = tensor(5, &[rows, width]).to_dtype(dtype).unwrap();
    let gradients = (&out * w).unwrap().sum_all().unwrap().backward().unwrap();
    let mut all = vec![values(&out)];
    let differentiated = [Some(&x), residual.then_some(&y), Some(&weight), Some(&bias)];
    all.extend(differentiated.into_iter().flatten().map(|x| values(gradients.get(x).unwrap())));
    all
}

#[test]
fn values_and_gradients_equal_those_of_the_composed_layer_in_f64() {
    for (rows, width) in [(1, 1), (3, 7), (130, 48), (65, 100), (2, 513)] {
        for residual in [false, true] {
            let found = all(rows, width, DType::F32, residual, None);
            let expected = all(rows, width, DType::F64, residual, None);
            for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let (difference, at) = largest_difference(found, expected);
                // A single column is its own mean: its gradient is 0 over 0 but for eps.
                let allowed = if width == 7 { 1e-4 } else { 2e-5 };
                assert!(difference < allowed, "{rows} x {width}, tensor {which}: {difference} at {at}");
            }
        }
    }
}

#[test]
fn every_processor_and_number_of_threads_gives_the_same_bits() {
    let run = |arch| all(200, 77, DType::F32, true, Some(arch)).concat();
    let first = on_threads(1, || run(Arch::Scalar));
    for arch in every_arch() {
        for threads in [1, 2, 4] {
            assert!(same_bits(&first, &on_threads(threads, || run(arch))), "{arch:?}, {threads} threads");
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let x = tensor(1, &[150, 33]);
    let norm = LayerNorm::new(tensor(2, &[33]), tensor(3, &[33]), 1e-12);
    let together = norm.forward(&x).unwrap().narrow(0, 140, 1).unwrap();
    let alone = norm.forward(&x.narrow(0, 140, 1).unwrap()).unwrap();
    assert!(same_bits(&values(&together), &values(&alone)));
}

#[test]
fn a_row_far_from_zero_keeps_its_variance() {
    let row: Vec<f32> = (0..64).map(|i| 1e4 + (i % 2) as f32).collect();
    let x = Tensor::from_vec(row, (1, 64), &Device::Cpu).unwrap();
    let ones = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
    let norm = LayerNorm::new(ones.clone(), ones.zeros_like().unwrap(), 1e-12);
    for (i, y) in values(&norm.forward(&x).unwrap()).into_iter().enumerate() {
        assert_eq!(y, if i % 2 == 0 { -1.0 } else { 1.0 });
    }
}

#[test]
fn nan_stays_in_its_row_and_shapes_that_do_not_fit_are_named() {
    let mut x = numbers(1, 30);
    x[12] = f32::NAN;
    let x = Tensor::from_vec(x, (3, 10), &Device::Cpu).unwrap();
    let norm = |width: usize| LayerNorm::new(tensor(2, &[width]), tensor(3, &[width]), 1e-5);
    let y = values(&norm(10).forward(&x).unwrap());
    assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (10..20).contains(&i)));
    let message = norm(9).forward(&x).unwrap_err().to_string();
    assert!(message.contains("the weight has the shape [9], expected 10 values"), "{message}");
    assert!(norm(10).forward_residual(&x, &x.narrow(0, 0, 2).unwrap()).is_err());
    assert_eq!(norm(10).forward(&x.narrow(0, 0, 0).unwrap()).unwrap().dims(), [0, 10]);
}
