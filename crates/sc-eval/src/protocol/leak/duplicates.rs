//! Test cells that are training cells, or nearly.

use super::projection::{Projection, mixed};
use super::{CellRows, Finding, Severity};
use crate::split::{Split, check_splits};
use crate::{Error, Result};

/// What counts as nearly the same.
#[derive(Clone, Debug, PartialEq)]
pub struct DuplicateParams {
    /// Rows of this cosine or more are nearly the same, from 0.9 to 1. What is unusual depends on what the rows hold:
    /// honest cells of one type come close in raw counts, less so in log-normalised ones. Default 0.995.
    pub min_cosine: f64,
    /// Seed of the random directions. Default 0.
    pub seed: u64,
}

impl Default for DuplicateParams {
    fn default() -> Self {
        Self { min_cosine: 0.995, seed: 0 }
    }
}

/// A test cell and the training cell that it is most like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DuplicatePair {
    /// The split, from 0.
    pub fold: usize,
    /// The test cell.
    pub test: usize,
    /// The training cell.
    pub train: usize,
    /// Cosine of their rows; 1 for equal ones.
    pub cosine: f64,
}

/// Test cells with twins among the training cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Duplicates {
    /// Rows that are equal, value by value; the first training cell that is.
    pub exact: Vec<DuplicatePair>,
    /// Rows that are nearly the same; the training cell of the highest cosine that was found.
    pub near: Vec<DuplicatePair>,
    /// Cells without any value, which are compared with nobody.
    pub n_empty: usize,
    /// The same in words.
    pub finding: Finding,
}

/// Training rows per test row that are looked at in full.
const CANDIDATES: usize = 4;

/// Looks for test cells whose values equal, or nearly equal, those of a training cell of the same split.
///
/// * `rows`: the matrix that cells are compared in, as a rule raw counts or log-normalised values.
///
/// Equal rows are found by hashing, all of them. Nearly equal ones are searched by random projection (64 directions), and
/// the best four candidates of each test cell are compared in full: what is reported is exact, and rows of a cosine
/// well above `min_cosine` are found nearly always. Time grows with test cells times training cells.
///
/// A twin is a leak: the model has seen the answer. Nearly equal rows are a notice, for cells may be alike by nature.
///
/// Numbers of the finding: `exact`, `near` (test cells), `tested`, `empty`.
///
/// # Errors
/// [`Error::Parameter`] for a cosine outside 0.9 to 1; [`Error::Fold`] for a split that is not valid.
///
/// ```
/// use ndarray::array;
/// use sc_eval::protocol::leak::{CellRows, DuplicateParams, Severity, duplicates};
/// use sc_eval::split::Split;
///
/// let x = array![[1.0f32, 0.0, 3.0], [0.0, 2.0, 2.0], [1.0, 0.0, 3.0]];
/// let split = Split { train: vec![0, 1], test: vec![2] };
/// let found = duplicates(&CellRows::dense(x.view())?, &[split], &DuplicateParams::default())?;
/// assert_eq!((found.exact[0].test, found.exact[0].train), (2, 0));
/// assert_eq!(found.finding.severity, Severity::Leak);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn duplicates(rows: &CellRows<'_>, splits: &[Split], params: &DuplicateParams) -> Result<Duplicates> {
    if !(0.9..=1.0).contains(&params.min_cosine) {
        let (value, expected) = (params.min_cosine.to_string(), "a cosine from 0.9 to 1");
        return Err(Error::Parameter { name: "min_cosine", value, expected });
    }
    check_splits(splits, rows.n_rows())?;
    let group_of = equal_rows(rows);
    let is_empty: Vec<bool> = (0..rows.n_rows()).map(|i| rows.entries(i).is_empty()).collect();
    let projection = Projection::new(rows, params.seed);
    // Four standard errors of a projected cosine below the bound.
    let limit = params.min_cosine - 4.0 * (1.0 - params.min_cosine * params.min_cosine) / 8.0;
    let (mut exact, mut near, mut n_tested) = (Vec::new(), Vec::new(), 0);
    for (fold, split) in splits.iter().enumerate() {
        let full =
            |cells: &[usize]| -> Vec<usize> { cells.iter().copied().filter(|&i| !is_empty[i]).collect() };
        let (train, test) = (full(&split.train), full(&split.test));
        n_tested += test.len();
        let mut first = vec![None; rows.n_rows()];
        for &cell in &train {
            first[group_of[cell]].get_or_insert(cell);
        }
        let (twins, others): (Vec<usize>, Vec<usize>) =
            test.into_iter().partition(|&cell| first[group_of[cell]].is_some());
        exact.extend(twins.into_iter().filter_map(|test| {
            first[group_of[test]].map(|train| DuplicatePair { fold, test, train, cosine: 1.0 })
        }));
        let candidates = projection.nearest::<CANDIDATES>(&others, &train, limit as f32);
        for (&test, candidates) in others.iter().zip(candidates) {
            let entries = rows.entries(test);
            let full = candidates.iter().map(|&(_, train)| (cosine(&entries, &rows.entries(train)), train));
            // Of equal cosines the first, which is the one of the better projection.
            let best = full.fold(None, |best: Option<(f64, usize)>, next| match best {
                Some(best) if best.0 >= next.0 => Some(best),
                _ => Some(next),
            });
            if let Some((cosine, train)) = best.filter(|(cosine, _)| *cosine >= params.min_cosine) {
                near.push(DuplicatePair { fold, test, train, cosine });
            }
        }
    }
    let n_empty = is_empty.iter().filter(|&&empty| empty).count();
    let finding = finding(&exact, &near, n_tested, n_empty, params);
    Ok(Duplicates { exact, near, n_empty, finding })
}

fn finding(
    exact: &[DuplicatePair],
    near: &[DuplicatePair],
    n_tested: usize,
    n_empty: usize,
    params: &DuplicateParams,
) -> Finding {
    let severity = match (exact.is_empty(), near.is_empty()) {
        (false, _) => Severity::Leak,
        (true, false) => Severity::Notice,
        (true, true) => Severity::Passed,
    };
    let mut words = match exact.first() {
        None => format!("none of {n_tested} test cells equals a training cell"),
        Some(DuplicatePair { test, train, .. }) => format!(
            "{} of {n_tested} test cells equal a training cell, the first being cell {test}, equal to cell {train}; keep \
             copies on one side of the split",
            exact.len()
        ),
    };
    words += &match near.first() {
        None => format!("; none is nearly one (cosine {} or more)", params.min_cosine),
        Some(DuplicatePair { test, train, cosine, .. }) => format!(
            "; {} are nearly one (cosine {} or more), the first being cell {test}, {cosine:.4} to cell {train}",
            near.len(),
            params.min_cosine
        ),
    };
    let numbers = vec![
        ("exact", exact.len() as f64),
        ("near", near.len() as f64),
        ("tested", n_tested as f64),
        ("empty", n_empty as f64),
    ];
    Finding { test: "duplicated cells", severity, words, numbers }
}

/// For each row, the first row that equals it.
fn equal_rows(rows: &CellRows<'_>) -> Vec<usize> {
    let hash = |i| {
        let mut hash = 0;
        rows.for_each(i, |j, v| hash = mixed(hash ^ (u64::from(j) << 32 | u64::from(v.to_bits()))));
        hash
    };
    let mut order: Vec<(u64, usize)> = (0..rows.n_rows()).map(|i| (hash(i), i)).collect();
    order.sort_unstable();
    let mut group_of: Vec<usize> = (0..rows.n_rows()).collect();
    for bucket in order.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1) {
        // Rows of one hash are nearly always equal; those that are not start groups of their own.
        let mut groups: Vec<(usize, Vec<(u32, f32)>)> = Vec::new();
        for &(_, row) in bucket {
            let entries = rows.entries(row);
            match groups.iter().find(|(_, known)| *known == entries) {
                Some((first, _)) => group_of[row] = *first,
                None => groups.push((row, entries)),
            }
        }
    }
    group_of
}

/// Cosine of two rows, neither of them all zeros.
fn cosine(a: &[(u32, f32)], b: &[(u32, f32)]) -> f64 {
    let squares = |row: &[(u32, f32)]| row.iter().map(|(_, v)| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let (mut dot, mut rest) = (0.0, b);
    for &(column, value) in a {
        rest = &rest[rest.partition_point(|(other, _)| *other < column)..];
        match rest.first() {
            Some(&(other, v)) if other == column => dot += f64::from(value) * f64::from(v),
            Some(_) => {}
            None => break,
        }
    }
    dot / (squares(a) * squares(b)).sqrt()
}
