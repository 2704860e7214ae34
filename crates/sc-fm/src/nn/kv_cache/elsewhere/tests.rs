use candle_core::Device;

use super::*;
use crate::compute::Compute;
use crate::nn::cached_attention;
use crate::nn::testing::{largest_difference, numbers};

const SIZE: usize = 12;
const HEADS: (usize, usize) = (4, 2);

/// Queries, keys and values of some rows.
fn rows(seed: u64, n: usize) -> [Tensor; 3] {
    let tensor = |seed, heads: usize| {
        let values = numbers(seed, n * heads * SIZE).iter().map(|x| 2.0 * x).collect();
        Tensor::from_vec(values, (n, heads * SIZE), &Device::Cpu).unwrap()
    };
    [tensor(seed, HEADS.0), tensor(seed + 1, HEADS.1), tensor(seed + 2, HEADS.1)]
}

fn cat(parts: &[[Tensor; 3]]) -> [Tensor; 3] {
    [0, 1, 2].map(|i| Tensor::cat(&parts.iter().map(|part| &part[i]).collect::<Vec<_>>(), 0).unwrap())
}

/// The rows of items in all layers.
fn step(parts: &[[Tensor; 3]], items: &mut [CacheRows<'_>], window: Option<usize>) -> Vec<f32> {
    let (n_heads, n_kv_heads) = HEADS;
    let table: Vec<f32> = numbers(77, n_heads * 20);
    let relative = Relative { table: &table, behind: 19 };
    let [q, k, v] = cat(parts);
    let mut all = Vec::new();
    for (layer, relative) in [(0, None), (1, Some(relative))] {
        let params = CausalAttention { n_heads, n_kv_heads, scale: Some(0.4), window };
        let out = cached_attention((&q, &k, &v), layer, items, params, relative).unwrap();
        all.extend(out.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    }
    all
}

/// A prompt in two parts, forks of it and a fork of a fork in one step, a token taken back, a tree, and a text of another
/// beginning beside them.
fn all_ways(window: Option<usize>) -> Vec<f32> {
    let mut cache = KvCache::new(2, HEADS.1 * SIZE);
    let mut other = cache.clone();
    let mut out = Vec::new();
    for (seed, n) in [(1, 30), (5, 3), (9, 1)] {
        let mut items = [CacheRows::next(&mut cache, n)];
        out.extend(step(&[rows(seed, n)], &mut items, window));
        items.into_iter().for_each(CacheRows::finish);
    }
    let mut forks = [cache.clone(), cache.clone(), cache.clone()];
    let mut items = [CacheRows::next(&mut forks[2], 2)];
    out.extend(step(&[rows(20, 2)], &mut items, window));
    items.into_iter().for_each(CacheRows::finish);
    let of_fork = forks[2].clone();
    cache.truncate(33).unwrap();
    let mut texts = [forks[0].clone(), other.clone(), forks[1].clone(), forks[2].clone(), of_fork, cache];
    for round in 0..2 {
        let sizes = [1, 19, 4, 2, 1, 1];
        let parts: Vec<[Tensor; 3]> =
            sizes.iter().zip(0..).map(|(&n, i)| rows(100 + 50 * round + 5 * i, n)).collect();
        let mut items: Vec<CacheRows<'_>> =
            texts.iter_mut().zip(sizes).map(|(text, n)| CacheRows::next(text, n)).collect();
        out.extend(step(&parts, &mut items, window));
        items.into_iter().for_each(CacheRows::finish);
    }
    let parents = [None, Some(0), Some(0), None, Some(3), Some(1)];
    for text in [&mut texts[3], &mut other] {
        let mut items = [CacheRows::tree(text, &parents).unwrap()];
        out.extend(step(&[rows(300, parents.len())], &mut items, window));
    }
    out
}

#[test]
fn texts_forks_and_trees_are_those_of_the_kernels() {
    for window in [None, Some(7)] {
        let expected = all_ways(window);
        let _scope = Compute::Portable.enter();
        let found = all_ways(window);
        let (difference, at) = largest_difference(&found, &expected);
        assert!(difference < 2e-6, "{window:?}: {difference} at {at}");
    }
}

#[test]
fn a_text_is_read_on_where_it_was_begun() {
    let mut cache = KvCache::new(2, HEADS.1 * SIZE);
    let mut items = [CacheRows::next(&mut cache, 3)];
    step(&[rows(1, 3)], &mut items, None);
    items.into_iter().for_each(CacheRows::finish);
    let _scope = Compute::Portable.enter();
    let [q, k, v] = rows(4, 1);
    let params = CausalAttention { n_heads: HEADS.0, n_kv_heads: HEADS.1, scale: None, window: None };
    for mut items in [[CacheRows::next(&mut cache.clone(), 1)], [CacheRows::next(&mut cache, 1)]] {
        let error = cached_attention((&q, &k, &v), 0, &mut items, params, None).unwrap_err();
        assert!(error.to_string().contains("read elsewhere"), "{error}");
    }
    let mut there = KvCache::new(2, HEADS.1 * SIZE);
    let mut items = [CacheRows::next(&mut there, 3)];
    step(&[rows(1, 3)], &mut items, None);
    items.into_iter().for_each(CacheRows::finish);
    {
        let _scope = Compute::Cpu.enter();
        for mut items in
            [[CacheRows::next(&mut there.clone(), 1)], [CacheRows::tree(&mut there, &[None]).unwrap()]]
        {
            let error = cached_attention((&q, &k, &v), 0, &mut items, params, None).unwrap_err();
            assert!(error.to_string().contains("read elsewhere"), "{error}");
        }
    }
    let items = &mut [CacheRows::next(&mut cache, 1)];
    let error = cached_attention((&q, &k, &v), 2, items, params, None).unwrap_err();
    assert!(error.to_string().contains("layer 2, but a cache of 2 layers"), "{error}");
}
