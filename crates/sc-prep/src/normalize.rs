//! Library-size normalisation and the logarithm.

use sc_io::Csr;

use crate::chunks::{chunks, for_each_row_mut};
use crate::expression::{Counts, LogNormalized};
use crate::repeats::Repeats;
use crate::{Error, Result};
use rayon::prelude::*;

/// Knobs of [`normalize_total`].
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizeTotalParams {
    /// Sum of each cell afterwards. `None`, as in scanpy the default: the median of the totals that are above 0.
    pub target_sum: Option<f64>,
    /// Leave genes that dominate some cell out of the totals. Default false.
    pub exclude_highly_expressed: bool,
    /// A gene is left out if it holds more than this fraction of at least one cell's total; used only with
    /// `exclude_highly_expressed`. Default .05.
    pub max_fraction: f64,
}

impl Default for NormalizeTotalParams {
    fn default() -> Self {
        Self { target_sum: None, exclude_highly_expressed: false, max_fraction: 0.05 }
    }
}

impl NormalizeTotalParams {
    /// Scaling of every cell to `target_sum`, the rest as by default.
    pub fn to(target_sum: f64) -> Self {
        Self { target_sum: Some(target_sum), ..Self::default() }
    }

    fn validate(&self) -> Result<()> {
        let parameter =
            |name, value: f64, expected| Err(Error::Parameter { name, value: value.to_string(), expected });
        match self.target_sum {
            // Above f32's range a normalised value could be infinite.
            Some(sum) if !(sum > 0.0 && sum <= f64::from(f32::MAX)) => {
                parameter("target_sum", sum, "a finite number above 0")
            }
            _ if !(0.0..=1.0).contains(&self.max_fraction) => {
                parameter("max_fraction", self.max_fraction, "a fraction from 0 to 1")
            }
            _ => Ok(()),
        }
    }
}

/// Counts after [`normalize_total`], and what was found on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    x: Csr,
    target_sum: f64,
    totals: Vec<f64>,
    highly_expressed: Vec<usize>,
}

impl Normalized {
    /// Counts per [`Normalized::target_sum`], `n_obs × n_vars`.
    pub fn csr(&self) -> &Csr {
        &self.x
    }

    /// Takes the matrix out.
    pub fn into_csr(self) -> Csr {
        self.x
    }

    /// Sum to which cells were scaled.
    pub fn target_sum(&self) -> f64 {
        self.target_sum
    }

    /// Total of each cell before, over the genes that were not left out.
    pub fn totals(&self) -> &[f64] {
        &self.totals
    }

    /// Genes left out of the totals, ascending; empty unless `exclude_highly_expressed`.
    pub fn highly_expressed(&self) -> &[usize] {
        &self.highly_expressed
    }
}

/// Scales each cell to the same total.
///
/// Same numbers as scanpy's `pp.normalize_total` to 1e-6 relative. Sums run in `f64`, storage is `f32`. A cell whose
/// total is 0 is left as it is: all zero if it is empty, unscaled if all its counts are in genes left out. If every cell
/// is empty and no target is given, the target is 1.
///
/// # Errors
/// [`Error::Parameter`] for a target that is not a finite number above 0 or a fraction outside 0 to 1.
pub fn normalize_total(counts: Counts<'_>, params: &NormalizeTotalParams) -> Result<Normalized> {
    params.validate()?;
    let x = counts.csr();
    let mut totals = totals(x);
    let mut highly_expressed = Vec::new();
    if params.exclude_highly_expressed {
        let dominant = dominant_genes(x, &totals, params.max_fraction);
        totals = totals_where(x, |gene| !dominant[gene]);
        highly_expressed = (0..x.n_cols()).filter(|&gene| dominant[gene]).collect();
    }
    let target_sum = params.target_sum.unwrap_or_else(|| median_above_zero(&totals).unwrap_or(1.0));
    let mut values = vec![0.0; x.nnz()];
    for_each_row_mut(
        x.indptr(),
        &mut values,
        || (),
        |(), row, values| {
            // A factor of 1 leaves the counts of a cell without a total as they are.
            let factor = if totals[row] > 0.0 { target_sum / totals[row] } else { 1.0 };
            values.iter_mut().zip(x.row(row).1).for_each(|(out, &v)| *out = normalized(v, factor));
        },
    );
    // Copied by all threads, like the values above: first touching the memory costs more than the arithmetic.
    let indices = x.indices().par_iter().copied().collect();
    let out = Csr::new(x.n_rows(), x.n_cols(), x.indptr().to_vec(), indices, values)
        .expect("the indices are those of a matrix");
    tracing::info!(n_obs = x.n_rows(), target_sum, left_out = highly_expressed.len(), "normalised totals");
    Ok(Normalized { x: out, target_sum, totals, highly_expressed })
}

/// `ln(1 + x)` of every value, in place.
///
/// Same numbers as scanpy's `pp.log1p` to 1e-6 relative: the logarithm is taken in `f64` and rounded once.
pub fn log1p(normalized: Normalized) -> LogNormalized {
    let Normalized { mut x, target_sum, .. } = normalized;
    let indptr = x.indptr().to_vec();
    let ln = || Repeats::new(|v: f32| libm::log1p(f64::from(v)) as f32);
    for_each_row_mut(&indptr, x.values_mut(), ln, |ln, _, values| {
        values.iter_mut().for_each(|v| *v = ln.get(*v));
    });
    LogNormalized::computed(x, target_sum)
}

/// `count * factor`; the largest `f32` where that would be infinite.
#[inline]
fn normalized(count: f32, factor: f64) -> f32 {
    (f64::from(count) * factor).min(f64::from(f32::MAX)) as f32
}

/// Total of each row.
pub(crate) fn totals(x: &Csr) -> Vec<f64> {
    (0..x.n_rows()).into_par_iter().with_min_len(64).map(|row| total(x.row(row).1)).collect()
}

/// Sum of counts, in eight interleaved sums: exact in any order, as long as it is below 2^53.
pub(crate) fn total(counts: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights, rest) = counts.as_chunks::<8>();
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&v| f64::from(v)).sum::<f64>()
}

/// Total of each row over the genes that `keep` accepts.
fn totals_where(x: &Csr, keep: impl Fn(usize) -> bool + Sync) -> Vec<f64> {
    let sum = |row: usize| -> f64 {
        let (genes, values) = x.row(row);
        genes.iter().zip(values).filter(|(g, _)| keep(**g as usize)).map(|(_, v)| f64::from(*v)).sum()
    };
    (0..x.n_rows()).into_par_iter().with_min_len(64).map(sum).collect()
}

/// Which genes hold more than `max_fraction` of some cell's total.
fn dominant_genes(x: &Csr, totals: &[f64], max_fraction: f64) -> Vec<bool> {
    let found: Vec<Vec<u32>> = chunks(x.n_rows(), 64)
        .map(|rows| {
            let mut found = Vec::new();
            for row in rows {
                let limit = max_fraction * totals[row];
                let (genes, values) = x.row(row);
                found.extend(
                    genes.iter().zip(values).filter(|(_, v)| f64::from(**v) > limit).map(|(g, _)| *g),
                );
            }
            found
        })
        .collect();
    let mut dominant = vec![false; x.n_cols()];
    found.iter().flatten().for_each(|&gene| dominant[gene as usize] = true);
    dominant
}

/// Median of the totals above 0; the mean of the middle two where their number is even.
fn median_above_zero(totals: &[f64]) -> Option<f64> {
    let mut positive: Vec<f64> = totals.iter().copied().filter(|&t| t > 0.0).collect();
    positive.sort_unstable_by(f64::total_cmp);
    let (n, half) = (positive.len(), positive.len() / 2);
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(positive[half]),
        _ => Some((positive[half - 1] + positive[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn normalize(x: &Csr, params: &NormalizeTotalParams) -> Normalized {
        normalize_total(Counts::new(x).unwrap(), params).unwrap()
    }

    #[test]
    fn every_cell_sums_to_the_target_and_empty_cells_stay_empty() {
        let x = Csr::from_dense(array![[1.0, 3.0], [0.0, 0.0], [5.0, 0.0]].view());
        let out = normalize(&x, &NormalizeTotalParams::to(8.0));
        assert_eq!(out.csr().to_dense(), array![[2.0, 6.0], [0.0, 0.0], [8.0, 0.0]]);
        assert_eq!(out.totals(), [4.0, 0.0, 5.0]);
    }

    #[test]
    fn without_a_target_it_is_the_median_of_the_cells_that_are_not_empty() {
        let x = Csr::from_dense(array![[2.0], [0.0], [4.0], [9.0]].view());
        assert_eq!(normalize(&x, &NormalizeTotalParams::default()).target_sum(), 4.0);
        let x = Csr::from_dense(array![[2.0], [0.0], [4.0]].view());
        assert_eq!(normalize(&x, &NormalizeTotalParams::default()).target_sum(), 3.0);
        let x = Csr::from_dense(array![[0.0], [0.0]].view());
        assert_eq!(normalize(&x, &NormalizeTotalParams::default()).target_sum(), 1.0);
    }

    #[test]
    fn a_gene_that_dominates_one_cell_is_left_out_of_every_total() {
        let x = Csr::from_dense(array![[97.0, 2.0, 1.0], [10.0, 10.0, 10.0]].view());
        let params =
            NormalizeTotalParams { exclude_highly_expressed: true, max_fraction: 0.5, target_sum: Some(6.0) };
        let out = normalize(&x, &params);
        assert_eq!(out.highly_expressed(), [0]);
        assert_eq!(out.totals(), [3.0, 20.0]);
        assert_eq!(out.csr().to_dense(), array![[194.0, 4.0, 2.0], [3.0, 3.0, 3.0]]);
    }

    #[test]
    fn the_logarithm_is_natural_and_of_one_more() {
        let x = Csr::from_dense(array![[1.0, 3.0, 0.0]].view());
        let logs = log1p(normalize(&x, &NormalizeTotalParams::to(4.0)));
        assert_eq!(logs.target_sum(), Some(4.0));
        assert_eq!(logs.csr().values(), [std::f32::consts::LN_2, 2.0 * std::f32::consts::LN_2]);
    }

    #[test]
    fn counts_beyond_reason_stay_finite() {
        let x = Csr::from_dense(array![[3e38, 1.0], [1.0, 1.0]].view());
        let params =
            NormalizeTotalParams { exclude_highly_expressed: true, ..NormalizeTotalParams::to(1e30) };
        let logs = log1p(normalize(&x, &params));
        assert!(logs.csr().values().iter().all(|&v| v <= LogNormalized::MAX));
    }

    #[test]
    fn a_target_that_is_no_positive_number_is_refused() {
        let x = Csr::from_dense(array![[1.0]].view());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error =
                normalize_total(Counts::new(&x).unwrap(), &NormalizeTotalParams::to(bad)).unwrap_err();
            assert!(matches!(error, Error::Parameter { name: "target_sum", .. }), "{error}");
        }
        let params = NormalizeTotalParams { max_fraction: f64::NAN, ..Default::default() };
        assert!(normalize_total(Counts::new(&x).unwrap(), &params).is_err());
    }
}
