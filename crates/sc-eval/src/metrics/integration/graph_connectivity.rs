//! Whether the cells of a label hang together.

use super::Neighbors;
use super::codes::Codes;
use crate::Result;

/// Mean over labels of the share of its cells in the largest component, in 0..=1; 1 if every label is in one piece.
///
/// * `neighbors`: scib-metrics' pipeline takes 15.
/// * `labels`: label of each cell, any integers.
///
/// Components are those of the directed graph from each cell to its neighbours, within a label: two cells are in one
/// if a path leads each way. Equals scib-metrics' `graph_connectivity`.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) unless there is a label for each cell.
pub fn graph_connectivity(neighbors: Neighbors<'_>, labels: &[u32]) -> Result<f64> {
    let labels = Codes::new("labels", labels, neighbors.n_cells())?;
    let codes = &labels.codes;
    let edges = |cell: usize| {
        let own = codes[cell];
        neighbors.indices(cell).filter(move |&other| codes[other] == own).collect::<Vec<usize>>()
    };
    let component = strong_components(neighbors.n_cells(), edges);
    let shares = labels.cells().into_iter().map(|cells| {
        let mut components: Vec<u32> = cells.iter().map(|&cell| component[cell]).collect();
        components.sort_unstable();
        let largest = components.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
        largest as f64 / cells.len() as f64
    });
    Ok(shares.sum::<f64>() / labels.len() as f64)
}

/// The strongly connected component of each node, by Tarjan's algorithm on an explicit stack.
pub(super) fn strong_components(n: usize, edges: impl Fn(usize) -> Vec<usize>) -> Vec<u32> {
    const UNSEEN: u32 = u32::MAX;
    let mut index = vec![UNSEEN; n];
    let mut low = vec![0u32; n];
    let mut component = vec![UNSEEN; n];
    let (mut n_seen, mut n_components) = (0, 0);
    let mut open = Vec::new();
    let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
    for root in 0..n {
        if index[root] != UNSEEN {
            continue;
        }
        let mut next = Some(root);
        loop {
            if let Some(node) = next.take() {
                (index[node], low[node]) = (n_seen, n_seen);
                n_seen += 1;
                open.push(node);
                path.push((node, edges(node)));
            }
            let Some((node, targets)) = path.last_mut() else { break };
            let node = *node;
            match targets.pop() {
                Some(target) if index[target] == UNSEEN => next = Some(target),
                // Without a component yet, the target is on the stack of open nodes.
                Some(target) if component[target] == UNSEEN => low[node] = low[node].min(index[target]),
                Some(_) => {}
                None => {
                    path.pop();
                    if let Some((parent, _)) = path.last() {
                        low[*parent] = low[*parent].min(low[node]);
                    }
                    if low[node] == index[node] {
                        while let Some(member) = open.pop() {
                            component[member] = n_components;
                            if member == node {
                                break;
                            }
                        }
                        n_components += 1;
                    }
                }
            }
        }
    }
    component
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn a_path_one_way_does_not_connect() {
        // 0 -> 1 -> 2 -> 0 is a circle that 3 points at; 4 and 5 have another label and point at each other.
        let indices = array![[1u32], [2], [0], [0], [5], [4]];
        let distances = Array2::zeros((6, 1));
        let neighbors = Neighbors::new(indices.view(), distances.view()).unwrap();
        assert_eq!(graph_connectivity(neighbors, &[1, 1, 1, 1, 6, 6]).unwrap(), (0.75 + 1.0) / 2.0);
        // Cut by labels, the circle is a path.
        assert_eq!(
            graph_connectivity(neighbors, &[1, 1, 9, 1, 6, 6]).unwrap(),
            (1.0 / 3.0 + 1.0 + 1.0) / 3.0
        );
        assert!(graph_connectivity(neighbors, &[1]).is_err());
    }

    #[test]
    fn components_are_those_of_reachability() {
        let n = 40;
        let edges = |i: usize| vec![(i * i + 3) % n, (i * 7 + 1) % n];
        let component = strong_components(n, edges);
        let mut reach = vec![vec![false; n]; n];
        for (from, reach) in reach.iter_mut().enumerate() {
            let mut stack = vec![from];
            while let Some(node) = stack.pop() {
                if !std::mem::replace(&mut reach[node], true) {
                    stack.extend(edges(node));
                }
            }
        }
        for a in 0..n {
            for b in 0..n {
                assert_eq!(component[a] == component[b], reach[a][b] && reach[b][a], "{a} {b}");
            }
        }
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let n = 200_000;
        let component = strong_components(n, |i| vec![(i + 1) % n]);
        assert!(component.iter().all(|&c| c == component[0]));
    }
}
