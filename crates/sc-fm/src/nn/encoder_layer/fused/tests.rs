use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Var};

use super::*;
use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};
use crate::nn::{AttentionParams, FeedForward, Linear, TrainingStep};

const WIDTH: usize = 24;
const INNER: usize = 40;

/// A layer of variables, and all of them.
struct Model {
    layer: EncoderLayer,
    variables: Vec<(&'static str, Var)>,
}

fn model(fused: bool, activation: Activation, trained: impl Fn(&str) -> bool) -> Model {
    let mut variables = vec![];
    let mut tensor = |name: &'static str, shape: &[usize]| {
        let n = shape.iter().product();
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 % 65_521 + u64::from(byte));
        let values = numbers(seed, n).iter().map(|x| 0.3 * x).collect::<Vec<f32>>();
        let variable = Var::from_vec(values, shape, &Device::Cpu).unwrap();
        let tensor = variable.as_tensor().clone();
        let is_trained = trained(name);
        variables.push((name, variable));
        if is_trained { tensor } else { tensor.detach() }
    };
    let mut linear = |names: [&'static str; 2], outputs: usize, inputs: usize| {
        let weight = tensor(names[0], &[outputs, inputs]);
        Linear::new(weight, Some(tensor(names[1], &[outputs])))
    };
    let projection = match fused {
        true => Projection::Fused(linear(["qkv.weight", "qkv.bias"], 3 * WIDTH, WIDTH)),
        false => Projection::Split {
            query: linear(["query.weight", "query.bias"], WIDTH, WIDTH),
            key: linear(["key.weight", "key.bias"], WIDTH, WIDTH),
            value: linear(["value.weight", "value.bias"], WIDTH, WIDTH),
        },
    };
    let output = linear(["output.weight", "output.bias"], WIDTH, WIDTH);
    let first = linear(["first.weight", "first.bias"], INNER, WIDTH);
    let second = linear(["second.weight", "second.bias"], WIDTH, INNER);
    let mut norm = |names: [&'static str; 2]| {
        LayerNorm::new(tensor(names[0], &[WIDTH]), tensor(names[1], &[WIDTH]), 1e-5)
    };
    let layer = EncoderLayer {
        projection,
        output,
        attention_norm: norm(["norm1.weight", "norm1.bias"]),
        feed_forward: FeedForward::new(first, second, activation),
        feed_forward_norm: norm(["norm2.weight", "norm2.bias"]),
        order: NormOrder::Post,
        attention: AttentionParams { n_heads: 3, causal: false },
    };
    Model { layer, variables }
}

/// Cells of several blocks of the attention, of one token, and of none.
fn packing() -> Packing {
    Packing::new([70, 0, 1, 33])
}

fn input() -> Var {
    let n = packing().n_rows();
    Var::from_vec(numbers(99, n * WIDTH), (n, WIDTH), &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradients of the product of `y` with numbers without a pattern.
fn backward(y: &Tensor) -> GradStore {
    let direction = Tensor::from_vec(numbers(5, y.elem_count()), y.shape(), &Device::Cpu).unwrap();
    (y * direction).unwrap().sum_all().unwrap().backward().unwrap()
}

fn dropout(step: &TrainingStep) -> LayerDropout<'_> {
    LayerDropout { step, attention: 0.2, output: 0.3, inner: 0.1, layer: 2 }
}

#[test]
fn values_and_gradients_are_those_of_the_parts_one_by_one() {
    let step = TrainingStep::new(3, 4, [5, 6, 7, 8]);
    let dropout = dropout(&step);
    for (is_fused, activation, dropout) in [
        (false, Activation::Relu, None),
        (true, Activation::Relu, Some(&dropout)),
        (true, Activation::Gelu, None),
        (false, Activation::Gelu, Some(&dropout)),
    ] {
        let Model { layer, variables } = model(is_fused, activation, |_| true);
        let x = input();
        let expected = layer.in_parts(&x, &packing(), dropout).unwrap();
        let found = forward(&layer, &x, &packing(), dropout).unwrap().unwrap();
        assert!(same_bits(&values(&found), &values(&expected)), "{activation:?}");
        let (found, expected) = (backward(&found), backward(&expected));
        for (name, variable) in variables.iter().chain([&("x", x)]) {
            let (found, expected) = (found.get(variable).unwrap(), expected.get(variable).unwrap());
            assert_eq!(found.dims(), expected.dims(), "{name}");
            let (found, expected) = (values(found), values(expected));
            let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let (difference, at) = largest_difference(&found, &expected);
            assert!(difference <= 2e-6 * largest.max(1.0), "{name}, {activation:?}: {difference} at {at}");
        }
    }
}

#[test]
fn what_is_not_trained_gets_no_gradient_and_changes_no_other() {
    let all = model(false, Activation::Relu, |_| true);
    let x = input();
    let expected = backward(&forward(&all.layer, &x, &packing(), None).unwrap().unwrap());
    let some = ["key.bias", "value.weight", "norm1.bias", "second.weight"];
    let few = model(false, Activation::Relu, |name| some.contains(&name));
    let found = backward(&forward(&few.layer, &x.as_tensor().detach(), &packing(), None).unwrap().unwrap());
    for ((name, few), (_, all)) in few.variables.iter().zip(&all.variables) {
        match found.get(few) {
            Some(found) => {
                assert!(some.contains(name), "{name}");
                assert!(same_bits(&values(found), &values(expected.get(all).unwrap())), "{name}");
            }
            None => assert!(!some.contains(name), "{name}"),
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let step = TrainingStep::new(3, 4, [5, 6, 7, 8]);
    let Model { layer, variables } = model(true, Activation::Gelu, |_| true);
    let run = |threads| {
        on_threads(threads, || {
            let x = input();
            let y = forward(&layer, &x, &packing(), Some(&dropout(&step))).unwrap().unwrap();
            let gradients = backward(&y);
            let all = variables.iter().map(|(_, variable)| variable).chain([&x]);
            let all: Vec<f32> = all.flat_map(|variable| values(gradients.get(variable).unwrap())).collect();
            [values(&y), all].concat()
        })
    };
    assert!(same_bits(&run(1), &run(4)));
}

#[test]
fn a_loss_can_be_differentiated_twice() {
    let Model { layer, variables } = model(true, Activation::Relu, |_| true);
    let y = forward(&layer, &input(), &packing(), None).unwrap().unwrap();
    let loss = y.sqr().unwrap().sum_all().unwrap();
    let (first, second) = (loss.backward().unwrap(), loss.backward().unwrap());
    for (name, variable) in &variables {
        let of = |gradients: &GradStore| values(gradients.get(variable).unwrap());
        assert!(same_bits(&of(&first), &of(&second)), "{name}");
    }
}

#[test]
fn layers_of_another_kind_are_left_to_their_parts() {
    let is_taken = |layer: &EncoderLayer, x: &Tensor| forward(layer, x, &packing(), None).unwrap().is_some();
    let x = input();
    let layer = || model(true, Activation::Relu, |_| true).layer;
    assert!(is_taken(&layer(), &x));
    assert!(!is_taken(&EncoderLayer { order: NormOrder::Pre, ..layer() }, &x));
    assert!(!is_taken(&layer(), &x.to_dtype(DType::F64).unwrap()));
    assert!(!is_taken(&layer(), &x.narrow(0, 0, 3).unwrap()));
    let attention = AttentionParams { n_heads: 5, causal: false };
    assert!(!is_taken(&EncoderLayer { attention, ..layer() }, &x));
    let [a, b] =
        [[2, WIDTH], [WIDTH, 2]].map(|shape| Tensor::ones(&shape, DType::F32, &Device::Cpu).unwrap());
    let output = layer().output.with_adapter(a, b, 1.0).unwrap();
    assert!(!is_taken(&EncoderLayer { output, ..layer() }, &x));
    let frozen = model(true, Activation::Relu, |_| false).layer;
    assert!(is_taken(&frozen, &x) && !is_taken(&frozen, &x.detach()));
}
