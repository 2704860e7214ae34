use sc_io::DataFrame;

use super::{Error, Result};

const N_COUNTS: &str = "n_counts";
const FILTER_PASS: &str = "filter_pass";

/// What is known of the cells of a matrix besides their counts: one entry a row of the whole matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// Total counts of each cell, genes without tokens included. Without it, the sum of the row.
    pub n_counts: Option<Vec<f64>>,
    /// Which cells to keep. Without it, all.
    pub keep: Option<Vec<bool>>,
}

impl Cells {
    /// From `obs`: `n_counts` where it is there; `filter_pass` where it is there, and then only the cells whose value
    /// is exactly 1.
    ///
    /// # Errors
    /// [`Error::Io`] if one of the two holds no numbers, [`Error::NoTotal`] if `n_counts` has gaps.
    pub fn from_obs(obs: &DataFrame) -> Result<Self> {
        let n_counts = match obs.get(N_COUNTS) {
            None => None,
            Some(column) => {
                let totals = column.numbers()?.into_iter().enumerate();
                Some(totals.map(|(row, n)| n.ok_or(Error::NoTotal { row })).collect::<Result<_>>()?)
            }
        };
        let keep = match obs.get(FILTER_PASS) {
            None => None,
            Some(column) => Some(column.numbers()?.into_iter().map(|pass| pass == Some(1.0)).collect()),
        };
        Ok(Self { n_counts, keep })
    }

    /// Proves that there is an entry for every row of `first_row..first_row + n_rows`.
    pub(crate) fn check(&self, first_row: usize, n_rows: usize) -> Result<()> {
        let lengths =
            [("n_counts", self.n_counts.as_ref().map(Vec::len)), ("keep", self.keep.as_ref().map(Vec::len))];
        for (what, length) in lengths {
            match length {
                Some(found) if found < first_row + n_rows => {
                    return Err(Error::Length { what, found, expected: first_row + n_rows });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Proves that there is an entry for each of `n_rows` rows and none besides.
    pub(crate) fn check_all(&self, n_rows: usize) -> Result<()> {
        self.check(0, n_rows)?;
        let longest = [self.n_counts.as_ref().map(Vec::len), self.keep.as_ref().map(Vec::len)];
        match longest.into_iter().flatten().find(|&found| found != n_rows) {
            Some(found) => Err(Error::Length { what: "the table of cells", found, expected: n_rows }),
            None => Ok(()),
        }
    }

    pub(crate) fn keeps(&self, row: usize) -> bool {
        self.keep.as_ref().is_none_or(|keep| keep[row])
    }

    pub(crate) fn total(&self, row: usize) -> Option<f64> {
        self.n_counts.as_ref().map(|totals| totals[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_io::Column;

    fn obs(name: &str, column: Column) -> Result<Cells> {
        let mut obs = DataFrame::new((0..column.len()).map(|i| i.to_string()).collect());
        obs.insert(name, column).unwrap();
        Cells::from_obs(&obs)
    }

    #[test]
    fn only_a_filter_pass_of_one_keeps_a_cell() {
        let cells = obs(FILTER_PASS, Column::NullableI64(vec![Some(1), Some(2), Some(0), None])).unwrap();
        assert_eq!((cells.keep, cells.n_counts), (Some(vec![true, false, false, false]), None));
        assert_eq!(obs("x", Column::I64(vec![1])).unwrap(), Cells::default());
    }

    #[test]
    fn totals_with_gaps_or_words_are_refused() {
        let error = obs(N_COUNTS, Column::NullableI64(vec![Some(5), None])).unwrap_err();
        assert_eq!(error.to_string(), "obs[\"n_counts\"] has no value for cell 1");
        let error = obs(N_COUNTS, Column::Strings(vec!["many".into()])).unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error}");
    }

    #[test]
    fn tables_of_other_matrices_are_refused() {
        let cells = Cells { n_counts: Some(vec![1.0; 3]), keep: None };
        assert!(cells.check(1, 2).is_ok() && cells.check_all(3).is_ok());
        let error = cells.check(2, 2).unwrap_err();
        assert_eq!(error.to_string(), "`n_counts` has 3 entries, expected 4");
        assert!(matches!(cells.check_all(2), Err(Error::Length { found: 3, expected: 2, .. })));
    }
}
