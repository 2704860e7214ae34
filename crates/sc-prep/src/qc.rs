//! Quality control: what each cell and each gene holds, and which of them to keep.

use rayon::prelude::*;

use crate::chunks::chunks;
use crate::expression::Counts;
use crate::normalize::total;
use crate::{Error, Result};

/// What [`calculate_qc_metrics`] finds; names as in scanpy.
#[derive(Clone, Debug, PartialEq)]
pub struct QcMetrics {
    /// Genes with a count, per cell: `obs["n_genes_by_counts"]`.
    pub n_genes_by_counts: Vec<usize>,
    /// Sum of counts per cell: `obs["total_counts"]`.
    pub total_counts: Vec<f64>,
    /// Percentage of each cell's counts in the genes of the mask: `obs["pct_counts_mt"]` for a mask of mitochondrial
    /// genes. NaN for a cell without counts, as in scanpy; `None` if no mask was given.
    pub pct_counts: Option<Vec<f64>>,
    /// Cells with a count, per gene: `var["n_cells_by_counts"]`.
    pub n_cells_by_counts: Vec<usize>,
    /// Sum of counts per gene: `var["total_counts"]`.
    pub total_counts_by_gene: Vec<f64>,
}

/// Totals and numbers of detected genes per cell, and of cells per gene.
///
/// * `mask`: one entry per gene; true for the genes whose share of the counts is wanted.
///
/// Counts and sums are those of scanpy's `pp.calculate_qc_metrics`; sums run in `f64`.
///
/// # Errors
/// [`Error::Length`] if the mask does not have one entry per gene.
pub fn calculate_qc_metrics(counts: Counts<'_>, mask: Option<&[bool]>) -> Result<QcMetrics> {
    let x = counts.csr();
    if let Some(mask) = mask
        && mask.len() != x.n_cols()
    {
        return Err(Error::Length { what: "the gene mask", found: mask.len(), expected: x.n_cols() });
    }
    let of_cell = |i: usize| {
        let (genes, values) = x.row(i);
        let detected = values.iter().filter(|&&v| v > 0.0).count();
        let total = total(values);
        let in_mask = mask.map_or(0.0, |mask| {
            genes
                .iter()
                .zip(values)
                .filter(|(gene, _)| mask[**gene as usize])
                .map(|(_, &v)| f64::from(v))
                .sum()
        });
        (detected, total, 100.0 * in_mask / total)
    };
    let cells: Vec<(usize, f64, f64)> =
        (0..x.n_rows()).into_par_iter().with_min_len(64).map(of_cell).collect();
    let genes = by_gene(counts);
    Ok(QcMetrics {
        n_genes_by_counts: cells.iter().map(|c| c.0).collect(),
        total_counts: cells.iter().map(|c| c.1).collect(),
        pct_counts: mask.map(|_| cells.iter().map(|c| c.2).collect()),
        n_cells_by_counts: genes.iter().map(|g| g.0).collect(),
        total_counts_by_gene: genes.iter().map(|g| g.1).collect(),
    })
}

/// Cells with a count, and sum of counts, of every gene.
fn by_gene(counts: Counts<'_>) -> Vec<(usize, f64)> {
    let x = counts.csr();
    let partials: Vec<Vec<(usize, f64)>> = chunks(x.n_rows(), 512)
        .map(|rows| {
            let mut genes = vec![(0, 0.0); x.n_cols()];
            let span = x.indptr()[rows.start]..x.indptr()[rows.end];
            for (&gene, &v) in x.indices()[span.clone()].iter().zip(&x.values()[span]) {
                let gene = &mut genes[gene as usize];
                gene.0 += usize::from(v > 0.0);
                gene.1 += f64::from(v);
            }
            genes
        })
        .collect();
    let mut genes = vec![(0, 0.0); x.n_cols()];
    for partial in partials {
        genes.iter_mut().zip(partial).for_each(|(sum, part)| *sum = (sum.0 + part.0, sum.1 + part.1));
    }
    genes
}

/// Limits of [`filter_cells`] and [`filter_genes`]; a limit of `None` is not applied. Default: none.
///
/// Unlike scanpy's, which take one limit a call, these hold at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilterParams {
    /// Least sum of counts.
    pub min_counts: Option<f64>,
    /// Greatest sum of counts.
    pub max_counts: Option<f64>,
    /// Least number of detected genes (of a cell) or of cells that detect it (of a gene): scanpy's `min_genes` and
    /// `min_cells`.
    pub min_detected: Option<usize>,
    /// Greatest such number: scanpy's `max_genes` and `max_cells`.
    pub max_detected: Option<usize>,
}

impl FilterParams {
    /// At least `n` genes per cell, or cells per gene.
    pub fn min_detected(n: usize) -> Self {
        Self { min_detected: Some(n), ..Self::default() }
    }

    fn keeps(&self, detected: usize, total: f64) -> bool {
        self.min_counts.is_none_or(|least| total >= least)
            && self.max_counts.is_none_or(|most| total <= most)
            && self.min_detected.is_none_or(|least| detected >= least)
            && self.max_detected.is_none_or(|most| detected <= most)
    }
}

/// The cells within the limits, ascending: rows to keep with `Csr::select_rows`.
pub fn filter_cells(counts: Counts<'_>, params: &FilterParams) -> Vec<usize> {
    let keeps = |i: &usize| {
        let values = counts.csr().row(*i).1;
        params.keeps(values.iter().filter(|&&v| v > 0.0).count(), total(values))
    };
    let kept: Vec<usize> = (0..counts.n_obs()).filter(keeps).collect();
    tracing::info!(kept = kept.len(), of = counts.n_obs(), "filtered cells");
    kept
}

/// The genes within the limits, ascending: columns to keep with `Csr::select_columns`.
pub fn filter_genes(counts: Counts<'_>, params: &FilterParams) -> Vec<usize> {
    let genes = by_gene(counts);
    let kept: Vec<usize> = (0..genes.len()).filter(|&g| params.keeps(genes[g].0, genes[g].1)).collect();
    tracing::info!(kept = kept.len(), of = genes.len(), "filtered genes");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use sc_io::Csr;

    fn example() -> Csr {
        // The zero of row 0 is stored.
        Csr::new(3, 3, vec![0, 3, 3, 4], vec![0, 1, 2, 1], vec![1.0, 0.0, 3.0, 5.0]).unwrap()
    }

    #[test]
    fn stored_zeros_are_not_detected_and_empty_cells_have_no_percentage() {
        let x = example();
        let m = calculate_qc_metrics(Counts::new(&x).unwrap(), Some(&[true, false, false])).unwrap();
        assert_eq!(m.n_genes_by_counts, [2, 0, 1]);
        assert_eq!(m.total_counts, [4.0, 0.0, 5.0]);
        assert_eq!(m.n_cells_by_counts, [1, 1, 1]);
        assert_eq!(m.total_counts_by_gene, [1.0, 5.0, 3.0]);
        let pct = m.pct_counts.unwrap();
        assert!(pct[0] == 25.0 && pct[1].is_nan() && pct[2] == 0.0);
        assert_eq!(calculate_qc_metrics(Counts::new(&x).unwrap(), None).unwrap().pct_counts, None);
    }

    #[test]
    fn limits_are_inclusive_and_hold_together() {
        let x = example();
        let counts = Counts::new(&x).unwrap();
        assert_eq!(filter_cells(counts, &FilterParams::min_detected(1)), [0, 2]);
        assert_eq!(filter_cells(counts, &FilterParams::default()), [0, 1, 2]);
        let both = FilterParams { min_counts: Some(4.0), max_counts: Some(4.0), ..Default::default() };
        assert_eq!(filter_cells(counts, &both), [0]);
        let few = FilterParams { max_detected: Some(1), min_counts: Some(3.0), ..Default::default() };
        assert_eq!(filter_genes(counts, &few), [1, 2]);
    }

    #[test]
    fn a_mask_of_another_length_is_refused() {
        let x = Csr::from_dense(array![[1.0, 2.0]].view());
        let error = calculate_qc_metrics(Counts::new(&x).unwrap(), Some(&[true])).unwrap_err();
        assert_eq!(error.to_string(), "the gene mask has 1 entries, expected 2");
    }
}
