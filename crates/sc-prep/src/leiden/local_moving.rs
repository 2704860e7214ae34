//! Fast local moving: a queue of nodes that may have a better cluster.

use std::collections::VecDeque;

use super::network::Network;
use super::random::Random;

/// A gain must exceed this part of the node's strength (times the resolution, if above 1). The sums that are compared are
/// rounded in proportion to that, so rounding alone moves nothing, and moves come to an end.
const LEAST_GAIN: f64 = 1e-10;

/// Moves nodes to the neighbouring cluster with the largest gain, or to a new one, until no node gains. Says whether any
/// node moved.
///
/// * `clusters`: of each node, numbered from 0 without gaps; afterwards there may be gaps.
pub(super) fn move_nodes(
    network: &Network,
    clusters: &mut [u32],
    resolution: f64,
    random: &mut Random,
) -> bool {
    let n = network.n();
    let expectation = network.expectation(resolution);
    // There are never more clusters than nodes, so n numbers are enough; those not in use wait in `empty`.
    let mut strengths = vec![0f64; n];
    let mut sizes = vec![0u32; n];
    for (node, &cluster) in clusters.iter().enumerate() {
        strengths[cluster as usize] += network.strength(node);
        sizes[cluster as usize] += 1;
    }
    let mut empty: Vec<u32> = (0..n as u32).rev().filter(|&c| sizes[c as usize] == 0).collect();

    let mut order: Vec<u32> = (0..n as u32).collect();
    random.shuffle(&mut order);
    let mut queue = VecDeque::from(order);
    let mut is_queued = vec![true; n];
    let mut weights_to = vec![0f64; n];
    let mut touched: Vec<u32> = Vec::new();
    let mut moved = false;

    while let Some(node) = queue.pop_front() {
        is_queued[node as usize] = false;
        let (node, own) = (node as usize, clusters[node as usize]);
        touched.clear();
        for (neighbor, weight) in network.edges(node) {
            let cluster = clusters[neighbor as usize];
            // All weights are positive, so 0 means that the cluster has not been met.
            if weights_to[cluster as usize] == 0.0 {
                touched.push(cluster);
            }
            weights_to[cluster as usize] += weight;
        }
        let strength = network.strength(node);
        strengths[own as usize] -= strength;
        let pull = strength * expectation;
        let least_gain = LEAST_GAIN * strength * resolution.max(1.0);
        let mut best = own;
        let mut best_gain = weights_to[own as usize] - pull * strengths[own as usize];
        for &cluster in &touched {
            let gain = weights_to[cluster as usize] - pull * strengths[cluster as usize];
            if gain > best_gain + least_gain {
                (best, best_gain) = (cluster, gain);
            }
        }
        if best_gain < -least_gain && sizes[own as usize] > 1 {
            best = empty.pop().expect("a cluster of two or more leaves a number unused");
        }
        for &cluster in &touched {
            weights_to[cluster as usize] = 0.0;
        }
        strengths[best as usize] += strength;
        if best == own {
            continue;
        }
        moved = true;
        sizes[own as usize] -= 1;
        sizes[best as usize] += 1;
        if sizes[own as usize] == 0 {
            // Rounding may have left a trace.
            strengths[own as usize] = 0.0;
            empty.push(own);
        }
        clusters[node] = best;
        for (neighbor, _) in network.edges(node) {
            if clusters[neighbor as usize] != best
                && !std::mem::replace(&mut is_queued[neighbor as usize], true)
            {
                queue.push_back(neighbor);
            }
        }
    }
    moved
}
