//! Cluster numbers.

use super::network::Network;

/// Numbers clusters from 0 without gaps, in order of their first node; returns how many there are.
///
/// Numbers on entry lie below the number of nodes.
pub(super) fn renumber(clusters: &mut [u32]) -> usize {
    const UNSEEN: u32 = u32::MAX;
    let mut number = vec![UNSEEN; clusters.len()];
    let mut n = 0;
    for cluster in clusters {
        let number = &mut number[*cluster as usize];
        if *number == UNSEEN {
            *number = n;
            n += 1;
        }
        *cluster = *number;
    }
    n as usize
}

/// As [`renumber`], but by size, the largest first; equal sizes in order of their first node.
pub(super) fn number_by_size(clusters: &mut [u32]) -> usize {
    let n = renumber(clusters);
    let mut sizes = vec![0usize; n];
    for &cluster in clusters.iter() {
        sizes[cluster as usize] += 1;
    }
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.sort_by_key(|&c| std::cmp::Reverse(sizes[c as usize]));
    let mut rank = vec![0u32; n];
    for (new, &old) in order.iter().enumerate() {
        rank[old as usize] = new as u32;
    }
    for cluster in clusters {
        *cluster = rank[*cluster as usize];
    }
    n
}

/// Makes each connected part of a cluster a cluster of its own. That never lowers the quality: what falls apart shares no
/// weight, and less is expected within.
pub(super) fn split_disconnected(network: &Network, clusters: &mut [u32]) {
    let n = network.n();
    let mut split = vec![u32::MAX; n];
    let mut stack = Vec::new();
    for start in 0..n {
        if split[start] != u32::MAX {
            continue;
        }
        split[start] = start as u32;
        stack.push(start);
        while let Some(node) = stack.pop() {
            for (neighbor, _) in network.edges(node) {
                let neighbor = neighbor as usize;
                if clusters[neighbor] == clusters[node] && split[neighbor] == u32::MAX {
                    split[neighbor] = start as u32;
                    stack.push(neighbor);
                }
            }
        }
    }
    clusters.copy_from_slice(&split);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_io::Csr;

    #[test]
    fn the_largest_cluster_is_0_and_ties_go_by_first_node() {
        let mut clusters = [4, 2, 0, 0, 2, 5, 0];
        assert_eq!(number_by_size(&mut clusters), 4);
        assert_eq!(clusters, [2, 1, 0, 0, 1, 3, 0]);
        assert_eq!(number_by_size(&mut []), 0);
    }

    #[test]
    fn a_cluster_in_two_pieces_becomes_two() {
        let graph = ndarray::array![
            [0.0, 1.0, 0.0, 0.0],
            [1.0, 0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0, 1.0],
            [0.0, 0.0, 1.0, 0.0f32]
        ];
        let network = Network::from_graph(&Csr::from_dense(graph.view()));
        let mut clusters = [0, 1, 0, 0];
        split_disconnected(&network, &mut clusters);
        assert_eq!(clusters, [0, 1, 2, 2]);
    }
}
