use candle_core::{DType, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;

fn tensor(rows: usize, columns: usize, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values = (0..rows * columns).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn bias(n: usize, seed: u64) -> Tensor {
    tensor(1, n, seed).squeeze(0).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    let difference = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap();
    difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// `activation(x Wᵀ + b)` in f64.
fn twin(x: &Tensor, w: &Tensor, b: &Tensor, activation: Activation) -> Tensor {
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let y = wide(x).matmul(&wide(w).t().unwrap()).unwrap().broadcast_add(&wide(b)).unwrap();
    activation.forward(&y).unwrap()
}

#[test]
fn frozen_weights_and_variables_give_the_same_bits() {
    let (x, w, b) = (tensor(29, 70, 1), tensor(45, 70, 2), bias(45, 3));
    let variable = Linear::new(Var::from_tensor(&w).unwrap().as_tensor().clone(), Some(b.clone()));
    let frozen = Linear::new(w.clone(), Some(b.clone()));
    assert!(frozen.frozen.is_some() && variable.frozen.is_none());
    for activation in [Activation::Identity, Activation::Relu, Activation::Gelu] {
        let y = frozen.forward(&x, activation).unwrap();
        assert!(largest_difference(&y, &twin(&x, &w, &b, activation)) < 1e-5, "{activation:?}");
        assert_eq!(bits(&y), bits(&variable.forward(&x, activation).unwrap()), "{activation:?}");
    }
}

#[test]
fn a_weight_that_changes_after_construction_is_seen() {
    let var = Var::from_tensor(&tensor(4, 6, 1)).unwrap();
    let layer = Linear::new(var.as_tensor().clone(), None);
    let (x, other) = (tensor(3, 6, 2), tensor(4, 6, 3));
    var.set(&other).unwrap();
    let zero = bias(4, 9).zeros_like().unwrap();
    let y = layer.forward(&x, Activation::Identity).unwrap();
    assert!(largest_difference(&y, &twin(&x, &other, &zero, Activation::Identity)) < 1e-5);
}

#[test]
fn parts_and_transposes_of_tensors_need_no_copy() {
    let (wide, w, b) = (tensor(20, 30, 1), tensor(30, 9, 2), bias(9, 3));
    let (x, w) =
        (wide.narrow(0, 3, 11).unwrap().narrow(1, 5, 12).unwrap(), w.narrow(0, 1, 12).unwrap().t().unwrap());
    let y = Linear::new(w.clone(), Some(b.clone())).forward(&x, Activation::Identity).unwrap();
    assert!(largest_difference(&y, &twin(&x, &w, &b, Activation::Identity)) < 1e-5);
}

#[test]
fn half_precision_weights_are_summed_in_f32() {
    let (x, w, b) = (tensor(15, 600, 1), tensor(21, 600, 2), bias(21, 3));
    for dtype in [DType::F16, DType::BF16] {
        let half = |tensor: &Tensor| tensor.to_dtype(dtype).unwrap();
        let (x, w, b) = (half(&x), half(&w), half(&b));
        let layer = Linear::new(w.clone(), Some(b.clone()));
        let y = layer.forward(&x, Activation::Relu).unwrap();
        assert_eq!(y.dtype(), dtype);
        // One rounding, of the result: half a unit in the last of 8 or 11 bits.
        let expected = twin(&x, &w, &b, Activation::Relu);
        let largest: f64 = expected.max_all().unwrap().to_scalar().unwrap();
        let unit = if dtype == DType::F16 { 2f64.powi(-11) } else { 2f64.powi(-8) };
        assert!(largest_difference(&y, &expected) <= largest * unit, "{dtype:?}");
        // Sums of f32 input stay f32.
        let y = layer.forward(&x.to_dtype(DType::F32).unwrap(), Activation::Relu).unwrap();
        assert!(largest_difference(&y, &expected) < 1e-4, "{dtype:?}");
    }
}

/// `Σ (layer(x) · direction)`, the scalar whose derivatives are checked.
fn loss(layer: &Linear, x: &Tensor, direction: &Tensor, activation: Activation) -> Tensor {
    (layer.forward(x, activation).unwrap() * direction).unwrap().sum_all().unwrap()
}

/// The derivative of `f` by each value of `at`, by differences in both directions.
fn differences(at: &Tensor, f: impl Fn(Tensor) -> Tensor) -> Tensor {
    let step = 1e-2f32;
    let values: Vec<f32> = at.flatten_all().unwrap().to_vec1().unwrap();
    let derivative = |i: usize| {
        let moved = |by: f32| {
            let mut values = values.clone();
            values[i] += by;
            f64::from(
                f(Tensor::from_vec(values, at.shape(), &Device::Cpu).unwrap()).to_scalar::<f32>().unwrap(),
            )
        };
        ((moved(step) - moved(-step)) / f64::from(2.0 * step)) as f32
    };
    Tensor::from_vec((0..values.len()).map(derivative).collect(), at.shape(), &Device::Cpu).unwrap()
}

#[test]
fn gradients_equal_finite_differences() {
    // No value before the activation is nearer to 0 than a step moves it, so differences do not cross the kink.
    let (x, w, b) = (tensor(5, 7, 31), tensor(6, 7, 32), bias(6, 33));
    let y = twin(&x, &w, &b, Activation::Identity).abs().unwrap();
    assert!(y.min_all().unwrap().to_scalar::<f64>().unwrap() > 0.011);
    let direction = tensor(5, 6, 24);
    for activation in [Activation::Identity, Activation::Relu, Activation::Tanh] {
        let vars = [&x, &w, &b].map(|tensor| Var::from_tensor(tensor).unwrap());
        let layer = Linear::new(vars[1].as_tensor().clone(), Some(vars[2].as_tensor().clone()));
        let gradients = loss(&layer, vars[0].as_tensor(), &direction, activation).backward().unwrap();
        let expected = [
            differences(&x, |x| loss(&Linear::new(w.clone(), Some(b.clone())), &x, &direction, activation)),
            differences(&w, |w| loss(&Linear::new(w, Some(b.clone())), &x, &direction, activation)),
            differences(&b, |b| loss(&Linear::new(w.clone(), Some(b)), &x, &direction, activation)),
        ];
        for ((var, expected), name) in vars.iter().zip(&expected).zip(["x", "weight", "bias"]) {
            let gradient = gradients.get(var.as_tensor()).expect("every variable has a gradient");
            let difference = largest_difference(gradient, expected);
            assert!(difference < 2e-3, "{activation:?}, {name}: {difference}");
        }
        // A frozen layer passes the same gradient on.
        let frozen = Linear::new(w.clone(), Some(b.clone()));
        let by_x = loss(&frozen, vars[0].as_tensor(), &direction, activation).backward().unwrap();
        let by_x = by_x.get(vars[0].as_tensor()).expect("x is a variable");
        assert_eq!(bits(by_x), bits(gradients.get(vars[0].as_tensor()).unwrap()));
    }
}

#[test]
fn a_bias_alone_can_be_trained() {
    let (x, w, b) = (tensor(5, 7, 1), tensor(6, 7, 2), Var::from_tensor(&bias(6, 3)).unwrap());
    let layer = Linear::new(w.clone(), Some(b.as_tensor().clone()));
    let direction = tensor(5, 6, 4);
    let gradients = loss(&layer, &x, &direction, Activation::Identity).backward().unwrap();
    assert!(gradients.get(&w).is_none());
    let expected = direction.sum(0).unwrap();
    assert!(largest_difference(gradients.get(b.as_tensor()).unwrap(), &expected) < 1e-6);
}

#[test]
fn an_adapter_is_trained_beside_a_frozen_weight_and_merges_into_it() {
    let (x, w, b) = (tensor(9, 12, 1), tensor(10, 12, 2), bias(10, 3));
    let (down, up) =
        (Var::from_tensor(&tensor(4, 12, 4)).unwrap(), Var::from_tensor(&tensor(10, 4, 5)).unwrap());
    let plain = Linear::new(w, Some(b));
    let layer = plain.clone().with_adapter(down.as_tensor().clone(), up.as_tensor().clone(), 0.5).unwrap();
    let y = layer.forward(&x, Activation::Relu).unwrap();
    assert!(largest_difference(&y, &layer.merged().unwrap().forward(&x, Activation::Relu).unwrap()) < 1e-5);
    assert!(largest_difference(&y, &plain.forward(&x, Activation::Relu).unwrap()) > 0.1);

    let direction = tensor(9, 10, 6);
    let gradients = loss(&layer, &x, &direction, Activation::Identity).backward().unwrap();
    let by_down = gradients.get(down.as_tensor()).expect("A is trained");
    let expected = differences(down.as_tensor(), |a| {
        let layer = plain.clone().with_adapter(a, up.as_tensor().clone(), 0.5).unwrap();
        loss(&layer, &x, &direction, Activation::Identity)
    });
    assert!(largest_difference(by_down, &expected) < 5e-3);
    assert!(gradients.get(up.as_tensor()).is_some(), "B is trained");
    assert!(gradients.get(plain.weight().unwrap()).is_none(), "the weight is not");
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let layer = Linear::new(tensor(4, 6, 1), None);
    let message = layer.forward(&tensor(3, 5, 2), Activation::Identity).unwrap_err().to_string();
    assert!(message.starts_with("shape mismatch in linear, lhs: [3, 5], rhs: [4, 6]"), "{message}");
    let layer = Linear::new(tensor(4, 6, 1), Some(bias(5, 2)));
    let message = layer.forward(&tensor(3, 6, 2), Activation::Identity).unwrap_err().to_string();
    assert!(message.starts_with("shape mismatch in linear, lhs: [4, 6], rhs: [5]"), "{message}");
    let layer = Linear::new(tensor(4, 6, 1), None);
    let message = layer.with_adapter(tensor(2, 6, 1), tensor(5, 2, 1), 1.0).unwrap_err().to_string();
    assert!(message.starts_with("shape mismatch in adapter, lhs: [5, 2], rhs: [2, 6]"), "{message}");
    assert!(Linear::new(tensor(4, 6, 1), None).forward(&bias(6, 1), Activation::Identity).is_err());
}

#[test]
fn other_types_are_left_to_the_tensor_library() {
    let wide = |tensor: Tensor| tensor.to_dtype(DType::F64).unwrap();
    let (x, w, b) = (wide(tensor(3, 6, 1)), wide(tensor(4, 6, 2)), wide(bias(4, 3)));
    let y = Linear::new(w.clone(), Some(b.clone())).forward(&x, Activation::Relu).unwrap();
    assert!(largest_difference(&y, &twin(&x, &w, &b, Activation::Relu)) < 1e-12);
}

#[test]
fn no_rows_are_no_error() {
    let layer = Linear::new(tensor(4, 6, 1), Some(bias(4, 2)));
    let y = layer.forward(&tensor(0, 6, 3), Activation::Relu).unwrap();
    assert_eq!(y.dims(), [0, 4]);
}

#[test]
fn the_cross_entropy_of_a_layer_equals_that_of_its_logits() {
    let (x, w, b) = (tensor(901, 12, 1), tensor(50, 12, 2), bias(50, 3));
    let labels: Vec<Option<u32>> = (0..901).map(|i| (i % 9 != 4).then_some(i * 7 % 50)).collect();
    let both = |fused: bool| {
        let [x, w, b] = [&x, &w, &b].map(|x| Var::from_tensor(x).unwrap());
        let layer = Linear::new(w.as_tensor().clone(), Some(b.as_tensor().clone()));
        let loss = match fused {
            true => layer.cross_entropy(&x, &labels).unwrap(),
            false => {
                let logits = layer.forward(&x, Activation::Identity).unwrap();
                crate::nn::cross_entropy(&logits, &labels).unwrap()
            }
        };
        let gradients = (&loss * 3.0).unwrap().backward().unwrap();
        let of = |x: &Var| gradients.get(x).unwrap().clone();
        [loss, of(&x), of(&w), of(&b)]
    };
    for (found, expected) in both(true).iter().zip(&both(false)) {
        assert!(largest_difference(found, expected) < 1e-6);
    }
}

#[test]
fn a_cross_entropy_has_the_same_bits_on_any_number_of_threads() {
    let (x, w, b) = (tensor(500, 20, 1), tensor(70, 20, 2), bias(70, 3));
    let labels: Vec<Option<u32>> = (0..500).map(|i| Some(i % 70)).collect();
    let run = |threads| {
        crate::nn::testing::on_threads(threads, || {
            let [x, w, b] = [&x, &w, &b].map(|x| Var::from_tensor(x).unwrap());
            let layer = Linear::new(w.as_tensor().clone(), Some(b.as_tensor().clone()));
            let loss = layer.cross_entropy(&x, &labels).unwrap();
            let gradients = loss.backward().unwrap();
            [&x, &w, &b].map(|x| bits(gradients.get(x).unwrap()))
        })
    };
    assert!(run(1) == run(2) && run(1) == run(4));
}

#[test]
fn a_cross_entropy_without_bias_or_labels_and_of_frozen_weights_is_no_other() {
    let (x, w) = (Var::from_tensor(&tensor(6, 4, 1)).unwrap(), tensor(5, 4, 2));
    let layer = Linear::new(w.clone(), None);
    let labels = [Some(1), None, Some(4), Some(0), Some(2), None];
    let found = layer.cross_entropy(&x, &labels).unwrap();
    let logits = layer.forward(&x, Activation::Identity).unwrap();
    let expected = crate::nn::cross_entropy(&logits, &labels).unwrap();
    assert!(largest_difference(&found, &expected) < 1e-6);
    let frozen = Linear::new(w, Some(bias(5, 3)));
    let gradients = frozen.cross_entropy(&x, &labels).unwrap().backward().unwrap();
    let rows = gradients.get(&x).unwrap().to_vec2::<f32>().unwrap();
    assert!(rows[1].iter().all(|&x| x == 0.0) && rows[0].iter().any(|&x| x != 0.0));
    let none = frozen.cross_entropy(&x, &[None; 6]).unwrap();
    assert_eq!(none.to_scalar::<f32>().unwrap(), 0.0);
    let error = frozen.cross_entropy(&x, &[Some(5); 6]).unwrap_err().to_string();
    assert!(error.contains("the label of row 0 is 5, expected less than 5"), "{error}");
}

/// The values that a layer multiplies with.
fn unpacked(layer: &Linear) -> Tensor {
    let packed = layer.packed_weight().expect("the weight is packed");
    let mut values = vec![0.0; packed.outputs() * packed.inputs()];
    packed.unpack(0..packed.outputs(), &mut values);
    Tensor::from_vec(values, (packed.outputs(), packed.inputs()), &Device::Cpu).unwrap()
}

#[test]
fn weights_in_blocks_are_kept_in_blocks_alone_and_have_gradients_by_their_input() {
    let (w, b, direction) = (tensor(900, 256, 2), bias(900, 3), tensor(11, 900, 4));
    for (precision, tolerance) in [(Precision::Q8_0, 0.2), (Precision::Q4_K, 2.0)] {
        let layer = Linear::with_precision(w.clone(), Some(b.clone()), precision);
        assert!(layer.weight().is_none() && layer.kernel() == Kernel::new(precision));
        assert_eq!(layer.dims().unwrap(), (900, 256));
        let x = Var::from_tensor(&tensor(11, 256, 1)).unwrap();
        let y = layer.forward(&x, Activation::Relu).unwrap();
        assert!(largest_difference(&y, &twin(&x, &w, &b, Activation::Relu)) < tolerance, "{precision:?}");
        // The way back is that of the rounded weight, in single precision.
        let plain = Linear::new(unpacked(&layer), Some(b.clone()));
        let gradient = |layer: &Linear| {
            let gradients = loss(layer, &x, &direction, Activation::Identity).backward().unwrap();
            bits(gradients.get(&x).expect("x is a variable"))
        };
        assert_eq!(gradient(&layer), gradient(&plain), "{precision:?}");
        assert_eq!(gradient(&plain.clone().released()), gradient(&plain));
        let labels = [Some(3), None, Some(899), Some(0)].repeat(3);
        let logits = layer.forward(&x, Activation::Identity).unwrap();
        let found = layer.cross_entropy(&x, &labels[..11]).unwrap();
        assert_eq!(bits(&found), bits(&crate::nn::cross_entropy(&logits, &labels[..11]).unwrap()));
        let message =
            layer.forward(&x.to_dtype(DType::F64).unwrap(), Activation::Identity).unwrap_err().to_string();
        assert!(
            message.contains("a packed weight takes floating point numbers of the CPU, found F64"),
            "{message}"
        );
    }
}

#[test]
fn what_blocks_cannot_be_for_is_multiplied_in_single_precision() {
    let (x, w) = (tensor(3, 64, 1), tensor(5, 64, 2));
    let variable = Var::from_tensor(&w).unwrap();
    let trained = Linear::with_precision(variable.as_tensor().clone(), None, Precision::Q8_0);
    assert_eq!(trained.kernel(), Kernel::new(Precision::F32Grade));
    let found = trained.forward(&x, Activation::Identity).unwrap();
    assert_eq!(bits(&found), bits(&Linear::new(w.clone(), None).forward(&x, Activation::Identity).unwrap()));
    let trained = Linear::with_precision(variable.as_tensor().clone(), None, Precision::F16);
    assert_eq!(trained.kernel(), Kernel::new(Precision::F32Grade));
    let large = Linear::with_precision((&w * 1e6).unwrap(), None, Precision::F16);
    assert!(large.weight().is_some() && large.kernel() == Kernel::new(Precision::F32Grade));
    let infinite = (w / 0.0).unwrap();
    let layer = Linear::with_precision(infinite, None, Precision::Q4_K);
    assert!(layer.weight().is_some() && layer.kernel() == Kernel::new(Precision::F32Grade));
}

#[test]
fn released_and_selected_layers_give_the_same_bits() {
    let (x, w, b) = (tensor(7, 256, 1), tensor(90, 256, 2), bias(90, 3));
    let chosen: Vec<u32> = vec![89, 0, 17, 17, 33];
    use Precision::{Bf16, F16, F32, F32Grade, Q4_K, Q8_0};
    for precision in [F32, F32Grade, F16, Bf16, Q8_0, Q4_K] {
        let layer = Linear::with_precision(w.clone(), Some(b.clone()), precision);
        let y = layer.forward(&x, Activation::Tanh).unwrap();
        let released = layer.clone().released();
        assert!(released.weight().is_none());
        assert_eq!(bits(&released.forward(&x, Activation::Tanh).unwrap()), bits(&y), "{precision:?}");
        let expected = y.index_select(&Tensor::new(chosen.as_slice(), &Device::Cpu).unwrap(), 1).unwrap();
        for layer in [&layer, &released] {
            let some = layer.select(&chosen).unwrap().forward(&x, Activation::Tanh).unwrap();
            assert_eq!(bits(&some), bits(&expected), "{precision:?}");
        }
        let rows = layer.weight_rows(&chosen).unwrap();
        let whole = released.weight_rows(&chosen).unwrap();
        let exact = w.index_select(&Tensor::new(chosen.as_slice(), &Device::Cpu).unwrap(), 0).unwrap();
        assert_eq!(bits(&rows) == bits(&exact), layer.is_lossless(), "{precision:?}");
        assert_eq!(bits(&whole) == bits(&exact), released.is_lossless(), "{precision:?}");
        assert!(largest_difference(&whole, &exact) < 0.1, "{precision:?}");
        assert!(released.weight_rows(&[90]).is_err());
        let error = released.select(&[90]).unwrap_err().to_string();
        assert!(error.contains("output 90 of a layer with 90"), "{error}");
    }
    let variable = Linear::new(Var::from_tensor(&w).unwrap().as_tensor().clone(), Some(b));
    assert!(variable.clone().released().weight().is_some(), "a variable stays");
    let some = variable.select(&chosen).unwrap();
    assert_eq!(some.dims().unwrap(), (5, 256));
}

#[test]
fn the_weight_can_be_read_back_row_by_row() {
    let w = tensor(45, 70, 2);
    let rows = [3, 44, 3];
    let expected = w.index_select(&Tensor::new(&rows, &Device::Cpu).unwrap(), 0).unwrap();
    for (precision, is_lossless) in [
        (Precision::F32, true),
        (Precision::F32Grade, true),
        (Precision::F16, false),
        (Precision::Bf16, false),
        (Precision::Q8_0, false),
    ] {
        let released = Linear::with_precision(w.clone(), None, precision).released();
        let found = released.weight_rows(&rows).unwrap();
        let is_f32 = released.kernel() == Kernel::new(Precision::F32);
        assert_eq!(released.is_lossless(), is_lossless && is_f32, "{precision:?}");
        match released.is_lossless() {
            true => assert_eq!(bits(&found), bits(&expected), "{precision:?}"),
            false => assert!(largest_difference(&found, &expected) < 0.05, "{precision:?}"),
        }
        let error = released.weight_rows(&[45]).unwrap_err().to_string();
        assert!(error.contains("row 45 of a weight of 45"), "{error}");
    }
    for (dtype, precision) in [(DType::BF16, Precision::Bf16), (DType::F16, Precision::F16)] {
        let stored = w.to_dtype(dtype).unwrap();
        let released = Linear::with_precision(stored.clone(), None, precision).released();
        assert!(released.is_lossless());
        let expected = stored.to_dtype(DType::F32).unwrap();
        assert_eq!(bits(&released.weight_rows(&(0..45).collect::<Vec<_>>()).unwrap()), bits(&expected));
    }
}

#[test]
fn an_adapter_is_trained_beside_blocks_and_merges_into_them() {
    let (x, w) = (tensor(6, 64, 1), tensor(40, 64, 2));
    let (down, up) =
        (Var::from_tensor(&tensor(2, 64, 4)).unwrap(), Var::from_tensor(&tensor(40, 2, 5)).unwrap());
    let plain = Linear::with_precision(w, None, Precision::Q8_0);
    let layer = plain.clone().with_adapter(down.as_tensor().clone(), up.as_tensor().clone(), 0.5).unwrap();
    let gradients = loss(&layer, &x, &tensor(6, 40, 6), Activation::Identity).backward().unwrap();
    assert!(gradients.get(down.as_tensor()).is_some() && gradients.get(up.as_tensor()).is_some());
    let merged = layer.merged().unwrap();
    assert!(merged.weight().is_none() && merged.kernel() == plain.kernel());
    let sum = (unpacked(&plain) + (up.as_tensor().matmul(down.as_tensor()).unwrap() * 0.5).unwrap()).unwrap();
    // Half a step of the largest value in a block.
    assert!(largest_difference(&unpacked(&merged), &sum) < 2.0 * 0.5 / 127.0 * 1.1);
    let wrong = plain.with_adapter(tensor(2, 63, 1), tensor(40, 2, 1), 1.0).unwrap_err();
    assert!(wrong.to_string().contains("adapter"), "{wrong}");
}

#[test]
fn a_packed_weight_with_a_bias_of_another_length_is_refused() {
    let packed = || Packed::new(crate::nn::gemm::View::new(&[0.5; 64], 2, 32), Kernel::new(Precision::Q8_0));
    assert!(Linear::packed(packed(), Some(bias(3, 1))).is_err());
    let layer = Linear::packed(packed(), Some(bias(2, 1))).unwrap();
    assert!(layer.weight().is_none());
    assert_eq!(layer.forward(&tensor(3, 32, 1), Activation::Identity).unwrap().dims(), [3, 2]);
}
