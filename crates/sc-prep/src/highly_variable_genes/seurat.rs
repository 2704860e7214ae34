//! Flavour `seurat`.

use super::{Dispersions, HighlyVariableGenes, HvgParams, bins};
use crate::Result;
use crate::expression::LogNormalized;
use crate::repeats::Repeats;
use crate::subset::Subset;

/// Chooses genes as scanpy's `pp.highly_variable_genes(flavor="seurat")`.
///
/// * `x`: log-normalised expression, natural logarithm. The logarithm is undone for mean and variance.
/// * `subset`: cells and genes to look at, [`Subset::all`] for every one; the matrix is not copied.
/// * returns: the choice, with `means`, `dispersions` and `dispersions_norm` as scanpy stores them.
///
/// A bin with a single gene gives it the normalised dispersion 1. scanpy undoes the logarithm and squares in `f32`, here
/// both run in `f64`; the two agree to about 1e-6.
///
/// # Errors
/// [`Parameter`](crate::Error::Parameter) for knobs out of range, [`OutOfBounds`](crate::Error::OutOfBounds) or
/// [`Length`](crate::Error::Length) for a subset that does not fit, [`Empty`](crate::Error::Empty) without cells or
/// genes.
pub fn seurat(x: &LogNormalized, subset: Subset<'_>, params: &HvgParams) -> Result<HighlyVariableGenes> {
    let (genes, moments) = super::moments_of(x, subset, params, expression)?;
    let d = dispersions(&moments.mean, &moments.variance, params.n_bins);
    Ok(d.choose(&genes, x.n_vars(), params))
}

/// Undoes the logarithm.
pub(crate) fn expression() -> impl FnMut(f32) -> f64 {
    let mut exp = Repeats::new(|v: f32| libm::expm1(f64::from(v)));
    move |v| exp.get(v)
}

/// From mean and variance of the expression to dispersions standardised within bins of the mean.
pub(crate) fn dispersions(mean: &[f64], variance: &[f64], n_bins: usize) -> Dispersions {
    // A gene without expression gets a tiny mean, as in scanpy; its dispersion is then 0, that is: undefined.
    let floor = |m: f64| if m == 0.0 { 1e-12 } else { m };
    let log_dispersion = |(&m, &v): (&f64, &f64)| match v / floor(m) {
        0.0 => f64::NAN,
        dispersion => libm::log(dispersion),
    };
    let dispersions: Vec<f64> = mean.iter().zip(variance).map(log_dispersion).collect();
    let means: Vec<f64> = mean.iter().map(|&m| libm::log1p(floor(m))).collect();
    let bins = bins::assign(&means, &bins::equal_width(&means, n_bins));
    let centers = bin_centers(&dispersions, &bins, n_bins);
    let normalize = |(&d, &bin): (&f64, &Option<usize>)| {
        bin.map_or(f64::NAN, |bin| (d - centers[bin].0) / centers[bin].1)
    };
    let normalized = dispersions.iter().zip(&bins).map(normalize).collect();
    Dispersions { means, dispersions, normalized }
}

/// Mean and standard deviation of the dispersions in each bin, undefined ones left out; for a single one, 0 and itself.
fn bin_centers(dispersions: &[f64], bins: &[Option<usize>], n_bins: usize) -> Vec<(f64, f64)> {
    let mut members = vec![Vec::new(); n_bins];
    for (&d, &bin) in dispersions.iter().zip(bins) {
        if let Some(bin) = bin
            && !d.is_nan()
        {
            members[bin].push(d);
        }
    }
    let center = |members: &Vec<f64>| match members[..] {
        [] => (f64::NAN, f64::NAN),
        [only] => (0.0, only),
        _ => {
            let n = members.len() as f64;
            let mean = members.iter().sum::<f64>() / n;
            let squares: f64 = members.iter().map(|d| (d - mean) * (d - mean)).sum();
            (mean, (squares / (n - 1.0)).sqrt())
        }
    };
    members.iter().map(center).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use sc_io::Csr;

    #[test]
    fn the_only_gene_of_a_bin_has_normalised_dispersion_one() {
        // Means 1, 1 and 100: the last gene is alone in its bin.
        let d = dispersions(&[1.0, 1.0, 100.0], &[2.0, 4.0, 300.0], 20);
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert!((d.normalized[0] + half).abs() < 1e-12 && (d.normalized[1] - half).abs() < 1e-12);
        assert_eq!(d.normalized[2], 1.0);
    }

    #[test]
    fn a_gene_without_variance_has_no_dispersion() {
        let d = dispersions(&[0.0, 1.0, 1.0, 1.0], &[0.0, 0.0, 2.0, 3.0], 20);
        assert!(d.dispersions[0].is_nan() && d.dispersions[1].is_nan());
        assert!(d.normalized[2] < 0.0 && d.normalized[3] > 0.0);
    }

    #[test]
    fn a_subset_gives_what_the_copied_part_gives() {
        let mut values = ndarray::Array2::<f32>::zeros((40, 30));
        values.indexed_iter_mut().for_each(|((i, j), v)| *v = ((i * 7 + j * j * 3) % 11) as f32 * 0.2);
        let x = Csr::from_dense(values.view());
        let rows: Vec<usize> = (0..40).filter(|i| i % 3 != 0).rev().collect();
        let mask: Vec<bool> = (0..30).map(|j| j % 4 != 1).collect();
        let kept: Vec<usize> = (0..30).filter(|&j| mask[j]).collect();
        let part = LogNormalized::new(x.select_rows(&rows).select_columns(&kept)).unwrap();
        let whole = LogNormalized::new(x).unwrap();
        let params = HvgParams::top(5);
        let on_part = seurat(&part, Subset::all(), &params).unwrap();
        let on_subset = seurat(&whole, Subset::rows(&rows).genes(&mask), &params).unwrap();
        let translated: Vec<usize> = on_part.order.iter().map(|&j| kept[j]).collect();
        assert_eq!(on_subset.order, translated);
        assert_eq!(on_subset.genes().len(), 5);
        assert_eq!(on_subset.ranks()[translated[0]], Some(0));
        assert!(on_subset.means[1].is_nan());
    }

    #[test]
    fn nothing_to_look_at_is_an_error() {
        let x = LogNormalized::new(Csr::from_dense(array![[1.0, 2.0]].view())).unwrap();
        let no_cells = seurat(&x, Subset::rows(&[]), &HvgParams::top(1)).unwrap_err();
        assert_eq!(no_cells.to_string(), "cells: none are left");
        assert!(seurat(&x, Subset::all().genes(&[false; 2]), &HvgParams::top(1)).is_err());
        assert!(seurat(&x, Subset::all(), &HvgParams::top(0)).is_err());
        assert!(seurat(&x, Subset::all(), &HvgParams { n_bins: 0, ..Default::default() }).is_err());
        assert!(seurat(&x, Subset::all(), &HvgParams { min_disp: f64::NAN, ..Default::default() }).is_err());
    }
}
