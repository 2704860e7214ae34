use candle_core::Device;

use super::*;
use crate::nn::testing::{largest_difference, numbers, on_threads, same_bits};
use crate::nn::{Packing, causal_attention};

const SIZE: usize = 12;
const WINDOWS: [Option<usize>; 2] = [None, Some(37)];

fn params(n_heads: usize, n_kv_heads: usize, window: Option<usize>) -> CausalAttention {
    CausalAttention { n_heads, n_kv_heads, scale: Some(0.4), window }
}

/// Queries, keys and values of a text.
struct Text {
    q: Tensor,
    k: Tensor,
    v: Tensor,
}

impl Text {
    fn new(seed: u64, rows: usize, n_heads: usize, n_kv_heads: usize) -> Self {
        let tensor = |seed, heads: usize| {
            let values = numbers(seed, rows * heads * SIZE).iter().map(|x| 2.0 * x).collect();
            Tensor::from_vec(values, (rows, heads * SIZE), &Device::Cpu).unwrap()
        };
        let (q, k, v) = (tensor(seed, n_heads), tensor(seed + 1, n_kv_heads), tensor(seed + 2, n_kv_heads));
        Self { q, k, v }
    }

    fn rows(&self, rows: Range<usize>) -> Self {
        let narrow = |x: &Tensor| x.narrow(0, rows.start, rows.len()).unwrap();
        Self { q: narrow(&self.q), k: narrow(&self.k), v: narrow(&self.v) }
    }

    fn cat(texts: &[Self]) -> Self {
        let cat = |x: fn(&Self) -> &Tensor| Tensor::cat(&texts.iter().map(x).collect::<Vec<_>>(), 0).unwrap();
        Self { q: cat(|text| &text.q), k: cat(|text| &text.k), v: cat(|text| &text.v) }
    }

    /// The attention of the whole text at once.
    fn whole(&self, params: CausalAttention) -> Vec<f32> {
        let packing = Packing::new([self.q.dim(0).unwrap()]);
        values(&causal_attention(&self.q, &self.k, &self.v, &packing, params).unwrap())
    }
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn step(text: &Text, items: &mut [CacheRows<'_>], params: CausalAttention) -> Vec<f32> {
    values(&cached_attention((&text.q, &text.k, &text.v), 0, items, params, None).unwrap())
}

/// The attention of the next rows of a text.
fn next(cache: &mut KvCache, text: &Text, params: CausalAttention) -> Vec<f32> {
    let n = text.q.dim(0).unwrap();
    let mut items = [CacheRows::next(cache, n)];
    let out = step(text, &mut items, params);
    items.into_iter().for_each(CacheRows::finish);
    out
}

#[test]
fn a_text_in_chunks_has_the_bits_of_the_whole_text() {
    for (n_heads, n_kv_heads) in [(3, 3), (4, 2), (5, 1)] {
        for window in WINDOWS {
            let params = params(n_heads, n_kv_heads, window);
            let text = Text::new(5, 423, n_heads, n_kv_heads);
            let expected = text.whole(params);
            for cuts in [vec![], vec![1, 2, 3], vec![191, 192, 193], vec![100, 101, 400], vec![384]] {
                for threads in [1, 3] {
                    let found = on_threads(threads, || {
                        let mut cache = KvCache::new(1, n_kv_heads * SIZE);
                        let ends = cuts.iter().copied().chain([423]);
                        let mut start = 0;
                        let chunks = ends.flat_map(|end| {
                            let chunk = text.rows(start..end);
                            start = end;
                            next(&mut cache, &chunk, params)
                        });
                        chunks.collect::<Vec<f32>>()
                    });
                    assert!(same_bits(&found, &expected), "{n_heads}/{n_kv_heads} {window:?} {cuts:?}");
                }
            }
        }
    }
}

#[test]
fn texts_that_share_a_prefix_have_the_bits_of_each_alone() {
    for window in WINDOWS {
        let params = params(4, 2, window);
        let prefix = Text::new(1, 230, 4, 2);
        let mut cache = KvCache::new(1, 2 * SIZE);
        next(&mut cache, &prefix, params);
        // Forks of the prefix, and a fork of a fork, that go on for a different number of rows.
        let tails: Vec<Text> = (0..4).map(|i| Text::new(10 + 10 * i, 9, 4, 2)).collect();
        let mut caches: Vec<KvCache> = (0..3).map(|_| cache.clone()).collect();
        next(&mut caches[2], &tails[2].rows(0..3), params);
        caches.push(caches[2].clone());
        let chunks = [tails[0].rows(0..1), tails[1].rows(0..4), tails[2].rows(3..5), tails[3].rows(0..2)];
        let mut items: Vec<CacheRows<'_>> =
            caches.iter_mut().zip([1, 4, 2, 2]).map(|(cache, n)| CacheRows::next(cache, n)).collect();
        let found = step(&Text::cat(&chunks), &mut items, params);
        items.into_iter().for_each(CacheRows::finish);
        let texts = [
            Text::cat(&[prefix.rows(0..230), tails[0].rows(0..1)]),
            Text::cat(&[prefix.rows(0..230), tails[1].rows(0..4)]),
            Text::cat(&[prefix.rows(0..230), tails[2].rows(0..5)]),
            Text::cat(&[prefix.rows(0..230), tails[2].rows(0..3), tails[3].rows(0..2)]),
        ];
        let mut at = 0;
        for (text, n) in texts.iter().zip([1, 4, 2, 2]) {
            let whole = text.whole(params);
            let expected = &whole[whole.len() - n * 4 * SIZE..];
            assert!(same_bits(&found[at..at + expected.len()], expected), "{window:?}");
            at += expected.len();
        }
        assert_eq!(caches.iter().map(KvCache::len).collect::<Vec<_>>(), [231, 234, 235, 235]);
        assert_eq!(cache.len(), 230);
    }
}

#[test]
fn the_rows_of_a_tree_have_the_bits_of_the_ways_through_it() {
    let parents = [None, Some(0), Some(0), None, Some(1), Some(3), Some(4), Some(2)];
    let ways: [&[usize]; 3] = [&[0, 1, 4, 6], &[0, 2, 7], &[3, 5]];
    for past in [0, 5, 190, 200] {
        for window in WINDOWS {
            let params = params(4, 2, window);
            let (prefix, nodes) = (Text::new(1, past, 4, 2), Text::new(7, parents.len(), 4, 2));
            let mut cache = KvCache::new(1, 2 * SIZE);
            if past > 0 {
                next(&mut cache, &prefix, params);
            }
            let mut items = [CacheRows::tree(&mut cache, &parents).unwrap()];
            assert_eq!(items[0].positions(), [0, 1, 1, 0, 2, 1, 3, 2].map(|depth| past + depth));
            let found = step(&nodes, &mut items, params);
            items.into_iter().for_each(CacheRows::finish);
            assert_eq!(cache.len(), past, "a tree is no part of the text");
            for way in ways {
                let of_way = way.iter().map(|&i| nodes.rows(i..i + 1));
                let parts: Vec<Text> = std::iter::once(prefix.rows(0..past)).chain(of_way).collect();
                let whole = Text::cat(&parts).whole(params);
                for (depth, &node) in way.iter().enumerate() {
                    let row = 4 * SIZE;
                    let (found, expected) =
                        (&found[node * row..][..row], &whole[(past + depth) * row..][..row]);
                    assert!(same_bits(found, expected), "node {node} after {past}, {window:?}");
                }
            }
        }
    }
}

#[test]
fn what_was_forgotten_is_forgotten_here_and_nowhere_else() {
    let params = params(2, 2, None);
    let (text, other) = (Text::new(1, 30, 2, 2), Text::new(9, 6, 2, 2));
    let mut cache = KvCache::new(1, 2 * SIZE);
    next(&mut cache, &text, params);
    let mut fork = cache.clone();
    fork.truncate(20).unwrap();
    let found = next(&mut fork, &other, params);
    let expected = Text::cat(&[text.rows(0..20), other.rows(0..6)]).whole(params);
    assert!(same_bits(&found, &expected[20 * 2 * SIZE..]));
    cache.truncate(29).unwrap();
    let found = next(&mut cache, &text.rows(29..30), params);
    assert!(same_bits(&found, &text.whole(params)[29 * 2 * SIZE..]));
    assert_eq!((cache.len(), fork.len()), (30, 26));
    fork.truncate(0).unwrap();
    assert!(fork.is_empty());
}

#[test]
fn a_step_that_fails_leaves_no_rows_behind() {
    let params = params(2, 2, None);
    let text = Text::new(1, 8, 2, 2);
    let mut cache = KvCache::new(1, 2 * SIZE);
    next(&mut cache, &text.rows(0..5), params);
    let wrong = text.rows(5..8);
    let mut items = [CacheRows::next(&mut cache, 3)];
    let error = cached_attention((&wrong.q, &wrong.k, &wrong.v), 1, &mut items, params, None).unwrap_err();
    assert!(error.to_string().contains("a cache of 1 layers"), "{error}");
    step(&wrong, &mut items, params);
    // Not finished: the rows were pushed, and do not count.
    drop(items);
    assert_eq!(cache.len(), 5);
    let found = next(&mut cache, &text.rows(5..8), params);
    assert!(same_bits(&found, &text.whole(params)[5 * 2 * SIZE..]));
}

#[test]
fn a_tree_grows_downwards() {
    let mut cache = KvCache::new(1, 4);
    let error = CacheRows::tree(&mut cache, &[None, Some(1)]).unwrap_err();
    assert!(error.to_string().contains("row 1 of a tree follows row 1, expected one before it"), "{error}");
}

#[test]
fn windows_and_shared_keys_agree_with_the_composed_layer() {
    for window in WINDOWS {
        let params = params(4, 2, window);
        let text = Text::new(3, 210, 4, 2);
        let packing = Packing::new([210]);
        let in_f64 = |x: &Tensor| x.to_dtype(candle_core::DType::F64).unwrap();
        let (q, k, v) = (in_f64(&text.q), in_f64(&text.k), in_f64(&text.v));
        let expected = causal_attention(&q, &k, &v, &packing, params).unwrap();
        let expected = values(&expected.to_dtype(candle_core::DType::F32).unwrap());
        let (difference, at) = largest_difference(&text.whole(params), &expected);
        assert!(difference < 3e-6, "{window:?}: {difference} at {at}");
    }
}

/// Rows of keys that a cache holds of its only layer.
fn held(cache: &KvCache) -> usize {
    cache.segments.iter().map(|(segment, _)| segment.layers[0][0].len() / cache.width).sum()
}

#[test]
fn rows_outside_of_a_window_are_let_go_and_no_bit_changes() {
    let window = Some(37);
    let params = params(4, 2, window);
    let text = Text::new(5, 1500, 4, 2);
    let expected = text.whole(params);
    let whole = KvCache::new(1, 2 * SIZE);
    let row = 4 * SIZE;
    for sizes in [vec![1500], vec![1], vec![7], vec![20, 1], vec![300, 1, 500, 2]] {
        let mut cache = whole.clone().with_windows([window]);
        let (mut found, mut at, mut most) = (Vec::new(), 0, 0);
        for size in sizes.iter().cycle() {
            let end = 1500.min(at + size);
            found.extend(next(&mut cache, &text.rows(at..end), params));
            at = end;
            most = most.max(held(&cache));
            if at == 1500 {
                break;
            }
        }
        assert!(same_bits(&found, &expected), "{sizes:?}");
        assert_eq!(cache.len(), 1500);
        assert!(most <= 37 + 2 * BACK, "{sizes:?}: {most} rows");
        let capacity = cache.segments[0].0.layers[0][0].capacity() / (2 * SIZE);
        assert!(capacity <= 2 * (37 + 2 * BACK + 1), "{sizes:?}: {capacity} rows");

        // Forks, and forks of forks, of what is left; some grow beyond a window of their own.
        let tails: Vec<Text> = (0..3).map(|i| Text::new(20 + 10 * i, 400, 4, 2)).collect();
        let mut caches = vec![cache.clone(), cache.clone()];
        next(&mut caches[1], &tails[1].rows(0..390), params);
        caches.push(caches[1].clone());
        let last = next(&mut caches[2], &tails[2].rows(0..350), params);
        let chunks = [tails[0].rows(0..1), tails[1].rows(390..395), tails[2].rows(350..352)];
        let mut items: Vec<CacheRows<'_>> =
            caches.iter_mut().zip([1, 5, 2]).map(|(cache, n)| CacheRows::next(cache, n)).collect();
        let found = step(&Text::cat(&chunks), &mut items, params);
        items.into_iter().for_each(CacheRows::finish);
        let begin = text.rows(0..1500);
        let ways = [
            Text::cat(&[begin.rows(0..1500), tails[0].rows(0..1)]),
            Text::cat(&[begin.rows(0..1500), tails[1].rows(0..395)]),
            Text::cat(&[begin.rows(0..1500), tails[1].rows(0..390), tails[2].rows(0..352)]),
        ];
        let mut at = 0;
        for (way, n) in ways.iter().zip([1, 5, 2]) {
            let whole = way.whole(params);
            let expected = &whole[whole.len() - n * row..];
            assert!(same_bits(&found[at..at + n * row], expected), "{sizes:?}");
            at += n * row;
            if n == 2 {
                assert!(same_bits(&last, &whole[1890 * row..2240 * row]), "{sizes:?}");
            }
        }
        // Ways that may follow.
        let parents = [None, Some(0), None, Some(1)];
        let nodes = Text::new(77, 4, 4, 2);
        let mut items = [CacheRows::tree(&mut caches[2], &parents).unwrap()];
        let found = step(&nodes, &mut items, params);
        let way = Text::cat(&[ways[2].rows(0..2242), nodes.rows(0..2), nodes.rows(3..4)]).whole(params);
        assert!(same_bits(&found[3 * row..], &way[2244 * row..]), "{sizes:?}");
    }
}

#[test]
fn as_many_tokens_can_be_taken_back_as_is_said() {
    let window = Some(37);
    let params = params(2, 2, window);
    let text = Text::new(1, 900, 2, 2);
    let expected = text.whole(params);
    for n in [30, 37, 100, 165, 166, 500, 899] {
        let mut cache = KvCache::new(1, 2 * SIZE).with_windows([window]);
        for at in (0..n).step_by(11) {
            next(&mut cache, &text.rows(at..n.min(at + 11)), params);
        }
        for back in [1, 20, BACK] {
            let len = n - n.min(back);
            let mut fork = cache.clone();
            fork.truncate(len).unwrap();
            let found = next(&mut fork, &text.rows(len..n + 1), params);
            assert!(same_bits(&found, &expected[len * 2 * SIZE..(n + 1) * 2 * SIZE]), "{n} - {back}");
        }
    }
    let mut cache = KvCache::new(1, 2 * SIZE).with_windows([window]);
    next(&mut cache, &text, params);
    let message = cache.truncate(700).unwrap_err().to_string();
    assert!(message.contains("900 tokens cut to 700: layer 0 has let go of keys before 799"), "{message}");
    assert_eq!(cache.len(), 900, "it is as it was");
    assert!(cache.truncate(0).is_ok(), "a text without tokens sees nothing");
    let found = next(&mut cache, &text.rows(0..20), params);
    assert!(same_bits(&found, &expected[..20 * 2 * SIZE]));
}

mod gradients {
    use candle_core::Var;

    use super::*;

    /// The gradients of `Σ w ∘ attention`, in the type of the text.
    fn of(text: &Text, w: &Tensor, packing: &Packing, params: CausalAttention) -> [Vec<f32>; 3] {
        let [q, k, v] = [&text.q, &text.k, &text.v].map(|x| Var::from_tensor(x).unwrap());
        let y = causal_attention(&q, &k, &v, packing, params).unwrap();
        let w = w.to_dtype(y.dtype()).unwrap();
        let gradients = (y * w).unwrap().sum_all().unwrap().backward().unwrap();
        [q, k, v].map(|x| values(&gradients.get(&x).unwrap().to_dtype(candle_core::DType::F32).unwrap()))
    }

    #[test]
    fn equal_those_of_the_composed_layer_in_f64() {
        let packing = Packing::new([50, 0, 205, 3]);
        for window in WINDOWS {
            let params = params(4, 2, window);
            let text = Text::new(3, packing.n_rows(), 4, 2);
            let w = Tensor::from_vec(numbers(8, packing.n_rows() * 4 * SIZE), text.q.shape(), &Device::Cpu)
                .unwrap();
            let in_f64 = |x: &Tensor| x.to_dtype(candle_core::DType::F64).unwrap();
            let twin = Text { q: in_f64(&text.q), k: in_f64(&text.k), v: in_f64(&text.v) };
            let (found, expected) = (of(&text, &w, &packing, params), of(&twin, &w, &packing, params));
            for (name, (found, expected)) in ["q", "k", "v"].iter().zip(found.iter().zip(&expected)) {
                let (difference, at) = largest_difference(found, expected);
                assert!(difference < 3e-5, "{name} {window:?}: {difference} at {at}");
            }
        }
    }

    #[test]
    fn are_those_of_finite_differences() {
        let (packing, params) = (Packing::new([4, 3]), params(2, 1, Some(2)));
        let text = Text::new(3, 7, 2, 1);
        let w = Tensor::from_vec(numbers(8, 7 * 2 * SIZE), text.q.shape(), &Device::Cpu).unwrap();
        let found = of(&text, &w, &packing, params);
        let value = |[q, k, v]: [&Tensor; 3]| {
            let y = values(&causal_attention(q, k, v, &packing, params).unwrap());
            y.iter().zip(values(&w)).map(|(y, w)| f64::from(*y) * f64::from(w)).sum::<f64>()
        };
        for (which, found) in found.iter().enumerate() {
            for (i, &found) in found.iter().enumerate() {
                let moved = |step: f32| {
                    let mut inputs = [&text.q, &text.k, &text.v].map(Tensor::clone);
                    let mut x = values(&inputs[which]);
                    x[i] += step;
                    inputs[which] = Tensor::from_vec(x, inputs[which].shape(), &Device::Cpu).unwrap();
                    value([&inputs[0], &inputs[1], &inputs[2]])
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (f64::from(found) - slope).abs() < 3e-3,
                    "input {which}, {i}: {found}, expected {slope}"
                );
            }
        }
    }
}
