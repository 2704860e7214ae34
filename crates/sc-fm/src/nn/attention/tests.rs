use candle_core::{Device, Result, Tensor, Var};
use pulp::Arch;

use super::{AttentionParams, attention, composed, cross_attention, op};
use crate::nn::Packing;
use crate::nn::simd::every_arch;
use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};

fn params(n_heads: usize, causal: bool) -> AttentionParams {
    AttentionParams { n_heads, causal }
}

fn matrix(seed: u64, rows: usize, width: usize) -> Tensor {
    Tensor::from_vec(numbers(seed, rows * width), (rows, width), &Device::Cpu).unwrap()
}

fn qkv(rows: usize, width: usize) -> [Tensor; 3] {
    [1, 2, 3].map(|seed| (matrix(seed, rows, width) * 1.7).unwrap())
}

/// The composed layer, without dropout.
fn plain(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    queries: &Packing,
    keys: &Packing,
    params: AttentionParams,
) -> Result<Tensor> {
    composed::attention(q, k, v, queries, keys, params, None)
}

fn vector(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn on(arch: Arch, [q, k, v]: &[Tensor; 3], packing: &Packing, params: AttentionParams) -> Tensor {
    q.apply_op3(k, v, op::Attention::new(packing.clone(), packing.clone(), params, arch)).unwrap()
}

/// The gradients of `Σ w ∘ attention` with respect to queries, keys and values.
fn gradients(
    inputs: &[Tensor; 3],
    queries: &Packing,
    keys: &Packing,
    params: AttentionParams,
    f: impl Fn(&Tensor, &Tensor, &Tensor, &Packing, &Packing, AttentionParams) -> Result<Tensor>,
) -> [Vec<f32>; 3] {
    let [q, k, v] = inputs.clone().map(|x| Var::from_tensor(&x).unwrap());
    let y = f(&q, &k, &v, queries, keys, params).unwrap();
    let weights = matrix(9, y.dim(0).unwrap(), y.dim(1).unwrap());
    let gradients = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    [q, k, v].map(|x| vector(gradients.get(&x).unwrap()))
}

#[test]
fn equals_the_composed_layer_at_every_length_and_head_size() {
    let lengths = [1, 0, 2, 63, 64, 65, 48, 49, 193, 7];
    for (n_heads, size) in [(1, 64), (3, 8), (2, 33), (1, 100), (5, 1)] {
        for causal in [false, true] {
            let packing = Packing::new(lengths);
            let [q, k, v] = qkv(packing.n_rows(), n_heads * size);
            let params = params(n_heads, causal);
            let found = vector(&attention(&q, &k, &v, &packing, params).unwrap());
            let twin = vector(&composed::attention(&q, &k, &v, &packing, &packing, params, None).unwrap());
            let (difference, at) = largest_difference(&found, &twin);
            assert!(difference < 2e-6, "{n_heads} heads of {size}, causal {causal}: {difference} at {at}");
        }
    }
}

#[test]
fn a_long_cell_runs_through_many_blocks() {
    for causal in [false, true] {
        let packing = Packing::new([1000]);
        let [q, k, v] = qkv(1000, 32);
        let params = params(2, causal);
        let found = vector(&attention(&q, &k, &v, &packing, params).unwrap());
        let twin = vector(&composed::attention(&q, &k, &v, &packing, &packing, params, None).unwrap());
        assert!(largest_difference(&found, &twin).0 < 2e-6);
    }
}

#[test]
fn gradients_equal_those_of_the_composed_layer() {
    for (lengths, n_heads, size) in
        [(vec![1, 0, 2, 65, 64, 49], 2, 64), (vec![700], 1, 16), (vec![193, 5], 3, 33)]
    {
        for causal in [false, true] {
            let packing = Packing::new(lengths.clone());
            let inputs = qkv(packing.n_rows(), n_heads * size);
            let params = params(n_heads, causal);
            let found = gradients(&inputs, &packing, &packing, params, cross_attention);
            let twin = gradients(&inputs, &packing, &packing, params, plain);
            for ((found, twin), name) in found.iter().zip(&twin).zip(["queries", "keys", "values"]) {
                let (difference, at) = largest_difference(found, twin);
                assert!(difference < 1e-5, "{name}, {lengths:?}, causal {causal}: {difference} at {at}");
            }
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let packing = Packing::new([5, 3]);
    let params = params(2, true);
    let inputs = qkv(8, 6);
    let weights = numbers(9, 8 * 6);
    let value = |inputs: &[Tensor; 3]| {
        let [q, k, v] = inputs;
        let y = vector(&attention(q, k, v, &packing, params).unwrap());
        y.iter().zip(&weights).map(|(&y, &w)| f64::from(y) * f64::from(w)).sum::<f64>()
    };
    let found = gradients(&inputs, &packing, &packing, params, cross_attention);
    for (which, found) in found.iter().enumerate() {
        for (i, &found) in found.iter().enumerate() {
            let moved = |step: f32| {
                let mut x = vector(&inputs[which]);
                x[i] += step;
                let mut inputs = inputs.clone();
                inputs[which] = Tensor::from_vec(x, (8, 6), &Device::Cpu).unwrap();
                value(&inputs)
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            let difference = (f64::from(found) - expected).abs();
            assert!(difference < 2e-3, "input {which}, value {i}: {found}, expected {expected}");
        }
    }
}

#[test]
fn every_processor_and_number_of_threads_gives_the_same_bits() {
    let packing = Packing::new([65, 1, 200, 48]);
    for causal in [false, true] {
        let params = params(3, causal);
        let inputs = qkv(packing.n_rows(), 3 * 20);
        let run = |arch: Arch| {
            let [dq, dk, dv] =
                gradients(&inputs, &packing, &packing, params, |q, k, v, queries, keys, params| {
                    q.apply_op3(k, v, op::Attention::new(queries.clone(), keys.clone(), params, arch))
                });
            [vector(&on(arch, &inputs, &packing, params)), dq, dk, dv].concat()
        };
        let first = on_threads(1, || run(Arch::Scalar));
        for arch in every_arch() {
            for threads in [1, 2, 4] {
                assert!(same_bits(&first, &on_threads(threads, || run(arch))), "{arch:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn a_cell_does_not_depend_on_its_neighbours() {
    let width = 24;
    let [q, k, v] = qkv(120 + 7 + 65, width);
    let params = params(2, false);
    let together = attention(&q, &k, &v, &Packing::new([120, 7, 65]), params).unwrap();
    let cut = |x: &Tensor| x.narrow(0, 120, 7).unwrap();
    let alone = attention(&cut(&q), &cut(&k), &cut(&v), &Packing::new([7]), params).unwrap();
    assert!(same_bits(&vector(&alone), &vector(&cut(&together))));
}

#[test]
fn columns_of_a_wider_matrix_need_no_copy() {
    let all = matrix(5, 70, 3 * 32);
    let [q, k, v] = [0, 32, 64].map(|start| all.narrow(1, start, 32).unwrap());
    let packing = Packing::new([70]);
    let found = attention(&q, &k, &v, &packing, params(2, false)).unwrap();
    let [q, k, v] = [q, k, v].map(|x| x.contiguous().unwrap());
    let expected = attention(&q, &k, &v, &packing, params(2, false)).unwrap();
    assert!(same_bits(&vector(&found), &vector(&expected)));
    let transposed = q.t().unwrap().contiguous().unwrap().t().unwrap();
    let found = attention(&transposed, &k, &v, &packing, params(2, false)).unwrap();
    assert!(same_bits(&vector(&found), &vector(&expected)));
}

#[test]
fn the_latest_queries_with_all_keys_equal_the_last_rows_of_the_whole() {
    let [q, k, v] = qkv(130, 32);
    let params = params(1, true);
    let whole = attention(&q, &k, &v, &Packing::new([130]), params).unwrap();
    for latest in [1, 7, 60] {
        let q = q.narrow(0, 130 - latest, latest).unwrap();
        let found =
            cross_attention(&q, &k, &v, &Packing::new([latest]), &Packing::new([130]), params).unwrap();
        let expected = whole.narrow(0, 130 - latest, latest).unwrap();
        let (difference, at) = largest_difference(&vector(&found), &vector(&expected));
        assert!(difference < 1e-6, "{latest} queries: {difference} at {at}");
    }
}

#[test]
fn rectangular_gradients_equal_those_of_the_composed_layer() {
    for causal in [false, true] {
        let (queries, keys) = (Packing::new([3, 50]), Packing::new([70, 211]));
        let params = params(2, causal);
        let inputs = [matrix(1, 53, 16), matrix(2, 281, 16), matrix(3, 281, 16)];
        let found = gradients(&inputs, &queries, &keys, params, cross_attention);
        let twin = gradients(&inputs, &queries, &keys, params, plain);
        for (found, twin) in found.iter().zip(&twin) {
            assert!(largest_difference(found, twin).0 < 1e-5);
        }
    }
}

#[test]
fn what_a_query_does_not_see_cannot_reach_it() {
    let (length, width, hidden) = (100, 16, 53);
    let [q, k, v] = qkv(length, width);
    let packing = Packing::new([length]);
    let params = params(2, true);
    let clean = vector(&attention(&q, &k, &v, &packing, params).unwrap());
    for bad in [f32::NAN, f32::INFINITY] {
        let spoil = |x: &Tensor| {
            let mut x = vector(x);
            x[hidden * width..].fill(bad);
            Tensor::from_vec(x, (length, width), &Device::Cpu).unwrap()
        };
        let found = vector(&attention(&q, &spoil(&k), &spoil(&v), &packing, params).unwrap());
        assert!(same_bits(&found[..hidden * width], &clean[..hidden * width]));
        assert!(found[hidden * width..].iter().all(|x| x.is_nan()));
    }
}

#[test]
fn nan_and_infinity_are_where_they_are_in_the_composed_layer() {
    let (length, width) = (300, 8);
    let packing = Packing::new([length]);
    for (which, bad) in [
        (0, f32::NAN),
        (1, f32::NAN),
        (2, f32::NAN),
        (0, f32::INFINITY),
        (1, f32::INFINITY),
        (1, f32::NEG_INFINITY),
        (2, f32::INFINITY),
    ] {
        let mut inputs = qkv(length, width);
        let mut x = vector(&inputs[which]);
        x[17 * width + 3] = bad;
        inputs[which] = Tensor::from_vec(x, (length, width), &Device::Cpu).unwrap();
        let [q, k, v] = &inputs;
        let twin = vector(&composed::attention(q, k, v, &packing, &packing, params(2, false), None).unwrap());
        for arch in every_arch() {
            let found = vector(&on(arch, &inputs, &packing, params(2, false)));
            for (i, (found, twin)) in found.iter().zip(&twin).enumerate() {
                let same = (found.is_nan() && twin.is_nan()) || found == twin || (found - twin).abs() < 2e-6;
                assert!(same, "{bad} in input {which}, {arch:?}, value {i}: {found}, expected {twin}");
            }
        }
    }
}

#[test]
fn scores_far_below_the_highest_have_no_weight() {
    // The first 200 keys of every query are hopeless, so a whole block has no weight.
    let (length, width) = (250, 4);
    let q = Tensor::ones((length, width), candle_core::DType::F32, &Device::Cpu).unwrap();
    let k = (0..length * width).map(|i| if i < 200 * width { -1e30 } else { 0.0 }).collect::<Vec<f32>>();
    let k = Tensor::from_vec(k, (length, width), &Device::Cpu).unwrap();
    let v = matrix(3, length, width);
    let packing = Packing::new([length]);
    let found = attention(&q, &k, &v, &packing, params(1, false)).unwrap();
    let expected = v.narrow(0, 200, 50).unwrap().mean(0).unwrap();
    for row in found.to_vec2::<f32>().unwrap() {
        assert!(largest_difference(&row, &vector(&expected)).0 < 1e-6);
    }
}

#[test]
fn nothing_in_nothing_out() {
    let empty = Tensor::zeros((0, 16), candle_core::DType::F32, &Device::Cpu).unwrap();
    for packing in [Packing::new([]), Packing::new([0, 0])] {
        let y = attention(&empty, &empty, &empty, &packing, params(2, false)).unwrap();
        assert_eq!(y.dims(), [0, 16]);
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let [q, k, v] = qkv(10, 12);
    let message = |q: &Tensor, queries: &[usize], keys: &[usize], n_heads| {
        let (queries, keys) = (Packing::new(queries.iter().copied()), Packing::new(keys.iter().copied()));
        cross_attention(q, &k, &v, &queries, &keys, params(n_heads, true)).unwrap_err().to_string()
    };
    assert!(message(&q, &[9], &[10], 2).contains("the queries have the shape [10, 12], expected (9, 12)"));
    assert!(message(&q, &[10], &[9], 2).contains("the keys have the shape [10, 12], expected (9, 12)"));
    assert!(message(&q, &[10], &[10], 5).contains("5 heads do not divide a width of 12"));
    assert!(message(&q, &[10], &[10], 0).contains("0 heads do not divide a width of 12"));
    assert!(message(&q, &[10], &[4, 6], 2).contains("queries of 1 cells, but keys of 2"));
    assert!(message(&q, &[4, 6], &[5, 5], 2).contains("cell 1 has 6 queries and 5 keys"));
}

#[test]
fn other_types_take_the_composed_layer() {
    let inputs = qkv(20, 8).map(|x| x.to_dtype(candle_core::DType::F64).unwrap());
    let [q, k, v] = &inputs;
    let packing = Packing::new([20]);
    let found = attention(q, k, v, &packing, params(2, false)).unwrap();
    assert_eq!(found.dtype(), candle_core::DType::F64);
    let twin = composed::attention(q, k, v, &packing, &packing, params(2, false), None).unwrap();
    assert_eq!(found.to_vec2::<f64>().unwrap(), twin.to_vec2::<f64>().unwrap());
}

mod dropout {
    use super::*;
    use crate::nn::attention::dropped::Dropped;
    use crate::nn::{Dropout, TrainingStep, attention_with_dropout};

    fn dropout(cells: &[u64], rate: f64) -> Dropout {
        TrainingStep::new(11, 3, cells).dropout(5, rate)
    }

    fn dropped(cells: &[u64], rate: f64, packing: &Packing) -> Dropped {
        let dropout = dropout(cells, rate);
        Dropped { keep: dropout.keep(packing).unwrap().unwrap(), dropout }
    }

    #[test]
    fn values_and_gradients_equal_those_of_the_composed_layer() {
        let packing = Packing::new([1, 0, 65, 600]);
        let cells = [4, 5, 6, 7];
        for (n_heads, size) in [(2, 16), (3, 11)] {
            for causal in [false, true] {
                let params = params(n_heads, causal);
                let inputs = qkv(packing.n_rows(), n_heads * size);
                let of = |q: &Tensor, k: &Tensor, v: &Tensor, packing: &Packing, _: &Packing, params| {
                    attention_with_dropout(q, k, v, packing, params, &dropout(&cells, 0.3))
                };
                let twin = |q: &Tensor, k: &Tensor, v: &Tensor, queries: &Packing, keys: &Packing, params| {
                    let dropped = dropped(&cells, 0.3, queries);
                    composed::attention(q, k, v, queries, keys, params, Some(&dropped))
                };
                let [q, k, v] = &inputs;
                let found = vector(&of(q, k, v, &packing, &packing, params).unwrap());
                let expected = vector(&twin(q, k, v, &packing, &packing, params).unwrap());
                let without = vector(&attention(q, k, v, &packing, params).unwrap());
                assert!(largest_difference(&found, &expected).0 < 3e-6);
                assert!(largest_difference(&found, &without).0 > 1e-2);
                let found = gradients(&inputs, &packing, &packing, params, of);
                let expected = gradients(&inputs, &packing, &packing, params, twin);
                for (found, expected) in found.iter().zip(&expected) {
                    assert!(largest_difference(found, expected).0 < 2e-5);
                }
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences_with_the_draws_held() {
        let packing = Packing::new([5, 3]);
        let params = params(2, false);
        let inputs = qkv(8, 6);
        let weights = numbers(9, 8 * 6);
        let of = |q: &Tensor, k: &Tensor, v: &Tensor| {
            attention_with_dropout(q, k, v, &packing, params, &dropout(&[1, 2], 0.4))
        };
        let value = |[q, k, v]: &[Tensor; 3]| {
            let y = vector(&of(q, k, v).unwrap());
            y.iter().zip(&weights).map(|(&y, &w)| f64::from(y) * f64::from(w)).sum::<f64>()
        };
        let found = gradients(&inputs, &packing, &packing, params, |q, k, v, _, _, _| of(q, k, v));
        for (which, found) in found.iter().enumerate() {
            for (i, &found) in found.iter().enumerate() {
                let moved = |step: f32| {
                    let mut x = vector(&inputs[which]);
                    x[i] += step;
                    let mut inputs = inputs.clone();
                    inputs[which] = Tensor::from_vec(x, (8, 6), &Device::Cpu).unwrap();
                    value(&inputs)
                };
                let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                let difference = (f64::from(found) - expected).abs();
                assert!(difference < 2e-3, "input {which}, value {i}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn the_share_of_weights_that_is_dropped_is_the_rate() {
        let packing = Packing::new([500]);
        let factors = dropped(&[9], 0.1, &packing).factors(Arch::new(), 0, 1, 500);
        let share = factors.iter().filter(|&&x| x == 0.0).count() as f64 / factors.len() as f64;
        assert!((share - 0.1).abs() < 5.0 * (0.09 / factors.len() as f64).sqrt() + 1e-5, "{share}");
        assert!(factors.iter().all(|&x| x == 0.0 || (x * 0.9 - 1.0).abs() < 1e-4));
        let other = dropped(&[9], 0.1, &packing).factors(Arch::new(), 0, 0, 500);
        assert_ne!(factors, other);
    }

    #[test]
    fn a_cell_has_the_same_bits_in_any_batch_on_any_processor_and_number_of_threads() {
        let width = 24;
        let [q, k, v] = qkv(120 + 7 + 300, width);
        let run = |arch: Arch, cells: &[u64], first: usize, lengths: &[usize]| {
            let packing = Packing::new(lengths.iter().copied());
            let inputs = [&q, &k, &v].map(|x| x.narrow(0, first, packing.n_rows()).unwrap());
            let of = |q: &Tensor, k: &Tensor, v: &Tensor| {
                let op = op::Attention::new(packing.clone(), packing.clone(), params(2, false), arch);
                q.apply_op3(k, v, op.with_dropout(dropped(cells, 0.2, &packing)))
            };
            let [q, k, v] = &inputs;
            let y = vector(&of(q, k, v).unwrap());
            let [q, k, v] = inputs.map(|x| Var::from_tensor(&x).unwrap());
            let gradients = of(&q, &k, &v).unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let [dq, dk, dv] = [q, k, v].map(|x| vector(gradients.get(&x).unwrap()));
            [y, dq, dk, dv]
        };
        let expected = run(Arch::Scalar, &[1, 2, 3], 0, &[120, 7, 300]);
        for arch in every_arch() {
            for threads in [1, 2, 4] {
                let found = on_threads(threads, || run(arch, &[1, 2, 3], 0, &[120, 7, 300]));
                assert!(found.iter().zip(&expected).all(|(x, y)| same_bits(x, y)), "{arch:?}");
            }
        }
        let alone = run(Arch::new(), &[3], 127, &[300]);
        for (alone, together) in alone.iter().zip(&expected) {
            assert!(same_bits(alone, &together[127 * width..]));
        }
    }

    #[test]
    fn a_rate_of_zero_is_attention_to_the_bit() {
        let packing = Packing::new([70, 3]);
        let [q, k, v] = qkv(73, 16);
        let found = attention_with_dropout(&q, &k, &v, &packing, params(2, false), &dropout(&[1, 2], 0.0));
        let expected = attention(&q, &k, &v, &packing, params(2, false)).unwrap();
        assert!(same_bits(&vector(&found.unwrap()), &vector(&expected)));
        let error = attention_with_dropout(&q, &k, &v, &packing, params(2, false), &dropout(&[1], 0.5));
        assert!(error.unwrap_err().to_string().contains("numbers of 1 cells, but the batch has 2"));
    }
}
