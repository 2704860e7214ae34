//! Features in bins, each column sorted: the one structure behind forests and boosting.
//!
//! A column keeps an entry per row whose value is not the column's most frequent one (the background, and zero counts
//! after standardising are exactly that). A tree then works on what is written out: at 9 % density an eleventh of the
//! matrix.
//!
//! The entries of a column form two runs, the values below the background and those above it. Each is sorted from its
//! far end towards the background, so that sweeping a run gives the sums on one side of every threshold, and the
//! node's total gives the other. Splitting a node keeps that order.

use rayon::prelude::*;

use crate::Features;

/// One row's value in one column, where it is not the column's background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) row: u32,
    /// Bin of the value, counted over all columns ([`Binned::bin`] resolves it).
    pub(crate) slot: u32,
}

/// The bins of all columns and the entries of all rows, by column and bin.
pub(crate) struct Binned {
    pub(crate) n_rows: usize,
    /// Smallest and largest value of each slot.
    bounds: Vec<(f32, f32)>,
    /// Slot of each column's background.
    background: Vec<u32>,
    pub(crate) runs: Runs,
}

/// The runs of a node that have entries, by identity.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    ids: Vec<u32>,
    /// First entry of each run, and the end of the last.
    start: Vec<u32>,
    /// Entries; buffers that are used again may be longer than the last run's end.
    entries: Vec<Entry>,
}

impl Default for Runs {
    fn default() -> Self {
        Self { ids: Vec::new(), start: vec![0], entries: Vec::new() }
    }
}

impl Runs {
    /// The runs of a column: below its background, above it.
    pub(crate) fn ids(column: usize) -> [u32; 2] {
        [2 * column as u32, 2 * column as u32 + 1]
    }

    /// The column of run `id`.
    pub(crate) fn column(id: u32) -> usize {
        (id / 2) as usize
    }

    /// Whether run `id` holds the values below the background.
    pub(crate) fn is_low(id: u32) -> bool {
        id & 1 == 0
    }

    /// Number of runs with entries.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Identity of the `at`-th run.
    pub(crate) fn id(&self, at: usize) -> u32 {
        self.ids[at]
    }

    /// Where the entries of the `at`-th run begin; for `at == len()`, where the last one ends.
    pub(crate) fn start(&self, at: usize) -> usize {
        self.start[at] as usize
    }

    /// All entries, run by run.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries[..self.start(self.len())]
    }

    /// The entries of run `id`, from the far end to the background.
    pub(crate) fn run(&self, id: u32) -> &[Entry] {
        match self.ids.binary_search(&id) {
            Ok(at) => &self.entries[self.start(at)..self.start(at + 1)],
            Err(_) => &[],
        }
    }

    /// The run that entry `k` belongs to.
    pub(crate) fn run_of(&self, k: usize) -> usize {
        self.start.partition_point(|&start| start as usize <= k) - 1
    }

    fn push(&mut self, id: u32, entries: impl Iterator<Item = Entry>) {
        self.entries.extend(entries);
        self.close_run(id, self.entries.len());
    }

    /// Parts the entries of the runs that `of_use` accepts, by position, into those of rows that go left and the
    /// others, in order.
    pub(crate) fn part_into(
        &self,
        left: &mut Self,
        right: &mut Self,
        of_use: impl Fn(usize) -> bool,
        goes_left: impl Fn(u32) -> bool,
    ) {
        let all = self.entries();
        for side in [&mut *left, &mut *right] {
            side.ids.clear();
            side.start.clear();
            side.start.push(0);
            if side.entries.len() <= all.len() {
                side.entries.resize(all.len() + 1, Entry { row: 0, slot: 0 });
            }
        }
        let (mut to_left, mut to_right) = (0, 0);
        for (at, &id) in self.ids.iter().enumerate().filter(|&(at, _)| of_use(at)) {
            // Every entry is written to both sides and one position moves on: no branch to guess wrong.
            for &e in &all[self.start(at)..self.start(at + 1)] {
                left.entries[to_left] = e;
                right.entries[to_right] = e;
                let goes_left = usize::from(goes_left(e.row));
                to_left += goes_left;
                to_right += 1 - goes_left;
            }
            left.close_run(id, to_left);
            right.close_run(id, to_right);
        }
    }

    /// The entries of the rows that `keep` accepts, in order.
    pub(crate) fn filtered(&self, keep: impl Fn(u32) -> bool) -> Self {
        let mut kept = Self::default();
        for (at, &id) in self.ids.iter().enumerate() {
            let entries = &self.entries()[self.start(at)..self.start(at + 1)];
            kept.push(id, entries.iter().copied().filter(|e| keep(e.row)));
        }
        kept
    }

    fn close_run(&mut self, id: u32, end: usize) {
        if end as u32 > self.start[self.ids.len()] {
            self.ids.push(id);
            self.start.push(end as u32);
        }
    }
}

/// The values of one column in bins.
struct BinnedColumn {
    bounds: Vec<(f32, f32)>,
    background: u32,
    /// Row and bin, sorted by bin, then row; without the background's rows.
    entries: Vec<(u32, u32)>,
}

impl Binned {
    /// Bins every column into at most `max_bins` bins of about equally many rows; a column with fewer distinct values
    /// keeps each in its own bin.
    pub(crate) fn new(x: &Features, max_bins: usize) -> Self {
        let (lines, background) = x.columns();
        let n_rows = x.n_rows();
        // Dense columns have every row written; their background of zero then stands for nobody.
        let columns: Vec<BinnedColumn> = (0..x.n_cols())
            .into_par_iter()
            .map(|j| {
                let (rows, values) = lines.line(j);
                let written = rows.iter().copied().zip(values.iter().copied()).collect();
                bin_column(written, background[j], n_rows, max_bins)
            })
            .collect();
        let mut binned = Self { n_rows, bounds: Vec::new(), background: Vec::new(), runs: Runs::default() };
        for (j, column) in columns.into_iter().enumerate() {
            let first = binned.bounds.len() as u32;
            binned.bounds.extend(column.bounds);
            binned.background.push(first + column.background);
            let low_end = column.entries.partition_point(|&(_, bin)| bin < column.background);
            let (low, high) = column.entries.split_at(low_end);
            let entry = |&(row, bin): &(u32, u32)| Entry { row, slot: first + bin };
            let [below, above] = Runs::ids(j);
            binned.runs.push(below, low.iter().map(entry));
            binned.runs.push(above, high.iter().rev().map(entry));
        }
        binned
    }

    /// Slot of the value that the rows without an entry have in column `j`.
    pub(crate) fn background(&self, j: usize) -> u32 {
        self.background[j]
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.background.len()
    }

    /// The value between two slots of a column: rows at or below it go left.
    pub(crate) fn threshold(&self, below: u32, above: u32) -> f32 {
        let (low, high) = (self.bounds[below as usize].1, self.bounds[above as usize].0);
        let middle = low + (high - low) / 2.0;
        // Neighbouring floats have no middle: the lower one separates them.
        if middle < high { middle } else { low }
    }
}

/// * `written`: row and value of each written value, rows ascending; all other rows hold `background`.
fn bin_column(written: Vec<(u32, f32)>, background: f32, n_rows: usize, max_bins: usize) -> BinnedColumn {
    let mut sorted = written;
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let unwritten = n_rows - sorted.len();
    // Distinct values with their number of rows.
    let mut values: Vec<(f32, usize)> = Vec::new();
    for &(_, value) in &sorted {
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
    let mut counts = vec![0usize; bins.iter().max().map_or(0, |&last| last as usize + 1)];
    let mut bounds = vec![(f32::INFINITY, f32::NEG_INFINITY); counts.len()];
    for (&(value, count), &bin) in values.iter().zip(&bins) {
        counts[bin as usize] += count;
        let (low, high) = &mut bounds[bin as usize];
        (*low, *high) = (low.min(value), high.max(value));
    }
    let bin_of = |value: f32| bins[values.partition_point(|(v, _)| *v < value)];
    let mut entries: Vec<(u32, u32)> = sorted.iter().map(|&(row, value)| (row, bin_of(value))).collect();
    // The most frequent bin; of equals the one that is not written out, else the lowest.
    let unwritten_bin = (unwritten > 0).then(|| bin_of(background));
    let weight = |bin: &u32| (counts[*bin as usize], Some(*bin) == unwritten_bin);
    let most = (0..counts.len() as u32).rev().max_by_key(weight).unwrap_or_default();
    if let Some(unwritten_bin) = unwritten_bin.filter(|&bin| bin != most) {
        // The unwritten rows are not the most frequent bin after all (a dense column): write them out.
        let mut is_written = vec![false; n_rows];
        entries.iter().for_each(|&(row, _)| is_written[row as usize] = true);
        entries.extend((0..n_rows as u32).filter(|&r| !is_written[r as usize]).map(|r| (r, unwritten_bin)));
    }
    entries.retain(|&(_, bin)| bin != most);
    entries.sort_by_key(|&(row, bin)| (bin, row));
    BinnedColumn { bounds, background: most, entries }
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
    fn rows_at_the_background_have_no_entry_and_the_rest_are_sorted_by_value() {
        let x =
            Features::sparse(vec![0, 1, 1, 2, 3], vec![0, 0, 0], vec![2.0, -3.0, 1.0], vec![-1.0]).unwrap();
        let binned = Binned::new(&x, 256);
        let rows = |id| binned.runs.run(id).iter().map(|e| e.row).collect::<Vec<_>>();
        let slots = |id| binned.runs.run(id).iter().map(|e| e.slot).collect::<Vec<_>>();
        assert_eq!((rows(0), slots(0)), (vec![2], vec![0]));
        assert_eq!((rows(1), slots(1)), (vec![0, 3], vec![3, 2]));
        assert_eq!(binned.background(0), 1);
        assert_eq!(binned.threshold(1, 2), 0.0);
    }

    #[test]
    fn dense_and_sparse_features_have_the_same_bins() {
        let sparse = Features::sparse(
            vec![0, 2, 3, 4, 4],
            vec![0, 1, 1, 0],
            vec![1.0, 2.0, 3.0, 4.0],
            vec![0.5, -0.5],
        )
        .unwrap();
        let mut full = ndarray::Array2::zeros((4, 2));
        for (i, mut row) in full.rows_mut().into_iter().enumerate() {
            sparse.write_row(i, row.as_slice_mut().unwrap());
        }
        let (a, b) = (Binned::new(&sparse, 8), Binned::new(&Features::dense(full.view()).unwrap(), 8));
        assert_eq!(a.runs.entries(), b.runs.entries());
        assert_eq!((a.bounds, a.background), (b.bounds, b.background));
    }

    #[test]
    fn many_values_share_bins_of_about_equal_size_in_order() {
        let x = ndarray::Array2::from_shape_fn((1000, 1), |(i, _)| ((i * 7919) % 1000) as f32);
        let binned = Binned::new(&Features::dense(x.view()).unwrap(), 16);
        assert_eq!(binned.bounds.len(), 16);
        assert!(binned.bounds.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let background = 1000 - binned.runs.entries().len();
        assert!((50..=70).contains(&background), "{background}");
    }

    #[test]
    fn filtering_keeps_order() {
        let x = ndarray::array![[3.0, 1.0], [1.0, 2.0], [2.0, 3.0], [0.0, 0.0]];
        let runs = Binned::new(&Features::dense(x.view()).unwrap(), 8).runs;
        let some = runs.filtered(|row| row != 1);
        let expected = runs.entries().iter().filter(|e| e.row != 1).copied().collect::<Vec<_>>();
        assert_eq!(some.entries(), expected);
        assert_eq!(some.run(1).len() + some.run(3).len(), expected.len());
    }

    #[test]
    fn parting_keeps_order_on_both_sides_and_leaves_runs_out() {
        let x = ndarray::array![[3.0, 1.0], [1.0, 2.0], [2.0, 3.0], [0.0, 0.0], [0.0, 0.0]];
        let runs = Binned::new(&Features::dense(x.view()).unwrap(), 8).runs;
        let (mut left, mut right) = (Runs::default(), Runs::default());
        // Twice: buffers that are used again must not show.
        for _ in 0..2 {
            runs.part_into(&mut left, &mut right, |_| true, |row| row < 2);
            assert_eq!(left.entries(), runs.filtered(|row| row < 2).entries());
            assert_eq!(right.entries(), runs.filtered(|row| row >= 2).entries());
        }
        runs.part_into(&mut left, &mut right, |at| runs.id(at) == 1, |_| true);
        assert_eq!((left.run(1), left.run(3), right.len()), (runs.run(1), &[][..], 0));
    }
}
