//! The graph of parts.

use super::network::Network;

/// Makes one node of each part; weights between parts add up, weights within go into the strength only.
pub(super) fn aggregate(network: &Network, parts: &[u32], n_parts: usize) -> Network {
    // Nodes by part, a counting sort.
    let mut starts = vec![0usize; n_parts + 1];
    for &part in parts {
        starts[part as usize + 1] += 1;
    }
    for part in 0..n_parts {
        starts[part + 1] += starts[part];
    }
    let mut next = starts.clone();
    let mut nodes = vec![0u32; parts.len()];
    for (node, &part) in parts.iter().enumerate() {
        nodes[next[part as usize]] = node as u32;
        next[part as usize] += 1;
    }

    let mut aggregated = Network::with_capacity(n_parts, network.n_entries());
    let mut weights_to = vec![0f64; n_parts];
    let mut touched: Vec<u32> = Vec::new();
    for part in 0..n_parts {
        let mut strength = 0.0;
        for &node in &nodes[starts[part]..starts[part + 1]] {
            strength += network.strength(node as usize);
            for (neighbor, weight) in network.edges(node as usize) {
                let other = parts[neighbor as usize];
                if other as usize != part {
                    if weights_to[other as usize] == 0.0 {
                        touched.push(other);
                    }
                    weights_to[other as usize] += weight;
                }
            }
        }
        for other in touched.drain(..) {
            aggregated.push(other, std::mem::replace(&mut weights_to[other as usize], 0.0));
        }
        aggregated.end_node(strength);
    }
    aggregated
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_io::Csr;

    #[test]
    fn weights_between_parts_add_up_and_strengths_are_kept() {
        let graph = ndarray::array![
            [0.0, 1.0, 2.0, 0.0],
            [1.0, 0.0, 4.0, 1.0],
            [2.0, 4.0, 0.0, 1.0],
            [0.0, 1.0, 1.0, 0.0f32]
        ];
        let network = Network::from_graph(&Csr::from_dense(graph.view()));
        let scale = network.strength(0) / 3.0;
        let small = aggregate(&network, &[0, 0, 1, 2], 3);
        let strengths: Vec<f64> = (0..3).map(|i| small.strength(i) / scale).collect();
        assert_eq!(strengths, [9.0, 7.0, 2.0]);
        let edges: Vec<(u32, f64)> = small.edges(0).map(|(j, w)| (j, w / scale)).collect();
        assert_eq!(edges, [(1, 6.0), (2, 1.0)]);
        assert_eq!(small.expectation(1.0), network.expectation(1.0));
    }
}
