//! Metrics of probabilities, with ties and with a class that no cell has.

use ndarray::Array2;
use sc_eval::metrics::classification::{Average, brier_score, log_loss, roc_auc_ovr, top_k_accuracy};

use super::{EXACT, assert_close, codes, items, number, numbers, size};
use crate::support::golden;

#[test]
fn metrics_of_probabilities_equal_scikit_learn() {
    let cases = golden("eval/probability.json");
    assert_eq!(items(&cases).len(), 5);
    for case in items(&cases) {
        let (truth, k, expected) = (codes(&case["truth"]), size(&case["n_classes"]), &case["expected"]);
        let values = numbers(&case["probabilities"]).into_iter().map(|p| p as f32).collect();
        let p = Array2::from_shape_vec((truth.len(), k), values).unwrap();
        let scores = [
            ("log_loss", log_loss(&truth, p.view())),
            ("brier", brier_score(&truth, p.view())),
            ("roc_auc_macro", roc_auc_ovr(&truth, p.view(), Average::Macro)),
            ("roc_auc_weighted", roc_auc_ovr(&truth, p.view(), Average::Weighted)),
        ];
        for (score, found) in scores {
            let what = format!("{} {score}", case["name"]);
            assert_close(&what, found.unwrap(), number(&expected[score]), EXACT);
        }
        if k > 2 {
            for top in 1..=3 {
                let found = top_k_accuracy(&truth, p.view(), top).unwrap();
                let what = format!("{} top {top}", case["name"]);
                assert_close(&what, found, number(&expected[format!("top_{top}")]), EXACT);
            }
        }
    }
}
