//! Connected components, and a place for each.

use super::graph::KeptEdges;

/// The connected components, the largest first (equal sizes by their first cell); each lists its cells in order.
pub(super) fn components(edges: &KeptEdges) -> Vec<Vec<u32>> {
    let n = edges.n();
    let mut seen = vec![false; n];
    let mut components = Vec::new();
    let mut stack = Vec::new();
    for start in 0..n {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        stack.push(start as u32);
        let mut cells = Vec::new();
        while let Some(i) = stack.pop() {
            cells.push(i);
            for &j in edges.row(i as usize).0 {
                if !std::mem::replace(&mut seen[j as usize], true) {
                    stack.push(j);
                }
            }
        }
        cells.sort_unstable();
        components.push(cells);
    }
    components.sort_by_key(|cells| std::cmp::Reverse(cells.len()));
    components
}

/// A disc for each component, its area in proportion to the cells, on shelves in the plane: centre and radius.
///
/// * `sizes`: descending.
pub(super) fn places(sizes: &[usize]) -> Vec<([f64; 2], f64)> {
    /// Share of a disc's radius that stays free around it.
    const GAP: f64 = 0.25;
    let total: usize = sizes.iter().sum();
    let radius = |size: usize| (size as f64 / total as f64).sqrt();
    // All discs have area π, their squares 4: a shelf of this length makes the whole about as high as it is wide.
    let width = 2.0 * (1.0 + GAP) * 1.1;
    let (mut x, mut y, mut height) = (0f64, 0f64, 0f64);
    let mut places = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let side = 2.0 * radius(size) * (1.0 + GAP);
        if x > 0.0 && x + side > width {
            y += height;
            (x, height) = (0.0, 0.0);
        }
        places.push(([x + side / 2.0, y + side / 2.0], radius(size)));
        x += side;
        height = height.max(side);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use sc_io::Csr;

    #[test]
    fn components_come_by_size() {
        let mut graph = Array2::<f32>::zeros((6, 6));
        for (i, j) in [(0, 5), (1, 2), (2, 4)] {
            graph[[i, j]] = 1.0;
            graph[[j, i]] = 1.0;
        }
        let edges = KeptEdges::new(&Csr::from_dense(graph.view()), 100);
        assert_eq!(components(&edges), [vec![1, 2, 4], vec![0, 5], vec![3]]);
    }

    #[test]
    fn places_do_not_overlap() {
        for sizes in [vec![7], vec![500, 300, 90, 5, 1, 1, 1], vec![1; 40], vec![10, 9, 8, 7, 6, 5, 4]] {
            let places = places(&sizes);
            for (i, (a, r)) in places.iter().enumerate() {
                for (b, s) in &places[..i] {
                    let (x, y) = (a[0] - b[0], a[1] - b[1]);
                    assert!((x * x + y * y).sqrt() >= r + s, "{sizes:?}");
                }
            }
        }
    }
}
