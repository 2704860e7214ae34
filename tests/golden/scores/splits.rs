//! Splits by group, repeated and nested, cell for cell those of scikit-learn.

use sc_eval::Labels;
use sc_eval::split::{
    GroupKFold, GroupShuffleSplit, LeaveOneGroupOut, RepeatedStratifiedKFold, Size, Split,
    StratifiedGroupKFold, StratifiedKFold, nested,
};
use serde_json::Value;

use crate::golden::eval::{cells, codes, digits, items, number, size, splits::fold_of_cell};
use crate::support::golden;

/// Classes whose names sort as their digits do.
fn labels(value: &Value) -> Labels {
    Labels::new(&digits(value).iter().map(|code| format!("{code:02}")).collect::<Vec<_>>()).unwrap()
}

fn pairs(value: &Value) -> Vec<Split> {
    items(value).iter().map(|split| Split { train: cells(&split[0]), test: cells(&split[1]) }).collect()
}

#[test]
fn folds_of_groups_are_those_of_scikit_learn() {
    let cases = golden("scores/splits.json");
    assert_eq!(items(&cases["grouped"]).len(), 14);
    for case in items(&cases["grouped"]) {
        let (labels, groups, n_splits) =
            (labels(&case["labels"]), codes(&case["groups"]), size(&case["n_splits"]));
        for (key, shuffle, seed) in [("None", false, 0), ("0", true, 0), ("42", true, 42)] {
            let stratified = StratifiedGroupKFold { n_splits, shuffle, seed, allow_missing_classes: true };
            let splits = stratified.split(&labels, &groups).unwrap();
            let expected = digits(&case[format!("stratified_{key}")]);
            assert_eq!(fold_of_cell(&splits, groups.len()), expected, "{stratified:?}");
            let plain = GroupKFold { n_splits, shuffle, seed };
            let expected = digits(&case[format!("group_{key}")]);
            assert_eq!(fold_of_cell(&plain.split(&groups).unwrap(), groups.len()), expected, "{plain:?}");
        }
        let splits = LeaveOneGroupOut.split(&groups).unwrap();
        assert_eq!(fold_of_cell(&splits, groups.len()), digits(&case["one_out"]));
    }
}

#[test]
fn random_splits_of_groups_are_those_of_scikit_learn() {
    let cases = golden("scores/splits.json");
    let groups = codes(&cases["shuffle_groups"]);
    let size = |value: &Value| match value.as_u64() {
        Some(n) => Size::Cells(n as usize),
        None => Size::Share(number(value)),
    };
    for case in items(&cases["group_shuffle"]) {
        let train_groups = (!case["train"].is_null()).then(|| size(&case["train"]));
        let splitter =
            GroupShuffleSplit { n_splits: 3, test_groups: size(&case["test"]), train_groups, seed: 9 };
        assert_eq!(splitter.split(&groups).unwrap(), pairs(&case["splits"]), "{splitter:?}");
    }
}

#[test]
fn repeated_and_nested_folds_are_those_of_scikit_learn() {
    let cases = golden("scores/splits.json");
    for (case, inner) in items(&cases["repeated"]).iter().zip(items(&cases["nested"])) {
        let labels = labels(&case["labels"]);
        let (n_splits, seed) = (size(&case["n_splits"]), case["seed"].as_u64().unwrap());
        let repeated = RepeatedStratifiedKFold { n_splits, n_repeats: 4, seed, allow_small_classes: false };
        let repeats = repeated.split(&labels).unwrap();
        assert_eq!(repeats.len(), 4);
        for (repeat, expected) in repeats.iter().zip(items(&case["folds"])) {
            assert_eq!(fold_of_cell(repeat, labels.len()), digits(expected), "{repeated:?}");
        }
        let two = StratifiedKFold { n_splits: 2, seed: 1, ..Default::default() };
        let folds = nested(repeats[0].clone(), |train| two.split(&labels.subset(train)?)).unwrap();
        for (fold, expected) in folds.iter().zip(items(inner)) {
            assert_eq!(fold.inner, pairs(expected));
        }
        assert_eq!(folds.len(), n_splits);
    }
}
