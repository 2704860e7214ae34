//! A model taken to cells of another tissue, donor or laboratory.

use super::cross_validate::{CrossValidation, FoldOutput, cross_validate};
use super::prediction_check::check_prediction;
use crate::metrics::classification::{ConfusionMatrix, confusion_matrix, roc_auc};
use crate::split::Split;
use crate::statistics::{BootstrapParams, Interval, bootstrap_difference, bootstrap_folds};
use crate::{Error, Labels, Prediction, Result};

/// A data set that a model is taken to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target<'a> {
    /// Its name, for messages and tables.
    pub name: &'a str,
    /// True class of each cell among the classes of the source; `None` for a cell of a type that the source does not
    /// have. `sc_eval::ontology::harmonize` finds the classes.
    pub truth: &'a [Option<u32>],
}

/// What a model is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task<'a> {
    /// Learn from some cells of the source and answer about others.
    Within {
        /// Cells to learn from.
        train: &'a [usize],
        /// Cells to answer about.
        test: &'a [usize],
    },
    /// Learn from all cells of the source and answer about all cells of a target.
    To {
        /// Index of the target.
        target: usize,
    },
}

/// A model at home and abroad.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// The cross-validation on the source.
    pub within: CrossValidation,
    /// The scores on each target, in their order.
    pub targets: Vec<Transferred>,
}

/// The scores of a model on one target.
///
/// Cells of types that the source does not have cannot be named rightly. They are left out of the scores named `shared`
/// and count as wrong in [`Transferred::accuracy_all`]; a target without shared cells has NaN for the former.
#[derive(Clone, Debug, PartialEq)]
pub struct Transferred {
    /// Name of the target.
    pub name: String,
    /// Cells of types that the source has.
    pub n_shared: usize,
    /// Cells of types that the source does not have.
    pub n_unseen: usize,
    /// Share of right answers among the shared cells.
    pub accuracy_shared: f64,
    /// Its interval, by resampling cells.
    pub accuracy_interval: Interval,
    /// Mean recall of the shared classes.
    pub balanced_accuracy_shared: f64,
    /// F1, mean over the classes that occur among truths or answers of the shared cells.
    pub f1_macro_shared: f64,
    /// Share of right answers among all cells.
    pub accuracy_all: f64,
    /// Share of the largest class among the shared cells: what knows only that class would score.
    pub majority_shared: f64,
    /// Accuracy of the cross-validation on source cells of the classes that the target has.
    pub accuracy_within: f64,
    /// The generalisation gap: `accuracy_within - accuracy_shared`, on the same classes.
    pub gap: f64,
    /// Its interval, by resampling the cells of both.
    pub gap_interval: Interval,
    /// How well low confidence (the largest probability) tells cells of unseen types from shared ones, as an area under
    /// the ROC curve; `None` without probabilities, or without cells of either kind.
    pub unseen_auroc: Option<f64>,
    /// Shared cells by true and predicted class.
    pub confusion: ConfusionMatrix,
    /// What the model said of every cell.
    pub prediction: Prediction,
    /// Wall time of the fit in seconds.
    pub fit_seconds: f64,
    /// Wall time of the prediction in seconds.
    pub predict_seconds: f64,
}

/// Cross-validates a model on the source, and takes one that has learnt from all of the source to each target.
///
/// * `source`: the true class of every cell of the source, in classes that the targets share.
/// * `splits`: divisions of the source.
/// * `model`: answers a [`Task`]: about the test cells, or about all cells of a target, in their order. All preprocessing
///   must be fitted on the cells that it learns from, which are never those of a target.
///
/// # Errors
/// As [`cross_validate`]; [`Error::Target`] around what is wrong with a target or with the answer about it;
/// [`Error::Empty`] without targets.
pub fn transfer<E>(
    source: &Labels,
    splits: &[Split],
    targets: &[Target<'_>],
    mut model: impl FnMut(Task<'_>) -> Result<FoldOutput, E>,
) -> Result<Transfer>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if targets.is_empty() {
        return Err(Error::Empty { what: "the list of targets" });
    }
    for target in targets {
        check_target(target, source).map_err(|error| in_target(target, error))?;
    }
    let within = cross_validate(source, splits, |train, test| model(Task::Within { train, test }))?;
    let go = |(index, target): (usize, &Target<'_>)| {
        let failed = |error: E| in_target(target, Error::Model { fold: index, source: error.into() });
        let answer = model(Task::To { target: index }).map_err(failed)?;
        score(&within, target, answer).map_err(|error| in_target(target, error))
    };
    let targets = targets.iter().enumerate().map(go).collect::<Result<_>>()?;
    Ok(Transfer { within, targets })
}

fn in_target(target: &Target<'_>, source: Error) -> Error {
    Error::Target { name: target.name.to_owned(), source: Box::new(source) }
}

fn check_target(target: &Target<'_>, source: &Labels) -> Result<()> {
    if target.truth.is_empty() {
        return Err(Error::Empty { what: "the list of cells" });
    }
    let n_classes = source.n_classes();
    match target.truth.iter().flatten().find(|&&code| code as usize >= n_classes) {
        Some(&code) => Err(Error::ClassCode { what: "the truth", code, n_classes }),
        None => Ok(()),
    }
}

fn score(within: &CrossValidation, target: &Target<'_>, answer: FoldOutput) -> Result<Transferred> {
    let FoldOutput { prediction, fit_seconds, predict_seconds, .. } = answer;
    let n_classes = within.classes.len();
    check_prediction(&prediction, target.truth.len(), n_classes)?;
    let shared: Vec<usize> = (0..target.truth.len()).filter(|&cell| target.truth[cell].is_some()).collect();
    let truth: Vec<u32> = target.truth.iter().flatten().copied().collect();
    let said: Vec<u32> = shared.iter().map(|&cell| prediction.codes[cell]).collect();
    let confusion = match shared.is_empty() {
        true => ConfusionMatrix::zeros(n_classes)?,
        false => confusion_matrix(&truth, &said, n_classes)?,
    };
    let support = confusion.support();
    let correct = confusion.correct() as f64;
    let params = BootstrapParams::default();
    let nowhere = Interval { low: f64::NAN, high: f64::NAN, level: params.level };

    let home = hits_within(within, &support);
    let abroad: Vec<f64> = truth.iter().zip(&said).map(|(t, s)| f64::from(u8::from(t == s))).collect();
    let comparable = !home.is_empty() && !abroad.is_empty();
    let accuracy_within = home.iter().sum::<f64>() / home.len() as f64;
    let accuracy_shared = correct / shared.len() as f64;
    let scored =
        |metric: fn(&ConfusionMatrix) -> f64| if shared.is_empty() { f64::NAN } else { metric(&confusion) };
    Ok(Transferred {
        name: target.name.to_owned(),
        n_shared: shared.len(),
        n_unseen: target.truth.len() - shared.len(),
        accuracy_shared,
        accuracy_interval: match shared.is_empty() {
            true => nowhere,
            false => {
                bootstrap_folds(std::slice::from_ref(&confusion), &params, [ConfusionMatrix::accuracy])?[0]
            }
        },
        balanced_accuracy_shared: scored(ConfusionMatrix::balanced_accuracy),
        f1_macro_shared: scored(ConfusionMatrix::f1_macro),
        accuracy_all: correct / target.truth.len() as f64,
        majority_shared: support.iter().copied().max().unwrap_or(0) as f64 / shared.len() as f64,
        accuracy_within,
        gap: accuracy_within - accuracy_shared,
        gap_interval: match comparable {
            true => bootstrap_difference(&home, &abroad, &params)?,
            false => nowhere,
        },
        unseen_auroc: unseen_auroc(target, &prediction)?,
        confusion,
        prediction,
        fit_seconds,
        predict_seconds,
    })
}

/// 1 or 0 for each tested cell of the source whose class the target has.
fn hits_within(within: &CrossValidation, support: &[u64]) -> Vec<f64> {
    let tested = within.truth.iter().zip(&within.predicted);
    let tested = tested.filter_map(|(&truth, &said)| Some((truth, said?)));
    let comparable = tested.filter(|&(truth, _)| support[truth as usize] > 0);
    comparable.map(|(truth, said)| f64::from(u8::from(truth == said))).collect()
}

fn unseen_auroc(target: &Target<'_>, prediction: &Prediction) -> Result<Option<f64>> {
    let Some(probabilities) = &prediction.probabilities else { return Ok(None) };
    let unseen: Vec<bool> = target.truth.iter().map(Option::is_none).collect();
    if unseen.iter().all(|&unseen| unseen) || !unseen.contains(&true) {
        return Ok(None);
    }
    let doubt: Vec<f32> =
        probabilities.rows().into_iter().map(|row| 1.0 - row.iter().copied().fold(0.0, f32::max)).collect();
    roc_auc(&unseen, &doubt).map(Some)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::split::StratifiedKFold;

    fn output(codes: Vec<u32>, probabilities: Option<Array2<f32>>) -> FoldOutput {
        FoldOutput { prediction: Prediction { codes, probabilities }, fit_seconds: 1.0, predict_seconds: 2.0 }
    }

    fn source() -> (Labels, Vec<Split>) {
        let labels = Labels::new(&["B", "B", "T", "T", "NK", "NK", "T", "B"]).unwrap();
        let splits = StratifiedKFold { n_splits: 2, ..Default::default() }.split(&labels).unwrap();
        (labels, splits)
    }

    /// Right at home but for NK; abroad as given.
    fn run(targets: &[Target<'_>], abroad: FoldOutput) -> Result<Transfer> {
        let (labels, splits) = source();
        transfer(&labels, &splits, targets, |task| {
            Ok::<_, std::convert::Infallible>(match task {
                Task::Within { test, .. } => {
                    let said =
                        test.iter().map(|&i| if labels.name(i) == "NK" { 2 } else { labels.codes()[i] });
                    output(said.collect(), None)
                }
                Task::To { .. } => abroad.clone(),
            })
        })
    }

    #[test]
    fn the_gap_compares_the_classes_that_both_have() {
        // B = 0, NK = 1, T = 2.
        let truth = [Some(0), Some(2), Some(2), Some(2), None];
        let target = Target { name: "lung", truth: &truth };
        let result = run(&[target], output(vec![0, 2, 2, 0, 2], None)).unwrap();
        assert_eq!(result.within.mean.accuracy, 0.75);
        let lung = &result.targets[0];
        assert_eq!((lung.n_shared, lung.n_unseen), (4, 1));
        assert_eq!((lung.accuracy_shared, lung.accuracy_all), (0.75, 0.6));
        assert_eq!((lung.accuracy_within, lung.gap, lung.majority_shared), (1.0, 0.25, 0.75));
        assert!((lung.balanced_accuracy_shared - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert!(lung.accuracy_interval.low < 0.75 && lung.gap_interval.high > 0.25);
        assert_eq!(lung.unseen_auroc, None);
        assert_eq!((lung.fit_seconds, lung.predict_seconds), (1.0, 2.0));
    }

    #[test]
    fn doubt_finds_the_types_that_the_source_does_not_have() {
        let truth = [Some(0), None, Some(2)];
        let target = Target { name: "lung", truth: &truth };
        let p = array![[0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8]];
        let result = run(&[target], output(vec![0, 0, 2], Some(p))).unwrap();
        assert_eq!(result.targets[0].unseen_auroc, Some(1.0));
    }

    #[test]
    fn a_target_without_shared_cells_scores_nothing_but_is_there() {
        let target = Target { name: "brain", truth: &[None, None] };
        let brain = &run(&[target], output(vec![0, 1], None)).unwrap().targets[0];
        assert_eq!((brain.n_shared, brain.n_unseen, brain.accuracy_all), (0, 2, 0.0));
        assert!(brain.accuracy_shared.is_nan() && brain.gap.is_nan() && brain.f1_macro_shared.is_nan());
        assert!(brain.accuracy_interval.low.is_nan() && brain.gap_interval.high.is_nan());
    }

    #[test]
    fn what_is_wrong_names_the_target() {
        let message = |targets: &[Target<'_>], codes: Vec<u32>| {
            let error = run(targets, output(codes, None)).unwrap_err();
            format!(
                "{error}: {}",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            )
        };
        let bad = Target { name: "lung", truth: &[Some(7)] };
        let found = message(&[bad], vec![0]);
        assert_eq!(
            found,
            "target \"lung\" cannot be scored: the truth holds class 7, but there are 3 classes"
        );
        let good = Target { name: "lung", truth: &[Some(0)] };
        let found = message(&[good], vec![0, 1]);
        assert_eq!(found, "target \"lung\" cannot be scored: the prediction has 2 entries, expected 1");
        let empty = Target { name: "lung", truth: &[] };
        assert_eq!(message(&[empty], vec![]), "target \"lung\" cannot be scored: the list of cells is empty");
        assert_eq!(message(&[], vec![]), "the list of targets is empty: ");
    }
}
