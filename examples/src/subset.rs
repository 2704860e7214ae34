//! Fewer cells of every class, for a quicker look.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Places of at most `most` cells, ascending, drawn so that classes keep their shares; no class is lost as long as
/// there are as many places as classes.
///
/// * `labels`: class of each cell.
pub fn stratified(labels: &[&str], most: usize, seed: u64) -> Vec<usize> {
    if labels.len() <= most {
        return (0..labels.len()).collect();
    }
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(place);
    }
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let mut drawn = Vec::with_capacity(most);
    for (class, (mut places, n)) in classes.into_values().zip(shares(&sizes, most)).enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(class as u64);
        for i in 0..n {
            // The first of the places left trades with any of them.
            let other = i + (rng.next_u64() % (places.len() - i) as u64) as usize;
            places.swap(i, other);
        }
        drawn.extend(&places[..n]);
    }
    drawn.sort_unstable();
    drawn
}

/// `most` divided by the sizes: the largest remainders are rounded up, and none is below 1 where that is possible.
fn shares(sizes: &[usize], most: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let product = |size: usize| size as u128 * most as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|&size| (product(size) / total as u128) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    // A class that would get nothing comes before all others; then the larger remainder; then the class's index.
    order.sort_by_key(|&class| (shares[class] > 0, std::cmp::Reverse(product(sizes[class]) % total as u128)));
    let mut left = most - shares.iter().sum::<usize>();
    for &class in &order {
        if left > 0 {
            shares[class] += 1;
            left -= 1;
        }
    }
    // Should there be more empty classes than remainders, the largest classes give.
    for class in 0..sizes.len() {
        let largest = (0..sizes.len()).max_by_key(|&other| shares[other]).unwrap_or(class);
        if shares[class] == 0 && shares[largest] > 1 {
            shares[largest] -= 1;
            shares[class] = 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_keep_their_shares_and_small_ones_a_cell() {
        assert_eq!(shares(&[50, 30, 20], 10), [5, 3, 2]);
        assert_eq!(shares(&[98, 1, 1], 10), [8, 1, 1]);
        assert_eq!(shares(&[70, 20, 10], 7), [5, 1, 1]);
        assert_eq!(shares(&[5, 5, 5], 2).iter().sum::<usize>(), 2);
        for most in 1..200 {
            let found = shares(&[150, 40, 7, 2, 1], most);
            assert_eq!(found.iter().sum::<usize>(), most, "{most}");
            assert!(found.iter().zip([150, 40, 7, 2, 1]).all(|(&n, size)| n <= size), "{most}: {found:?}");
            assert!(most < 5 || found.iter().all(|&n| n > 0), "{most}: {found:?}");
        }
    }

    #[test]
    fn the_draw_is_of_the_seed() {
        let labels: Vec<&str> = (0..1000).map(|i| if i % 10 == 0 { "a" } else { "b" }).collect();
        let drawn = stratified(&labels, 100, 7);
        assert_eq!(drawn.iter().filter(|&&place| labels[place] == "a").count(), 10);
        assert!(drawn.is_sorted_by(|a, b| a < b));
        assert_eq!(drawn, stratified(&labels, 100, 7));
        assert_ne!(drawn, stratified(&labels, 100, 8));
        assert_eq!(stratified(&labels, 1000, 7).len(), 1000);
    }
}
