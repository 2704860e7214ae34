//! Refinement: every cluster is taken apart, and its nodes are merged anew into well-connected parts.

use super::LeidenParams;
use super::network::Network;
use super::random::Random;

/// The part of each node; parts lie within clusters. Numbers have gaps.
///
/// A node that is still alone, and well connected to its cluster, joins a part that is well connected to the cluster and
/// does not lower the quality, chosen at random with a preference for gain. "Well connected" is: with at least the
/// weight that is expected at this resolution.
pub(super) fn refine(
    network: &Network,
    clusters: &[u32],
    n_clusters: usize,
    params: &LeidenParams,
    random: &mut Random,
) -> Vec<u32> {
    let n = network.n();
    let expectation = network.expectation(params.resolution);
    let mut parts: Vec<u32> = (0..n as u32).collect();
    let mut strengths: Vec<f64> = (0..n).map(|node| network.strength(node)).collect();
    let mut is_alone = vec![true; n];
    // Weight from each part to the rest of its cluster.
    let mut outward: Vec<f64> = (0..n)
        .map(|node| {
            let inside = network.edges(node).filter(|&(j, _)| clusters[j as usize] == clusters[node]);
            inside.map(|(_, weight)| weight).sum()
        })
        .collect();
    let mut cluster_strengths = vec![0f64; n_clusters];
    for (node, &cluster) in clusters.iter().enumerate() {
        cluster_strengths[cluster as usize] += network.strength(node);
    }

    let mut weights_to = vec![0f64; n];
    let mut touched: Vec<u32> = Vec::new();
    let mut candidates: Vec<(u32, f64)> = Vec::new();
    for node in by_cluster(clusters, n_clusters, random) {
        let node = node as usize;
        if !is_alone[node] {
            continue;
        }
        let whole = cluster_strengths[clusters[node] as usize];
        let is_well_connected = |part: usize, outward: &[f64], strengths: &[f64]| {
            outward[part] >= expectation * strengths[part] * (whole - strengths[part])
        };
        if !is_well_connected(node, &outward, &strengths) {
            continue;
        }
        touched.clear();
        for (neighbor, weight) in network.edges(node) {
            if clusters[neighbor as usize] == clusters[node] {
                let part = parts[neighbor as usize];
                if weights_to[part as usize] == 0.0 {
                    touched.push(part);
                }
                weights_to[part as usize] += weight;
            }
        }
        let pull = network.strength(node) * expectation;
        candidates.clear();
        candidates.push((node as u32, 0.0));
        for &part in &touched {
            let gain = weights_to[part as usize] - pull * strengths[part as usize];
            if gain >= 0.0 && is_well_connected(part as usize, &outward, &strengths) {
                candidates.push((part, gain));
            }
        }
        let chosen = choose(&mut candidates, params.randomness, random);
        if chosen as usize != node {
            let between = weights_to[chosen as usize];
            outward[chosen as usize] += outward[node] - 2.0 * between;
            strengths[chosen as usize] += strengths[node];
            (outward[node], strengths[node]) = (0.0, 0.0);
            parts[node] = chosen;
            is_alone[chosen as usize] = false;
        }
        for &part in &touched {
            weights_to[part as usize] = 0.0;
        }
    }
    parts
}

/// Picks a part with chances proportional to `exp(gain / randomness)`.
fn choose(candidates: &mut [(u32, f64)], randomness: f64, random: &mut Random) -> u32 {
    let largest = candidates.iter().fold(0f64, |largest, c| largest.max(c.1));
    let mut total = 0.0;
    for (_, gain) in candidates.iter_mut() {
        total += libm::exp((*gain - largest) / randomness);
        *gain = total;
    }
    let drawn = random.uniform() * total;
    // The largest gain adds 1, so the total is positive and some entry exceeds what was drawn.
    candidates.iter().find(|c| c.1 > drawn).map_or(candidates[0].0, |c| c.0)
}

/// All nodes, cluster by cluster, at random within each.
fn by_cluster(clusters: &[u32], n_clusters: usize, random: &mut Random) -> Vec<u32> {
    let mut starts = vec![0usize; n_clusters + 1];
    for &cluster in clusters {
        starts[cluster as usize + 1] += 1;
    }
    for cluster in 0..n_clusters {
        starts[cluster + 1] += starts[cluster];
    }
    let mut next = starts.clone();
    let mut nodes = vec![0u32; clusters.len()];
    for (node, &cluster) in clusters.iter().enumerate() {
        nodes[next[cluster as usize]] = node as u32;
        next[cluster as usize] += 1;
    }
    for span in starts.windows(2) {
        random.shuffle(&mut nodes[span[0]..span[1]]);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_by_cluster_and_none_is_lost() {
        let clusters = [2, 0, 2, 1, 0, 2];
        let nodes = by_cluster(&clusters, 3, &mut Random::new(5));
        let met: Vec<u32> = nodes.iter().map(|&n| clusters[n as usize]).collect();
        assert_eq!(met, [0, 0, 1, 2, 2, 2]);
        let mut sorted = nodes;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_clearly_better_part_is_chosen_and_equal_ones_share() {
        let mut random = Random::new(0);
        for _ in 0..100 {
            assert_eq!(choose(&mut [(7, 0.0), (8, 5.0), (9, 4.0)], 0.01, &mut random), 8);
        }
        let eights = (0..1000).filter(|_| choose(&mut [(8, 1.0), (9, 1.0)], 0.01, &mut random) == 8).count();
        assert!((400..600).contains(&eights), "{eights}");
    }
}
