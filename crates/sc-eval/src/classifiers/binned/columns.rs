//! The bins of each column.

use rayon::prelude::*;

use crate::Features;

/// What the bins of all columns stand for. A slot is a bin, counted over all columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slots {
    pub(crate) n_rows: usize,
    /// Smallest and largest value of each slot.
    bounds: Vec<(f32, f32)>,
    /// Slot of each column's background.
    background: Vec<u32>,
    /// First slot of each column, and the end of the last.
    first: Vec<u32>,
}

impl Slots {
    /// Slot of the value that the rows without an entry have in column `j`.
    pub(crate) fn background(&self, j: usize) -> u32 {
        self.background[j]
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.background.len()
    }

    /// First slot of column `j`.
    pub(crate) fn first(&self, j: usize) -> u32 {
        self.first[j]
    }

    /// Number of bins of column `j`.
    pub(crate) fn n_bins(&self, j: usize) -> usize {
        (self.first[j + 1] - self.first[j]) as usize
    }

    /// The value between two slots of a column: rows at or below it go left.
    pub(crate) fn threshold(&self, below: u32, above: u32) -> f32 {
        let (low, high) = (self.bounds[below as usize].1, self.bounds[above as usize].0);
        let middle = low + (high - low) / 2.0;
        // Neighbouring floats have no middle, and far ones may overflow: the lower one separates them.
        if middle < high { middle } else { low }
    }
}

/// The values of one column in bins.
pub(crate) struct BinnedColumn {
    bounds: Vec<(f32, f32)>,
    /// The bin of the rows without an entry.
    pub(super) background: u32,
    /// Bin and row, sorted; without the background's rows.
    pub(super) entries: Vec<(u32, u32)>,
}

/// Bins of about equally many rows, at most `max_bins` a column; one with fewer distinct values keeps each in its own.
pub(super) fn bin(x: &Features, max_bins: usize) -> (Slots, Vec<BinnedColumn>) {
    let (lines, background) = x.columns();
    let n_rows = x.n_rows();
    // Dense columns have every row written; their background of zero then stands for nobody.
    let columns: Vec<BinnedColumn> = (0..x.n_cols())
        .into_par_iter()
        .map(|j| {
            let (rows, values) = lines.line(j);
            bin_column(rows, values, background[j], n_rows, max_bins)
        })
        .collect();
    let mut slots = Slots { n_rows, bounds: Vec::new(), background: Vec::new(), first: vec![0] };
    for column in &columns {
        slots.background.push(slots.bounds.len() as u32 + column.background);
        slots.bounds.extend(&column.bounds);
        slots.first.push(slots.bounds.len() as u32);
    }
    (slots, columns)
}

/// * `rows`, `written`: row and value of each written value; all other rows hold `background`.
fn bin_column(
    rows: &[u32],
    written: &[f32],
    background: f32,
    n_rows: usize,
    max_bins: usize,
) -> BinnedColumn {
    let mut sorted: Vec<u64> = rows.iter().zip(written).map(|(&row, &value)| key(value, row)).collect();
    sorted.sort_unstable();
    let unwritten = n_rows - sorted.len();
    // Distinct values with their number of rows.
    let mut values: Vec<(f32, usize)> = Vec::new();
    for &key in &sorted {
        let value = value_of(key);
        match values.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => values.push((value, 1)),
        }
    }
    if unwritten > 0 {
        let at = values.partition_point(|(value, _)| *value < background);
        match values.get_mut(at) {
            Some((value, count)) if *value == background => *count += unwritten,
            _ => values.insert(at, (background, unwritten)),
        }
    }
    let bins = join(&values, n_rows, max_bins);
    let mut counts = vec![0usize; bins.last().map_or(0, |&last| last as usize + 1)];
    let mut bounds = vec![(f32::INFINITY, f32::NEG_INFINITY); counts.len()];
    for (&(value, count), &bin) in values.iter().zip(&bins) {
        counts[bin as usize] += count;
        let (low, high) = &mut bounds[bin as usize];
        (*low, *high) = (low.min(value), high.max(value));
    }
    let mut at = 0;
    let mut entries: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
    for &key in &sorted {
        while values[at].0 < value_of(key) {
            at += 1;
        }
        entries.push((bins[at], key as u32));
    }
    // The most frequent bin; of equals the one that is not written out, else the lowest.
    let unwritten_bin =
        (unwritten > 0).then(|| bins[values.partition_point(|(value, _)| *value < background)]);
    let weight = |bin: &u32| (counts[*bin as usize], Some(*bin) == unwritten_bin);
    let most = (0..counts.len() as u32).rev().max_by_key(weight).unwrap_or_default();
    if let Some(unwritten_bin) = unwritten_bin.filter(|&bin| bin != most) {
        // The unwritten rows are not the most frequent bin after all (a dense column): write them out.
        let mut is_written = vec![false; n_rows];
        entries.iter().for_each(|&(_, row)| is_written[row as usize] = true);
        entries.extend((0..n_rows as u32).filter(|&r| !is_written[r as usize]).map(|r| (unwritten_bin, r)));
    }
    entries.retain(|&(bin, _)| bin != most);
    entries.sort_unstable();
    BinnedColumn { bounds, background: most, entries }
}

/// A value and its row as one number, ordered as `total_cmp` orders the values, then by row.
fn key(value: f32, row: u32) -> u64 {
    let bits = value.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(row)
}

fn value_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// A bin for each distinct value: its own while there are few, else runs of about equally many rows.
fn join(values: &[(f32, usize)], n_rows: usize, max_bins: usize) -> Vec<u32> {
    if values.len() <= max_bins {
        return (0..values.len() as u32).collect();
    }
    let (mut bin, mut in_bin, mut left_rows) = (0u32, 0usize, n_rows);
    let mut bins = Vec::with_capacity(values.len());
    for &(_, count) in values {
        let left_bins = max_bins - bin as usize;
        let target = left_rows.div_ceil(left_bins);
        // A value as heavy as a whole bin starts one of its own; the last bin takes what remains.
        if in_bin > 0 && left_bins > 1 && (in_bin + count > target || count >= target) {
            left_rows -= in_bin;
            bin += 1;
            in_bin = 0;
        }
        bins.push(bin);
        in_bin += count;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_share_bins_of_about_equal_size_in_order() {
        let x = ndarray::Array2::from_shape_fn((1000, 1), |(i, _)| ((i * 7919) % 1000) as f32);
        let (slots, columns) = bin(&Features::dense(x.view()).unwrap(), 16);
        assert_eq!((slots.bounds.len(), slots.n_bins(0)), (16, 16));
        assert!(slots.bounds.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let background = 1000 - columns[0].entries.len();
        assert!((50..=70).contains(&background), "{background}");
    }

    #[test]
    fn keys_order_values_and_give_them_back() {
        let values = [f32::MIN, -1.5, -1e-40, -0.0, 0.0, 1e-40, 2.0, f32::MAX];
        let keys: Vec<u64> = values.iter().map(|&v| key(v, 7)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(keys.iter().zip(values).all(|(&key, v)| value_of(key).to_bits() == v.to_bits()));
        assert!(key(1.0, 1) < key(1.0, 2));
    }

    #[test]
    fn a_threshold_separates_even_neighbouring_and_far_floats() {
        let x = ndarray::array![[1.0f32, f32::MIN], [1.0f32.next_up(), f32::MAX]];
        let (slots, _) = bin(&Features::dense(x.view()).unwrap(), 16);
        assert_eq!(slots.threshold(0, 1), 1.0);
        assert_eq!(slots.threshold(2, 3), f32::MIN);
    }
}
