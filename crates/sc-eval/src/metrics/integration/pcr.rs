//! Principal component regression: how much of the variance the batches explain.

use ndarray::{Array2, ArrayView2};

use super::codes::Codes;
use crate::{Error, Result};

/// Share of the variance of an embedding that its batches explain, in 0..=1 (Büttner et al. 2019).
///
/// * `x`: cells × dimensions; `batches`: batch of each cell, any integers.
///
/// Equals scib-metrics' `principal_component_regression(x, batches, categorical=True)`: the `R²` of each principal
/// component on the batches, weighted by its variance. Over all components that is the variance between batches over
/// the total variance, whatever the basis, so no component need be computed.
///
/// # Errors
/// [`Error::Length`]; [`Error::Empty`]; [`Error::NotFinite`]; [`Error::Parameter`] if no dimension varies.
#[doc(alias = "principal_component_regression")]
pub fn pcr(x: ArrayView2<'_, f32>, batches: &[u32]) -> Result<f64> {
    let batches = Codes::new("batches", batches, x.nrows())?;
    if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { row, column, value });
    }
    let n_dims = x.ncols();
    let mut sizes = vec![0.0; batches.len()];
    let mut means = Array2::<f64>::zeros((batches.len(), n_dims));
    for (row, &batch) in x.rows().into_iter().zip(&batches.codes) {
        sizes[batch as usize] += 1.0;
        means.row_mut(batch as usize).zip_mut_with(&row, |sum, &v| *sum += f64::from(v));
    }
    let mut center = vec![0.0; n_dims];
    for (mut sums, size) in means.rows_mut().into_iter().zip(&sizes) {
        center.iter_mut().zip(&sums).for_each(|(center, sum)| *center += sum / x.nrows() as f64);
        sums.mapv_inplace(|sum| sum / size);
    }
    let square = |(a, b): (f64, &f64)| (a - b) * (a - b);
    let between: f64 = means
        .rows()
        .into_iter()
        .zip(&sizes)
        .map(|(mean, size)| size * mean.iter().copied().zip(&center).map(square).sum::<f64>())
        .sum();
    let total: f64 = x
        .rows()
        .into_iter()
        .map(|row| row.iter().map(|&v| f64::from(v)).zip(&center).map(square).sum::<f64>())
        .sum();
    if total == 0.0 {
        let expected = "above 0: at least one dimension that varies";
        return Err(Error::Parameter { name: "the variance of the embedding", value: "0".into(), expected });
    }
    Ok((between / total).min(1.0))
}

/// How much of the variance between batches an integration removed: `(pre - post) / pre` of their [`pcr`], 0 if the
/// share rose; 1 is all of it.
///
/// * `pre`, `post`: the same cells before and after, cells × dimensions each.
///
/// Equals scib-metrics' `pcr_comparison(pre, post, batches, categorical=True)`.
///
/// # Errors
/// Those of [`pcr`]; [`Error::Parameter`] if the batches explain nothing before.
pub fn pcr_comparison(pre: ArrayView2<'_, f32>, post: ArrayView2<'_, f32>, batches: &[u32]) -> Result<f64> {
    let (before, after) = (pcr(pre, batches)?, pcr(post, batches)?);
    if before == 0.0 {
        let (name, expected) = ("the variance between batches before integration", "above 0");
        return Err(Error::Parameter { name, value: "0".into(), expected });
    }
    Ok(((before - after) / before).max(0.0))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn batches_explain_all_half_or_nothing() {
        let apart = array![[0.0f32, 3.0], [0.0, 3.0], [1.0, 5.0], [1.0, 5.0]];
        assert_eq!(pcr(apart.view(), &[4, 4, 8, 8]).unwrap(), 1.0);
        assert_eq!(pcr(apart.view(), &[0, 1, 0, 1]).unwrap(), 0.0);
        let half = array![[0.0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
        assert_eq!(pcr(half.view(), &[0, 0, 1, 1]).unwrap(), 0.5);
        assert_eq!(pcr_comparison(apart.view(), half.view(), &[0, 0, 1, 1]).unwrap(), 0.5);
        assert_eq!(pcr_comparison(half.view(), apart.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
    }

    #[test]
    fn embeddings_without_variance_are_refused() {
        let flat = array![[1.0f32], [1.0]];
        let error = pcr(flat.view(), &[0, 1]).unwrap_err();
        let expected =
            "`the variance of the embedding` is 0, expected above 0: at least one dimension that varies";
        assert_eq!(error.to_string(), expected);
        let x = array![[0.0f32], [1.0], [0.0], [1.0]];
        let error = pcr_comparison(x.view(), x.view(), &[0, 0, 1, 1]).unwrap_err();
        let expected = "`the variance between batches before integration` is 0, expected above 0";
        assert_eq!(error.to_string(), expected);
        assert!(pcr(x.view(), &[0]).is_err());
        assert!(pcr(array![[f32::NAN]].view(), &[0]).is_err());
    }
}
