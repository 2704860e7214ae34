//! Whether labels that few batches have are kept apart from the others.

use ndarray::ArrayView2;

use super::codes::Codes;
use crate::metrics::clustering::silhouette_samples;
use crate::metrics::compute::mean;
use crate::{Error, Result};

/// Which labels are isolated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsolatedLabelsParams {
    /// Most batches that an isolated label is in; `None` is the fewest that any label is in. Default `None`.
    pub max_batches: Option<usize>,
}

/// Mean silhouette of the isolated labels, each scaled to 0..=1 by `(s + 1) / 2`.
///
/// * `x`: cells × dimensions; `labels`, `batches`: of each cell, any integers.
///
/// Isolated are the labels in the fewest batches. Equals scib-metrics' `isolated_labels`; scIB's first definition, by
/// the F1 of a cluster, is [`isolated_labels_f1`].
///
/// # Errors
/// Those of [`silhouette_samples`]; [`Error::Parameter`] if no label is isolated.
pub fn isolated_labels(
    x: ArrayView2<'_, f32>,
    labels: &[u32],
    batches: &[u32],
    params: &IsolatedLabelsParams,
) -> Result<f64> {
    let isolated = isolated(x.nrows(), labels, batches, params)?;
    let silhouettes = silhouette_samples(x, labels)?;
    let scores: Vec<f64> = isolated
        .into_iter()
        .map(|cells| {
            let own: Vec<f64> = cells.into_iter().map(|cell| (silhouettes[cell] + 1.0) / 2.0).collect();
            mean(&own)
        })
        .collect();
    Ok(mean(&scores))
}

/// Mean over the isolated labels of the best F1 of any cluster as a prediction of the label, in 0..=1.
///
/// * `labels`, `batches`: of each cell, any integers.
/// * `clusterings`: cluster of each cell, from one clustering or from several resolutions to choose among.
///
/// scIB's `isolated_labels_f1`, which tries Louvain or Leiden at 20 resolutions; here they come from the caller.
///
/// # Errors
/// [`Error::Length`]; [`Error::Empty`] without a clustering; [`Error::Parameter`] if no label is isolated.
pub fn isolated_labels_f1(
    labels: &[u32],
    batches: &[u32],
    clusterings: &[&[u32]],
    params: &IsolatedLabelsParams,
) -> Result<f64> {
    let isolated = isolated(labels.len(), labels, batches, params)?;
    if clusterings.is_empty() {
        return Err(Error::Empty { what: "the list of clusterings" });
    }
    let mut best = vec![0.0f64; isolated.len()];
    for clusters in clusterings {
        let clusters = Codes::new("clusters", clusters, labels.len())?;
        let sizes: Vec<usize> = clusters.cells().iter().map(Vec::len).collect();
        for (cells, best) in isolated.iter().zip(&mut best) {
            let mut shared = vec![0usize; clusters.len()];
            cells.iter().for_each(|&cell| shared[clusters.codes[cell] as usize] += 1);
            for (&shared, &size) in shared.iter().zip(&sizes) {
                *best = best.max(2.0 * shared as f64 / (cells.len() + size) as f64);
            }
        }
    }
    Ok(mean(&best))
}

/// The cells of each isolated label.
fn isolated(
    n_cells: usize,
    labels: &[u32],
    batches: &[u32],
    params: &IsolatedLabelsParams,
) -> Result<Vec<Vec<usize>>> {
    let labels = Codes::new("labels", labels, n_cells)?;
    Codes::new("batches", batches, n_cells)?;
    let n_batches = |cells: &Vec<usize>| {
        let own: Vec<u32> = cells.iter().map(|&cell| batches[cell]).collect();
        Codes::of(&own).len()
    };
    let cells = labels.cells();
    let counts: Vec<usize> = cells.iter().map(n_batches).collect();
    let fewest = counts.iter().copied().min().expect("there are cells, so there are labels");
    let most = params.max_batches.unwrap_or(fewest);
    if most < fewest {
        let expected = "at least the fewest batches that a label is in";
        return Err(Error::Parameter { name: "max_batches", value: most.to_string(), expected });
    }
    Ok(cells.into_iter().zip(counts).filter(|&(_, count)| count <= most).map(|(cells, _)| cells).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn labels_in_the_fewest_batches_are_isolated() {
        let x = array![[0.0f32], [1.0], [2.0], [90.0], [91.0]];
        let (labels, batches) = ([0, 0, 0, 1, 1], [0, 1, 2, 2, 2]);
        let score = isolated_labels(x.view(), &labels, &batches, &IsolatedLabelsParams::default()).unwrap();
        let samples = silhouette_samples(x.view(), &labels).unwrap();
        assert_eq!(score, ((samples[3] + 1.0) / 2.0 + (samples[4] + 1.0) / 2.0) / 2.0);
        let all = IsolatedLabelsParams { max_batches: Some(3) };
        assert!(isolated_labels(x.view(), &labels, &batches, &all).unwrap() < score);
        let error =
            isolated_labels(x.view(), &labels, &batches, &IsolatedLabelsParams { max_batches: Some(0) });
        let expected = "`max_batches` is 0, expected at least the fewest batches that a label is in";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_best_cluster_of_all_clusterings_counts() {
        let (labels, batches) = ([0, 0, 0, 1, 1], [0, 1, 2, 2, 2]);
        let params = IsolatedLabelsParams::default();
        let coarse = [0u32, 0, 0, 0, 0];
        assert_eq!(isolated_labels_f1(&labels, &batches, &[&coarse], &params).unwrap(), 4.0 / 7.0);
        let fine = [0u32, 0, 1, 1, 1];
        assert_eq!(isolated_labels_f1(&labels, &batches, &[&coarse, &fine], &params).unwrap(), 0.8);
        let error = isolated_labels_f1(&labels, &batches, &[], &params).unwrap_err();
        assert_eq!(error.to_string(), "the list of clusterings is empty");
        assert!(isolated_labels_f1(&labels, &batches, &[&[0]], &params).is_err());
    }
}
