//! k-means against scikit-learn (`golden/kmeans/PROVENANCE.md`).

use std::path::Path;

use ndarray::Array2;
use sc_prep::{KMeansParams, kmeans};

use crate::support::golden;

#[test]
fn inertia_is_as_low_as_that_of_scikit_learn() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/graph/pbmc3k_pca.f32");
    let bytes = std::fs::read(file).expect("committed");
    let values = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let x = Array2::from_shape_vec((2700, 50), values).expect("50 values for each cell");
    let cases = golden("kmeans/kmeans.json");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 3);
    for case in cases {
        let number = |name: &str| case[name].as_f64().expect("a number");
        let params = KMeansParams { n_init: 10, ..KMeansParams::clusters(number("n_clusters") as usize) };
        let ten = kmeans(x.view(), &params).unwrap();
        assert!(ten.inertia <= 1.01 * number("best"), "{params:?}: {}, best {}", ten.inertia, number("best"));
        // Single starts: the median over seeds.
        let one =
            |seed| kmeans(x.view(), &KMeansParams { n_init: 1, seed, ..params.clone() }).unwrap().inertia;
        let mut starts: Vec<f64> = (0..9).map(one).collect();
        starts.sort_unstable_by(f64::total_cmp);
        assert!(starts[4] <= 1.01 * number("median"), "{}, median {}", starts[4], number("median"));
    }
}
