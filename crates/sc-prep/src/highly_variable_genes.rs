//! Genes whose dispersion is high for their mean: scanpy's flavours `seurat` and `cell_ranger`.
//!
//! Both put the genes into bins of similar mean, and compare the dispersion (variance / mean) of a gene with those of
//! its bin. `seurat` (Satija et al. 2015) works on logarithms of dispersion and mean, standardised by mean and standard
//! deviation of the bin; `cell_ranger` (Zheng et al. 2017) on plain values, by median and median absolute deviation.

mod bins;
mod cell_ranger;
mod select;
mod seurat;

pub use cell_ranger::cell_ranger;
pub use seurat::seurat;

use crate::expression::LogNormalized;
use crate::moments::{GeneMoments, gene_moments};
use crate::subset::{Slots, Subset};
use crate::{Error, Result};

pub(crate) use seurat::{dispersions as seurat_dispersions, expression};

/// Knobs of the flavours here.
#[derive(Clone, Debug, PartialEq)]
pub struct HvgParams {
    /// Number of genes to choose. `None`, as in scanpy the default: choose by the four cutoffs below instead, which
    /// are not looked at otherwise. With fewer genes than that, all that have a normalised dispersion are chosen.
    pub n_top_genes: Option<usize>,
    /// What to do with genes whose normalised dispersion equals that of the last gene chosen. Default [`Ties::ByIndex`].
    pub ties: Ties,
    /// A gene must have a mean above this. Default .0125.
    pub min_mean: f64,
    /// A gene must have a mean below this. Default 3.
    pub max_mean: f64,
    /// A gene must have a normalised dispersion above this. Default .5.
    pub min_disp: f64,
    /// A gene must have a normalised dispersion below this. Default infinity.
    pub max_disp: f64,
    /// Number of bins of equal width between the smallest and the largest mean; flavour `seurat` only. Default 20.
    pub n_bins: usize,
}

/// Which genes to choose among those with the same normalised dispersion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Those of lower index, so that exactly `n_top_genes` are chosen.
    ByIndex,
    /// All of them, as scanpy does: more than `n_top_genes` may be chosen.
    KeepAll,
}

impl Default for HvgParams {
    fn default() -> Self {
        Self {
            n_top_genes: None,
            ties: Ties::ByIndex,
            min_mean: 0.0125,
            max_mean: 3.0,
            min_disp: 0.5,
            max_disp: f64::INFINITY,
            n_bins: 20,
        }
    }
}

impl HvgParams {
    /// The `n` genes of highest normalised dispersion, the rest as by default.
    pub fn top(n: usize) -> Self {
        Self { n_top_genes: Some(n), ..Self::default() }
    }

    fn validate(&self) -> Result<()> {
        let parameter = |name, value: String, expected| Err(Error::Parameter { name, value, expected });
        if self.n_top_genes == Some(0) {
            return parameter("n_top_genes", "0".into(), "at least 1");
        }
        if !(1..=100_000).contains(&self.n_bins) {
            return parameter("n_bins", self.n_bins.to_string(), "1 to 100000");
        }
        let cutoffs = [
            ("min_mean", self.min_mean),
            ("max_mean", self.max_mean),
            ("min_disp", self.min_disp),
            ("max_disp", self.max_disp),
        ];
        match cutoffs.iter().find(|(_, v)| v.is_nan()) {
            Some(&(name, v)) => parameter(name, v.to_string(), "a number"),
            None => Ok(()),
        }
    }
}

/// The choice, and what it rests on; every list has one entry per gene of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct HighlyVariableGenes {
    /// Whether the gene is chosen: `var["highly_variable"]`.
    pub highly_variable: Vec<bool>,
    /// Mean of the gene: `var["means"]`. `ln(1 + mean)` for `seurat`. NaN for a gene that was not looked at.
    pub means: Vec<f64>,
    /// Variance / mean: `var["dispersions"]`. Its logarithm for `seurat`, NaN where the variance is 0.
    pub dispersions: Vec<f64>,
    /// Dispersion relative to the bin: `var["dispersions_norm"]`. NaN where it is not defined.
    pub dispersions_norm: Vec<f64>,
    /// The chosen genes, highest normalised dispersion first; equal ones by index.
    pub order: Vec<usize>,
}

impl HighlyVariableGenes {
    /// The chosen genes, ascending: the columns to keep.
    pub fn genes(&self) -> Vec<usize> {
        (0..self.highly_variable.len()).filter(|&gene| self.highly_variable[gene]).collect()
    }

    /// Rank of each chosen gene by normalised dispersion, from 0; `None` for the others.
    pub fn ranks(&self) -> Vec<Option<usize>> {
        let mut ranks = vec![None; self.highly_variable.len()];
        self.order.iter().enumerate().for_each(|(rank, &gene)| ranks[gene] = Some(rank));
        ranks
    }
}

/// Mean, dispersion and normalised dispersion of the genes looked at, in their order.
pub(crate) struct Dispersions {
    pub(crate) means: Vec<f64>,
    pub(crate) dispersions: Vec<f64>,
    pub(crate) normalized: Vec<f64>,
}

impl Dispersions {
    /// The choice among `genes` (the columns the lists stand for), in terms of all `n_vars` columns.
    pub(crate) fn choose(self, genes: &[usize], n_vars: usize, params: &HvgParams) -> HighlyVariableGenes {
        let chosen = select::select(&self, params);
        let spread = |values: &[f64]| {
            let mut all = vec![f64::NAN; n_vars];
            genes.iter().zip(values).for_each(|(&gene, &v)| all[gene] = v);
            all
        };
        let order: Vec<usize> = chosen.iter().map(|&i| genes[i]).collect();
        let mut highly_variable = vec![false; n_vars];
        order.iter().for_each(|&gene| highly_variable[gene] = true);
        tracing::info!(chosen = order.len(), of = genes.len(), "chose highly variable genes");
        HighlyVariableGenes {
            highly_variable,
            means: spread(&self.means),
            dispersions: spread(&self.dispersions),
            dispersions_norm: spread(&self.normalized),
            order,
        }
    }
}

/// The genes looked at, and the moments of their values over the cells looked at; `value` as in [`gene_moments`].
fn moments_of<V: FnMut(f32) -> f64>(
    x: &LogNormalized,
    subset: Subset<'_>,
    params: &HvgParams,
    value: impl Fn() -> V + Sync,
) -> Result<(Vec<usize>, GeneMoments)> {
    params.validate()?;
    let subset = subset.within(x.n_obs(), x.n_vars())?;
    let genes = subset.gene_indices();
    if genes.is_empty() {
        return Err(Error::Empty { what: "genes to choose from" });
    }
    if subset.rows.len() == 0 {
        return Err(Error::Empty { what: "cells" });
    }
    let moments = gene_moments(x.csr(), subset.rows, &Slots::new(&genes, x.n_vars()), value);
    Ok((genes, moments))
}
