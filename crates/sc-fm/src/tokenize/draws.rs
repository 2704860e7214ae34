//! Random draws that belong to a cell's content: the same cell draws the same numbers in any company.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What draws are for; each purpose has its own numbers.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Ties = 1,
    Crop = 2,
    Mask = 3,
}

/// A generator for a cell: `content` goes to its stream, so that cells differ and equal cells agree.
pub(crate) fn generator(seed: u64, purpose: Purpose, content: impl IntoIterator<Item = u64>) -> ChaCha8Rng {
    // The finaliser of SplitMix64 after every word: one differing bit changes half of the stream number.
    let stream = content.into_iter().fold(purpose as u64, |hash, word| mix(hash ^ mix(word)));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A uniform number in `0..1`, a multiple of 2^-53.
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// A uniform whole number below `bound`, by rejection: no value is favoured.
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    let usable = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < usable {
            return draw % bound;
        }
    }
}

/// `n` different numbers of `0..of` in random order (the start of a shuffle).
pub(crate) fn sample(rng: &mut ChaCha8Rng, n: usize, of: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..of).collect();
    let n = n.min(of);
    for i in 0..n {
        places.swap(i, i + below(rng, (of - i) as u64) as usize);
    }
    places.truncate(n);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_purpose_and_content_alone() {
        let first =
            |seed, purpose, content: &[u64]| uniform(&mut generator(seed, purpose, content.iter().copied()));
        let base = first(1, Purpose::Ties, &[5, 6]);
        assert_eq!(base, first(1, Purpose::Ties, &[5, 6]));
        for other in [
            first(2, Purpose::Ties, &[5, 6]),
            first(1, Purpose::Crop, &[5, 6]),
            first(1, Purpose::Ties, &[6, 5]),
            first(1, Purpose::Ties, &[5]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_sample_holds_every_number_once_and_favours_none() {
        let mut seen = [0; 5];
        for cell in 0..2_000 {
            let mut sample = sample(&mut generator(0, Purpose::Crop, [cell]), 2, 5);
            sample.iter().for_each(|&i| seen[i] += 1);
            sample.dedup();
            assert_eq!(sample.len(), 2);
        }
        // 800 expected, with a standard deviation of 22.
        assert!(seen.iter().all(|n| (700..900).contains(n)), "{seen:?}");
        assert_eq!(sample(&mut generator(0, Purpose::Crop, [0]), 9, 3).len(), 3);
    }
}
