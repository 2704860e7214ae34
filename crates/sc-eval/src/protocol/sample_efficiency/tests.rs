//! Tests of [`super::sample_efficiency`].

use std::convert::Infallible;
use std::error::Error as _;

use super::*;
use crate::Prediction;
use crate::split::StratifiedKFold;

fn labels() -> Labels {
    Labels::new(&(0..300).map(|i| if i % 30 == 0 { "rare" } else { ["B", "T"][i % 2] }).collect::<Vec<_>>())
        .unwrap()
}

/// Right about a cell if a training cell of its class is among the nearest numbers below it.
fn output(labels: &Labels, train: &[usize], test: &[usize]) -> FoldOutput {
    let codes = test
        .iter()
        .map(|&cell| {
            let known =
                train.iter().any(|&t| labels.codes()[t] == labels.codes()[cell] && t.abs_diff(cell) < 12);
            if known { labels.codes()[cell] } else { labels.codes()[train[0]] }
        })
        .collect();
    let prediction = Prediction { codes, probabilities: None };
    FoldOutput { prediction, fit_seconds: train.len() as f64, predict_seconds: 0.0 }
}

fn run(sizes: &[usize]) -> Result<SampleEfficiency> {
    let labels = labels();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels)?;
    let params = SampleEfficiencyParams { sizes: sizes.to_vec(), ..Default::default() };
    sample_efficiency(&labels, &splits, &params, |train, test| {
        Ok::<_, Infallible>(output(&labels, train, test))
    })
}

#[test]
fn the_curve_rises_and_sizes_beyond_the_data_are_named() {
    let curve = run(&[10, 40, 200, 201, 5000]).unwrap();
    assert_eq!((curve.left_out.as_slice(), curve.largest_possible), (&[201, 5000][..], 200));
    let sizes: Vec<usize> = curve.points.iter().map(|point| point.n_train).collect();
    assert_eq!(sizes, [10, 40, 200]);
    let accuracies: Vec<f64> = curve.points.iter().map(|point| point.mean.accuracy).collect();
    assert!(accuracies.is_sorted() && accuracies[0] < accuracies[2], "{accuracies:?}");
    for point in &curve.points {
        assert_eq!(point.fit_seconds, point.n_train as f64);
        assert!((point.scores.accuracy.value - point.mean.accuracy).abs() < 1e-12);
        let behind = point.behind_largest.accuracy;
        assert!((behind.value - (accuracies[2] - point.mean.accuracy)).abs() < 1e-12);
        assert!(behind.interval.low <= behind.value && behind.value <= behind.interval.high);
    }
    assert_eq!(curve.points[2].behind_largest.accuracy.interval.high, 0.0);
    assert_eq!((curve.points[0].n_classes, curve.points[2].n_classes), (2, 3));
    assert_eq!(curve, run(&[10, 40, 200, 201, 5000]).unwrap());
}

#[test]
fn a_larger_subset_holds_the_smaller_ones_and_test_cells_stay_the_same() {
    let labels = labels();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels).unwrap();
    let params = SampleEfficiencyParams { sizes: vec![12, 50, 199], n_repeats: 2, ..Default::default() };
    let mut seen: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    sample_efficiency(&labels, &splits, &params, |train, test| {
        seen.push((train.to_vec(), test.to_vec()));
        Ok::<_, Infallible>(output(&labels, train, test))
    })
    .unwrap();
    assert_eq!(seen.len(), 3 * 2 * 3);
    for (draw, fold) in seen.chunks(3).zip([0, 0, 1, 1, 2, 2]) {
        assert!(draw.windows(2).all(|pair| pair[0].0.iter().all(|cell| pair[1].0.contains(cell))));
        assert!(draw.iter().all(|(train, test)| test == &splits[fold].test && train.is_sorted()));
        assert!(draw[2].0.iter().all(|cell| splits[fold].train.contains(cell)));
    }
    assert_ne!(seen[0].0, seen[3].0);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let message = |sizes: &[usize]| run(sizes).unwrap_err().to_string();
    assert_eq!(message(&[]), "sizes is empty");
    assert_eq!(message(&[0, 10]), "`sizes` is 0, expected at least 2 training cells");
    assert_eq!(message(&[20, 10]), "`sizes` is [20, 10], expected ascending sizes, each once");
    let expected =
        "`sizes` is [900] for 200 training cells, expected a size up to the number of training cells";
    assert_eq!(message(&[900]), expected);
    let none = SampleEfficiencyParams { n_repeats: 0, ..Default::default() };
    assert!(none.validate().unwrap_err().to_string().starts_with("`n_repeats` is 0"));
}

#[test]
fn a_subset_of_one_class_is_an_error_with_its_place() {
    let labels =
        Labels::new(&(0..100).map(|i| if i < 4 { "rare" } else { "B" }).collect::<Vec<_>>()).unwrap();
    let split = Split { train: (2..80).collect(), test: vec![0, 1, 90] };
    let params = SampleEfficiencyParams { sizes: vec![5], n_repeats: 1, ..Default::default() };
    let error = sample_efficiency(&labels, &[split], &params, |train, test| {
        Ok::<_, Infallible>(output(&labels, train, test))
    })
    .unwrap_err();
    let expected =
        "fold 0 (counted from 0), 5 training cells, repeat 0: all 5 training cells have the label \"B\"";
    assert_eq!(error.to_string(), expected);
    assert!(error.help().is_some());
}

#[test]
fn failures_name_their_place() {
    let labels = labels();
    let split = Split { train: (0..200).collect(), test: (200..300).collect() };
    let params = SampleEfficiencyParams { sizes: vec![20], ..Default::default() };
    let error = sample_efficiency(&labels, &[split], &params, |_, _| Err("no")).unwrap_err();
    assert_eq!(error.to_string(), "fold 0 (counted from 0), 20 training cells, repeat 0: the model failed");
    assert_eq!(error.source().unwrap().to_string(), "no");
}

#[test]
fn several_models_get_what_each_gets_alone() {
    let labels = labels();
    let splits = StratifiedKFold { n_splits: 3, ..Default::default() }.split(&labels).unwrap();
    let params = SampleEfficiencyParams { sizes: vec![20, 90], ..Default::default() };
    let constant = |test: &[usize]| FoldOutput {
        prediction: Prediction { codes: vec![0; test.len()], probabilities: None },
        fit_seconds: 2.0,
        predict_seconds: 0.0,
    };
    let all = |n_models| {
        sample_efficiency_all(&labels, &splits, n_models, &params, |train, test| {
            Ok::<_, Infallible>(vec![constant(test), output(&labels, train, test)])
        })
    };
    let both = all(2).unwrap();
    assert_eq!(both[1], run(&[20, 90]).unwrap());
    assert_eq!((both[0].points[1].fit_seconds, both[0].points[1].behind_largest.accuracy.value), (2.0, 0.0));
    let error = all(1).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "the list of answers has 2 entries, expected 1");
}
