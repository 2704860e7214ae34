//! Cross-validation of any model, through a closure.

use ndarray::Array2;

use super::Scores;
use super::prediction_check::check_prediction;
use crate::metrics::classification::{ClassScores, ConfusionMatrix, ZeroDivision, confusion_matrix};
#[cfg(feature = "grid")]
use crate::split::check_test;
use crate::split::{Split, check_splits};
use crate::statistics::{BootstrapParams, Interval, bootstrap_folds};
use crate::{Error, Labels, Prediction, Result};

/// One fold's answer of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldOutput {
    /// What the model says of the test cells, in their order.
    pub prediction: Prediction,
    /// Wall time of the fit in seconds; preprocessing that models share is not part of it.
    pub fit_seconds: f64,
    /// Wall time of the prediction in seconds.
    pub predict_seconds: f64,
}

/// The scores of one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldScores {
    /// Number of training cells.
    pub n_train: usize,
    /// Number of test cells.
    pub n_test: usize,
    /// Scores of the test cells.
    pub scores: Scores,
    /// Counts of the test cells by true and predicted class.
    pub confusion: ConfusionMatrix,
    /// Wall time of the fit in seconds, as the model gave it.
    pub fit_seconds: f64,
    /// Wall time of the prediction in seconds, as the model gave it.
    pub predict_seconds: f64,
}

/// Percentile intervals of the means over folds, by resampling the test cells of each fold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Of [`Scores::accuracy`].
    pub accuracy: Interval,
    /// Of [`Scores::balanced_accuracy`].
    pub balanced_accuracy: Interval,
    /// Of [`Scores::f1_macro`].
    pub f1_macro: Interval,
}

impl Intervals {
    /// The interval of the score called `name`, as [`Scores::iter`] names it, where there is one.
    pub fn get(&self, name: &str) -> Option<Interval> {
        match name {
            "accuracy" => Some(self.accuracy),
            "balanced_accuracy" => Some(self.balanced_accuracy),
            "f1_macro" => Some(self.f1_macro),
            _ => None,
        }
    }
}

/// What a model is worth: scores by fold, and every cell's answer from a model that had not seen it.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// Class names; every class index below points into them.
    pub classes: Vec<String>,
    /// True class of each cell.
    pub truth: Vec<u32>,
    /// The fold whose test set each cell is in, from 0; `None` for a cell that is in none.
    pub fold: Vec<Option<usize>>,
    /// Predicted class of each cell, by the model of its fold; `None` for a cell that is in no test set.
    pub predicted: Vec<Option<u32>>,
    /// Probabilities of each cell, cells × classes, if every fold gave them; NaN for a cell that is in no test set.
    pub probabilities: Option<Array2<f32>>,
    /// Scores of each fold.
    pub folds: Vec<FoldScores>,
    /// Mean of each score over the folds: the figure to report.
    pub mean: Scores,
    /// Standard deviation of each score over the folds (`n - 1` in the denominator); `None` with one fold.
    pub sd: Option<Scores>,
    /// 95 % intervals of the means, from 1000 resamplings with seed 0.
    pub intervals: Intervals,
    /// Counts over all test sets.
    pub confusion: ConfusionMatrix,
    /// Precision, recall, F1 and support of each class, from the counts over all test sets.
    pub per_class: Vec<ClassScores>,
    /// Sum of the fit times in seconds.
    pub fit_seconds: f64,
    /// Sum of the prediction times in seconds.
    pub predict_seconds: f64,
}

impl CrossValidation {
    /// Intervals from another number of resamplings, level or seed.
    ///
    /// # Errors
    /// [`Error::Parameter`] for parameters out of range.
    pub fn bootstrap(&self, params: &BootstrapParams) -> Result<Intervals> {
        intervals(&self.folds, params)
    }

    /// The share of cells in the largest class: the accuracy of a model that looks at nothing.
    pub fn majority_share(&self) -> f64 {
        let support = self.confusion.support();
        support.iter().copied().max().unwrap_or(0) as f64 / self.confusion.total() as f64
    }
}

/// Fits and scores a model on each split.
///
/// * `labels`: the true class of every cell.
/// * `splits`: e.g. from [`crate::split::StratifiedKFold`]; the test sets may leave cells out, but share none.
/// * `model`: gets the training and the test cells of a split, and answers about the test cells in their order. It is
///   handed no label: what it learns from is up to its caller, who must fit all preprocessing on the training cells.
///
/// Scores are those of scikit-learn's `cross_validate` with the scorers that [`Scores`] names. The answer of the model
/// is checked, not trusted.
///
/// # Errors
/// [`Error::Model`] with the fold and the model's own error; [`Error::Fold`] around what is wrong with an answer
/// (length, class or probability) or with a split (a cell out of bounds, tested twice, or both trained on and tested);
/// [`Error::Empty`] without splits.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::protocol::{FoldOutput, cross_validate};
/// use sc_eval::split::StratifiedKFold;
/// use sc_eval::{Labels, Prediction};
///
/// let labels = Labels::new(&["T", "B", "T", "B", "T", "T"])?;
/// let splits = StratifiedKFold { n_splits: 2, ..Default::default() }.split(&labels)?;
/// // The majority class of the training cells.
/// let result = cross_validate(&labels, &splits, |train, test| {
///     let b = labels.select(train).iter().filter(|&&code| code == 0).count();
///     let code = u32::from(2 * b <= train.len());
///     let prediction = Prediction { codes: vec![code; test.len()], probabilities: None };
///     Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
/// })?;
/// assert_eq!(result.mean.balanced_accuracy, 0.5);
/// assert!((result.mean.accuracy - 2.0 / 3.0).abs() < 1e-12);
/// assert_eq!(result.majority_share(), 4.0 / 6.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn cross_validate<E>(
    labels: &Labels,
    splits: &[Split],
    mut model: impl FnMut(&[usize], &[usize]) -> Result<FoldOutput, E>,
) -> Result<CrossValidation>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let one = |train: &[usize], test: &[usize]| model(train, test).map(|answer| vec![answer]);
    let mut results = cross_validate_all(labels, splits, 1, one)?;
    Ok(results.pop().expect("one model has one result"))
}

/// As [`cross_validate`], for several models that share the preprocessing of a fold.
///
/// * `models`: called once for each split; answers for all `n_models` models, in the same order every time.
///
/// # Errors
/// As [`cross_validate`]; [`Error::Fold`] around [`Error::Length`] if the number of answers is not `n_models`.
pub fn cross_validate_all<E>(
    labels: &Labels,
    splits: &[Split],
    n_models: usize,
    mut models: impl FnMut(&[usize], &[usize]) -> Result<Vec<FoldOutput>, E>,
) -> Result<Vec<CrossValidation>>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let fold_of = check_splits(splits, labels.len())?;
    let mut results: Vec<Answers> = (0..n_models).map(|_| Answers::new(labels)).collect::<Result<_>>()?;
    for (fold, split) in splits.iter().enumerate() {
        let answers = models(&split.train, &split.test)
            .map_err(|source| Error::Model { fold, source: source.into() })?;
        if answers.len() != n_models {
            let source =
                Error::Length { what: "the list of answers", found: answers.len(), expected: n_models };
            return Err(Error::in_fold(fold, source));
        }
        for (result, answer) in results.iter_mut().zip(answers) {
            result
                .add(labels, split.train.len(), &split.test, answer)
                .map_err(|source| Error::in_fold(fold, source))?;
        }
    }
    let tests: Vec<&[usize]> = splits.iter().map(|split| split.test.as_slice()).collect();
    results.into_iter().map(|answers| answers.scored(labels, &tests, fold_of.clone())).collect()
}

/// The answer of a model about the test cells of one fold, from elsewhere.
#[cfg(feature = "grid")]
pub(crate) struct Answered {
    pub(crate) n_train: usize,
    pub(crate) test: Vec<usize>,
    pub(crate) output: FoldOutput,
}

/// As [`cross_validate`], from answers that were given before.
#[cfg(feature = "grid")]
pub(crate) fn from_answers(labels: &Labels, answered: Vec<Answered>) -> Result<CrossValidation> {
    if answered.is_empty() {
        return Err(Error::Empty { what: "answers" });
    }
    let mut fold_of = vec![None; labels.len()];
    let mut answers = Answers::new(labels)?;
    let mut tests = Vec::with_capacity(answered.len());
    for (fold, Answered { n_train, test, output }) in answered.into_iter().enumerate() {
        check_test(&test, fold, &mut fold_of).map_err(|source| Error::in_fold(fold, source))?;
        answers.add(labels, n_train, &test, output).map_err(|source| Error::in_fold(fold, source))?;
        tests.push(test);
    }
    let tests: Vec<&[usize]> = tests.iter().map(Vec::as_slice).collect();
    answers.scored(labels, &tests, fold_of)
}

/// One model's answers so far.
struct Answers {
    confusion: ConfusionMatrix,
    predicted: Vec<Option<u32>>,
    folds: Vec<FoldScores>,
    probabilities: Vec<Option<Array2<f32>>>,
}

impl Answers {
    fn new(labels: &Labels) -> Result<Self> {
        let confusion = ConfusionMatrix::zeros(labels.n_classes())?;
        Ok(Self {
            confusion,
            predicted: vec![None; labels.len()],
            folds: Vec::new(),
            probabilities: Vec::new(),
        })
    }

    fn add(&mut self, labels: &Labels, n_train: usize, test: &[usize], answer: FoldOutput) -> Result<()> {
        let scores = score(labels, n_train, test, &answer)?;
        for (&cell, &code) in test.iter().zip(&answer.prediction.codes) {
            self.predicted[cell] = Some(code);
        }
        self.confusion.merge(&scores.confusion)?;
        self.probabilities.push(answer.prediction.probabilities);
        self.folds.push(scores);
        Ok(())
    }

    fn scored(
        self,
        labels: &Labels,
        tests: &[&[usize]],
        fold: Vec<Option<usize>>,
    ) -> Result<CrossValidation> {
        let Self { confusion, predicted, folds, probabilities } = self;
        let scores: Vec<Scores> = folds.iter().map(|fold| fold.scores).collect();
        Ok(CrossValidation {
            classes: labels.classes().to_vec(),
            truth: labels.codes().to_vec(),
            fold,
            predicted,
            probabilities: in_cell_order(labels, tests, probabilities),
            mean: Scores::mean(&scores),
            sd: Scores::sd(&scores),
            intervals: intervals(&folds, &BootstrapParams::default())?,
            per_class: confusion.per_class(ZeroDivision::Zero),
            confusion,
            fit_seconds: folds.iter().map(|fold| fold.fit_seconds).sum(),
            predict_seconds: folds.iter().map(|fold| fold.predict_seconds).sum(),
            folds,
        })
    }
}

/// Checks and scores the answer of one fold.
pub(crate) fn score(
    labels: &Labels,
    n_train: usize,
    test: &[usize],
    answer: &FoldOutput,
) -> Result<FoldScores> {
    let FoldOutput { prediction, fit_seconds, predict_seconds } = answer;
    check_prediction(prediction, test.len(), labels.n_classes())?;
    let truth = labels.select(test);
    let confusion = confusion_matrix(&truth, &prediction.codes, labels.n_classes())?;
    let probabilities = prediction.probabilities.as_ref().map(|p| p.view());
    Ok(FoldScores {
        n_train,
        n_test: test.len(),
        scores: Scores::new(&confusion, &truth, probabilities)?,
        confusion,
        fit_seconds: *fit_seconds,
        predict_seconds: *predict_seconds,
    })
}

/// The probabilities of all cells, if every fold has some.
fn in_cell_order(
    labels: &Labels,
    tests: &[&[usize]],
    folds: Vec<Option<Array2<f32>>>,
) -> Option<Array2<f32>> {
    let folds: Vec<Array2<f32>> = folds.into_iter().collect::<Option<_>>()?;
    let mut all = Array2::from_elem((labels.len(), labels.n_classes()), f32::NAN);
    for (test, fold) in tests.iter().zip(folds) {
        for (&cell, row) in test.iter().zip(fold.rows()) {
            all.row_mut(cell).assign(&row);
        }
    }
    Some(all)
}

fn intervals(folds: &[FoldScores], params: &BootstrapParams) -> Result<Intervals> {
    let counts: Vec<_> = folds.iter().map(|fold| fold.confusion.clone()).collect();
    let metrics = [ConfusionMatrix::accuracy, ConfusionMatrix::balanced_accuracy, ConfusionMatrix::f1_macro];
    let [accuracy, balanced_accuracy, f1_macro] = bootstrap_folds(&counts, params, metrics)?;
    Ok(Intervals { accuracy, balanced_accuracy, f1_macro })
}

#[cfg(test)]
mod tests;
