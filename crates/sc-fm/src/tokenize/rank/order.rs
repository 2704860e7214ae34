//! The order of the genes of a cell: by falling value, equal values by slot.

/// A gene of a cell before it is ranked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) slot: u32,
    /// Counts per 10,000.
    pub(super) counts: f64,
    /// What genes are ranked by, above 0 and finite.
    pub(super) value: f64,
}

/// Low bits of a key, which hold the place of the entry.
const PLACE: u32 = 16;

/// Puts the first `n` places of `entries`, which come by rising slot, into `order`, highest value first.
///
/// Sorts one `u64` a gene: 48 bits of the value, then the place. Values that agree in those bits (to 4e-12) are
/// mostly equal, and then already in their order; the others are put right afterwards.
pub(super) fn order(entries: &[Entry], n: usize, keys: &mut Vec<u64>, order: &mut Vec<u32>) {
    order.clear();
    if entries.len() > 1 << PLACE {
        let mut places: Vec<u32> = (0..entries.len() as u32).collect();
        places.sort_by(|&a, &b| exact(entries, a, b));
        order.extend_from_slice(&places[..n.min(places.len())]);
        return;
    }
    keys.clear();
    // The bits of numbers above 0 rise with them; the sign bit, always 0, makes room for one more of the others.
    keys.extend(entries.iter().enumerate().map(|(place, entry)| {
        let falling = !(entry.value.to_bits() << 1);
        (falling >> PLACE << PLACE) | place as u64
    }));
    let keys = first(keys, n);
    keys.sort_unstable();
    order.extend(keys.iter().map(|&key| key as u32 & ((1 << PLACE) - 1)));
    let mut start = 0;
    for run in keys.chunk_by(|a, b| a >> PLACE == b >> PLACE) {
        let places = &mut order[start..start + run.len()];
        if run.len() > 1 && !places.is_sorted_by(|&a, &b| exact(entries, a, b).is_le()) {
            places.sort_by(|&a, &b| exact(entries, a, b));
        }
        start += run.len();
    }
    order.truncate(n);
}

/// The `n` lowest keys and all that agree with the last of them but for the place.
fn first(keys: &mut [u64], n: usize) -> &mut [u64] {
    if keys.len() <= n || n == 0 {
        return keys;
    }
    let (_, &mut last, rest) = keys.select_nth_unstable(n - 1);
    let mut more = 0;
    for i in 0..rest.len() {
        if rest[i] >> PLACE == last >> PLACE {
            rest.swap(i, more);
            more += 1;
        }
    }
    &mut keys[..n + more]
}

fn exact(entries: &[Entry], a: u32, b: u32) -> std::cmp::Ordering {
    entries[b as usize].value.total_cmp(&entries[a as usize].value).then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::draws::{Purpose, generator, uniform};

    fn entries(values: impl IntoIterator<Item = f64>) -> Vec<Entry> {
        let entry = |(slot, value)| Entry { slot: slot as u32, counts: 1.0, value };
        values.into_iter().enumerate().map(entry).collect()
    }

    fn check(entries: &[Entry], n: usize) {
        let mut expected: Vec<u32> = (0..entries.len() as u32).collect();
        expected.sort_by(|&a, &b| exact(entries, a, b));
        expected.truncate(n);
        let mut found = Vec::new();
        order(entries, n, &mut Vec::new(), &mut found);
        assert_eq!(found, expected, "{} entries, first {n}", entries.len());
    }

    #[test]
    fn the_packed_sort_equals_the_plain_one() {
        let mut rng = generator(0, Purpose::Ties, []);
        for n in [0, 1, 2, 3, 40, 1_000] {
            let spread = entries((0..n).map(|_| uniform(&mut rng) * 1e4 + 1e-3));
            // Five values for all, and their neighbours in the last bits.
            let crowded = entries((0..n).map(|i| {
                let value = f64::from(1 + i % 5) * 0.7;
                f64::from_bits(value.to_bits() + (uniform(&mut rng) * 3.0) as u64)
            }));
            for crop in [1, 2, 7, 500, 2_000] {
                check(&spread, crop);
                check(&crowded, crop);
            }
        }
    }

    #[test]
    fn extreme_values_and_very_long_cells_are_in_order_too() {
        check(&entries([f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0, 1.0 + f64::EPSILON, 1.0]), 6);
        check(&entries((0..70_000).map(|i| f64::from(1 + i * 7 % 1_000))), 2_048);
    }
}
