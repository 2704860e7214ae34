//! Leiden clustering of the neighbourhood graph, by modularity with a resolution.
//!
//! Part of the flow: neighbours ► **cluster** ► annotate.
//!
//! The algorithm of Traag, Waltman and van Eck (2019): nodes move to the best neighbouring cluster until none gains;
//! clusters are refined into well-connected parts; the parts become the nodes of a smaller graph; and so on until nothing
//! moves. The objective is that of scanpy's `tl.leiden` with either flavour: `RBConfigurationVertexPartition` of leidenalg
//! and `objective_function="modularity"` of igraph. Clusterings of the same quality differ from program to program and
//! from seed to seed; what is promised is the quality (`tests/golden/graph`). Differences:
//!
//! * scanpy's default flavour passes a directed graph with each edge in both directions. On a symmetric graph that is the
//!   same objective.
//! * Clusters are numbered by size, the largest 0, equal sizes by their first cell.
//! * Every cluster is connected, also in the rare case that the last moves disconnect one.
//! * Only relative weights count: a graph scaled by a power of two gives the same clusters bit by bit.

mod aggregate;
mod local_moving;
mod network;
mod partition;
mod quality;
mod random;
mod refine;

use sc_io::Csr;

use crate::error::Error;
use crate::graph::check_undirected;
use network::Network;
use random::Random;

pub use quality::modularity;

/// Parameters of [`leiden`].
#[derive(Clone, Debug, PartialEq)]
pub struct LeidenParams {
    /// How fine the clusters are: the weight of the expected edges in the modularity. Default 1; above 0.
    pub resolution: f64,
    /// Runs of the algorithm, each starting from the clusters of the one before; `None` goes on until a run changes
    /// nothing, which scanpy writes as -1. Default `None`.
    pub n_iterations: Option<usize>,
    /// How freely the refinement picks among the clusters that a node may join: the chance of each is proportional to
    /// `exp(gain / randomness)`, gains counted in mean edge weights. Default 0.01; above 0. igraph calls it `beta`.
    pub randomness: f64,
    /// Seed of the orders in which nodes are visited, and of the refinement. Same seed, same clusters. Default 0.
    pub seed: u64,
}

impl Default for LeidenParams {
    fn default() -> Self {
        Self { resolution: 1.0, n_iterations: None, randomness: 0.01, seed: 0 }
    }
}

impl LeidenParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first one outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |name, value: String, expected| Err(Error::Parameter { name, value, expected });
        quality::check_resolution(self.resolution)?;
        if self.n_iterations == Some(0) {
            return refuse(
                "n_iterations",
                "0".to_owned(),
                "at least 1, or none for as many as change something",
            );
        }
        if !(1e-6..=1e6).contains(&self.randomness) {
            return refuse("randomness", self.randomness.to_string(), "1e-6 to 1e6");
        }
        Ok(())
    }
}

/// A clustering.
#[derive(Clone, Debug, PartialEq)]
pub struct Leiden {
    /// The cluster of each cell, `n_obs`: `obs["leiden"]`. The largest cluster is 0.
    pub membership: Vec<u32>,
    /// Number of clusters.
    pub n_clusters: usize,
    /// Modularity at the resolution asked for; 0 for a graph without edges.
    pub modularity: f64,
    /// Runs of the algorithm that were made.
    pub n_iterations: usize,
    /// What made this clustering.
    pub params: LeidenParams,
}

/// Runs that are made at most where no number is set. Quality only rises, and it takes a few runs to settle.
const MAX_ITERATIONS: usize = 1000;

/// Clusters a graph: scanpy's `tl.leiden`.
///
/// * `graph`: symmetric, `n_obs × n_obs`, weights ≥ 0, as the connectivities of
///   [`neighbors`](crate::neighbors::neighbors). An entry of the diagonal is a node's tie to itself.
///
/// A node without edges is a cluster of its own. Same graph and seed, same clusters, on any machine.
///
/// # Errors
/// * [`Error::Parameter`]: a parameter is outside its range.
/// * [`Error::NotSquare`], [`Error::EdgeWeight`], [`Error::NotSymmetric`]: what was passed is no such graph.
///
/// ```
/// use sc_io::Csr;
/// use sc_prep::leiden::{LeidenParams, leiden};
///
/// // Two triangles, joined by a weak edge.
/// let graph = ndarray::array![
///     [0.0, 1.0, 1.0, 0.1, 0.0, 0.0],
///     [1.0, 0.0, 1.0, 0.0, 0.0, 0.0],
///     [1.0, 1.0, 0.0, 0.0, 0.0, 0.0],
///     [0.1, 0.0, 0.0, 0.0, 1.0, 1.0],
///     [0.0, 0.0, 0.0, 1.0, 0.0, 1.0],
///     [0.0, 0.0, 0.0, 1.0, 1.0, 0.0],
/// ];
/// let clusters = leiden(&Csr::from_dense(graph.view()), &LeidenParams::default())?;
/// assert_eq!(clusters.membership, [0, 0, 0, 1, 1, 1]);
/// # Ok::<(), sc_prep::Error>(())
/// ```
pub fn leiden(graph: &Csr, params: &LeidenParams) -> Result<Leiden, Error> {
    params.validate()?;
    check_undirected(graph)?;
    let network = Network::from_graph(graph);
    let mut random = Random::new(params.seed);
    let mut membership: Vec<u32> = (0..network.n() as u32).collect();
    let mut n_iterations = 0;
    for _ in 0..params.n_iterations.unwrap_or(MAX_ITERATIONS) {
        let changed = run(&network, &mut membership, params, &mut random);
        n_iterations += 1;
        if !changed && params.n_iterations.is_none() {
            break;
        }
    }
    partition::split_disconnected(&network, &mut membership);
    let n_clusters = partition::number_by_size(&mut membership);
    let modularity = quality::modularity_of(graph, &membership, params.resolution);
    tracing::info!("{n_clusters} clusters of {} cells, modularity {modularity:.4}", network.n());
    Ok(Leiden { membership, n_clusters, modularity, n_iterations, params: params.clone() })
}

/// One run: moves, refines and aggregates until every cluster is one node. Says whether any node changed its cluster.
fn run(network: &Network, membership: &mut [u32], params: &LeidenParams, random: &mut Random) -> bool {
    let mut changed = false;
    // The node of the current level that holds each node of the graph.
    let mut node_of: Vec<u32> = (0..network.n() as u32).collect();
    let mut level: Option<Network> = None;
    let mut clusters = membership.to_vec();
    partition::renumber(&mut clusters);
    loop {
        let current = level.as_ref().unwrap_or(network);
        changed |= local_moving::move_nodes(current, &mut clusters, params.resolution, random);
        let n_clusters = partition::renumber(&mut clusters);
        for (cluster, &node) in membership.iter_mut().zip(&node_of) {
            *cluster = clusters[node as usize];
        }
        if n_clusters == current.n() {
            return changed;
        }
        let mut parts = refine::refine(current, &clusters, n_clusters, params, random);
        let mut n_parts = partition::renumber(&mut parts);
        if n_parts == current.n() {
            // Nothing in any cluster holds together well enough; go on with the clusters as they are.
            parts.clone_from(&clusters);
            n_parts = n_clusters;
        }
        let next = aggregate::aggregate(current, &parts, n_parts);
        let mut cluster_of_part = vec![0u32; n_parts];
        for (&part, &cluster) in parts.iter().zip(&clusters) {
            cluster_of_part[part as usize] = cluster;
        }
        for node in &mut node_of {
            *node = parts[*node as usize];
        }
        clusters = cluster_of_part;
        level = Some(next);
    }
}

#[cfg(test)]
mod tests;
