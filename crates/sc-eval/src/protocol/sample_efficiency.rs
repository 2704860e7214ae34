//! How much a model gains from more training cells.

mod subsets;

use super::cross_validate::FoldOutput;
use super::prediction_check::check_prediction;
use super::replicates::{PairedFold, Replicates};
use super::{Estimates, Scores};
use crate::metrics::classification::confusion_matrix;
use crate::split::{Split, check_splits};
use crate::statistics::BootstrapParams;
use crate::{Error, Labels, Result};
use subsets::nested_order;

/// Which training sizes to try, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleEfficiencyParams {
    /// Numbers of training cells, ascending, each once and at least 2. Default 100, 500, 1000, 5000, 10000.
    pub sizes: Vec<usize>,
    /// How often the cells are drawn again, at least 1. Default 3.
    pub n_repeats: usize,
    /// Seed of the draws. Default 0.
    pub seed: u64,
    /// How intervals are made.
    pub bootstrap: BootstrapParams,
}

impl Default for SampleEfficiencyParams {
    fn default() -> Self {
        Self {
            sizes: vec![100, 500, 1000, 5000, 10_000],
            n_repeats: 3,
            seed: 0,
            bootstrap: BootstrapParams::default(),
        }
    }
}

impl SampleEfficiencyParams {
    fn validate(&self) -> Result<()> {
        let wrong = |name, value, expected| Err(Error::Parameter { name, value, expected });
        if self.sizes.is_empty() {
            return Err(Error::Empty { what: "sizes" });
        }
        if let Some(size) = self.sizes.iter().find(|&&size| size < 2) {
            return wrong("sizes", size.to_string(), "at least 2 training cells");
        }
        if !self.sizes.windows(2).all(|pair| pair[0] < pair[1]) {
            return wrong("sizes", format!("{:?}", self.sizes), "ascending sizes, each once");
        }
        if self.n_repeats == 0 {
            return wrong("n_repeats", "0".into(), "at least 1 repeat");
        }
        Ok(())
    }
}

/// The scores after training on so many cells.
#[derive(Clone, Debug, PartialEq)]
pub struct SizePoint {
    /// Number of training cells.
    pub n_train: usize,
    /// The fewest classes that any of the training sets of this size holds. A class that is not in one is never
    /// predicted, and costs its whole share of the macro scores.
    pub n_classes: usize,
    /// Mean of each score over splits and repeats.
    pub mean: Scores,
    /// Standard deviation over splits and repeats: the luck of which cells were trained on, and of the split.
    pub sd: Option<Scores>,
    /// The means with their intervals over the draw of test cells.
    pub scores: Estimates,
    /// What the largest size scores more, with the interval of the difference on the same test cells; 0 there.
    pub behind_largest: Estimates,
    /// Mean wall time of a fit in seconds, as the model gave it.
    pub fit_seconds: f64,
}

/// A learning curve.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleEfficiency {
    /// Scores by size, ascending.
    pub points: Vec<SizePoint>,
    /// Sizes that were asked for but left out: a split has fewer training cells.
    pub left_out: Vec<usize>,
    /// The fewest training cells of any split: the largest size that could be tried.
    pub largest_possible: usize,
    /// Number of splits.
    pub n_folds: usize,
    /// Number of draws.
    pub n_repeats: usize,
}

/// Trains a model on more and more cells and asks it about the same test cells each time.
///
/// * `splits`: one split for a fixed test set, or folds. Subsets are drawn from each split's training cells.
/// * `model`: as for [`cross_validate`](super::cross_validate()); gets the subset, ascending, in place of the training
///   cells.
///
/// The subsets of one draw are nested: a larger one holds every smaller one. Each has the class shares of the training
/// cells as nearly as whole cells allow, so a rare class may be absent from a small one, as it is when few cells are
/// annotated. A size beyond the training cells is left out and named, not replaced by another.
///
/// # Errors
/// [`Error::Empty`] or [`Error::Parameter`] for sizes or repeats that cannot be, or sizes that are all too large;
/// [`Error::Fold`] for a split that is not valid; [`Error::OneClassLeft`] for a subset of a single class;
/// [`Error::Run`] with the place and the model's own error; [`Error::Answer`] around what is wrong with an answer.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::protocol::{FoldOutput, SampleEfficiencyParams, sample_efficiency};
/// use sc_eval::split::train_test_split_stratified;
/// use sc_eval::{Labels, Prediction};
///
/// let labels = Labels::new(&(0..200).map(|i| ["B", "T"][i % 2]).collect::<Vec<_>>())?;
/// let split = train_test_split_stratified(&labels, 0.5, 42)?;
/// let params = SampleEfficiencyParams { sizes: vec![10, 50, 1000], ..Default::default() };
/// // A model that knows one cell in a hundred for every training cell, and says B to the others.
/// let curve = sample_efficiency(&labels, &[split], &params, |train, test| {
///     let knows = |cell: usize| cell % 100 < train.len();
///     let codes = test.iter().map(|&cell| if knows(cell) { labels.codes()[cell] } else { 0 }).collect();
///     let prediction = Prediction { codes, probabilities: None };
///     Ok::<_, Infallible>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
/// })?;
/// assert_eq!(curve.left_out, [1000]);
/// assert!(curve.points[0].behind_largest.accuracy.value > 0.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn sample_efficiency<E>(
    labels: &Labels,
    splits: &[Split],
    params: &SampleEfficiencyParams,
    mut model: impl FnMut(&[usize], &[usize]) -> Result<FoldOutput, E>,
) -> Result<SampleEfficiency>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let one = |train: &[usize], test: &[usize]| model(train, test).map(|answer| vec![answer]);
    let mut results = sample_efficiency_all(labels, splits, 1, params, one)?;
    Ok(results.pop().expect("one model has one result"))
}

/// As [`sample_efficiency`], for several models that share the preprocessing of a subset.
///
/// * `models`: answers for all `n_models` models, in the same order every time.
///
/// # Errors
/// As [`sample_efficiency`]; [`Error::Answer`] around [`Error::Length`] if the number of answers is not `n_models`.
pub fn sample_efficiency_all<E>(
    labels: &Labels,
    splits: &[Split],
    n_models: usize,
    params: &SampleEfficiencyParams,
    mut models: impl FnMut(&[usize], &[usize]) -> Result<Vec<FoldOutput>, E>,
) -> Result<Vec<SampleEfficiency>>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    params.validate()?;
    params.bootstrap.validate()?;
    check_splits(splits, labels.len())?;
    let largest_possible = splits.iter().map(|split| split.train.len()).min().unwrap_or(0);
    let (sizes, left_out): (Vec<usize>, Vec<usize>) =
        params.sizes.iter().partition(|&&size| size <= largest_possible);
    if sizes.is_empty() {
        let expected = "a size up to the number of training cells";
        let value = format!("{:?} for {largest_possible} training cells", params.sizes);
        return Err(Error::Parameter { name: "sizes", value, expected });
    }
    let mut least_classes = vec![usize::MAX; sizes.len()];
    let mut gathered: Vec<Gathered> = (0..n_models).map(|_| Gathered::new(sizes.len())).collect();
    for (fold, split) in splits.iter().enumerate() {
        let truth = labels.select(&split.test);
        gathered.iter_mut().for_each(|model| model.begin(&truth, sizes.len() * params.n_repeats));
        for repeat in 0..params.n_repeats {
            let order = nested_order(labels, &split.train, params.seed, (fold, repeat));
            for (at, &size) in sizes.iter().enumerate() {
                let place =
                    || format!("fold {fold} (counted from 0), {size} training cells, repeat {repeat}");
                let mut train = order[..size].to_vec();
                train.sort_unstable();
                least_classes[at] = least_classes[at].min(n_classes(labels, &train, place)?);
                let outputs = models(&train, &split.test).map_err(|source| Error::run(place(), source))?;
                let wrong = |source| Error::answer(place(), source);
                if outputs.len() != n_models {
                    let (found, expected) = (outputs.len(), n_models);
                    return Err(wrong(Error::Length { what: "the list of answers", found, expected }));
                }
                for (model, output) in gathered.iter_mut().zip(outputs) {
                    let variant = at * params.n_repeats + repeat;
                    model.add((at, variant), output, labels.n_classes()).map_err(wrong)?;
                }
            }
        }
    }
    let scored = |model: Gathered| {
        Ok(SampleEfficiency {
            points: model.points(&sizes, &least_classes, params)?,
            left_out: left_out.clone(),
            largest_possible,
            n_folds: splits.len(),
            n_repeats: params.n_repeats,
        })
    };
    gathered.into_iter().map(scored).collect()
}

/// What is known of one model so far.
struct Gathered {
    /// For each size, the scores of each fold and repeat, and the seconds of their fits.
    sizes: Vec<(Vec<Scores>, f64)>,
    /// Answers by size and then repeat.
    folds: Vec<PairedFold>,
}

impl Gathered {
    fn new(n_sizes: usize) -> Self {
        Self { sizes: vec![(Vec::new(), 0.0); n_sizes], folds: Vec::new() }
    }

    /// Begins a fold.
    fn begin(&mut self, truth: &[u32], n_variants: usize) {
        self.folds.push(PairedFold { truth: truth.to_vec(), answers: vec![Vec::new(); n_variants] });
    }

    /// Takes an answer about the test cells of the fold that was begun.
    fn add(&mut self, (size, variant): (usize, usize), output: FoldOutput, n_classes: usize) -> Result<()> {
        let fold = self.folds.last_mut().expect("a fold was begun");
        let answer = output.prediction;
        check_prediction(&answer, fold.truth.len(), n_classes)?;
        let counts = confusion_matrix(&fold.truth, &answer.codes, n_classes)?;
        let probabilities = answer.probabilities.as_ref().map(|p| p.view());
        let (scores, fit_seconds) = &mut self.sizes[size];
        scores.push(Scores::new(&counts, &fold.truth, probabilities)?);
        *fit_seconds += output.fit_seconds;
        fold.answers[variant] = answer.codes;
        Ok(())
    }

    fn points(
        &self,
        sizes: &[usize],
        n_classes: &[usize],
        params: &SampleEfficiencyParams,
    ) -> Result<Vec<SizePoint>> {
        let replicates = Replicates::new(&self.folds, &params.bootstrap)?;
        let mean = |score: &dyn Fn(usize) -> f64, at: usize| {
            let variants = at * params.n_repeats..(at + 1) * params.n_repeats;
            variants.map(score).sum::<f64>() / params.n_repeats as f64
        };
        let last = sizes.len() - 1;
        let point = |(at, (scores, fit_seconds)): (usize, &(Vec<Scores>, f64))| SizePoint {
            n_train: sizes[at],
            n_classes: n_classes[at],
            mean: Scores::mean(scores),
            sd: Scores::sd(scores),
            scores: replicates.estimates(|score| mean(score, at)),
            behind_largest: replicates.estimates(|score| mean(score, last) - mean(score, at)),
            fit_seconds: fit_seconds / scores.len() as f64,
        };
        Ok(self.sizes.iter().enumerate().map(point).collect())
    }
}

/// Number of classes among `cells`, of which there must be two.
pub(super) fn n_classes(labels: &Labels, cells: &[usize], place: impl FnOnce() -> String) -> Result<usize> {
    let mut present = vec![false; labels.n_classes()];
    cells.iter().for_each(|&cell| present[labels.codes()[cell] as usize] = true);
    match present.iter().filter(|&&p| p).count() {
        0 => Err(Error::answer(place(), Error::Empty { what: "the training set" })),
        1 => {
            let label = labels.name(cells[0]).to_owned();
            Err(Error::OneClassLeft { place: place(), n_cells: cells.len(), label })
        }
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests;
