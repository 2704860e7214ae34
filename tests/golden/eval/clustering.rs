//! Partitions and silhouettes, from trivial partitions to clusters of one cell.

use ndarray::Array2;
use sc_eval::metrics::clustering::{
    adjusted_mutual_info, adjusted_rand_index, homogeneity_completeness_v_measure, mutual_info,
    normalized_mutual_info, rand_index, silhouette_samples, silhouette_score,
};

use super::{EXACT, assert_all_close, assert_close, codes, items, number, numbers, size};
use crate::support::golden;

#[test]
fn comparisons_of_partitions_equal_scikit_learn() {
    let cases = golden("eval/clustering.json");
    assert_eq!(items(&cases).len(), 13);
    for (i, case) in items(&cases).iter().enumerate() {
        let (truth, clusters) = (codes(&case["truth"]), codes(&case["clusters"]));
        let hcv = homogeneity_completeness_v_measure(&truth, &clusters).unwrap();
        let scores = [
            ("adjusted_rand", adjusted_rand_index(&truth, &clusters).unwrap()),
            ("rand", rand_index(&truth, &clusters).unwrap()),
            ("mutual_info", mutual_info(&truth, &clusters).unwrap()),
            ("normalized_mutual_info", normalized_mutual_info(&truth, &clusters).unwrap()),
            ("homogeneity", hcv.homogeneity),
            ("completeness", hcv.completeness),
            ("v_measure", hcv.v_measure),
        ];
        for (score, found) in scores {
            assert_close(&format!("case {i} {score}"), found, number(&case["expected"][score]), EXACT);
        }
        // scikit-learn takes differences of logarithms of factorials here, which cost it digits.
        let found = adjusted_mutual_info(&truth, &clusters).unwrap();
        let expected = number(&case["expected"]["adjusted_mutual_info"]);
        assert_close(&format!("case {i} adjusted_mutual_info"), found, expected, 1e-10);
    }
}

#[test]
fn silhouettes_equal_scikit_learn() {
    let cases = golden("eval/silhouette.json");
    assert_eq!(items(&cases).len(), 3);
    for case in items(&cases) {
        let values: Vec<f32> = numbers(&case["x"]).into_iter().map(|x| x as f32).collect();
        let (n, clusters) = (size(&case["n"]), codes(&case["clusters"]));
        let x = Array2::from_shape_vec((n, values.len() / n), values).unwrap();
        let samples = silhouette_samples(x.view(), &clusters).unwrap();
        assert_all_close("samples of f32", &samples, &numbers(&case["samples_f32"]), 1e-6);
        assert_all_close("samples of f64", &samples, &numbers(&case["samples_f64"]), 1e-9);
        let score = silhouette_score(x.view(), &clusters).unwrap();
        assert_close("score", score, number(&case["score"]), 1e-9);
    }
}
