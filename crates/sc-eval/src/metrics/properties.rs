//! What must hold of metrics whatever the labels are.

use proptest::collection::vec;
use proptest::prelude::*;

use super::classification::{
    Average, ConfusionMatrix, Normalize, ZeroDivision, accuracy, confusion_matrix, f1_score, roc_auc,
};
use super::clustering::{
    adjusted_mutual_info, adjusted_rand_index, homogeneity_completeness_v_measure, normalized_mutual_info,
};

const K: usize = 6;

fn pairs() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    vec((0..K as u32, 0..K as u32), 1..80).prop_map(|pairs| pairs.into_iter().unzip())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan())
}

proptest! {
    #[test]
    fn micro_averages_are_all_accuracy((truth, predicted) in pairs()) {
        let micro = f1_score(&truth, &predicted, K, Average::Micro, ZeroDivision::Zero).unwrap();
        prop_assert!(close(micro, accuracy(&truth, &predicted).unwrap()));
        let counts = confusion_matrix(&truth, &predicted, K).unwrap();
        let weighted = counts.averaged(Average::Weighted, ZeroDivision::Zero);
        prop_assert!(close(weighted.recall, counts.accuracy()));
    }

    #[test]
    fn counts_sum_to_cells_and_shares_to_one((truth, predicted) in pairs()) {
        let counts = confusion_matrix(&truth, &predicted, K).unwrap();
        prop_assert_eq!(counts.total() as usize, truth.len());
        prop_assert_eq!(counts.support().iter().sum::<u64>(), counts.predicted().iter().sum::<u64>());
        prop_assert!(close(counts.normalized(Normalize::All).sum(), 1.0));
        for (row, n) in counts.normalized(Normalize::Truth).rows().into_iter().zip(counts.support()) {
            let expected = if n > 0 { 1.0 } else { 0.0 };
            prop_assert!(close(row.sum(), expected));
        }
    }

    #[test]
    fn scores_of_classes_do_not_depend_on_their_order((truth, predicted) in pairs()) {
        let turned = |codes: &[u32]| codes.iter().map(|c| (c * 5 + 2) % K as u32).collect::<Vec<_>>();
        let counts = confusion_matrix(&truth, &predicted, K).unwrap();
        let renamed = confusion_matrix(&turned(&truth), &turned(&predicted), K).unwrap();
        let scores: [fn(&ConfusionMatrix) -> f64; 5] = [
            ConfusionMatrix::accuracy,
            ConfusionMatrix::balanced_accuracy,
            ConfusionMatrix::f1_macro,
            ConfusionMatrix::cohen_kappa,
            ConfusionMatrix::matthews_corrcoef,
        ];
        for score in scores {
            prop_assert!(close(score(&counts), score(&renamed)));
        }
    }

    #[test]
    fn scores_stay_within_their_range((truth, predicted) in pairs()) {
        let counts = confusion_matrix(&truth, &predicted, K).unwrap();
        for score in [counts.accuracy(), counts.balanced_accuracy(), counts.f1_macro()] {
            prop_assert!((0.0..=1.0).contains(&score));
        }
        prop_assert!((-1.0..=1.0).contains(&counts.matthews_corrcoef()));
        prop_assert!(counts.cohen_kappa().is_nan() || counts.cohen_kappa() <= 1.0);
    }

    #[test]
    fn partitions_compare_the_same_both_ways_and_under_other_names((a, b) in pairs()) {
        let renamed: Vec<u32> = b.iter().map(|&c| 1_000_000_007 - 13 * c).collect();
        for score in [adjusted_rand_index, normalized_mutual_info, adjusted_mutual_info] {
            let value = score(&a, &b).unwrap();
            prop_assert!(close(value, score(&b, &a).unwrap()));
            prop_assert!(close(value, score(&a, &renamed).unwrap()));
            prop_assert!(value <= 1.0 + 1e-12);
        }
    }

    #[test]
    fn the_same_partition_is_perfect((a, _) in pairs()) {
        let renamed: Vec<u32> = a.iter().map(|&c| 7 * c + 3).collect();
        prop_assert_eq!(adjusted_rand_index(&a, &renamed).unwrap(), 1.0);
        prop_assert!(close(normalized_mutual_info(&a, &renamed).unwrap(), 1.0));
        prop_assert!(close(adjusted_mutual_info(&a, &renamed).unwrap(), 1.0));
    }

    #[test]
    fn the_v_measure_is_the_normalised_information((a, b) in pairs()) {
        let v = homogeneity_completeness_v_measure(&a, &b).unwrap().v_measure;
        prop_assert!(close(v, normalized_mutual_info(&a, &b).unwrap()));
    }

    #[test]
    fn areas_of_opposite_scores_sum_to_one(cells in vec((any::<bool>(), -9i8..9), 2..60)) {
        let (positive, scores): (Vec<bool>, Vec<f32>) =
            cells.into_iter().map(|(positive, score)| (positive, f32::from(score))).unzip();
        let negated: Vec<f32> = scores.iter().map(|score| -score).collect();
        let sum = roc_auc(&positive, &scores).unwrap() + roc_auc(&positive, &negated).unwrap();
        prop_assert!(sum.is_nan() || close(sum, 1.0));
    }
}
