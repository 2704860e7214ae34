//! Tests of [`super::anomaly`].

use std::convert::Infallible;
use std::error::Error as _;

use super::*;
use crate::split::StratifiedKFold;

fn labels() -> Labels {
    let name = |i: usize| if i < 4 { "rare" } else { ["B", "NK", "T"][i % 3] };
    Labels::new(&(0..124).map(name).collect::<Vec<_>>()).unwrap()
}

fn splits(labels: &Labels) -> Vec<Split> {
    StratifiedKFold { n_splits: 4, ..Default::default() }.split(labels).unwrap()
}

/// Strange if its type is unknown; NK cells are mistaken now and then.
fn scores(labels: &Labels, train: &[usize], test: &[usize]) -> Vec<f32> {
    let known = labels.select(train);
    let strange = |&cell: &usize| {
        let unknown = !known.contains(&labels.codes()[cell]);
        let noise = (cell * 7 % 10) as f32 / 10.0;
        if labels.name(cell) == "NK" { noise } else { noise * 0.4 + f32::from(u8::from(unknown)) }
    };
    test.iter().map(strange).collect()
}

#[test]
fn a_type_is_never_trained_on_when_it_is_the_unseen_one_and_all_its_cells_are_scored() {
    let labels = labels();
    let splits = splits(&labels);
    let mut asked = Vec::new();
    anomaly(&labels, &splits, &AnomalyParams::default(), |train, test| {
        let missing = (0..4).find(|&class| !labels.select(train).contains(&class)).expect("one is left out");
        assert!(test.is_sorted() && test.iter().all(|cell| !train.contains(cell)));
        let n_unseen = labels.select(test).iter().filter(|&&class| class == missing).count();
        assert_eq!(n_unseen, labels.counts()[missing as usize]);
        asked.push(missing);
        Ok::<_, Infallible>(scores(&labels, train, test))
    })
    .unwrap();
    assert_eq!(asked, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn noticed_and_unnoticed_types_are_told_apart_with_intervals() {
    let labels = labels();
    let run = || {
        anomaly(&labels, &splits(&labels), &AnomalyParams::default(), |train, test| {
            Ok::<_, Infallible>(scores(&labels, train, test))
        })
        .unwrap()
    };
    let found = run();
    assert_eq!(found.left_out, [("rare".to_owned(), 4)]);
    let names: Vec<&str> = found.types.iter().map(|t| t.label.as_str()).collect();
    assert_eq!(names, ["B", "NK", "T"]);
    let [b, nk, _] = &found.types[..] else { panic!("three types") };
    assert_eq!((b.scores.auroc.value, b.scores.aupr.value, b.scores.fpr_at_95_tpr.value), (1.0, 1.0, 0.0));
    assert!(nk.scores.auroc.value < 1.0);
    let interval = nk.scores.auroc.interval;
    assert!(interval.low < nk.scores.auroc.value && nk.scores.auroc.value < interval.high);
    assert_eq!(b.n_unseen, 40);
    assert_eq!(b.n_known, 84);
    assert!((b.prevalence - 40.0 / 61.0).abs() < 0.01, "{}", b.prevalence);
    let mean = found.types.iter().map(|t| t.scores.auroc.value).sum::<f64>() / 3.0;
    assert!((found.mean.auroc.value - mean).abs() < 1e-12);
    assert!(found.mean.auroc.interval.low < mean && mean < found.mean.auroc.interval.high);
    assert_eq!(found, run());
}

#[test]
fn what_cannot_be_scored_is_refused_with_its_place() {
    let labels = labels();
    let splits = splits(&labels);
    let params = AnomalyParams::default();
    let message = |answer: &dyn Fn(usize) -> Vec<f32>| {
        let error = anomaly(&labels, &splits, &params, |_, test| Ok::<_, Infallible>(answer(test.len())))
            .unwrap_err();
        format!("{error}: {}", error.source().unwrap())
    };
    let place = "fold 0 (counted from 0), without \"B\": the answer is not valid";
    assert!(
        message(&|_| vec![0.0]).starts_with(&format!("{place}: the list of scores has 1 entries, expected"))
    );
    assert_eq!(
        message(&|n| vec![f32::NAN; n]),
        format!("{place}: `scores` is NaN for cell 2, expected a number for every cell")
    );
    let many = AnomalyParams { min_cells: 100, ..Default::default() };
    let none =
        anomaly(&labels, &splits, &many, |_, test| Ok::<_, Infallible>(vec![0.0; test.len()])).unwrap_err();
    assert_eq!(none.to_string(), "`min_cells` is 100, expected a number of cells that some type has");
    let failed = anomaly(&labels, &splits, &params, |_, _| Err("no")).unwrap_err();
    assert_eq!(failed.to_string(), "fold 0 (counted from 0), without \"B\": the model failed");
}

#[test]
fn two_types_are_too_few() {
    let labels = Labels::new(&(0..40).map(|i| ["B", "T"][i % 2]).collect::<Vec<_>>()).unwrap();
    let error = anomaly(&labels, &splits(&labels), &AnomalyParams::default(), |_, test| {
        Ok::<_, Infallible>(vec![0.0; test.len()])
    })
    .unwrap_err();
    let place = "fold 0 (counted from 0), without \"B\": all 15 training cells have the label \"T\"";
    assert_eq!(error.to_string(), place);
}
