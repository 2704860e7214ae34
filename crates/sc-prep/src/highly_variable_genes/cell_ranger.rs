//! Flavour `cell_ranger`.

use super::{Dispersions, HighlyVariableGenes, HvgParams, bins};
use crate::Result;
use crate::expression::LogNormalized;
use crate::subset::Subset;

/// The 75th percentile of the standard normal distribution: makes the median absolute deviation of a normal sample
/// estimate its standard deviation.
const NORMAL_QUARTILE: f64 = 0.674_489_750_196_081_7;

/// Chooses genes as scanpy's `pp.highly_variable_genes(flavor="cell_ranger")`.
///
/// * `x`: log-normalised expression; mean and variance are those of the values as they are.
/// * `subset`: cells and genes to look at, [`Subset::all`] for every one; the matrix is not copied.
///
/// Bins end at the 10th, 15th, … 100th percentile of the mean; `n_bins` is not used. Where many genes share one mean
/// (those without expression, say) percentiles coincide: scanpy stops there, here equal edges count once. A bin whose
/// median absolute deviation is 0 gives infinite or undefined normalised dispersions, as in scanpy.
///
/// # Errors
/// As [`seurat`](super::seurat).
pub fn cell_ranger(x: &LogNormalized, subset: Subset<'_>, params: &HvgParams) -> Result<HighlyVariableGenes> {
    let (genes, moments) = super::moments_of(x, subset, params, || f64::from)?;
    let d = dispersions(&moments.mean, &moments.variance);
    Ok(d.choose(&genes, x.n_vars(), params))
}

fn dispersions(mean: &[f64], variance: &[f64]) -> Dispersions {
    let means: Vec<f64> = mean.iter().map(|&m| if m == 0.0 { 1e-12 } else { m }).collect();
    let dispersions: Vec<f64> = variance.iter().zip(&means).map(|(v, m)| v / m).collect();
    let mut ascending = means.clone();
    ascending.sort_unstable_by(f64::total_cmp);
    let mut edges = vec![f64::NEG_INFINITY];
    edges.extend((2..=20).map(|i| bins::percentile(&ascending, f64::from(i) * 5.0)));
    edges.push(f64::INFINITY);
    edges.dedup();
    let bins = bins::assign(&means, &edges);
    let mut members = vec![Vec::new(); edges.len()];
    for (&d, bin) in dispersions.iter().zip(&bins) {
        bin.iter().for_each(|&bin| members[bin].push(d));
    }
    let centers: Vec<(f64, f64)> = members.into_iter().map(median_and_deviation).collect();
    let normalize = |(&d, &bin): (&f64, &Option<usize>)| {
        bin.map_or(f64::NAN, |bin| (d - centers[bin].0) / centers[bin].1)
    };
    let normalized = dispersions.iter().zip(&bins).map(normalize).collect();
    Dispersions { means, dispersions, normalized }
}

/// Median, and median absolute deviation from it in units of a standard deviation.
fn median_and_deviation(mut values: Vec<f64>) -> (f64, f64) {
    let center = median(&mut values);
    let mut deviations: Vec<f64> = values.iter().map(|v| (v - center).abs()).collect();
    (center, median(&mut deviations) / NORMAL_QUARTILE)
}

/// NaN for an empty list.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => (values[half - 1] + values[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviation_is_from_the_median_of_the_bin() {
        let (center, deviation) = median_and_deviation(vec![1.0, 2.0, 4.0, 100.0]);
        assert_eq!(center, 3.0);
        // Distances from 3 are 1, 1, 2 and 97.
        assert!((deviation - 1.5 / NORMAL_QUARTILE).abs() < 1e-15);
        assert!(median_and_deviation(vec![]).0.is_nan());
    }

    #[test]
    fn genes_that_share_a_mean_share_a_bin() {
        let d = dispersions(&[0.0; 30], &[0.0; 30]);
        assert!(d.normalized.iter().all(|z| z.is_nan()));
        let mean: Vec<f64> = (0..40).map(|i| if i < 30 { 0.0 } else { f64::from(i) }).collect();
        let variance: Vec<f64> = (0..40).map(|i| f64::from(i * i % 17)).collect();
        assert_eq!(dispersions(&mean, &variance).normalized.len(), 40);
    }
}
