//! Which weights of an attention are dropped.

use pulp::{Arch, Simd, WithSimd};

use super::head::{KEYS, QUERIES};
use crate::nn::dropout::{CHUNKS, Draws, Dropout, Keep, drop_chunk};
use crate::nn::simd::LANES;

/// Dropout of the weights of an attention.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    pub(super) dropout: Dropout,
    pub(super) keep: Keep,
}

/// Chunks of draws for a key, a draw for each query of a block.
const PER_KEY: usize = QUERIES / LANES;

/// Groups of words for a block of queries with a block of keys.
const GROUPS: usize = KEYS * PER_KEY / CHUNKS;

/// Words for a block of queries with a block of keys.
const WORDS: usize = GROUPS * CHUNKS / 2 * LANES;

/// Blocks of keys that a block of queries can have.
const MOST_KEYS: u64 = 1 << 20;

/// The draws of one head of one cell. Each block of queries with each block of keys has a place of its own in their
/// stream, so that blocks can be computed in any order.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    draws: Draws,
    pub(super) keep: Keep,
}

impl Dropped {
    /// The draws of a head.
    pub(super) fn mask(&self, cell: usize, head: usize) -> Mask {
        Mask { draws: self.dropout.draws(cell, head), keep: self.keep }
    }

    /// The factors of the weights of a head, `length × length`: 0, or what they are multiplied by.
    pub(super) fn factors(&self, arch: Arch, cell: usize, head: usize, length: usize) -> Vec<f32> {
        let mut factors = vec![1.0; length * length];
        arch.dispatch(Factors { mask: self.mask(cell, head), length, out: &mut factors });
        factors
    }
}

impl Mask {
    /// Words for `n_keys` keys from `key` on, the first of a block, with the queries of the block that begins with
    /// `query`.
    #[inline(always)]
    pub(super) fn words<S: Simd>(self, simd: S, query: usize, key: usize, n_keys: usize, out: &mut Vec<u32>) {
        let block = (query / QUERIES) as u64 * MOST_KEYS + (key / KEYS) as u64;
        out.resize(WORDS, 0);
        let groups = (n_keys * PER_KEY).div_ceil(CHUNKS);
        self.draws.fill(simd, block * GROUPS as u64, &mut out[..groups * CHUNKS / 2 * LANES]);
    }

    /// Drops among the weights of a key, counted from the first of its block, and the first `columns` queries.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(
        self,
        simd: S,
        words: &[u32],
        key: usize,
        columns: usize,
        weights: &mut [f32],
    ) {
        for (i, weights) in weights[..columns].chunks_exact_mut(LANES).enumerate() {
            drop_chunk(simd, self.keep, words, key * PER_KEY + i, weights);
        }
    }
}

struct Factors<'a> {
    mask: Mask,
    length: usize,
    out: &'a mut [f32],
}

impl WithSimd for Factors<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mask, length, out } = self;
        let mut words = Vec::new();
        for query in (0..length).step_by(QUERIES) {
            for first in (0..length).step_by(KEYS) {
                let n_keys = KEYS.min(length - first);
                mask.words(simd, query, first, n_keys, &mut words);
                for key in 0..n_keys {
                    let mut weights = [1.0; QUERIES];
                    mask.apply(simd, &words, key, QUERIES, &mut weights);
                    for (i, weight) in weights.into_iter().take(length - query).enumerate() {
                        out[(query + i) * length + first + key] = weight;
                    }
                }
            }
        }
    }
}
