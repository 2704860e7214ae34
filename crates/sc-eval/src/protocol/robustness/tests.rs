//! Tests of [`super::robustness`].

use std::convert::Infallible;
use std::error::Error as _;

use super::*;
use crate::split::StratifiedKFold;

fn labels() -> Labels {
    Labels::new(&(0..90).map(|i| ["B", "NK", "T"][i % 3]).collect::<Vec<_>>()).unwrap()
}

fn splits(labels: &Labels) -> Vec<Split> {
    StratifiedKFold { n_splits: 3, ..Default::default() }.split(labels).unwrap()
}

/// Wrong about a share of cells that grows with the level, a little differently in every repeat.
fn answer(labels: &Labels, test: &[usize], p: Option<&Perturbation<'_>>) -> Result<Prediction, Infallible> {
    let wrong = |cell: usize| p.is_some_and(|p| ((cell + p.repeat) % 10) as f64 / 10.0 < p.level);
    let codes = test.iter().map(|&cell| (labels.codes()[cell] + u32::from(wrong(cell))) % 3).collect();
    Ok(Prediction { codes, probabilities: None })
}

fn run(params: &RobustnessParams) -> Result<Robustness> {
    let labels = labels();
    robustness(&labels, &splits(&labels), params, |_, _| Ok(()), |(), test, p| answer(&labels, test, p))
}

#[test]
fn every_curve_starts_clean_and_falls_with_the_level() {
    let kinds =
        vec![PerturbationKind::new("noise", [0.0, 0.1, 0.5]), PerturbationKind::new("masking", [0.2])];
    let result = run(&RobustnessParams { kinds, ..Default::default() }).unwrap();
    let [noise, masking] = &result.curves[..] else { panic!("two kinds") };
    let levels: Vec<f64> = noise.points.iter().map(|point| point.level).collect();
    assert_eq!(levels, [0.0, 0.1, 0.5]);
    for point in noise.points.iter().chain(&masking.points) {
        assert!((point.mean.accuracy - (1.0 - point.level)).abs() < 0.02, "{point:?}");
        assert!((point.scores.accuracy.value - point.mean.accuracy).abs() < 1e-12);
        assert!((point.scores.f1_macro.value - point.mean.f1_macro).abs() < 1e-12);
        assert!((point.drop.accuracy.value - (1.0 - point.mean.accuracy)).abs() < 1e-12);
        let interval = point.drop.accuracy.interval;
        assert!(interval.low <= point.drop.accuracy.value && point.drop.accuracy.value <= interval.high);
    }
    assert_eq!(noise.points[0].drop.f1_macro.interval.high, 0.0);
    // Trapezoids of 1, .9 and .5 over 0, .1 and .5.
    let [clean, tenth, half] = [0, 1, 2].map(|i| noise.points[i].mean.accuracy);
    let area = (0.1 * (clean + tenth) / 2.0 + 0.4 * (tenth + half) / 2.0) / 0.5;
    assert!((noise.area.accuracy.value - area).abs() < 1e-12);
    assert_eq!(masking.at(0.2).unwrap().level, 0.2);
}

#[test]
fn a_model_is_fitted_once_a_split_unless_it_is_to_learn_from_perturbed_cells() {
    let labels = labels();
    let mut fits = Vec::new();
    for perturb_training in [false, true] {
        let params = RobustnessParams { perturb_training, n_repeats: 2, ..Default::default() };
        let mut n = 0;
        let fit = |_: &[usize], p: Option<&Perturbation<'_>>| {
            n += 1;
            Ok::<_, Infallible>(p.map(|p| (p.level, p.seed)))
        };
        let result = robustness(&labels, &splits(&labels), &params, fit, |fitted, test, p| {
            assert_eq!(*fitted, if perturb_training { p.map(|p| (p.level, p.seed)) } else { None });
            answer(&labels, test, p)
        });
        assert_eq!(result.unwrap().perturb_training, perturb_training);
        fits.push(n);
    }
    assert_eq!(fits, [3, 3 * (1 + 3 * 2)]);
}

#[test]
fn repeats_have_seeds_of_their_own_and_levels_share_them() {
    let params = RobustnessParams { seed: 40, n_repeats: 2, ..Default::default() };
    let drawn: Vec<(f64, u64)> = params.perturbations().map(|p| (p.level, p.seed)).collect();
    assert_eq!(drawn, [(0.1, 40), (0.1, 41), (0.2, 40), (0.2, 41), (0.5, 40), (0.5, 41)]);
}

#[test]
fn what_cannot_be_tried_is_refused_by_name() {
    let message = |kinds: Vec<PerturbationKind>| {
        run(&RobustnessParams { kinds, ..Default::default() }).unwrap_err().to_string()
    };
    let one = |levels: &[f64]| message(vec![PerturbationKind::new("noise", levels)]);
    assert_eq!(one(&[-0.5]), "`levels` is -0.5 of \"noise\", expected finite levels, 0 or more");
    assert!(one(&[0.1, f64::NAN]).contains("NaN of \"noise\""));
    assert_eq!(one(&[0.2, 0.1]), "`levels` is [0.2, 0.1] of \"noise\", expected ascending levels, each once");
    assert!(one(&[0.0]).ends_with("expected at least one level above 0"));
    assert!(one(&[]).ends_with("expected at least one level above 0"));
    assert_eq!(message(vec![]), "kinds is empty");
    let twice = message(vec![PerturbationKind::new("a", [0.1]), PerturbationKind::new("a", [0.2])]);
    assert_eq!(twice, "`kinds` is \"a\" twice, expected kinds of different names");
    let repeats = run(&RobustnessParams { n_repeats: 0, ..Default::default() }).unwrap_err();
    assert_eq!(repeats.to_string(), "`n_repeats` is 0, expected at least 1 repeat");
    let unknown = run(&RobustnessParams::default()).unwrap().curves[0].at(0.3).unwrap_err().to_string();
    assert_eq!(unknown, "`level` is 0.3, expected a level that was tried");
}

#[test]
fn failures_and_wrong_answers_name_their_place() {
    let labels = labels();
    type Answer<'a> = &'a dyn Fn(Option<&Perturbation<'_>>, usize) -> Result<Prediction, &'static str>;
    let run = |predict: Answer<'_>| {
        let params = RobustnessParams::default();
        let predict = |(): &(), test: &[usize], p: Option<&Perturbation<'_>>| predict(p, test.len());
        robustness(&labels, &splits(&labels), &params, |_, _| Ok(()), predict).unwrap_err()
    };
    let right = |n: usize| Prediction { codes: vec![0; n], probabilities: None };
    let failed = run(&|p, n| if p.is_some_and(|p| p.level == 0.2) { Err("no") } else { Ok(right(n)) });
    assert_eq!(
        failed.to_string(),
        "fold 0 (counted from 0), gaussian_noise of 0.2, repeat 0: the model failed"
    );
    assert_eq!(failed.source().unwrap().to_string(), "no");
    let wrong = run(&|_, n| Ok(right(n - 1)));
    assert_eq!(wrong.to_string(), "fold 0 (counted from 0), clean cells: the answer is not valid");
    assert_eq!(wrong.source().unwrap().to_string(), "the prediction has 29 entries, expected 30");
}

#[test]
fn several_models_get_what_each_gets_alone() {
    let labels = labels();
    let (splits, params) = (splits(&labels), RobustnessParams::default());
    let constant = |test: &[usize]| Prediction { codes: vec![1; test.len()], probabilities: None };
    let all = |n_models| {
        robustness_all(
            &labels,
            &splits,
            n_models,
            &params,
            |_, _| Ok::<_, Infallible>(()),
            |(), test, p| Ok(vec![answer(&labels, test, p)?, constant(test)]),
        )
    };
    let both = all(2).unwrap();
    assert_eq!(both[0], run(&params).unwrap());
    assert!((both[1].curves[0].points[0].mean.accuracy - 1.0 / 3.0).abs() < 1e-12);
    let error = all(3).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "the list of answers has 2 entries, expected 3");
}
