//! Modularity.

use sc_io::Csr;

use crate::error::Error;
use crate::graph::check_undirected;

pub(super) fn check_resolution(resolution: f64) -> Result<(), Error> {
    if resolution > 0.0 && resolution <= 1e9 {
        return Ok(());
    }
    let (name, value) = ("resolution", resolution.to_string());
    Err(Error::Parameter { name, value, expected: "above 0, at most 1e9" })
}

/// Modularity of a clustering: `Σ_ij (A_ij - resolution k_i k_j / 2m) [c_i = c_j] / 2m`.
///
/// * `graph`: symmetric, `n_obs × n_obs`, weights ≥ 0. `A` is this matrix, `k` its row sums, `2m` the sum of all;
///   an entry of the diagonal counts once, as in leidenalg on the directed graph that scanpy makes.
/// * `membership`: a cluster number for each node; numbers may have gaps.
/// * returns: at most 1; 0 for a graph without edges. igraph's `modularity` where the diagonal is 0.
///
/// # Errors
/// * [`Error::Length`]: `membership` has another length than the graph.
/// * [`Error::Parameter`]: `resolution` is not above 0.
/// * [`Error::NotSquare`], [`Error::EdgeWeight`], [`Error::NotSymmetric`]: what was passed is no such graph.
pub fn modularity(graph: &Csr, membership: &[u32], resolution: f64) -> Result<f64, Error> {
    check_resolution(resolution)?;
    check_undirected(graph)?;
    if membership.len() != graph.n_rows() {
        let (found, expected) = (membership.len(), graph.n_rows());
        return Err(Error::Length { what: "membership", found, expected });
    }
    let mut numbers = membership.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let dense: Vec<u32> = membership
        .iter()
        .map(|c| numbers.binary_search(c).expect("every number is in the list") as u32)
        .collect();
    Ok(modularity_of(graph, &dense, resolution))
}

/// As [`modularity`], for a graph and cluster numbers known to be good; numbers lie below the number of nodes.
pub(super) fn modularity_of(graph: &Csr, membership: &[u32], resolution: f64) -> f64 {
    let mut strengths = vec![0f64; graph.n_rows()];
    let (mut total, mut inside) = (0f64, 0f64);
    for (i, &cluster) in membership.iter().enumerate() {
        let (js, ws) = graph.row(i);
        for (&j, &w) in js.iter().zip(ws) {
            let w = f64::from(w);
            total += w;
            strengths[cluster as usize] += w;
            if membership[j as usize] == cluster {
                inside += w;
            }
        }
    }
    if total == 0.0 {
        return 0.0;
    }
    let expected: f64 = strengths.iter().map(|&k| (k / total) * (k / total)).sum();
    inside / total - resolution * expected
}
