//! The order of the genes of a cell: by falling value, equal values in the order they come.

/// A gene of a cell: what it is ranked by, above 0 and finite, and its place among the genes of the cell.
pub(super) type Ranked = (f64, u32);

/// Cells with fewer genes than this are sorted as they are.
const FEW: usize = 48;
/// Bits of one digit, and of both.
const DIGIT: u32 = 10;
const KEY: u32 = 2 * DIGIT;

/// Buffers that outlive a cell.
pub(super) struct Sorter {
    starts: [[u32; 1 << DIGIT]; 2],
    by_low: Vec<Ranked>,
    sorted: Vec<Ranked>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self { starts: [[0; 1 << DIGIT]; 2], by_low: Vec::new(), sorted: Vec::new() }
    }
}

impl Sorter {
    /// The entries, highest value first, equal values in their old order.
    ///
    /// Two stable passes by the digits of a 20-bit key, the leading bits of the value within the range of this cell
    /// (the bits of positive numbers rise with them); what then still stands wrong is a step or two from its place. No
    /// branch depends on the values, which is what sorting by comparison spends its time on.
    pub(super) fn sort(&mut self, entries: &[Ranked]) -> &[Ranked] {
        let Self { starts, by_low, sorted } = self;
        sorted.clear();
        sorted.extend_from_slice(entries);
        if entries.len() < FEW {
            insertion_sort(sorted, usize::MAX);
            return sorted;
        }
        let bits = entries.iter().map(|(value, _)| value.to_bits());
        let (low, high) = bits.fold((u64::MAX, 0), |(low, high), bits| (low.min(bits), high.max(bits)));
        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(KEY);
        let digits = |value: f64| {
            let key = (high - value.to_bits()) >> shift;
            [key & ((1 << DIGIT) - 1), key >> DIGIT].map(|digit| digit as usize)
        };
        *starts = [[0; 1 << DIGIT]; 2];
        for &(value, _) in entries {
            let [low, high] = digits(value);
            starts[0][low] += 1;
            starts[1][high] += 1;
        }
        for starts in starts.iter_mut() {
            let mut next = 0;
            starts.iter_mut().for_each(|start| next += std::mem::replace(start, next));
        }
        by_low.resize(entries.len(), (0.0, 0));
        let [low_starts, high_starts] = starts;
        for &entry in entries {
            let start = &mut low_starts[digits(entry.0)[0]];
            by_low[*start as usize] = entry;
            *start += 1;
        }
        for &entry in by_low.iter() {
            let start = &mut high_starts[digits(entry.0)[1]];
            sorted[*start as usize] = entry;
            *start += 1;
        }
        if !insertion_sort(sorted, 4 * entries.len()) {
            // Values crowd in few keys. Equal ones still have their old order, and a stable sort leaves it so.
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        sorted
    }
}

/// Sorts entries that are nearly in order; gives up, with all of them still there, after so many steps.
fn insertion_sort(entries: &mut [Ranked], mut steps: usize) -> bool {
    for i in 1..entries.len() {
        let entry = entries[i];
        let mut place = i;
        while place > 0 && entries[place - 1].0 < entry.0 {
            entries[place] = entries[place - 1];
            place -= 1;
        }
        entries[place] = entry;
        match steps.checked_sub(i - place) {
            Some(left) => steps = left,
            None => return false,
        }
    }
    true
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
    fn digits_give_the_order_of_a_stable_sort() {
        let mut rng = generator(0, Purpose::Ties, []);
        for n in [0, 1, 2, 3, 16, 47, 48, 1_000, 5_000] {
            check((0..n).map(|_| uniform(&mut rng) * 1e4 + 1e-3));
            // Five values for all, and their neighbours in the last bits.
            check((0..n).map(|i| {
                let value = f64::from(1 + i % 5) * 0.7;
                f64::from_bits(value.to_bits() + (uniform(&mut rng) * 3.0) as u64)
            }));
            // One far away, which leaves a single key to all others.
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
