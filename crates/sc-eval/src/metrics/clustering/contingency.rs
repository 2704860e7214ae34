//! How many cells each class and cluster share, without the empty pairs.

use crate::{Error, Result};

/// Sizes of the non-empty intersections of two partitions, and of the parts.
pub(crate) struct Contingency {
    /// Part of the first partition, part of the second, cells in both.
    pub(crate) cells: Vec<(usize, usize, u64)>,
    /// Size of each part of the first partition.
    pub(crate) rows: Vec<u64>,
    /// Size of each part of the second partition.
    pub(crate) columns: Vec<u64>,
    /// Number of cells.
    pub(crate) total: u64,
}

impl Contingency {
    /// By sorting: memory is that of the cells, even if every cell is a cluster of its own.
    pub(super) fn new(truth: &[u32], clusters: &[u32]) -> Result<Self> {
        if truth.is_empty() {
            return Err(Error::Empty { what: "labels" });
        }
        if clusters.len() != truth.len() {
            return Err(Error::Length { what: "clusters", found: clusters.len(), expected: truth.len() });
        }
        let mut sorted = clusters.to_vec();
        sorted.sort_unstable();
        let runs = sorted.chunk_by(|a, b| a == b);
        let (names, columns): (Vec<u32>, Vec<u64>) = runs.map(|run| (run[0], run.len() as u64)).unzip();

        let mut pairs: Vec<(u32, u32)> = truth.iter().copied().zip(clusters.iter().copied()).collect();
        pairs.sort_unstable();
        let (mut cells, mut rows) = (Vec::new(), Vec::new());
        for class in pairs.chunk_by(|a, b| a.0 == b.0) {
            for run in class.chunk_by(|a, b| a.1 == b.1) {
                let column = names.partition_point(|&name| name < run[0].1);
                cells.push((rows.len(), column, run.len() as u64));
            }
            rows.push(class.len() as u64);
        }
        Ok(Self { cells, rows, columns, total: truth.len() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_intersections_are_counted_whatever_their_names() {
        let c = Contingency::new(&[9, 0, 9, 0, 9], &[5, u32::MAX, 5, 7, 7]).unwrap();
        assert_eq!(c.cells, [(0, 1, 1), (0, 2, 1), (1, 0, 2), (1, 1, 1)]);
        assert_eq!((c.rows, c.columns, c.total), (vec![2, 3], vec![2, 2, 1], 5));
    }

    #[test]
    fn partitions_of_different_cells_are_refused() {
        assert!(Contingency::new(&[], &[]).is_err());
        assert!(Contingency::new(&[1], &[1, 2]).is_err());
    }
}
