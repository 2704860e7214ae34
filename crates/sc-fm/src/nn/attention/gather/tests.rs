use candle_core::DType;

use super::*;
use crate::nn::simd::every_arch;
use crate::nn::testing::{largest_difference, numbers, same_bits};

const PARAMS: CausalAttention = CausalAttention { n_heads: 4, n_kv_heads: 2, scale: Some(0.5), window: None };
const WIDTH: usize = 2 * 10;

fn queries(rows: usize) -> Tensor {
    Tensor::from_vec(numbers(1, rows * 2 * WIDTH), (rows, 2 * WIDTH), &Device::Cpu).unwrap()
}

/// The same in f64, one key after another.
fn plain(q: &[f32], keys: &[f32], values: &[f32], bias: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let row = |x: &[f32], i: usize, head: usize| -> Vec<f64> {
        x[i * WIDTH + head * 10..][..10].iter().map(|&x| f64::from(x)).collect()
    };
    let of_head = |head: usize| -> Vec<f32> {
        let q: Vec<f64> = q[head * 10..][..10].iter().map(|&x| f64::from(x)).collect();
        let scores = (0..keys.len() / WIDTH).map(|i| {
            let key = row(keys, i, head / 2);
            0.5 * q.iter().zip(&key).map(|(x, y)| x * y).sum::<f64>() + f64::from(bias(head, i))
        });
        let weights: Vec<f64> = scores.map(f64::exp).collect();
        let total: f64 = weights.iter().sum();
        let mean = |c: usize| {
            let terms = weights.iter().enumerate().map(|(i, weight)| weight * row(values, i, head / 2)[c]);
            (terms.sum::<f64>() / total) as f32
        };
        (0..10).map(mean).collect()
    };
    (0..4).flat_map(of_head).collect()
}

#[test]
fn all_see_all_with_a_bias_by_distance() {
    let (keys, values) = (numbers(2, 211 * WIDTH), numbers(3, 211 * WIDTH));
    let q = queries(60);
    let table = numbers(4, 4 * 17);
    let relative = Relative { table: &table, behind: 6 };
    let cut = 100 * WIDTH;
    let shared = vec![
        Run { keys: &keys[..cut], values: &values[..cut], gone: 0 },
        Run { keys: &keys[cut..], values: &values[cut..], gone: 0 },
    ];
    let queries = (0..60).map(|row| Query { row, seen: 211, own: vec![], position: row }).collect();
    let found = attend(&q, &[Group { shared, queries }], PARAMS, Some(relative)).unwrap();
    for (row, (found, q)) in
        found.to_vec2::<f32>().unwrap().iter().zip(q.to_vec2::<f32>().unwrap()).enumerate()
    {
        let bias = |head: usize, key: usize| {
            let distance = (key as i64 - row as i64).clamp(-6, 10);
            table[head * 17 + (distance + 6) as usize]
        };
        let (difference, at) = largest_difference(found, &plain(&q, &keys, &values, bias));
        assert!(difference < 2e-6, "row {row}: {difference} at {at}");
    }
}

#[test]
fn every_processor_gives_the_same_bits() {
    let (keys, values) = (numbers(2, 230 * WIDTH), numbers(3, 230 * WIDTH));
    let run = |from: usize, to: usize| Run {
        keys: &keys[from * WIDTH..to * WIDTH],
        values: &values[from * WIDTH..to * WIDTH],
        gone: 0,
    };
    let query = |row, own| Query { row, seen: 180, own, position: 0 };
    let groups = [Group {
        shared: vec![run(0, 180)],
        queries: vec![
            query(0, vec![run(180, 230)]),
            query(1, vec![]),
            query(2, vec![run(190, 192), run(200, 201)]),
        ],
    }];
    let q = queries(3);
    let (storage, layout) = q.storage_and_layout();
    let matrix = cpu::matrix(cpu::storage(&storage).unwrap(), layout).unwrap();
    let heads = op::Shape::from(PARAMS).checked_heads(2 * WIDTH).unwrap();
    let of = |arch| on(arch, matrix, &groups, heads, Some(100), None);
    let expected = of(Arch::Scalar);
    assert!(every_arch().into_iter().all(|arch| same_bits(&of(arch), &expected)));
}

#[test]
fn what_does_not_fit_is_named() {
    let x = numbers(2, 3 * WIDTH);
    let run = Run { keys: &x, values: &x, gone: 0 };
    let message = |q: &Tensor, shared: &[Run<'_>], rows: &[(usize, usize, bool)]| {
        let own = |is_own| if is_own { vec![run] } else { vec![] };
        let query =
            |&(row, seen, is_own): &(usize, usize, bool)| Query { row, seen, own: own(is_own), position: 0 };
        let group = Group { shared: shared.to_vec(), queries: rows.iter().map(query).collect() };
        attend(q, &[group], PARAMS, None).unwrap_err().to_string()
    };
    let q = queries(2);
    assert!(message(&q, &[run], &[(0, 3, false)]).contains("row 1 has no query"));
    assert!(message(&q, &[run], &[(0, 3, false), (0, 3, false)]).contains("row 0 of 2 is asked for twice"));
    assert!(message(&q, &[run], &[(0, 4, false)]).contains("row 0 sees 4 of 3 keys and has 0 of its own"));
    assert!(message(&q, &[run], &[(0, 2, true)]).contains("row 0 sees 2 of 3 keys and has 3 of its own"));
    assert!(message(&q, &[], &[(0, 0, false)]).contains("row 0 sees 0 of 0 keys"));
    let short = Run { keys: &x[..WIDTH], values: &x, gone: 0 };
    assert!(message(&q, &[short], &[(0, 1, false)]).contains("a run of 20 numbers of keys and 60 of values"));
    assert!(
        message(&q.to_dtype(DType::F64).unwrap(), &[run], &[]).contains("cached keys are f32 on the CPU")
    );
}

#[test]
fn keys_outside_of_the_window_need_not_be_there() {
    let (keys, values) = (numbers(2, 640 * WIDTH), numbers(3, 640 * WIDTH));
    let run = |gone: usize, from: usize, to: usize| Run {
        keys: &keys[from * WIDTH..to * WIDTH],
        values: &values[from * WIDTH..to * WIDTH],
        gone,
    };
    let params = CausalAttention { window: Some(50), ..PARAMS };
    let q = queries(4);
    let of = |shared: Vec<Run<'_>>, own: [Vec<Run<'_>>; 4]| {
        let rows = own.into_iter().enumerate();
        let queries = rows.map(|(row, own)| Query { row, seen: 500, own, position: 0 }).collect();
        let out = attend(&q, &[Group { shared, queries }], params, None)?;
        out.flatten_all()?.to_vec1::<f32>()
    };
    let own = |gone: usize| {
        [
            vec![],
            vec![run(0, 500, 501)],
            vec![run(gone, 500 + gone, 600)],
            vec![run(0, 500, 520), run(0, 530, 570)],
        ]
    };
    let expected = of(vec![run(0, 0, 300), run(0, 300, 500)], own(0)).unwrap();
    for shared in [
        vec![run(450, 450, 500)],
        vec![run(0, 0, 200), run(250, 450, 500)],
        vec![run(100, 100, 200), run(200, 400, 500)],
    ] {
        assert!(same_bits(&of(shared, own(50)).unwrap(), &expected));
    }
    let message = |found: Result<Vec<f32>>| found.unwrap_err().to_string();
    let error = message(of(vec![run(451, 451, 500)], own(0)));
    assert!(error.contains("row 0 sees keys from 450 on, of which those before 451 are gone"), "{error}");
    let error = message(of(vec![run(450, 450, 500)], own(51)));
    assert!(error.contains("row 2 sees keys from 550 on, of which those before 551 are gone"), "{error}");
}
