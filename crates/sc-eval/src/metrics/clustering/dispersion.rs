//! Scores of the spread within clusters and between them.

use ndarray::{Array2, ArrayView2};

use crate::metrics::integration::Codes;
use crate::{Error, Result};

/// Variance between clusters over variance within them, each per degree of freedom; more is better, without an upper
/// bound (Caliński and Harabasz 1974).
///
/// * `x`: cells × dimensions; `clusters`: cluster of each cell, any integers.
///
/// Equals scikit-learn's `calinski_harabasz_score`, 1 if all cells of each cluster are the same.
///
/// # Errors
/// Those of [`silhouette_samples`](super::silhouette_samples).
#[doc(alias = "calinski_harabasz_score")]
pub fn calinski_harabasz(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<f64> {
    let Centers { clusters, means, sizes } = Centers::new(x, clusters)?;
    let (n, k) = (x.nrows() as f64, sizes.len() as f64);
    let center = x.columns().into_iter().map(|c| c.iter().map(|&v| f64::from(v)).sum::<f64>() / n);
    let center: Vec<f64> = center.collect();
    let between = means.rows().into_iter().zip(&sizes);
    let between: f64 = between.map(|(mean, size)| size * squared(mean.iter().copied(), center.iter())).sum();
    let cells = x.rows().into_iter().zip(&clusters.codes);
    let within: f64 =
        cells.map(|(row, &c)| squared(row.iter().map(|&v| f64::from(v)), means.row(c as usize).iter())).sum();
    if within == 0.0 {
        return Ok(1.0);
    }
    Ok(between * (n - k) / (within * (k - 1.0)))
}

/// Mean over clusters of the largest ratio of two clusters' spread to the distance of their centres; less is better,
/// 0 at best (Davies and Bouldin 1979). The spread is the mean distance of a cell to its centre.
///
/// * `x`: cells × dimensions; `clusters`: cluster of each cell, any integers.
///
/// Equals scikit-learn's `davies_bouldin_score`, 0 if all spreads or all distances vanish.
///
/// # Errors
/// Those of [`silhouette_samples`](super::silhouette_samples).
#[doc(alias = "davies_bouldin_score")]
pub fn davies_bouldin(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<f64> {
    let Centers { clusters, means, sizes } = Centers::new(x, clusters)?;
    let k = sizes.len();
    let mut spread = vec![0.0; k];
    for (row, &c) in x.rows().into_iter().zip(&clusters.codes) {
        let square = squared(row.iter().map(|&v| f64::from(v)), means.row(c as usize).iter());
        spread[c as usize] += square.sqrt() / sizes[c as usize];
    }
    let mut worst = vec![0.0f64; k];
    let mut apart = false;
    for i in 0..k {
        for j in 0..i {
            let distance = squared(means.row(i).iter().copied(), means.row(j).iter()).sqrt();
            if distance > 0.0 {
                apart |= distance > 1e-8;
                let ratio = (spread[i] + spread[j]) / distance;
                worst[i] = worst[i].max(ratio);
                worst[j] = worst[j].max(ratio);
            }
        }
    }
    // Where numpy's `allclose` takes all of them for zero.
    if !apart || spread.iter().all(|&s| s <= 1e-8) {
        return Ok(0.0);
    }
    Ok(worst.iter().sum::<f64>() / k as f64)
}

/// The centre of each cluster.
struct Centers {
    clusters: Codes,
    means: Array2<f64>,
    sizes: Vec<f64>,
}

impl Centers {
    fn new(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<Self> {
        let n = x.nrows();
        if clusters.len() != n {
            return Err(Error::Length { what: "clusters", found: clusters.len(), expected: n });
        }
        if let Some(((row, column), &value)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { row, column, value });
        }
        let clusters = Codes::of(clusters);
        let k = clusters.len();
        if k < 2 || k >= n {
            let (value, expected) = (k.to_string(), "at least 2 clusters and fewer than cells");
            return Err(Error::Parameter { name: "the number of clusters", value, expected });
        }
        let mut sizes = vec![0.0; k];
        let mut means = Array2::<f64>::zeros((k, x.ncols()));
        for (row, &c) in x.rows().into_iter().zip(&clusters.codes) {
            sizes[c as usize] += 1.0;
            means.row_mut(c as usize).zip_mut_with(&row, |sum, &v| *sum += f64::from(v));
        }
        for (mut mean, size) in means.rows_mut().into_iter().zip(&sizes) {
            mean.mapv_inplace(|sum| sum / size);
        }
        Ok(Self { clusters, means, sizes })
    }
}

fn squared<'a>(a: impl Iterator<Item = f64>, b: impl Iterator<Item = &'a f64>) -> f64 {
    a.zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn scores_follow_their_definitions() {
        let x = array![[0.0f32], [2.0], [10.0], [12.0]];
        let clusters = [3, 3, 8, 8];
        // Between: 2 * 2 * 25; within: 4 * 1; two clusters, four cells.
        assert_eq!(calinski_harabasz(x.view(), &clusters).unwrap(), 100.0 * 2.0 / 4.0);
        assert_eq!(davies_bouldin(x.view(), &clusters).unwrap(), 0.2);
    }

    #[test]
    fn clusters_without_spread_or_distance_have_their_own_values() {
        let points = array![[1.0f32], [1.0], [5.0], [5.0]];
        assert_eq!(calinski_harabasz(points.view(), &[0, 0, 1, 1]).unwrap(), 1.0);
        assert_eq!(davies_bouldin(points.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
        let same = array![[0.0f32], [2.0], [0.0], [2.0]];
        assert_eq!(davies_bouldin(same.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
        assert_eq!(calinski_harabasz(same.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
    }

    #[test]
    fn faults_are_named() {
        let x = array![[0.0f32], [2.0]];
        let message = |clusters: &[u32]| davies_bouldin(x.view(), clusters).unwrap_err().to_string();
        assert_eq!(message(&[0]), "clusters has 1 entries, expected 2");
        let expected = "`the number of clusters` is 2, expected at least 2 clusters and fewer than cells";
        assert_eq!(message(&[0, 1]), expected);
        assert!(calinski_harabasz(array![[f32::NAN], [1.0]].view(), &[0, 0]).is_err());
    }
}
