//! How well clusterings find the labels again.

mod drawn;

use ndarray::ArrayView2;

use super::Estimate;
use crate::metrics::clustering::{PartitionScores, partition_scores, silhouette_samples};
use crate::statistics::BootstrapParams;
use crate::{Error, Labels, Result};
use drawn::Drawn;

/// What to cluster with, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusteringParams {
    /// Names of the methods, or of settings such as resolutions; at least one, each once.
    pub methods: Vec<String>,
    /// Seeds; each method clusters once with each. Default 0 to 4; at least one, each once.
    pub seeds: Vec<u64>,
    /// How intervals are made.
    pub bootstrap: BootstrapParams,
}

impl Default for ClusteringParams {
    fn default() -> Self {
        Self {
            methods: vec!["clusters".to_owned()],
            seeds: (0..5).collect(),
            bootstrap: BootstrapParams::default(),
        }
    }
}

impl ClusteringParams {
    fn validate(&self) -> Result<()> {
        fn unlike<T: PartialEq + std::fmt::Debug>(name: &'static str, list: &[T]) -> Result<()> {
            let twice = list.iter().enumerate().find(|(at, item)| list[..*at].contains(item));
            match (list.is_empty(), twice) {
                (true, _) => Err(Error::Empty { what: name }),
                (_, Some((_, item))) => {
                    Err(Error::Parameter { name, value: format!("{item:?} twice"), expected: "each once" })
                }
                _ => Ok(()),
            }
        }
        unlike("methods", &self.methods)?;
        unlike("seeds", &self.seeds)?;
        self.bootstrap.validate()
    }
}

/// The scores of one clustering against the labels, or their mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusteringScores<T> {
    /// Agreement on pairs of cells beyond chance; 1 is the same partition, 0 is chance.
    pub adjusted_rand_index: T,
    /// Shared information beyond chance, normalised; 1 is the same partition, 0 is chance.
    pub adjusted_mutual_info: T,
    /// Shared information, normalised; grows with the number of clusters even by chance. Equals the V-measure.
    pub normalized_mutual_info: T,
    /// Whether each cluster holds one class only.
    pub homogeneity: T,
    /// Whether each class lies in one cluster only.
    pub completeness: T,
    /// Mean silhouette of the clusters in the embedding; `None` without one, or for a single cluster or none but single
    /// cells. It asks how well clusters are separated, not whether they are the classes.
    pub silhouette: Option<T>,
}

impl<T: Copy> ClusteringScores<T> {
    /// Names and values in the order of the fields, those of scikit-learn where it has one.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<T>)> {
        [
            ("adjusted_rand_index", Some(self.adjusted_rand_index)),
            ("adjusted_mutual_info", Some(self.adjusted_mutual_info)),
            ("normalized_mutual_info", Some(self.normalized_mutual_info)),
            ("homogeneity", Some(self.homogeneity)),
            ("completeness", Some(self.completeness)),
            ("v_measure", Some(self.normalized_mutual_info)),
            ("silhouette", self.silhouette),
        ]
        .into_iter()
    }
}

/// One clustering.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusteringRun {
    /// Its seed.
    pub seed: u64,
    /// Number of clusters that have cells.
    pub n_clusters: usize,
    /// Scores against the labels.
    pub scores: ClusteringScores<f64>,
    /// Cluster of each cell.
    pub assignments: Vec<u32>,
}

/// One method over all seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusteringMethod {
    /// Its name.
    pub method: String,
    /// A clustering for each seed, in the order asked for.
    pub runs: Vec<ClusteringRun>,
    /// Mean of each score over the seeds, with its interval over the draw of cells.
    pub scores: ClusteringScores<Estimate>,
    /// Standard deviation of the adjusted Rand index over seeds (`n - 1` in the denominator); `None` with one seed.
    pub sd_adjusted_rand_index: Option<f64>,
}

/// Clusterings against labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Clustering {
    /// Each method, in the order asked for.
    pub methods: Vec<ClusteringMethod>,
    /// Mean silhouette of the labels themselves in the embedding: how well separated the classes are there.
    pub silhouette_of_labels: Option<f64>,
}

/// Clusters cells without their labels, by several methods and seeds, and compares the clusters with the labels.
///
/// * `embedding`: cells × dimensions, for silhouettes; usually what was clustered. Costs a distance for every pair of
///   cells, for each clustering.
/// * `cluster`: gets the name of a method and a seed, and answers with the cluster of every cell, any integers.
///
/// Intervals draw cells with replacement from the clusters as they are: they cover which cells were measured, not how
/// another sample would have been clustered. A cell that is drawn twice agrees with itself, which raises the scores of
/// replicates by about one part in the number of cells. Silhouettes of single cells are drawn, not computed anew.
///
/// # Errors
/// [`Error::Empty`] or [`Error::Parameter`] without methods or seeds, or if one is listed twice; [`Error::Length`] for an
/// embedding of other cells; [`Error::Run`] with the place and the method's own error; [`Error::Answer`] around what is
/// wrong with an assignment.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::Labels;
/// use sc_eval::protocol::{ClusteringParams, clustering};
///
/// let labels = Labels::new(&["B", "B", "T", "T", "NK", "NK"])?;
/// let params = ClusteringParams { methods: vec!["coarse".into(), "fine".into()], ..Default::default() };
/// let result = clustering(&labels, None, &params, |method, _seed| {
///     let clusters = if method == "fine" { [0, 0, 1, 1, 2, 2] } else { [0, 0, 1, 1, 1, 1] };
///     Ok::<_, Infallible>(clusters.to_vec())
/// })?;
/// assert_eq!(result.methods[1].scores.adjusted_rand_index.value, 1.0);
/// assert!((result.methods[0].scores.completeness.value - 1.0).abs() < 1e-12);
/// assert!(result.methods[0].scores.homogeneity.value < 1.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn clustering<E>(
    labels: &Labels,
    embedding: Option<ArrayView2<'_, f32>>,
    params: &ClusteringParams,
    mut cluster: impl FnMut(&str, u64) -> Result<Vec<u32>, E>,
) -> Result<Clustering>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    params.validate()?;
    if let Some(x) = embedding
        && x.nrows() != labels.len()
    {
        return Err(Error::Length { what: "the embedding", found: x.nrows(), expected: labels.len() });
    }
    let methods = params.methods.iter().map(|method| {
        let mut runs = Vec::with_capacity(params.seeds.len());
        let mut drawn = Vec::with_capacity(params.seeds.len());
        for &seed in &params.seeds {
            let place = || format!("{method}, seed {seed}");
            let assignments = cluster(method, seed).map_err(|source| Error::run(place(), source))?;
            let (run, draws) =
                one(labels, embedding, seed, assignments).map_err(|source| Error::answer(place(), source))?;
            runs.push(run);
            drawn.push(draws);
        }
        summary(method, runs, &mut drawn, &params.bootstrap)
    });
    let methods = methods.collect::<Result<_>>()?;
    let of_labels = |x| silhouettes(x, labels.codes());
    let silhouette_of_labels = embedding.map(of_labels).transpose()?.flatten().map(|s| mean(&s));
    Ok(Clustering { methods, silhouette_of_labels })
}

/// Scores one clustering, and makes it ready to be drawn from.
fn one(
    labels: &Labels,
    embedding: Option<ArrayView2<'_, f32>>,
    seed: u64,
    assignments: Vec<u32>,
) -> Result<(ClusteringRun, Drawn)> {
    if assignments.len() != labels.len() {
        let (found, expected) = (assignments.len(), labels.len());
        return Err(Error::Length { what: "the list of clusters", found, expected });
    }
    let silhouettes = embedding.map(|x| silhouettes(x, &assignments)).transpose()?.flatten();
    let partition = partition_scores(labels.codes(), &assignments)?;
    let scores = with_silhouette(partition, silhouettes.as_deref().map(mean));
    let drawn = Drawn::new(labels.codes(), &assignments, silhouettes);
    Ok((ClusteringRun { seed, n_clusters: drawn.n_clusters(), scores, assignments }, drawn))
}

/// The silhouette of every cell, or none where there is a single cluster or nothing but single cells.
fn silhouettes(x: ArrayView2<'_, f32>, clusters: &[u32]) -> Result<Option<Vec<f64>>> {
    let mut sorted = clusters.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    match sorted.len() {
        n if n < 2 || n >= clusters.len() => Ok(None),
        _ => silhouette_samples(x, clusters).map(Some),
    }
}

fn with_silhouette(partition: PartitionScores, silhouette: Option<f64>) -> ClusteringScores<f64> {
    ClusteringScores {
        adjusted_rand_index: partition.adjusted_rand_index,
        adjusted_mutual_info: partition.adjusted_mutual_info,
        normalized_mutual_info: partition.normalized_mutual_info,
        homogeneity: partition.homogeneity,
        completeness: partition.completeness,
        silhouette,
    }
}

/// Means over seeds with intervals; all seeds see the same draws of cells.
fn summary(
    method: &str,
    runs: Vec<ClusteringRun>,
    drawn: &mut [Drawn],
    params: &BootstrapParams,
) -> Result<ClusteringMethod> {
    let n_cells = runs.first().map_or(0, |run| run.assignments.len());
    let bound = u32::try_from(n_cells).map_err(|_| Error::Parameter {
        name: "labels",
        value: format!("{n_cells} cells"),
        expected: "at most 4294967295 cells",
    })?;
    let mut replicates: Vec<Vec<ClusteringScores<f64>>> = Vec::with_capacity(params.n_replicates);
    let mut weights = vec![0u32; n_cells];
    for index in 0..params.n_replicates {
        drawn::draw(&mut params.rng(index), bound, &mut weights);
        replicates.push(drawn.iter_mut().map(|drawn| drawn.scores(&weights)).collect());
    }
    let estimate = |score: fn(&ClusteringScores<f64>) -> f64| Estimate {
        value: mean(&runs.iter().map(|run| score(&run.scores)).collect::<Vec<_>>()),
        interval: params.interval(
            replicates.iter().map(|runs| mean(&runs.iter().map(score).collect::<Vec<_>>())).collect(),
        ),
    };
    let has_silhouette = runs.iter().all(|run| run.scores.silhouette.is_some());
    let scores = ClusteringScores {
        adjusted_rand_index: estimate(|s| s.adjusted_rand_index),
        adjusted_mutual_info: estimate(|s| s.adjusted_mutual_info),
        normalized_mutual_info: estimate(|s| s.normalized_mutual_info),
        homogeneity: estimate(|s| s.homogeneity),
        completeness: estimate(|s| s.completeness),
        silhouette: has_silhouette.then(|| estimate(|s| s.silhouette.unwrap_or(f64::NAN))),
    };
    let rand: Vec<f64> = runs.iter().map(|run| run.scores.adjusted_rand_index).collect();
    let center = mean(&rand);
    let squares: f64 = rand.iter().map(|v| (v - center) * (v - center)).sum();
    let sd_adjusted_rand_index = (rand.len() > 1).then(|| (squares / (rand.len() - 1) as f64).sqrt());
    Ok(ClusteringMethod { method: method.to_owned(), runs, scores, sd_adjusted_rand_index })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests;
