//! Layers in the operations of the tensor library beside the kernels. Attention, caches and rotary embedding have such tests of
//! their own.

use candle_core::{DType, Device, Result, Tensor};

use super::testing::{largest_difference, numbers};
use super::*;
use crate::compute::Compute;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Tanh,
];

fn tensor(seed: u64, dims: &[usize]) -> Tensor {
    Tensor::from_vec(numbers(seed, dims.iter().product()), dims, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Compares what `f` builds and computes in both ways.
#[track_caller]
fn agree(what: &str, limit: f32, f: impl Fn() -> Result<Tensor>) {
    let expected = f().unwrap();
    let _scope = Compute::Portable.enter();
    let found = f().unwrap();
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (difference, at) = largest_difference(&values(&found), &values(&expected));
    assert!(difference < limit, "{what}: {difference} at {at}");
}

#[test]
fn layers_of_one_kind_are_those_of_the_kernels() {
    let x = || tensor(1, &[37, 24]) * 3.0;
    let (weight, bias) = (|| tensor(2, &[24]), || tensor(3, &[24]));
    agree("softmax", 1e-6, || softmax(&x()?));
    agree("sum", 1e-6, || sum(&x()?, &tensor(9, &[37, 24])));
    agree("embedding", 1e-9, || embedding(&x()?, &[3, 36, 3, 0]));
    agree("rms norm", 2e-6, || RmsNorm::new(weight(), 1e-5).forward(&x()?));
    let norm = || LayerNorm::new(weight(), bias(), 1e-5);
    agree("layer norm", 4e-6, || norm().forward(&x()?));
    agree("layer norm of a sum", 4e-6, || norm().forward_residual(&x()?, &tensor(4, &[37, 24])));
    for function in ACTIVATIONS {
        agree(&format!("{function:?}"), 2e-6, || function.forward(&x()?));
    }
}

#[test]
fn linear_layers_are_those_of_the_kernels_and_stay_unpacked() {
    let x = || tensor(1, &[19, 24]);
    let linear = |seed, outputs, inputs| {
        Linear::new(tensor(seed, &[outputs, inputs]), Some(tensor(seed + 1, &[outputs])))
    };
    for function in ACTIVATIONS {
        agree(&format!("{function:?}"), 2e-5, || linear(2, 70, 24).forward(&x(), function));
    }
    let gate = || linear(6, 70, 24);
    for gated in [false, true] {
        agree(&format!("feed forward, gated {gated}"), 2e-4, || {
            let (gate, layers) = (gated.then(gate), (linear(2, 70, 24), linear(4, 24, 70)));
            feed_forward(&x(), gate.as_ref(), (&layers.0, &layers.1), Activation::Silu)
        });
    }
    agree("some outputs", 2e-5, || {
        linear(2, 70, 24).select(&[69, 3, 3])?.forward(&x(), Activation::Identity)
    });
    agree("an adapter", 1e-4, || {
        let adapted = linear(2, 70, 24).with_adapter(tensor(8, &[3, 24]), tensor(9, &[70, 3]), 2.0)?;
        adapted.released().forward(&x(), Activation::Relu)
    });
    agree("rows of the weight", 1e-9, || linear(2, 70, 24).released().weight_rows(&[5, 69]));
    let _scope = Compute::Portable.enter();
    assert!(linear(2, 70, 24).released().weight().is_some());
}

#[test]
fn rows_of_another_type_are_rounded_to_that_of_the_weight() {
    let _scope = Compute::Portable.enter();
    let (x, weight, bias) = (tensor(1, &[5, 33]), tensor(2, &[7, 33]), tensor(3, &[7]));
    let rounded = |x: &Tensor| x.to_dtype(DType::BF16).unwrap();
    let y = Linear::new(rounded(&weight), Some(bias.clone())).forward(&x, Activation::Identity).unwrap();
    assert_eq!(y.dtype(), DType::F32);
    let exact = |x: &Tensor| rounded(x).to_dtype(DType::F32).unwrap();
    let product = exact(&exact(&x).matmul(&exact(&weight).t().unwrap()).unwrap());
    let expected = product.broadcast_add(&bias).unwrap();
    assert!(largest_difference(&values(&y), &values(&expected)).0 < 1e-6);
}

#[test]
fn layers_of_16_bits_sum_in_f32() {
    let x = tensor(1, &[9, 3000]);
    let (weight, bias) = (tensor(2, &[3000]), tensor(3, &[3000]));
    let _scope = Compute::Portable.enter();
    let half = |x: &Tensor| x.to_dtype(DType::BF16).unwrap();
    let exact = |x: &Tensor| half(x).to_dtype(DType::F32).unwrap();
    let compare = |what: &str, found: Tensor, expected: Tensor| {
        assert_eq!(found.dtype(), DType::BF16, "{what}");
        let found = values(&found.to_dtype(DType::F32).unwrap());
        assert!(largest_difference(&found, &values(&exact(&expected))).0 == 0.0, "{what}");
    };
    let norm = |of: &dyn Fn(&Tensor) -> Tensor| {
        LayerNorm::new(of(&weight), of(&bias), 1e-5).forward(&of(&x)).unwrap()
    };
    compare("layer norm", norm(&half), norm(&exact));
    let norm = |of: &dyn Fn(&Tensor) -> Tensor| RmsNorm::new(of(&weight), 1e-5).forward(&of(&x)).unwrap();
    compare("rms norm", norm(&half), norm(&exact));
    compare("softmax", softmax(&half(&x)).unwrap(), softmax(&exact(&x)).unwrap());
    for function in ACTIVATIONS {
        compare("activation", function.forward(&half(&x)).unwrap(), function.forward(&exact(&x)).unwrap());
    }
}

#[test]
fn whole_texts_and_cells_are_those_of_the_kernels() {
    let packing = Packing::new([3, 0, 40, 1]);
    let rows = packing.n_rows();
    let params = CausalAttention { n_heads: 4, n_kv_heads: 2, scale: None, window: Some(7) };
    let (q, k, v) = (tensor(1, &[rows, 32]), tensor(2, &[rows, 16]), tensor(3, &[rows, 16]));
    agree("texts", 2e-6, || causal_attention(&q, &k, &v, &packing, params));
    for order in [NormOrder::Post, NormOrder::Pre, NormOrder::PreReplacing] {
        agree(&format!("{order:?}"), 1e-4, || {
            let linear = |seed, outputs: usize, inputs: usize| {
                Linear::new(
                    (tensor(seed, &[outputs, inputs]) * 0.3).unwrap(),
                    Some(tensor(seed + 1, &[outputs])),
                )
            };
            let norm = |seed| LayerNorm::new(tensor(seed, &[32]), tensor(seed + 1, &[32]), 1e-5);
            let layer = EncoderLayer {
                projection: Projection::Fused(linear(10, 96, 32)),
                output: linear(12, 32, 32),
                attention_norm: norm(14),
                feed_forward: FeedForward::new(linear(16, 50, 32), linear(18, 32, 50), Activation::Gelu),
                feed_forward_norm: norm(20),
                order,
                attention: AttentionParams { n_heads: 4, causal: false },
            };
            layer.forward(&tensor(5, &[rows, 32]), &packing)
        });
    }
}
