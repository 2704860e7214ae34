//! Tests of [`super::kmeans`].

use ndarray::{Array2, array};
use proptest::prelude::*;

use super::*;

/// Blobs of 40 cells around points on a line, in 6 dimensions.
fn blobs(n_blobs: usize) -> Array2<f32> {
    Array2::from_shape_fn((40 * n_blobs, 6), |(i, j)| {
        let wobble = libm::sinf((i * 31 + j * 17) as f32 * 0.7);
        wobble + if j == 0 { 20.0 * (i % n_blobs) as f32 } else { 0.0 }
    })
}

#[test]
fn separate_blobs_are_found() {
    let found = kmeans(blobs(5).view(), &KMeansParams::clusters(5)).unwrap();
    assert!(found.converged);
    for i in 0..200 {
        assert_eq!(found.labels[i], found.labels[i % 5], "{i}");
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let x =
        Array2::from_shape_fn((3000, 7), |(i, j)| libm::sinf((i * 7 + j * j * 3) as f32) * (1 + j) as f32);
    let run = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| {
            kmeans(x.view(), &KMeansParams { n_clusters: 19, n_init: 2, ..Default::default() }).unwrap()
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn another_seed_starts_elsewhere() {
    let x = Array2::from_shape_fn((300, 3), |(i, j)| libm::sinf((i * 7 + j * j * 3) as f32));
    let run = |seed| kmeans(x.view(), &KMeansParams { n_clusters: 12, seed, ..Default::default() }).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).centers, run(2).centers);
}

#[test]
fn as_many_clusters_as_cells_leave_no_inertia_and_fewer_points_than_clusters_end() {
    let x = array![[0.0f32], [1.0], [2.0], [7.0]];
    let each = kmeans(x.view(), &KMeansParams::clusters(4)).unwrap();
    assert_eq!(each.inertia, 0.0);
    let mut labels = each.labels;
    labels.sort_unstable();
    assert_eq!(labels, [0, 1, 2, 3]);
    let same = Array2::from_elem((6, 2), 3.5f32);
    let found = kmeans(same.view(), &KMeansParams::clusters(3)).unwrap();
    assert_eq!((found.inertia, found.labels), (0.0, vec![0; 6]));
}

#[test]
fn an_emptied_cluster_takes_the_cell_furthest_from_its_centre() {
    let points = Points::new(array![[0.0f32], [1.0], [10.0]].view());
    let centers: Vec<f64> = [0.0, 100.0].iter().map(|c| (c - points.origin[0]) * points.scale).collect();
    let moved = move_centers(&points, &assign(&points, &centers), &centers);
    let back = |c: f64| c / points.scale + points.origin[0];
    assert!((back(moved[0]) - 0.5).abs() < 1e-6 && (back(moved[1]) - 10.0).abs() < 1e-6);
}

#[test]
fn large_coordinates_do_not_overflow() {
    let x = blobs(3).mapv(|v| v * 2e16);
    let found = kmeans(x.view(), &KMeansParams::clusters(3)).unwrap();
    assert!(found.inertia.is_finite() && found.labels[0] == found.labels[3]);
}

#[test]
fn what_cannot_be_clustered_is_refused() {
    let x = array![[0.0f32, 1.0], [2.0, 3.0]];
    let message = |params: KMeansParams| kmeans(x.view(), &params).unwrap_err().to_string();
    let zero = message(KMeansParams { n_clusters: 0, ..Default::default() });
    assert_eq!(zero, "`n_clusters` is 0, expected at least 1");
    assert_eq!(message(KMeansParams::clusters(3)), "`n_clusters` is 3, expected at most the number of cells");
    assert!(
        message(KMeansParams { n_clusters: 1, n_init: 0, ..Default::default() }).starts_with("`n_init` is 0")
    );
    assert!(
        message(KMeansParams { n_clusters: 1, max_iter: 0, ..Default::default() }).starts_with("`max_iter`")
    );
    assert!(
        message(KMeansParams { n_clusters: 1, tol: f64::NAN, ..Default::default() })
            .starts_with("`tol` is NaN")
    );
    assert!(kmeans(array![[f32::NAN]].view(), &KMeansParams::clusters(1)).is_err());
    assert!(kmeans(Array2::zeros((0, 2)).view(), &KMeansParams::clusters(1)).is_err());
    assert!(kmeans(Array2::zeros((2, 0)).view(), &KMeansParams::clusters(1)).is_err());
}

proptest! {
    #[test]
    fn every_cell_is_with_its_nearest_centre_and_inertia_is_the_sum(
        values in proptest::collection::vec(-9i8..9, 20..120),
        k in 1usize..6,
    ) {
        let n = values.len() / 4;
        let x = Array2::from_shape_vec((n, 4), values[..4 * n].iter().map(|&v| f32::from(v)).collect()).unwrap();
        let found = kmeans(x.view(), &KMeansParams { n_clusters: k, ..Default::default() }).unwrap();
        let distance = |i: usize, c: usize| -> f64 {
            x.row(i).iter().zip(found.centers.row(c)).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum()
        };
        let mut sum = 0.0;
        for i in 0..n {
            let own = distance(i, found.labels[i] as usize);
            prop_assert!((0..k).all(|c| own <= distance(i, c) + 1e-3));
            sum += own;
        }
        prop_assert!((sum - found.inertia).abs() <= 1e-4 * (1.0 + sum));
    }
}
