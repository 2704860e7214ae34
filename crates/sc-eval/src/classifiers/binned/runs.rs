//! Sparse columns: what differs from the background, each column sorted.
//!
//! The entries of a column form two runs, the values below the background and those above it. Each is sorted from its
//! far end towards the background, so that sweeping a run gives the sums on one side of every threshold, and the
//! node's total gives the other. Splitting a node keeps that order.

use super::columns::{BinnedColumn, Slots};

/// One row's value in one column, where it is not the column's background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) row: u32,
    /// Bin of the value, counted over all columns.
    pub(crate) slot: u32,
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

    /// The runs of the columns that `keep` accepts.
    pub(crate) fn of_columns(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::default();
        for (at, &id) in self.ids.iter().enumerate().filter(|&(_, &id)| keep(Self::column(id))) {
            kept.push(id, self.entries()[self.start(at)..self.start(at + 1)].iter().copied());
        }
        kept
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

/// The runs of all columns.
pub(super) fn collect(slots: &Slots, columns: &[BinnedColumn]) -> Runs {
    let mut runs = Runs::default();
    for (j, column) in columns.iter().enumerate() {
        let first = slots.first(j);
        let low_end = column.entries.partition_point(|&(bin, _)| bin < column.background);
        let (low, high) = column.entries.split_at(low_end);
        let entry = |&(bin, row): &(u32, u32)| Entry { row, slot: first + bin };
        let [below, above] = Runs::ids(j);
        runs.push(below, low.iter().map(entry));
        runs.push(above, high.iter().rev().map(entry));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Features;
    use crate::classifiers::binned::Binned;

    #[test]
    fn rows_at_the_background_have_no_entry_and_the_rest_are_sorted_by_value() {
        let x =
            Features::sparse(vec![0, 1, 1, 2, 3], vec![0, 0, 0], vec![2.0, -3.0, 1.0], vec![-1.0]).unwrap();
        let binned = Binned::new(&x, 256);
        let rows = |id| binned.runs.run(id).iter().map(|e| e.row).collect::<Vec<_>>();
        let slots = |id| binned.runs.run(id).iter().map(|e| e.slot).collect::<Vec<_>>();
        assert_eq!((rows(0), slots(0)), (vec![2], vec![0]));
        assert_eq!((rows(1), slots(1)), (vec![0, 3], vec![3, 2]));
        assert_eq!(binned.slots.background(0), 1);
        assert_eq!(binned.slots.threshold(1, 2), 0.0);
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
        assert_eq!(a.slots, b.slots);
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
