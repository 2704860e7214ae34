use super::*;
use ndarray::Array2;
use proptest::prelude::*;

/// Zachary's karate club, each friendship once.
const KARATE: [(usize, usize); 78] = [
    (0, 1),
    (0, 2),
    (0, 3),
    (0, 4),
    (0, 5),
    (0, 6),
    (0, 7),
    (0, 8),
    (0, 10),
    (0, 11),
    (0, 12),
    (0, 13),
    (0, 17),
    (0, 19),
    (0, 21),
    (0, 31),
    (1, 2),
    (1, 3),
    (1, 7),
    (1, 13),
    (1, 17),
    (1, 19),
    (1, 21),
    (1, 30),
    (2, 3),
    (2, 7),
    (2, 8),
    (2, 9),
    (2, 13),
    (2, 27),
    (2, 28),
    (2, 32),
    (3, 7),
    (3, 12),
    (3, 13),
    (4, 6),
    (4, 10),
    (5, 6),
    (5, 10),
    (5, 16),
    (6, 16),
    (8, 30),
    (8, 32),
    (8, 33),
    (9, 33),
    (13, 33),
    (14, 32),
    (14, 33),
    (15, 32),
    (15, 33),
    (18, 32),
    (18, 33),
    (19, 33),
    (20, 32),
    (20, 33),
    (22, 32),
    (22, 33),
    (23, 25),
    (23, 27),
    (23, 29),
    (23, 32),
    (23, 33),
    (24, 25),
    (24, 27),
    (24, 31),
    (25, 31),
    (26, 29),
    (26, 33),
    (27, 33),
    (28, 31),
    (28, 33),
    (29, 32),
    (29, 33),
    (30, 32),
    (30, 33),
    (31, 32),
    (31, 33),
    (32, 33),
];

fn undirected(n: usize, edges: impl IntoIterator<Item = (usize, usize, f32)>) -> Csr {
    let mut graph = Array2::<f32>::zeros((n, n));
    for (i, j, w) in edges {
        graph[[i, j]] = w;
        graph[[j, i]] = w;
    }
    Csr::from_dense(graph.view())
}

fn karate(weight: f32) -> Csr {
    undirected(34, KARATE.iter().map(|&(i, j)| (i, j, weight)))
}

/// Whether every cluster is connected in the graph.
fn all_connected(graph: &Csr, membership: &[u32]) -> bool {
    let mut pieces = membership.to_vec();
    partition::split_disconnected(&Network::from_graph(graph), &mut pieces);
    partition::renumber(&mut pieces) == membership.iter().max().map_or(0, |&m| m as usize + 1)
}

#[test]
fn finds_the_known_optimum_of_karate_club() {
    // The optimum, 0.4197896, is proven in the literature on exact modularity maximisation.
    let best = (0..10)
        .map(|seed| {
            leiden(&karate(1.0), &LeidenParams { seed, n_iterations: None, ..Default::default() }).unwrap()
        })
        .max_by(|a, b| a.modularity.total_cmp(&b.modularity))
        .unwrap();
    assert!((best.modularity - 0.419_789_6).abs() < 1e-7, "{}", best.modularity);
    assert_eq!(best.n_clusters, 4);
}

#[test]
fn a_low_resolution_joins_everybody_and_a_high_one_parts_them() {
    let clusters =
        |resolution| leiden(&karate(1.0), &LeidenParams { resolution, ..Default::default() }).unwrap();
    assert_eq!(clusters(0.1).n_clusters, 1);
    assert_eq!(clusters(0.1).modularity, 0.9);
    assert!(clusters(4.0).n_clusters > 8);
    assert_eq!(clusters(1e6).n_clusters, 34);
}

#[test]
fn scaling_the_weights_does_not_move_the_clusters() {
    let params = LeidenParams { resolution: 1.3, seed: 3, ..Default::default() };
    let unscaled = leiden(&karate(1.0), &params).unwrap();
    for scale in [0.25, 1e-20, 3.7, 1e20] {
        let scaled = leiden(&karate(scale), &params).unwrap();
        assert_eq!(scaled.membership, unscaled.membership, "{scale}");
        assert!((scaled.modularity - unscaled.modularity).abs() < 1e-12);
    }
}

#[test]
fn a_node_without_edges_is_a_cluster_of_its_own() {
    let graph = undirected(6, [(0, 1, 1.0), (1, 4, 1.0), (0, 4, 1.0)]);
    let clusters = leiden(&graph, &LeidenParams::default()).unwrap();
    assert_eq!(clusters.membership, [0, 0, 1, 2, 0, 3]);
    let none = leiden(&undirected(3, []), &LeidenParams::default()).unwrap();
    assert_eq!((none.membership, none.modularity), (vec![0, 1, 2], 0.0));
    let nobody = Csr::new(0, 0, vec![0], vec![], vec![]).unwrap();
    assert_eq!(leiden(&nobody, &LeidenParams::default()).unwrap().n_clusters, 0);
}

#[test]
fn cliques_on_a_ring_are_found_whatever_the_seed() {
    let (n_cliques, size) = (12, 6);
    let mut edges = Vec::new();
    for clique in 0..n_cliques {
        for i in 0..size {
            for j in 0..i {
                edges.push((clique * size + i, clique * size + j, 1.0));
            }
        }
        edges.push((clique * size, ((clique + 1) % n_cliques) * size + 1, 1.0));
    }
    let graph = undirected(n_cliques * size, edges);
    for seed in 0..20 {
        let found = leiden(&graph, &LeidenParams { seed, ..Default::default() }).unwrap();
        assert_eq!(found.n_clusters, n_cliques);
        assert!((0..n_cliques * size).all(|i| found.membership[i] == found.membership[i / size * size]));
    }
}

#[test]
fn one_huge_weight_does_not_hide_the_clusters_of_the_rest() {
    // Two triangles far below the weight of a pair of other nodes.
    let triangles = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)].map(|(i, j)| (i, j, 1.0));
    let graph = undirected(8, triangles.into_iter().chain([(6, 7, 1e30)]));
    let clusters = leiden(&graph, &LeidenParams::default()).unwrap();
    assert_eq!(clusters.membership, [0, 0, 0, 1, 1, 1, 2, 2]);
}

#[test]
fn same_seed_same_clusters() {
    let params = LeidenParams { seed: 11, ..Default::default() };
    assert_eq!(leiden(&karate(1.0), &params), leiden(&karate(1.0), &params));
}

#[test]
fn modularity_is_that_of_its_definition() {
    let graph = ndarray::array![[2.0, 1.0, 0.0], [1.0, 0.0, 3.0], [0.0, 3.0, 0.0f32]];
    let csr = Csr::from_dense(graph.view());
    // 2m = 10, k = 3, 4, 3.
    let joined = modularity(&csr, &[7, 7, 9], 1.0).unwrap();
    assert!((joined - (4.0 / 10.0 - 49.0 / 100.0 - 9.0 / 100.0)).abs() < 1e-15, "{joined}");
    let halved = modularity(&csr, &[7, 7, 9], 0.5).unwrap();
    assert!((halved - (0.4 - 0.5 * 0.58)).abs() < 1e-15);
}

#[test]
fn what_cannot_be_clustered_is_refused() {
    let graph = karate(1.0);
    let refused = |params: LeidenParams| match leiden(&graph, &params) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(LeidenParams { resolution: 0.0, ..Default::default() }), "resolution");
    assert_eq!(refused(LeidenParams { resolution: f64::NAN, ..Default::default() }), "resolution");
    assert_eq!(refused(LeidenParams { n_iterations: Some(0), ..Default::default() }), "n_iterations");
    assert_eq!(refused(LeidenParams { randomness: 0.0, ..Default::default() }), "randomness");
    let wide = Csr::new(1, 2, vec![0, 0], vec![], vec![]).unwrap();
    let error = leiden(&wide, &LeidenParams::default()).unwrap_err();
    assert_eq!(error, Error::NotSquare { n_rows: 1, n_cols: 2 });
    assert!(error.help().is_some());
    assert!(matches!(modularity(&graph, &[0; 33], 1.0), Err(Error::Length { found: 33, expected: 34, .. })));
    assert!(matches!(modularity(&wide, &[0], 1.0), Err(Error::NotSquare { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn clusters_are_connected_and_no_worse_than_trivial_ones(
        n in 1usize..40, pairs in prop::collection::vec((0usize..40, 0usize..40, 1u8..20), 0..150),
        seed in 0u64..1000, resolution in prop::sample::select(vec![0.3, 1.0, 2.5]),
    ) {
        let edges = pairs.iter().filter(|p| p.0 < n && p.1 < n && p.0 != p.1);
        let graph = undirected(n, edges.map(|&(i, j, w)| (i, j, f32::from(w) / 7.0)));
        let found = leiden(&graph, &LeidenParams { seed, resolution, ..Default::default() }).unwrap();
        prop_assert!(all_connected(&graph, &found.membership));
        let sizes: Vec<usize> = (0..found.n_clusters as u32)
            .map(|c| found.membership.iter().filter(|&&m| m == c).count())
            .collect();
        prop_assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.last() != Some(&0), "{:?}", sizes);
        let single: Vec<u32> = (0..n as u32).collect();
        prop_assert!(found.modularity >= modularity(&graph, &single, resolution).unwrap() - 1e-12);
        let same = modularity(&graph, &found.membership, resolution).unwrap();
        prop_assert_eq!(same, found.modularity);
    }
}
