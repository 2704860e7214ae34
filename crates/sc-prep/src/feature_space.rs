//! The features of a benchmark fold: genes, means and deviations learnt from the training cells alone.

use sc_io::Csr;

use crate::expression::LogNormalized;
use crate::highly_variable_genes::{HvgParams, expression, seurat_dispersions};
use crate::moments::gene_moments;
use crate::scale::{ScaleParams, Scaled, Scaler};
use crate::subset::{Rows, Slots};
use crate::{Error, Result};

/// Knobs of [`FeatureSpace::fit`].
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpaceParams {
    /// A gene must be detected in at least this many training cells. Default 3.
    pub min_cells: usize,
    /// Number of highly variable genes to keep; with at most so many detected genes, all are kept. Default 2,000.
    pub n_top_genes: usize,
    /// Standardised values are clipped to ± this. Default 10.
    pub max_value: Option<f64>,
}

impl Default for FeatureSpaceParams {
    fn default() -> Self {
        Self { min_cells: 3, n_top_genes: 2000, max_value: Some(10.0) }
    }
}

/// Highly variable genes of the training cells, standardised by their mean and deviation.
///
/// Normalising and taking logarithms looks at one cell at a time, so it is done once for all cells; everything that
/// compares cells is learnt here, and cannot be fitted on cells that are not named:
///
/// 1. genes detected in at least `min_cells` training cells,
/// 2. among them the `n_top_genes` of highest normalised dispersion (flavour `seurat`, ties to the lower index),
/// 3. mean and standard deviation of each.
///
/// A cell without counts is a cell like any other: it is all zero, counts in every mean, and lies at the background.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpace {
    genes: Vec<usize>,
    n_vars: usize,
    scaler: Scaler,
}

impl FeatureSpace {
    /// Learns the genes and their scale from the rows `train` of `x`.
    ///
    /// * `x`: log-normalised expression of all cells and genes, as from `normalize_total(1e4)` and `log1p`; it is read in
    ///   two passes and not copied.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `n_top_genes` 0 or a `max_value` not above 0, [`Error::OutOfBounds`] for a training cell
    /// that does not exist, [`Error::Empty`] without training cells or without a gene detected often enough.
    pub fn fit(x: &LogNormalized, train: &[usize], params: &FeatureSpaceParams) -> Result<Self> {
        let rows = Rows::new(Some(train), x.n_obs())?;
        if train.is_empty() {
            return Err(Error::Empty { what: "training cells" });
        }
        let genes = choose_genes(x, rows, params)?;
        let scale = ScaleParams { max_value: params.max_value };
        let scaler = Scaler::fit_slots(x.csr(), rows, &Slots::new(&genes, x.n_vars()), &scale)?;
        Ok(Self { genes, n_vars: x.n_vars(), scaler })
    }

    /// The columns of the matrix that are kept, ascending: column `j` of the features is gene `genes()[j]`.
    pub fn genes(&self) -> &[usize] {
        &self.genes
    }

    /// Mean and standard deviation of each gene kept.
    pub fn scaler(&self) -> &Scaler {
        &self.scaler
    }

    /// The features of the rows `rows`, in that order.
    ///
    /// * `x`: log-normalised expression on the genes of the fit, of the same or of other cells.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of genes, [`Error::OutOfBounds`] for a row that does not exist.
    pub fn transform(&self, x: &LogNormalized, rows: &[usize]) -> Result<Scaled> {
        if x.n_vars() != self.n_vars {
            return Err(Error::Length {
                what: "a row of the matrix",
                found: x.n_vars(),
                expected: self.n_vars,
            });
        }
        let rows = Rows::new(Some(rows), x.n_obs())?;
        self.scaler.transform_slots(x.csr(), rows, &Slots::new(&self.genes, self.n_vars))
    }
}

/// Steps 1 and 2: detected often enough, then highly variable.
fn choose_genes(x: &LogNormalized, rows: Rows<'_>, params: &FeatureSpaceParams) -> Result<Vec<usize>> {
    if params.n_top_genes == 0 {
        return Err(Error::Parameter { name: "n_top_genes", value: "0".into(), expected: "at least 1" });
    }
    let csr: &Csr = x.csr();
    let moments = gene_moments(csr, rows, &Slots::all(x.n_vars()), expression);
    let detected: Vec<usize> =
        (0..x.n_vars()).filter(|&gene| moments.detected[gene] >= params.min_cells).collect();
    if detected.is_empty() {
        return Err(Error::Empty { what: "genes detected in enough training cells" });
    }
    if detected.len() <= params.n_top_genes {
        return Ok(detected);
    }
    let of_detected = |values: &[f64]| -> Vec<f64> { detected.iter().map(|&gene| values[gene]).collect() };
    let hvg = HvgParams::top(params.n_top_genes);
    let d = seurat_dispersions(&of_detected(&moments.mean), &of_detected(&moments.variance), hvg.n_bins);
    Ok(d.choose(&detected, x.n_vars(), &hvg).genes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::highly_variable_genes::seurat;
    use crate::subset::Subset;

    /// 60 cells, 40 genes, a third of the values not zero; the last gene is detected in two cells only.
    fn example() -> LogNormalized {
        let mut values = ndarray::Array2::<f32>::zeros((60, 40));
        for ((i, j), v) in values.indexed_iter_mut() {
            let h = (i * 29 + j * 53 + i * i * (j + 3)) % 101;
            *v = if h < 34 { (h % 7 + 1) as f32 * 0.3 } else { 0.0 };
            if j == 39 {
                *v = if i < 2 { 1.0 } else { 0.0 };
            }
        }
        LogNormalized::new(Csr::from_dense(values.view())).unwrap()
    }

    fn params() -> FeatureSpaceParams {
        FeatureSpaceParams { n_top_genes: 12, ..Default::default() }
    }

    #[test]
    fn it_is_the_composition_of_its_steps() {
        let x = example();
        let train: Vec<usize> = (0..60).step_by(2).collect();
        let space = FeatureSpace::fit(&x, &train, &params()).unwrap();
        let csc = x.csr().to_csc();
        let in_train = |gene| csc.column(gene).0.iter().filter(|&&row| row % 2 == 0).count();
        let mask: Vec<bool> = (0..40).map(|gene| in_train(gene) >= 3).collect();
        let hvg = seurat(&x, Subset::rows(&train).genes(&mask), &HvgParams::top(12)).unwrap();
        assert_eq!(space.genes(), hvg.genes());
        let small = x.csr().select_columns(space.genes());
        let scaler = Scaler::fit(&small, Some(&train), &ScaleParams::clip(10.0)).unwrap();
        let rows = [1, 0, 59];
        assert_eq!(space.transform(&x, &rows).unwrap(), scaler.transform(&small, Some(&rows)).unwrap());
    }

    #[test]
    fn the_order_of_training_cells_does_not_matter() {
        let x = example();
        let train: Vec<usize> = (0..40).collect();
        let shuffled: Vec<usize> = (0..40).map(|i| i * 7 % 40).collect();
        let (a, b) = (FeatureSpace::fit(&x, &train, &params()), FeatureSpace::fit(&x, &shuffled, &params()));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.genes(), b.genes());
        let close = |(p, q): (&f64, &f64)| (p - q).abs() <= 1e-12 * p.abs();
        assert!(a.scaler().mean().iter().zip(b.scaler().mean()).all(close));
        assert!(a.scaler().sd().iter().zip(b.scaler().sd()).all(close));
    }

    #[test]
    fn cells_outside_the_training_set_change_nothing() {
        let x = example();
        let train: Vec<usize> = (0..30).collect();
        let space = FeatureSpace::fit(&x, &train, &params()).unwrap();
        let mut other = x.clone().into_csr();
        let start = other.indptr()[30];
        other.values_mut()[start..].iter_mut().for_each(|v| *v = 3.0 - *v * 0.5);
        let other = LogNormalized::new(other).unwrap();
        assert_eq!(FeatureSpace::fit(&other, &train, &params()).unwrap(), space);
    }

    #[test]
    fn all_detected_genes_are_kept_when_there_are_no_more_than_asked_for() {
        let x = example();
        let all: Vec<usize> = (0..60).collect();
        let space = FeatureSpace::fit(&x, &all, &FeatureSpaceParams::default()).unwrap();
        assert_eq!(space.genes(), (0..39).collect::<Vec<_>>());
        let rare_too = FeatureSpaceParams { min_cells: 2, ..Default::default() };
        assert_eq!(FeatureSpace::fit(&x, &all, &rare_too).unwrap().genes().len(), 40);
    }

    #[test]
    fn nothing_to_learn_from_is_an_error() {
        let x = example();
        assert!(matches!(FeatureSpace::fit(&x, &[], &params()), Err(Error::Empty { .. })));
        assert!(matches!(FeatureSpace::fit(&x, &[60], &params()), Err(Error::OutOfBounds { .. })));
        let too_many = FeatureSpaceParams { min_cells: 61, ..Default::default() };
        let error = FeatureSpace::fit(&x, &[0, 1], &too_many).unwrap_err();
        assert_eq!(error.to_string(), "genes detected in enough training cells: none are left");
        let space = FeatureSpace::fit(&x, &[0, 1, 2, 3], &params()).unwrap();
        let narrow = LogNormalized::new(x.csr().select_columns(&[0, 1])).unwrap();
        assert!(matches!(space.transform(&narrow, &[0]), Err(Error::Length { .. })));
    }
}
