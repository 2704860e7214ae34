//! Pipelines that leak and pipelines that do not.

use std::convert::Infallible;
use std::error::Error as _;

use ndarray::{Array1, Array2};

use super::projection::mixed;
use super::*;
use crate::split::{Split, StratifiedKFold};
use crate::{Labels, Prediction};

const N: usize = 90;

fn labels() -> Labels {
    Labels::new(&(0..N).map(|i| ["B", "NK", "T"][i % 3]).collect::<Vec<_>>()).unwrap()
}

fn splits(labels: &Labels) -> Vec<Split> {
    StratifiedKFold { n_splits: 3, ..Default::default() }.split(labels).unwrap()
}

/// Noise that knows nothing of labels.
fn noise(n_genes: usize) -> Array2<f64> {
    Array2::from_shape_fn((N, n_genes), |(i, j)| (mixed((i * n_genes + j) as u64) % 10_000) as f64 / 1e4)
}

/// Mean of each gene over the cells of each class.
fn centroids(x: &Array2<f64>, labels: &Labels, cells: &[usize]) -> Vec<Array1<f64>> {
    let of = |class: u32| {
        let rows: Vec<usize> = cells.iter().copied().filter(|&i| labels.codes()[i] == class).collect();
        let sum = rows.iter().fold(Array1::zeros(x.ncols()), |sum, &i| sum + x.row(i));
        sum / rows.len().max(1) as f64
    };
    (0..labels.n_classes() as u32).map(of).collect()
}

/// The ten genes whose class means over `cells` differ most.
fn select(x: &Array2<f64>, labels: &Labels, cells: &[usize]) -> Array2<f64> {
    let means = centroids(x, labels, cells);
    let spread = |j: usize| {
        let of = means.iter().map(|m| m[j]);
        of.clone().fold(f64::MIN, f64::max) - of.fold(f64::MAX, f64::min)
    };
    let mut genes: Vec<usize> = (0..x.ncols()).collect();
    genes.sort_by(|&a, &b| spread(b).total_cmp(&spread(a)));
    x.select(ndarray::Axis(1), &genes[..10])
}

/// Nearest centroid, with probabilities from distances.
fn classify(x: &Array2<f64>, labels: &Labels, split: &Split) -> Prediction {
    let means = centroids(x, labels, &split.train);
    let mut p = Array2::zeros((split.test.len(), means.len()));
    for (mut row, &cell) in p.rows_mut().into_iter().zip(&split.test) {
        let weights: Vec<f64> =
            means.iter().map(|m| libm::exp(-(&x.row(cell) - m).mapv(|d| d * d).sum())).collect();
        let total: f64 = weights.iter().sum();
        row.iter_mut().zip(weights).for_each(|(p, w)| *p = (w / total) as f32);
    }
    Prediction::from_probabilities(p)
}

fn shuffle_test(on_all_cells: bool) -> Finding {
    let (labels, x) = (labels(), noise(1000));
    let all: Vec<usize> = (0..N).collect();
    label_shuffle(&labels, &splits(&labels), &LabelShuffleParams::default(), |labels, splits| {
        let answer = |split: &Split| {
            let cells = if on_all_cells { &all } else { &split.train };
            classify(&select(&x, labels, cells), labels, split)
        };
        Ok::<_, Infallible>(splits.iter().map(answer).collect())
    })
    .unwrap()
}

#[test]
fn genes_chosen_by_label_on_all_cells_are_caught_and_on_training_cells_pass() {
    let leak = shuffle_test(true);
    assert_eq!(leak.severity, Severity::Leak, "{leak}");
    assert!(leak.number("excess").unwrap() > 0.2 && leak.number("p").unwrap() < 0.01, "{leak}");
    assert!(leak.words.contains("labels of test cells reach the model"));
    let honest = shuffle_test(false);
    assert_eq!(honest.severity, Severity::Passed, "{honest}");
    assert!(honest.number("excess_low").unwrap() < 0.0 && honest.number("excess_high").unwrap() > 0.0);
    assert!((honest.number("chance").unwrap() - 1.0 / 3.0).abs() < 0.01);
}

/// Standardises on all cells or on the training cells, then classifies.
fn poison_test(on_all_cells: bool) -> Finding {
    let (labels, x) = (labels(), noise(20));
    let split = splits(&labels).swap_remove(0);
    let all: Vec<usize> = (0..N).collect();
    poison(N, 3, &split, 1, |cells, split| {
        let mut x = x.select(ndarray::Axis(0), cells);
        let fitted = x.select(ndarray::Axis(0), if on_all_cells { &all } else { &split.train });
        let mean = fitted.mean_axis(ndarray::Axis(0)).expect("cells");
        let sd = fitted.std_axis(ndarray::Axis(0), 1.0);
        x = (x - mean) / sd;
        Ok::<_, Infallible>(classify(&x, &labels, split))
    })
    .unwrap()
}

#[test]
fn scaling_on_all_cells_is_caught_and_on_training_cells_passes() {
    let leak = poison_test(true);
    assert_eq!(leak.severity, Severity::Leak, "{leak}");
    assert_eq!((leak.number("changed"), leak.number("untouched")), (Some(15.0), Some(15.0)));
    assert!(leak.number("largest_change").unwrap() > 0.0);
    let honest = poison_test(false);
    assert_eq!(honest.severity, Severity::Passed, "{honest}");
    assert_eq!(honest.number("changed"), Some(0.0));
}

#[test]
fn a_pipeline_that_does_not_repeat_itself_cannot_be_judged() {
    let labels = labels();
    let split = splits(&labels).swap_remove(0);
    let mut run = 0;
    let finding = poison(N, 3, &split, 0, |_, split| {
        run += 1;
        Ok::<_, Infallible>(Prediction { codes: vec![run % 3; split.test.len()], probabilities: None })
    })
    .unwrap();
    assert_eq!(finding.severity, Severity::Notice);
    assert!(finding.words.contains("does not repeat itself"));
}

#[test]
fn half_of_the_test_cells_take_the_values_of_other_test_cells() {
    let labels = labels();
    let split = splits(&labels).swap_remove(1);
    let mut maps = Vec::new();
    poison(N, 3, &split, 4, |cells, split| {
        maps.push(cells.to_vec());
        Ok::<_, Infallible>(Prediction { codes: vec![0; split.test.len()], probabilities: None })
    })
    .unwrap();
    let changed = |cells: &[usize]| -> Vec<usize> { (0..N).filter(|&i| cells[i] != i).collect() };
    assert!(changed(&maps[0]).is_empty() && changed(&maps[1]).is_empty());
    assert_eq!(changed(&maps[2]), changed(&maps[3]));
    assert_eq!(changed(&maps[2]).len(), 15);
    assert!(changed(&maps[2]).iter().all(|i| split.test.contains(i) && split.test.contains(&maps[2][*i])));
    let single: Vec<usize> = changed(&maps[3]).iter().map(|&i| maps[3][i]).collect();
    assert!(single.iter().all(|&from| from == single[0]) && !changed(&maps[3]).contains(&single[0]));
}

#[test]
fn copied_cells_across_the_split_are_caught_and_honest_cells_pass() {
    let labels = labels();
    let splits = splits(&labels);
    let mut x = noise(200).mapv(|v| if v > 0.7 { (v * 30.0).floor() as f32 } else { 0.0 });
    let search = |x: &Array2<f32>| {
        duplicates(&CellRows::dense(x.view()).unwrap(), &splits, &DuplicateParams::default()).unwrap()
    };
    let honest = search(&x);
    assert_eq!((honest.finding.severity, honest.exact.len(), honest.near.len()), (Severity::Passed, 0, 0));

    // A test cell of fold 0 becomes a copy of a training cell, another nearly one, two more lose all values.
    let Split { train, test } = &splits[0];
    let copy = x.row(train[5]).to_owned();
    x.row_mut(test[3]).assign(&copy);
    let mut nearly = x.row(train[6]).mapv(|v| v * 2.0);
    nearly[0] += 1.0;
    x.row_mut(test[4]).assign(&nearly);
    x.row_mut(test[0]).fill(0.0);
    x.row_mut(train[0]).fill(0.0);
    let found = search(&x);
    let first = DuplicatePair { fold: 0, test: test[3], train: train[5], cosine: 1.0 };
    assert_eq!(found.exact[0], first);
    // In the fold that tests the training cell, it is the other way round.
    assert_eq!((found.exact.len(), found.exact[1].test, found.exact[1].train), (2, train[5], test[3]));
    assert_eq!((found.near[0].test, found.near[0].train), (test[4], train[6]));
    assert!(found.near.len() == 2 && found.near[0].cosine > 0.995 && found.near[0].cosine < 1.0);
    assert_eq!((found.n_empty, found.finding.severity), (2, Severity::Leak));
    assert!(found.finding.words.starts_with("2 of 88 test cells equal a training cell"), "{}", found.finding);

    let report = LeakReport::from(vec![honest.finding, found.finding]);
    assert!(!report.passed());
    assert_eq!((report.worst(), report.to_string().lines().count()), (Some(Severity::Leak), 2));
    assert!(report.to_string().starts_with("passed: duplicated cells: none of 90 test cells"));
    assert_eq!(LeakReport::default().worst(), None);
}

#[test]
fn what_cannot_be_tested_is_refused() {
    let labels = labels();
    let splits = splits(&labels);
    let shuffles = |n_shuffles, answers: usize| {
        let params = LabelShuffleParams { n_shuffles, ..Default::default() };
        let codes = |split: &Split| Prediction { codes: vec![0; split.test.len()], probabilities: None };
        label_shuffle(&labels, &splits, &params, |_, splits| {
            Ok::<_, Infallible>(splits.iter().take(answers).map(codes).collect())
        })
        .unwrap_err()
    };
    assert_eq!(shuffles(3, 3).to_string(), "`n_shuffles` is 3, expected 7 to 16 shuffles");
    let few = shuffles(7, 2);
    assert_eq!(few.to_string(), "labels shuffled for the 1. time: the answer is not valid");
    assert_eq!(few.source().unwrap().to_string(), "the list of answers has 2 entries, expected 3");
    let failed =
        label_shuffle(&labels, &splits, &LabelShuffleParams::default(), |_, _| Err("no")).unwrap_err();
    assert_eq!(failed.to_string(), "labels shuffled for the 1. time: the model failed");

    let one = Split { train: vec![0, 1], test: vec![2] };
    let run = |split: &Split| {
        poison(N, 3, split, 0, |_, _| {
            Ok::<_, Infallible>(Prediction { codes: vec![0; 9], probabilities: None })
        })
        .unwrap_err()
    };
    assert_eq!(run(&one).to_string(), "`split` is 1 test cell, expected at least 2 test cells");
    assert_eq!(run(&splits[0]).to_string(), "clean cells: the answer is not valid");

    let x = Array2::<f32>::zeros((N, 1));
    let rows = CellRows::dense(x.view()).unwrap();
    let loose = DuplicateParams { min_cosine: 0.5, ..Default::default() };
    let error = duplicates(&rows, &splits, &loose).unwrap_err();
    assert_eq!(error.to_string(), "`min_cosine` is 0.5, expected a cosine from 0.9 to 1");
    let outside = Split { train: vec![0], test: vec![N] };
    assert!(duplicates(&rows, &[outside], &DuplicateParams::default()).is_err());
}
