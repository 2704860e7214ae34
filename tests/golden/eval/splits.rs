//! Splits, cell for cell those of scikit-learn.

use sc_eval::Labels;
use sc_eval::split::{
    KFold, Size, Split, StratifiedKFold, StratifiedShuffleSplit, train_test_split,
    train_test_split_stratified,
};
use sc_eval::statistics::quantile;
use serde_json::Value;

use super::{EXACT, assert_close, cells, codes, digits, items, number, numbers, size};
use crate::support::golden;

/// The fold that tests each cell.
pub(in crate::golden) fn fold_of_cell(splits: &[Split], n_cells: usize) -> Vec<u32> {
    let mut folds = vec![u32::MAX; n_cells];
    for (split, fold) in splits.iter().zip(0..) {
        let is_other = |cell: &usize| split.test.binary_search(cell).is_err();
        assert!(
            (0..n_cells).filter(is_other).eq(split.train.iter().copied()),
            "training cells are the others"
        );
        split.test.iter().for_each(|&cell| folds[cell] = fold);
    }
    folds
}

fn labels(codes: &[u32]) -> Labels {
    Labels::new(&codes.iter().map(|code| format!("{code:03}")).collect::<Vec<_>>()).unwrap()
}

#[test]
fn stratified_folds_are_those_of_scikit_learn() {
    for case in items(&golden("eval/splits.json")["stratified_k_fold"]) {
        let names: Vec<String> = case["names"].as_str().unwrap().chars().map(String::from).collect();
        let folds = StratifiedKFold {
            n_splits: size(&case["n_splits"]),
            shuffle: case["shuffle"].as_bool().unwrap(),
            seed: case["seed"].as_u64().unwrap(),
            allow_small_classes: true,
        };
        let splits = folds.split(&Labels::new(&names).unwrap()).unwrap();
        assert_eq!(fold_of_cell(&splits, names.len()), digits(&case["folds"]), "{folds:?}");
    }
}

#[test]
fn plain_folds_are_those_of_scikit_learn() {
    for case in items(&golden("eval/splits.json")["k_fold"]) {
        let folds = KFold {
            n_splits: size(&case["n_splits"]),
            shuffle: case["shuffle"].as_bool().unwrap(),
            seed: case["seed"].as_u64().unwrap(),
        };
        let splits = folds.split(size(&case["n"])).unwrap();
        assert_eq!(fold_of_cell(&splits, size(&case["n"])), digits(&case["folds"]), "{folds:?}");
    }
}

#[test]
fn random_halves_are_those_of_scikit_learn_in_its_order() {
    for case in items(&golden("eval/splits.json")["train_test_split"]) {
        let (codes, seed) = (codes(&case["codes"]), case["seed"].as_u64().unwrap());
        let share = number(&case["test_size"]);
        let split = match case["stratified"].as_bool().unwrap() {
            true => train_test_split_stratified(&labels(&codes), share, seed),
            false => train_test_split(codes.len(), share, seed),
        };
        let expected = Split { train: cells(&case["train"]), test: cells(&case["test"]) };
        assert_eq!(split.unwrap(), expected);
    }
}

#[test]
fn repeated_stratified_halves_are_those_of_scikit_learn_in_its_order() {
    let labels = labels(&(0..90).map(|i| i % 7).collect::<Vec<_>>());
    let share_or_cells = |value: &Value| match value.as_u64() {
        Some(n) => Size::Cells(n as usize),
        None => Size::Share(number(value)),
    };
    for case in items(&golden("eval/splits.json")["stratified_shuffle_split"]) {
        let train_size = (!case["train_size"].is_null()).then(|| share_or_cells(&case["train_size"]));
        let test_size = share_or_cells(&case["test_size"]);
        let splitter = StratifiedShuffleSplit { n_splits: 3, test_size, train_size, seed: 5 };
        let expected = items(&case["splits"]).iter();
        let expected: Vec<_> = expected.map(|s| Split { train: cells(&s[0]), test: cells(&s[1]) }).collect();
        assert_eq!(splitter.split(&labels).unwrap(), expected, "{splitter:?}");
    }
}

#[test]
fn quantiles_equal_numpy() {
    let case = golden("eval/quantile.json");
    let sorted = numbers(&case["sorted"]);
    for (q, expected) in numbers(&case["q"]).into_iter().zip(numbers(&case["expected"])) {
        assert_close(&format!("quantile {q}"), quantile(&sorted, q), expected, EXACT);
    }
}
