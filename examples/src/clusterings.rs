//! Clusterings of all cells, and the parts of a report that compare them with the labels.

mod sections;

use std::sync::Mutex;

use anyhow::Result;
use indicatif::ProgressBar;
use ndarray::ArrayView2;
use rayon::prelude::*;
use sc_eval::Labels;
use sc_eval::protocol::clustering::ClusteringMethod;
use sc_eval::protocol::{Clustering, ClusteringParams, clustering};
use sc_io::Csr;
use sc_prep::leiden::leiden;
use sc_prep::{KMeansParams, LeidenParams, kmeans};

pub use sections::{best, headline, key_figures, scores, sections};

/// A way to cluster, which a seed makes definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Leiden on the graph of neighbours, with a resolution.
    Leiden(f64),
    /// k-means on the principal components, with a number of clusters; the best of ten runs.
    KMeans(usize),
}

impl Method {
    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::Leiden(resolution) => format!("leiden {resolution}"),
            Self::KMeans(k) => format!("k-means {k}"),
        }
    }

    /// The cluster of each cell, the largest 0.
    fn cluster(self, pcs: ArrayView2<'_, f32>, graph: &Csr, seed: u64) -> sc_prep::Result<Vec<u32>> {
        match self {
            Self::Leiden(resolution) => {
                Ok(leiden(graph, &LeidenParams { resolution, seed, ..Default::default() })?.membership)
            }
            Self::KMeans(k) => {
                Ok(by_size(&kmeans(pcs, &KMeansParams { seed, ..KMeansParams::clusters(k) })?.labels))
            }
        }
    }
}

/// A resolution, for a flag.
///
/// # Errors
/// If it is no number above 0.
pub fn resolution(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        Ok(value) => Err(format!("the resolution is {value}, expected a number above 0")),
        Err(error) => Err(format!("{error}")),
    }
}

/// The methods with what they found, in the order asked for.
#[derive(Debug)]
pub struct Found {
    /// The methods.
    pub methods: Vec<Method>,
    /// Their scores.
    pub result: Clustering,
}

impl Found {
    /// A method and its scores.
    pub fn get(&self, at: usize) -> (Method, &ClusteringMethod) {
        (self.methods[at], &self.result.methods[at])
    }
}

/// Clusters all cells by every method with every seed, and compares the clusters with the labels.
///
/// `bar` moves on by one for each clustering that is made, and by one for each that is scored.
///
/// # Errors
/// As [`clustering()`]; the first method that fails, with its name and seed.
pub fn compare(
    labels: &Labels,
    (pcs, graph): (ArrayView2<'_, f32>, &Csr),
    methods: Vec<Method>,
    seeds: Vec<u64>,
    bar: &ProgressBar,
) -> Result<Found> {
    let runs: Vec<(Method, u64)> =
        methods.iter().flat_map(|&method| seeds.iter().map(move |&seed| (method, seed))).collect();
    // Leiden runs on one thread, so several of them run at once; each is of its seed alone.
    let said = Mutex::new(());
    let cluster = |&(method, seed): &(Method, u64)| {
        let found = method.cluster(pcs, graph, seed);
        let _one_at_a_time = said.lock();
        bar.set_message(format!("{}, seed {seed}", method.name()));
        bar.inc(1);
        found
    };
    let mut made = runs.par_iter().map(cluster).collect::<Vec<_>>().into_iter();
    let params =
        ClusteringParams { methods: methods.iter().map(|m| m.name()).collect(), seeds, ..Default::default() };
    let result = clustering(labels, Some(pcs), &params, |method, _| {
        bar.set_message(format!("scores of {method}"));
        bar.inc(1);
        made.next().expect("the protocol asks once for each method and seed, in their order")
    });
    Ok(Found { methods, result: result? })
}

/// Clusters numbered by size, the largest 0; equal sizes by their first cell.
fn by_size(clusters: &[u32]) -> Vec<u32> {
    let n = clusters.iter().max().map_or(0, |&largest| largest as usize + 1);
    let (mut sizes, mut first) = (vec![0usize; n], vec![usize::MAX; n]);
    for (cell, &cluster) in clusters.iter().enumerate() {
        sizes[cluster as usize] += 1;
        first[cluster as usize] = first[cluster as usize].min(cell);
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&cluster| (std::cmp::Reverse(sizes[cluster]), first[cluster]));
    let mut number = vec![0; n];
    for (at, cluster) in (0..).zip(order) {
        number[cluster] = at;
    }
    clusters.iter().map(|&cluster| number[cluster as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_numbered_by_size_and_then_by_their_first_cell() {
        assert_eq!(by_size(&[3, 3, 1, 0, 0, 0, 2]), [1, 1, 2, 0, 0, 0, 3]);
        assert!(by_size(&[]).is_empty());
    }

    #[test]
    fn methods_are_named_by_their_setting() {
        assert_eq!([Method::Leiden(0.5), Method::KMeans(8)].map(Method::name), ["leiden 0.5", "k-means 8"]);
    }
}
