//! Tests of [`super::cross_validate`].

use std::convert::Infallible;
use std::error::Error as _;

use ndarray::{Array2, array};

use super::*;
use crate::split::StratifiedKFold;

fn labels() -> Labels {
    Labels::new(&(0..30).map(|i| ["B", "NK", "T"][i * i % 3 + usize::from(i % 5 == 0)]).collect::<Vec<_>>())
        .unwrap()
}

fn splits(labels: &Labels) -> Vec<Split> {
    StratifiedKFold { n_splits: 3, ..Default::default() }.split(labels).unwrap()
}

fn output(prediction: Prediction) -> Result<FoldOutput, Infallible> {
    Ok(FoldOutput { prediction, fit_seconds: 1.5, predict_seconds: 0.25 })
}

/// Right but for cells that are a multiple of four, which all get class 0.
fn mostly_right(labels: &Labels, cells: &[usize]) -> Vec<u32> {
    cells.iter().map(|&cell| if cell % 4 == 0 { 0 } else { labels.codes()[cell] }).collect()
}

fn run(labels: &Labels) -> CrossValidation {
    cross_validate(labels, &splits(labels), |_, test| {
        output(Prediction { codes: mostly_right(labels, test), probabilities: None })
    })
    .unwrap()
}

#[test]
fn every_cell_gets_the_answer_of_the_fold_that_tests_it() {
    let labels = labels();
    let result = run(&labels);
    let all: Vec<usize> = (0..labels.len()).collect();
    let expected: Vec<_> = mostly_right(&labels, &all).into_iter().map(Some).collect();
    assert_eq!(result.predicted, expected);
    for (fold, split) in splits(&labels).iter().enumerate() {
        assert!(split.test.iter().all(|&cell| result.fold[cell] == Some(fold)));
        assert_eq!(
            (result.folds[fold].n_train, result.folds[fold].n_test),
            (split.train.len(), split.test.len())
        );
    }
    assert_eq!((result.fit_seconds, result.predict_seconds), (4.5, 0.75));
    assert_eq!(result.probabilities, None);
}

#[test]
fn the_pooled_counts_are_those_of_all_cells() {
    let labels = labels();
    let result = run(&labels);
    let codes: Vec<u32> = result.predicted.iter().map(|code| code.unwrap()).collect();
    assert_eq!(result.confusion, confusion_matrix(labels.codes(), &codes, 3).unwrap());
    let support: Vec<_> = result.per_class.iter().map(|class| class.support as usize).collect();
    assert_eq!(support, labels.counts());
}

#[test]
fn the_mean_lies_within_its_interval_and_spread_is_over_folds() {
    let result = run(&labels());
    let accuracies: Vec<f64> = result.folds.iter().map(|fold| fold.scores.accuracy).collect();
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    assert_eq!(result.mean.accuracy, mean);
    let variance = accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / 2.0;
    assert!((result.sd.unwrap().accuracy - variance.sqrt()).abs() < 1e-15);
    for (name, value) in result.mean.iter() {
        if let Some(interval) = result.intervals.get(name) {
            let value = value.unwrap();
            assert!(interval.low < value && value < interval.high, "{name}: {value} in {interval:?}");
        }
    }
    assert_eq!(result.bootstrap(&BootstrapParams::default()).unwrap(), result.intervals);
    assert_ne!(
        result.bootstrap(&BootstrapParams { seed: 1, ..Default::default() }).unwrap(),
        result.intervals
    );
}

#[test]
fn probabilities_come_back_in_the_order_of_the_cells() {
    let labels = Labels::new(&["a", "b", "a", "b", "a"]).unwrap();
    let splits =
        [Split { train: vec![0, 1], test: vec![3, 2] }, Split { train: vec![2, 3], test: vec![1, 0] }];
    let result = cross_validate(&labels, &splits, |_, _| {
        output(Prediction::from_probabilities(array![[0.25, 0.75], [0.5, 0.5]]))
    })
    .unwrap();
    let p = result.probabilities.unwrap();
    assert_eq!(p.row(3).to_vec(), [0.25, 0.75]);
    assert_eq!(p.row(0).to_vec(), [0.5, 0.5]);
    assert!(p.row(4).iter().all(|p| p.is_nan()));
    assert_eq!(result.predicted, [Some(0), Some(1), Some(0), Some(1), None]);
    assert_eq!(result.mean.roc_auc_ovr, Some(1.0));
    assert!(result.mean.log_loss.is_some());
}

#[test]
fn one_fold_without_probabilities_means_none() {
    let labels = labels();
    let splits = splits(&labels);
    let mut fold = 0;
    let result = cross_validate(&labels, &splits, |_, test| {
        fold += 1;
        let p = Array2::from_elem((test.len(), 3), 1.0 / 3.0);
        output(Prediction { codes: vec![0; test.len()], probabilities: (fold != 2).then_some(p) })
    })
    .unwrap();
    assert_eq!(result.probabilities, None);
    assert_eq!((result.folds[0].scores.roc_auc_ovr, result.folds[1].scores.roc_auc_ovr), (Some(0.5), None));
    assert_eq!((result.mean.roc_auc_ovr, result.mean.log_loss), (None, None));
}

#[test]
fn a_single_split_has_scores_but_no_spread() {
    let labels = labels();
    let split = crate::split::train_test_split_stratified(&labels, 0.2, 42).unwrap();
    let n_test = split.test.len();
    let result = cross_validate(&labels, &[split], |_, test| {
        output(Prediction { codes: labels.select(test), probabilities: None })
    })
    .unwrap();
    assert_eq!((result.mean.accuracy, result.sd), (1.0, None));
    assert_eq!(result.predicted.iter().flatten().count(), n_test);
    assert_eq!(result.confusion.total() as usize, n_test);
}

#[test]
fn the_error_of_the_model_comes_back_with_its_fold() {
    let labels = labels();
    let mut calls = 0;
    let error = cross_validate(&labels, &splits(&labels), |_, test| {
        calls += 1;
        if calls == 2 {
            return Err("out of memory");
        }
        Ok(FoldOutput {
            prediction: Prediction { codes: vec![0; test.len()], probabilities: None },
            fit_seconds: 0.0,
            predict_seconds: 0.0,
        })
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "the model failed in fold 1 (counted from 0)");
    assert_eq!(error.source().unwrap().to_string(), "out of memory");
}

#[test]
fn a_wrong_answer_is_an_error_with_its_fold() {
    let labels = labels();
    let reason = |prediction: Prediction| {
        let error = cross_validate(&labels, &splits(&labels), |_, _| output(prediction.clone())).unwrap_err();
        assert!(matches!(error, Error::Fold { fold: 0, .. }), "{error:?}");
        error.source().unwrap().to_string()
    };
    let short = Prediction { codes: vec![0], probabilities: None };
    assert_eq!(reason(short), "the prediction has 1 entries, expected 10");
    let foreign = Prediction { codes: vec![3; 10], probabilities: None };
    assert_eq!(reason(foreign), "the prediction holds class 3, but there are 3 classes");
    let logits = Prediction { codes: vec![0; 10], probabilities: Some(Array2::from_elem((10, 3), 2.0)) };
    assert_eq!(reason(logits), "the probability of class 0 for cell 0 is 2, expected 0 to 1");
}

#[test]
fn a_leaking_split_never_reaches_the_model() {
    let labels = labels();
    let leak = Split { train: vec![0, 1, 2], test: vec![2, 3] };
    let mut calls = 0;
    let error = cross_validate(&labels, &[leak], |_, _| {
        calls += 1;
        output(Prediction { codes: vec![0; 2], probabilities: None })
    })
    .unwrap_err();
    assert_eq!(calls, 0);
    assert_eq!(error.source().unwrap().to_string(), "cell 2 is both trained on and tested");
    assert!(error.help().is_some());
}
