//! Uniform draws for trees.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// A uniform integer below `n`, by multiplication of a 64-bit draw.
pub(super) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// An index drawn in proportion to weights, given their sums up to and with each; the last of them is above 0.
pub(super) fn by_weight(rng: &mut ChaCha8Rng, cumulative: &[f64]) -> usize {
    let total = cumulative.last().copied().unwrap_or_default();
    // 53 bits fill the mantissa, so that the product lies below the total but for rounding.
    let at = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
    cumulative.partition_point(|&sum| sum <= at).min(cumulative.len().saturating_sub(1))
}

/// Marks a share of `n` items, drawn without replacement: rounded down, but at least one.
pub(super) fn choose(rng: &mut ChaCha8Rng, n: usize, share: f64) -> Vec<bool> {
    let n_chosen = ((n as f64 * share) as usize).clamp(1.min(n), n);
    let mut items: Vec<usize> = (0..n).collect();
    let mut chosen = vec![false; n];
    for drawn in 0..n_chosen {
        let other = drawn + below(rng, n - drawn);
        items.swap(drawn, other);
        chosen[items[drawn]] = true;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn indices_come_as_often_as_they_weigh() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut times = [0; 3];
        for _ in 0..4000 {
            times[by_weight(&mut rng, &[1.0, 1.0, 4.0])] += 1;
        }
        assert_eq!(times[1], 0, "a weight of 0");
        assert!((900..1100).contains(&times[0]), "{times:?}");
    }

    #[test]
    fn a_share_is_exact_and_every_item_gets_its_turn() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut times = [0; 10];
        for _ in 0..1000 {
            let chosen = choose(&mut rng, 10, 0.35);
            assert_eq!(chosen.iter().filter(|&&c| c).count(), 3);
            times.iter_mut().zip(chosen).for_each(|(n, c)| *n += usize::from(c));
        }
        assert!(times.iter().all(|n| (240..360).contains(n)), "{times:?}");
        assert_eq!(choose(&mut rng, 3, 0.01).iter().filter(|&&c| c).count(), 1);
        assert_eq!(choose(&mut rng, 0, 0.5), [false; 0]);
    }
}
