use super::*;
use ndarray::array;

/// Two groups of cells, each a dense cloud, joined by a bridge if asked for.
fn two_groups(n: usize, joined: bool) -> Csr {
    let mut graph = Array2::<f32>::zeros((2 * n, 2 * n));
    for group in 0..2 {
        for i in 0..n {
            for step in [1, 2, 3] {
                let (i, j) = (group * n + i, group * n + (i + step) % n);
                graph[[i, j]] = 1.0 / step as f32;
                graph[[j, i]] = 1.0 / step as f32;
            }
        }
    }
    if joined {
        graph[[0, n]] = 0.1;
        graph[[n, 0]] = 0.1;
    }
    Csr::from_dense(graph.view())
}

fn mean_distance(x: &Array2<f32>, a: std::ops::Range<usize>, b: std::ops::Range<usize>) -> f64 {
    let mut sum = 0.0;
    for i in a.clone() {
        for j in b.clone() {
            let difference = &x.row(i) - &x.row(j);
            sum += f64::from(difference.dot(&difference)).sqrt();
        }
    }
    sum / (a.len() * b.len()) as f64
}

#[test]
fn groups_end_up_apart_whether_or_not_a_bridge_joins_them() {
    for joined in [true, false] {
        for n_components in [2, 3] {
            let params = UmapParams { n_components, ..Default::default() };
            let x = umap(&two_groups(40, joined), &params).unwrap().embedding;
            assert_eq!(x.dim(), (80, n_components));
            assert!(x.iter().all(|v| v.is_finite()));
            let (within, between) = (mean_distance(&x, 0..40, 0..40), mean_distance(&x, 0..40, 40..80));
            assert!(between > 1.5 * within, "{joined} {n_components}: {between} {within}");
        }
    }
}

#[test]
fn same_seed_same_bits_on_any_number_of_threads_and_another_seed_differs() {
    let graph = two_groups(100, true);
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| umap(&graph, &UmapParams { seed, ..Default::default() }).unwrap().embedding)
    };
    let one = on(1, 7);
    assert_eq!(one, on(3, 7));
    assert_ne!(one, on(1, 8));
}

#[test]
fn graphs_of_a_few_cells_and_without_edges_have_a_layout() {
    for n in 1..8 {
        let complete = Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0f32 } else { 1.0 });
        for graph in [complete, Array2::zeros((n, n))] {
            for init in [UmapInit::Spectral, UmapInit::Random] {
                let params = UmapParams { init, n_epochs: Some(50), ..Default::default() };
                let x = umap(&Csr::from_dense(graph.view()), &params).unwrap().embedding;
                assert!(x.iter().all(|v| v.is_finite()), "{n} {x}");
            }
        }
    }
}

#[test]
fn progress_counts_the_epochs() {
    let mut seen = Vec::new();
    let params = UmapParams { n_epochs: Some(3), ..Default::default() };
    umap_with_progress(&two_groups(10, true), &params, |done, of| seen.push((done, of))).unwrap();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn without_epochs_the_start_comes_back() {
    let graph = Csr::from_dense(array![[0.0, 1.0], [1.0, 0.0]].view());
    let init = UmapInit::Given(array![[3.0, 4.0], [13.0, 24.0]]);
    let params = UmapParams { init, n_epochs: Some(0), ..Default::default() };
    assert_eq!(umap(&graph, &params).unwrap().embedding, array![[0.0, 0.0], [10.0, 10.0]]);
}

#[test]
fn parameters_outside_their_range_are_named() {
    let graph = two_groups(5, true);
    let refused = |params: UmapParams| match umap(&graph, &params) {
        Err(Error::Parameter { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(UmapParams { min_dist: 2.0, ..Default::default() }), "min_dist");
    assert_eq!(refused(UmapParams { spread: -1.0, ..Default::default() }), "spread");
    assert_eq!(refused(UmapParams { n_components: 1, ..Default::default() }), "n_components");
    assert_eq!(refused(UmapParams { alpha: f64::NAN, ..Default::default() }), "alpha");
    assert_eq!(refused(UmapParams { gamma: -1.0, ..Default::default() }), "gamma");
    assert_eq!(refused(UmapParams { n_epochs: Some(usize::MAX), ..Default::default() }), "n_epochs");
    assert_eq!(
        refused(UmapParams { negative_sample_rate: u32::MAX, ..Default::default() }),
        "negative_sample_rate"
    );
}

#[test]
fn what_is_no_graph_or_no_start_is_refused() {
    let default = UmapParams::default();
    let none = Csr::new(0, 0, vec![0], vec![], vec![]).unwrap();
    assert_eq!(umap(&none, &default), Err(Error::Empty { what: "cells" }));
    let directed = Csr::from_dense(array![[0.0, 1.0], [0.0, 0.0]].view());
    let error = umap(&directed, &default).unwrap_err();
    assert!(matches!(error, Error::NotSymmetric { row: 0, column: 1, .. }));
    assert!(error.help().is_some());
    let graph = two_groups(5, true);
    let start = |init| umap(&graph, &UmapParams { init: UmapInit::Given(init), ..Default::default() });
    assert!(matches!(start(Array2::zeros((9, 2))), Err(Error::Length { expected: 10, .. })));
    assert!(matches!(start(Array2::zeros((10, 3))), Err(Error::Length { expected: 2, .. })));
    let nan = Array2::from_elem((10, 2), f32::NAN);
    assert!(matches!(start(nan), Err(Error::Coordinate { row: 0, column: 0, .. })));
}
