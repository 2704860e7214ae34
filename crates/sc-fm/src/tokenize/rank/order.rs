//! The order of the genes of a cell: by falling value, equal values in the order they come.

/// A gene of a cell: what it is ranked by, above 0 and finite, and its place among the genes of the cell.
pub(super) type Ranked = (f64, u32);

/// Buckets with more entries than this are sorted by a method whose time does not grow with their square.
const SMALL: usize = 24;
/// Fewest and most buckets, as powers of two.
const FEWEST: u32 = 4;
const MOST: u32 = 12;

/// Buffers that outlive a cell.
#[derive(Default)]
pub(super) struct Sorter {
    starts: Vec<u32>,
    sorted: Vec<Ranked>,
}

impl Sorter {
    /// The entries, highest value first, equal values in their old order.
    ///
    /// One stable pass into about as many buckets as entries, by the leading bits of the value (whose bits rise with
    /// it); what is left to do within a bucket is next to nothing. `u64` keys through `sort_unstable` took 1.6 times
    /// as long for the whole tokeniser (bench `tokenize`, PBMC 3k).
    pub(super) fn sort(&mut self, entries: &[Ranked]) -> &[Ranked] {
        let bits = entries.iter().map(|(value, _)| value.to_bits());
        let (low, high) = bits.fold((u64::MAX, 0), |(low, high), bits| (low.min(bits), high.max(bits)));
        self.sorted.clear();
        if entries.is_empty() {
            return &self.sorted;
        }
        let n_bits = entries.len().ilog2().clamp(FEWEST, MOST);
        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(n_bits);
        let bucket = |value: f64| ((high - value.to_bits()) >> shift) as usize;

        self.starts.clear();
        self.starts.resize((1 << n_bits) + 1, 0);
        entries.iter().for_each(|&(value, _)| self.starts[bucket(value) + 1] += 1);
        let mut start = 0;
        for n in &mut self.starts {
            start += *n;
            *n = start;
        }
        self.sorted.resize(entries.len(), (0.0, 0));
        for &entry in entries {
            let start = &mut self.starts[bucket(entry.0)];
            self.sorted[*start as usize] = entry;
            *start += 1;
        }
        // Each start has moved to the end of its bucket.
        let mut start = 0;
        for &end in &self.starts[..1 << n_bits] {
            let bucket = &mut self.sorted[start..end as usize];
            match bucket.len() {
                0 | 1 => {}
                2..=SMALL => insertion_sort(bucket),
                _ => bucket.sort_by(|a, b| b.0.total_cmp(&a.0)),
            }
            start = end as usize;
        }
        &self.sorted
    }
}

fn insertion_sort(entries: &mut [Ranked]) {
    for i in 1..entries.len() {
        let entry = entries[i];
        let mut place = i;
        while place > 0 && entries[place - 1].0 < entry.0 {
            entries[place] = entries[place - 1];
            place -= 1;
        }
        entries[place] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::draws::{Purpose, generator, uniform};

    fn check(values: impl IntoIterator<Item = f64>) {
        let entries: Vec<Ranked> = values.into_iter().zip(0..).collect();
        let mut expected = entries.clone();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert_eq!(Sorter::default().sort(&entries), expected, "{} entries", entries.len());
    }

    #[test]
    fn buckets_give_the_order_of_a_stable_sort() {
        let mut rng = generator(0, Purpose::Ties, []);
        for n in [0, 1, 2, 3, 16, 40, 1_000] {
            check((0..n).map(|_| uniform(&mut rng) * 1e4 + 1e-3));
            // Five values for all, and their neighbours in the last bits.
            check((0..n).map(|i| {
                let value = f64::from(1 + i % 5) * 0.7;
                f64::from_bits(value.to_bits() + (uniform(&mut rng) * 3.0) as u64)
            }));
            // One far away, which leaves a single bucket to all others.
            check((0..n).map(|i| if i == 7 { 1e300 } else { uniform(&mut rng) + 1.0 }));
            check((0..n).map(|_| 2.5));
        }
    }

    #[test]
    fn extreme_values_and_very_long_cells_are_in_order_too() {
        check([f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0, 1.0 + f64::EPSILON, 1.0]);
        check((0..70_000).map(|i| f64::from(1 + i * 7 % 1_000)));
    }

    #[test]
    fn buffers_of_a_long_cell_do_not_show_in_a_short_one() {
        let mut sorter = Sorter::default();
        let long: Vec<Ranked> = (0..500).map(|i| (f64::from(i + 1), i)).collect();
        assert_eq!(sorter.sort(&long)[0], (500.0, 499));
        assert_eq!(sorter.sort(&[(1.0, 0), (2.0, 1)]), [(2.0, 1), (1.0, 0)]);
        assert!(sorter.sort(&[]).is_empty());
    }
}
