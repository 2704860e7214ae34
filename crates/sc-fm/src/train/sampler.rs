//! In which order the items of an epoch are trained on, and which go together.

use std::cmp::Reverse;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Items whose lengths are sorted together, in batches.
const MEGA_BATCHES: usize = 50;

/// The batches of every epoch, by the seed alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler<'s> {
    /// Tokens of each item.
    pub(crate) lengths: &'s [usize],
    /// Items that are read together, one range after another; they are shuffled as a whole and within. A range over all
    /// items is an ordinary shuffle.
    pub(crate) chunks: &'s [Range<usize>],
    /// Items of a step of the optimizer.
    pub(crate) batch_size: usize,
    /// Whether items of similar length go together.
    pub(crate) by_length: bool,
    pub(crate) seed: u64,
}

impl Sampler<'_> {
    /// Steps of an epoch; the last batch of a chunk may be smaller than the others.
    pub(crate) fn n_batches(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len().div_ceil(self.batch_size)).sum()
    }

    /// The batches of an epoch, every item once.
    pub(crate) fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64);
        let mut chunks: Vec<Range<usize>> = self.chunks.to_vec();
        shuffle(&mut chunks, &mut rng);
        let mut batches = vec![];
        for chunk in chunks {
            let mut items: Vec<usize> = chunk.collect();
            shuffle(&mut items, &mut rng);
            if self.by_length {
                group(&mut items, self.lengths, self.batch_size);
            }
            batches.extend(items.chunks(self.batch_size).map(<[usize]>::to_vec));
        }
        batches
    }
}

/// Sorts by falling length within runs of 50 batches, or a quarter of all, and puts the longest item of all in front:
/// the order of Hugging Face's `LengthGroupedSampler`, with draws of our own.
fn group(items: &mut [usize], lengths: &[usize], batch_size: usize) {
    let n_batches = (items.len() / (batch_size * 4)).clamp(1, MEGA_BATCHES);
    let size = n_batches * batch_size;
    for run in items.chunks_mut(size) {
        run.sort_by_key(|&item| Reverse(lengths[item]));
    }
    let longest = (0..items.len()).step_by(size).max_by_key(|&at| (lengths[items[at]], Reverse(at)));
    if let Some(at) = longest {
        items.swap(0, at);
    }
}

/// Fisher and Yates' shuffle.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// A number below `n`, each equally likely: the upper half of a product (Lemire 2019), <https://doi.org/10.1145/3230636>.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        // Of the lower halves, the first 2⁶⁴ mod n stand for one draw too many.
        if product as u64 >= n.wrapping_neg() % n {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler<'s>(lengths: &'s [usize], chunks: &'s [Range<usize>], by_length: bool) -> Sampler<'s> {
        Sampler { lengths, chunks, batch_size: 4, by_length, seed: 7 }
    }

    #[test]
    fn every_item_comes_once_an_epoch_in_another_order() {
        let lengths: Vec<usize> = (0..30).map(|i| 1 + (i * 7) % 13).collect();
        for by_length in [false, true] {
            let all = 0..30;
            let sampler = sampler(&lengths, std::slice::from_ref(&all), by_length);
            let (first, second) = (sampler.batches(0), sampler.batches(1));
            assert_eq!((first.len(), sampler.n_batches()), (8, 8));
            assert_eq!(first.last().unwrap().len(), 2);
            assert_ne!(first, second);
            assert_eq!(first, sampler.batches(0));
            for batches in [first, second] {
                let mut items = batches.concat();
                items.sort_unstable();
                assert!(items.into_iter().eq(0..30));
            }
        }
    }

    #[test]
    fn the_longest_item_comes_first_and_batches_are_of_one_length() {
        let lengths: Vec<usize> = (0..4000).map(|i| 1 + (i * 733) % 997).collect();
        let all = 0..4000;
        let batches = sampler(&lengths, std::slice::from_ref(&all), true).batches(3);
        assert_eq!(lengths[batches[0][0]], *lengths.iter().max().unwrap());
        let spread = |batch: &Vec<usize>| {
            let of = || batch.iter().map(|&item| lengths[item]);
            of().max().unwrap() - of().min().unwrap()
        };
        let mean = batches.iter().map(spread).sum::<usize>() / batches.len();
        assert!(mean < 30, "{mean}");
    }

    #[test]
    fn chunks_stay_together() {
        let lengths = vec![5; 23];
        let chunks = [0..9, 9..18, 18..23];
        let sampler = sampler(&lengths, &chunks, false);
        let batches = sampler.batches(0);
        assert_eq!((batches.len(), sampler.n_batches()), (8, 8));
        let of = |item: usize| chunks.iter().position(|chunk| chunk.contains(&item)).unwrap();
        let mut order: Vec<usize> = batches.iter().flatten().map(|&item| of(item)).collect();
        order.dedup();
        assert_eq!(order.len(), 3);
    }

    #[test]
    fn draws_are_even() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = [0usize; 6];
        (0..6000).for_each(|_| seen[below(&mut rng, 6) as usize] += 1);
        assert!(seen.iter().all(|&n| (900..1100).contains(&n)), "{seen:?}");
    }
}
