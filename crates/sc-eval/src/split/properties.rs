//! What must hold of splits whatever the labels are.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{KFold, Size, Split, StratifiedKFold, StratifiedShuffleSplit, check_splits, train_test_split};
use crate::Labels;

fn labels() -> impl Strategy<Value = Labels> {
    vec(0..5u8, 10..120).prop_filter_map("at least two classes", |codes| {
        Labels::new(&codes.iter().map(|code| format!("type {code}")).collect::<Vec<_>>()).ok()
    })
}

/// Every cell is tested once, and trained on in all other folds.
fn is_partition(splits: &[Split], n_cells: usize) -> bool {
    let complete = splits.iter().all(|split| split.train.len() + split.test.len() == n_cells);
    complete && check_splits(splits, n_cells).is_ok_and(|folds| folds.iter().all(Option::is_some))
}

proptest! {
    #[test]
    fn folds_test_every_cell_once(labels in labels(), n_splits in 0..9usize, shuffle: bool, seed: u32) {
        let seed = u64::from(seed);
        let folds = StratifiedKFold { n_splits, shuffle, seed, allow_small_classes: true };
        if let Ok(splits) = folds.split(&labels) {
            prop_assert_eq!(splits.len(), n_splits);
            prop_assert!(is_partition(&splits, labels.len()));
        }
        if let Ok(splits) = (KFold { n_splits, shuffle, seed }).split(labels.len()) {
            prop_assert!(is_partition(&splits, labels.len()));
        }
    }

    #[test]
    fn every_fold_tests_every_class_unless_small_classes_are_allowed(labels in labels(), seed: u32) {
        let folds = StratifiedKFold { n_splits: 3, seed: u64::from(seed), ..Default::default() };
        for split in folds.split(&labels).unwrap_or_default() {
            let tested = labels.select(&split.test);
            prop_assert!((0..labels.n_classes() as u32).all(|class| tested.contains(&class)));
        }
    }

    #[test]
    fn halves_share_no_cell(labels in labels(), share in 0.0..1.0f64, n_train in 0..99usize, seed: u32) {
        let (test_size, seed) = (Size::Share(share), u64::from(seed));
        for train_size in [None, Some(Size::Cells(n_train))] {
            let splitter = StratifiedShuffleSplit { n_splits: 2, test_size, train_size, seed };
            for split in splitter.split(&labels).unwrap_or_default() {
                prop_assert_eq!(split.test.len(), (share * labels.len() as f64).ceil() as usize);
                prop_assert!(check_splits(&[split], labels.len()).is_ok());
            }
        }
        if let Ok(split) = train_test_split(labels.len(), share, seed) {
            let swapped = Split { train: split.test.clone(), test: split.train.clone() };
            prop_assert!(is_partition(&[split, swapped], labels.len()));
        }
    }
}
