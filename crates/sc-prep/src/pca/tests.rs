use ndarray::{Array2, Axis, array};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_io::Csr;

use super::*;

/// A sparse matrix over a background, with `rank` directions of decreasing strength under noise.
fn example(n_rows: usize, n_cols: usize, rank: usize) -> Scaled {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut uniform = move || (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
    let groups: Vec<Vec<f32>> =
        (0..rank).map(|r| (0..n_cols).map(|_| uniform() * 8.0 / (r + 1) as f32).collect()).collect();
    let mut x = Array2::<f32>::zeros((n_rows, n_cols));
    for mut row in x.rows_mut() {
        let group = &groups[(uniform() * rank as f32) as usize];
        row.iter_mut().zip(group).for_each(|(v, g)| {
            if uniform() < 0.15 {
                *v = g + uniform();
            }
        });
    }
    let background = (0..n_cols).map(|j| -0.1 - (j % 5) as f32 * 0.05).collect();
    Scaled::new(Csr::from_dense(x.view()), background).unwrap()
}

/// Checks that the components are orthonormal eigenvectors of the covariance, found by writing everything out.
fn assert_exact(x: &Scaled, pca: &Pca) {
    let mut dense = x.to_dense().mapv(f64::from);
    let mean = dense.mean_axis(Axis(0)).unwrap();
    dense -= &mean;
    let denominator = (x.n_rows() - 1) as f64;
    let images = dense.t().dot(&dense.dot(&pca.components.t())) / denominator;
    let products = pca.components.dot(&pca.components.t());
    let first = pca.explained_variance[0].max(1e-300);
    for i in 0..pca.n_components() {
        let residual = &images.column(i) - &(&pca.components.row(i) * pca.explained_variance[i]);
        let residual = residual.dot(&residual).sqrt();
        assert!(
            residual <= 1e-8 * pca.explained_variance[i].max(first / 1000.0),
            "component {i}: {residual:e}"
        );
        for j in 0..pca.n_components() {
            assert!((products[[i, j]] - f64::from(u8::from(i == j))).abs() < 1e-10, "components {i} and {j}");
        }
    }
    let total: f64 = dense.iter().map(|v| v * v).sum::<f64>() / denominator;
    let ratio = pca.explained_variance_ratio[0];
    assert!((ratio - pca.explained_variance[0] / total).abs() < 1e-10);
    assert!(pca.explained_variance.is_sorted_by(|a, b| a >= b));
}

#[test]
fn components_are_eigenvectors_of_the_covariance_in_every_shape() {
    // Iterated over genes, over cells, and written out over either.
    for (n_rows, n_cols, k) in
        [(900, 420, 20), (350, 800, 12), (60, 500, 10), (500, 40, 39), (20, 30, 19), (2, 5, 1)]
    {
        let x = example(n_rows, n_cols, 6);
        assert_exact(&x, &Pca::fit(&x, &PcaParams::components(k)).unwrap());
    }
}

#[test]
fn nothing_is_missed_among_the_leading_components() {
    // The iteration finds what writing the matrix out finds.
    let x = example(700, 310, 6);
    let few = Pca::fit(&x, &PcaParams::components(20)).unwrap();
    let many = Pca::fit(&x, &PcaParams::components(100)).unwrap();
    for i in 0..20 {
        let (a, b) = (few.explained_variance[i], many.explained_variance[i]);
        assert!((a - b).abs() <= 1e-10 * b, "{a} {b}");
    }
}

#[test]
fn noise_without_any_gap_converges() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Array2::from_shape_simple_fn((600, 500), || (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32);
    let pca = Pca::fit_dense(x.view(), &PcaParams::components(30)).unwrap();
    assert_exact(&checked_dense(x.view()).unwrap(), &pca);
}

#[test]
fn repeated_rows_leave_few_directions_and_the_rest_have_no_variance() {
    // Five distinct cells: four directions.
    for n_cols in [400, 800] {
        let five = example(5, n_cols, 5);
        let rows: Vec<usize> = (0..600).map(|i| i % 5).collect();
        let x = five.select_rows(&rows);
        let pca = Pca::fit(&x, &PcaParams::components(10)).unwrap();
        assert!(pca.explained_variance[3] > 1e-3);
        assert!(pca.explained_variance[4..].iter().all(|&v| v < 1e-10 * pca.explained_variance[0]));
        assert_exact(&x, &pca);
    }
}

#[test]
fn a_matrix_without_variance_has_components_without_variance() {
    for n_cols in [10, 400] {
        let x = Scaled::new(Csr::from_dense(Array2::zeros((500, n_cols)).view()), vec![0.5; n_cols]).unwrap();
        let pca = Pca::fit(&x, &PcaParams::components(3)).unwrap();
        assert_eq!(pca.explained_variance_ratio, [0.0; 3]);
        assert!(pca.transform(&x).unwrap().iter().all(|v| *v == 0.0));
    }
}

#[test]
fn a_background_changes_nothing_but_the_form() {
    let x = example(500, 350, 5);
    let params = PcaParams::components(15);
    let (sparse, dense) =
        (Pca::fit(&x, &params).unwrap(), Pca::fit_dense(x.to_dense().view(), &params).unwrap());
    let (a, b) = (sparse.transform(&x).unwrap(), dense.transform_dense(x.to_dense().view()).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "scores differ");
}

#[test]
fn the_order_of_cells_does_not_matter() {
    let x = example(500, 350, 5);
    let shuffled: Vec<usize> = (0..500).map(|i| i * 7 % 500).collect();
    let params = PcaParams::components(15);
    let (a, b) = (Pca::fit(&x, &params).unwrap(), Pca::fit(&x.select_rows(&shuffled), &params).unwrap());
    let largest = (&a.components - &b.components).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(largest < 1e-7, "{largest:e}");
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for x in [example(900, 420, 6), example(350, 800, 6)] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let pca = Pca::fit(&x, &PcaParams::components(20)).unwrap();
                let scores = pca.transform(&x).unwrap();
                (pca, scores)
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
}

#[test]
fn the_seed_changes_rounding_errors_only() {
    let x = example(900, 420, 6);
    let scores = |seed| {
        let pca = Pca::fit(&x, &PcaParams { seed, ..PcaParams::components(10) }).unwrap();
        pca.transform(&x).unwrap()
    };
    assert!(scores(0).iter().zip(&scores(1)).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn scores_are_centred_and_have_the_explained_variance() {
    let x = example(500, 60, 4);
    let pca = Pca::fit(&x, &PcaParams::components(5)).unwrap();
    let scores = pca.transform(&x).unwrap().mapv(f64::from);
    for (i, column) in scores.columns().into_iter().enumerate() {
        assert!(column.mean().unwrap().abs() < 1e-5);
        assert!((column.var(1.0) / pca.explained_variance[i] - 1.0).abs() < 1e-5);
        assert!((pca.singular_values[i].powi(2) / 499.0 / pca.explained_variance[i] - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_largest_loading_is_positive() {
    let pca = Pca::fit_dense(array![[0.0, 3.0], [1.0, 1.0], [2.0, -1.0]].view(), &PcaParams::components(1))
        .unwrap();
    let expected = [-1.0 / 5f64.sqrt(), 2.0 / 5f64.sqrt()];
    assert!((0..2).all(|j| (pca.components[[0, j]] - expected[j]).abs() < 1e-12));
    assert!(
        (pca.explained_variance[0] - 5.0).abs() < 1e-12
            && (pca.explained_variance_ratio[0] - 1.0).abs() < 1e-12
    );
}

#[test]
fn more_components_than_there_are_is_an_error_that_tells_how_many() {
    let x = example(10, 30, 3);
    let error = Pca::fit(&x, &PcaParams::components(10)).unwrap_err();
    assert_eq!(error.to_string(), "`n_components` is 10, but 10 cells x 30 genes have at most 9");
    assert!(error.help().is_some());
    assert!(Pca::fit(&x, &PcaParams::components(0)).is_err());
    assert!(Pca::fit(&x, &PcaParams { tolerance: f64::NAN, ..PcaParams::components(1) }).is_err());
    let nothing = Scaled::new(Csr::from_dense(Array2::zeros((0, 0)).view()), vec![]).unwrap();
    assert!(Pca::fit(&nothing, &PcaParams::components(1)).is_err());
}

#[test]
fn a_tolerance_out_of_reach_is_an_error_not_a_wrong_result() {
    let x = example(900, 420, 6);
    match Pca::fit(&x, &PcaParams { tolerance: 1e-13, ..PcaParams::components(20) }) {
        Ok(pca) => assert_exact(&x, &pca),
        Err(error) => {
            assert!(matches!(error, Error::NotConverged { .. }) && error.help().is_some(), "{error}")
        }
    }
}

#[test]
fn nan_and_other_shapes_are_refused() {
    let nan =
        Pca::fit_dense(array![[0.0, f32::NAN], [1.0, 1.0], [2.0, 0.0]].view(), &PcaParams::components(1));
    assert!(matches!(nan, Err(Error::NotFinite { .. })));
    let x = example(20, 30, 3);
    let pca = Pca::fit(&x, &PcaParams::components(2)).unwrap();
    assert!(matches!(pca.transform(&example(20, 31, 3)), Err(Error::Length { found: 31, expected: 30, .. })));
}
