//! What a model loses when the cells it is asked about get worse.

use super::prediction_check::check_prediction;
use super::replicates::{PairedFold, Replicates};
use super::{Estimates, Scores};
use crate::metrics::classification::confusion_matrix;
use crate::split::{Split, check_splits};
use crate::statistics::BootstrapParams;
use crate::{Error, Labels, Prediction, Result};

/// A kind of perturbation and the levels to try.
#[derive(Clone, Debug, PartialEq)]
pub struct PerturbationKind {
    /// Its name, handed to the model and into the results.
    pub name: String,
    /// Ascending, each listed once, finite, 0 or more. Level 0 is the clean cells, which every curve starts from whether
    /// listed or not.
    pub levels: Vec<f64>,
}

impl PerturbationKind {
    /// A kind by its name and levels.
    pub fn new(name: impl Into<String>, levels: impl Into<Vec<f64>>) -> Self {
        Self { name: name.into(), levels: levels.into() }
    }

    fn validate(&self) -> Result<()> {
        let wrong = |value, expected| Err(Error::Parameter { name: "levels", value, expected });
        if let Some(level) = self.levels.iter().find(|level| !(level.is_finite() && **level >= 0.0)) {
            return wrong(format!("{level} of {:?}", self.name), "finite levels, 0 or more");
        }
        if !self.levels.windows(2).all(|pair| pair[0] < pair[1]) {
            return wrong(format!("{:?} of {:?}", self.levels, self.name), "ascending levels, each once");
        }
        if self.levels.iter().all(|&level| level == 0.0) {
            return wrong(format!("{:?} of {:?}", self.levels, self.name), "at least one level above 0");
        }
        Ok(())
    }
}

/// How to perturb, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustnessParams {
    /// What to do to the cells. Default: `gaussian_noise` at .1, .2 and .5.
    pub kinds: Vec<PerturbationKind>,
    /// How often each level is drawn again, at least 1. Default 3.
    pub n_repeats: usize,
    /// Whether the model also learns from cells perturbed in the same way. Default false: it learns from clean cells.
    pub perturb_training: bool,
    /// Seed of the perturbations: repeat `r` gets `seed + r`, at every level. Default 0.
    pub seed: u64,
    /// How intervals are made.
    pub bootstrap: BootstrapParams,
}

impl Default for RobustnessParams {
    fn default() -> Self {
        Self {
            kinds: vec![PerturbationKind::new("gaussian_noise", [0.1, 0.2, 0.5])],
            n_repeats: 3,
            perturb_training: false,
            seed: 0,
            bootstrap: BootstrapParams::default(),
        }
    }
}

impl RobustnessParams {
    fn validate(&self) -> Result<()> {
        if self.kinds.is_empty() {
            return Err(Error::Empty { what: "kinds" });
        }
        if self.n_repeats == 0 {
            let expected = "at least 1 repeat";
            return Err(Error::Parameter { name: "n_repeats", value: "0".into(), expected });
        }
        for (at, kind) in self.kinds.iter().enumerate() {
            kind.validate()?;
            if self.kinds[..at].iter().any(|earlier| earlier.name == kind.name) {
                let expected = "kinds of different names";
                return Err(Error::Parameter {
                    name: "kinds",
                    value: format!("{:?} twice", kind.name),
                    expected,
                });
            }
        }
        Ok(())
    }

    /// Every perturbation, in the order in which the model is asked.
    fn perturbations(&self) -> impl Iterator<Item = Perturbation<'_>> {
        self.kinds.iter().flat_map(move |kind| {
            let levels = kind.levels.iter().filter(|&&level| level > 0.0);
            levels.flat_map(move |&level| {
                (0..self.n_repeats).map(move |repeat| Perturbation {
                    kind: &kind.name,
                    level,
                    repeat,
                    seed: self.seed.wrapping_add(repeat as u64),
                })
            })
        })
    }
}

/// What to do to the cells before the model sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perturbation<'a> {
    /// Name of the kind.
    pub kind: &'a str,
    /// How much; above 0.
    pub level: f64,
    /// Which draw, from 0.
    pub repeat: usize,
    /// Seed of this draw, the same at all levels: with `sc_prep::simulate`, levels then differ in nothing but size.
    pub seed: u64,
}

/// The scores at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustnessPoint {
    /// The level; 0 is clean.
    pub level: f64,
    /// Mean of each score over folds and repeats.
    pub mean: Scores,
    /// Standard deviation over folds and repeats; `None` for a single one.
    pub sd: Option<Scores>,
    /// The means with their intervals.
    pub scores: Estimates,
    /// Clean less perturbed, with the interval of the difference on the same test cells; 0 at level 0.
    pub drop: Estimates,
}

/// One kind of perturbation, from clean to the highest level.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustnessCurve {
    /// Name of the kind.
    pub kind: String,
    /// Scores by level, ascending, the clean ones first.
    pub points: Vec<RobustnessPoint>,
    /// Area under each score over the levels by the trapezoidal rule, divided by the highest level: the mean score over
    /// levels from 0 to that one.
    pub area: Estimates,
}

impl RobustnessCurve {
    /// The scores at `level`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a level that was not tried.
    pub fn at(&self, level: f64) -> Result<&RobustnessPoint> {
        self.points.iter().find(|point| point.level == level).ok_or_else(|| Error::Parameter {
            name: "level",
            value: level.to_string(),
            expected: "a level that was tried",
        })
    }
}

/// What a model loses to perturbations.
#[derive(Clone, Debug, PartialEq)]
pub struct Robustness {
    /// A curve for each kind, in the order asked for.
    pub curves: Vec<RobustnessCurve>,
    /// Number of folds.
    pub n_folds: usize,
    /// Number of draws of each level.
    pub n_repeats: usize,
    /// Whether the training cells were perturbed too.
    pub perturb_training: bool,
}

/// Trains a model on clean cells and asks it about perturbed ones.
///
/// * `fit`: gets the training cells of a split, and `None`: the cells as they are. Called once for each split; with
///   `perturb_training` also once for each perturbation.
/// * `predict`: gets the fitted model, the test cells, and what to do to them first (`None`: nothing); answers about them
///   in their order. Perturbing is up to the caller, as this crate knows no matrix: see `sc_prep::simulate`.
///
/// Everything that is learnt, the size of the noise included, should be learnt in `fit` from its cells.
///
/// # Errors
/// [`Error::Parameter`] or [`Error::Empty`] for levels, kinds or repeats that cannot be; [`Error::Fold`] for a split that
/// is not valid; [`Error::Run`] with the place and the model's own error; [`Error::Answer`] around what is wrong with an
/// answer.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::protocol::{RobustnessParams, robustness};
/// use sc_eval::split::StratifiedKFold;
/// use sc_eval::{Labels, Prediction};
///
/// let labels = Labels::new(&(0..100).map(|i| ["B", "T"][i % 2]).collect::<Vec<_>>())?;
/// let splits = StratifiedKFold::default().split(&labels)?;
/// // A model that is right on clean cells, and wrong about every tenth cell at any noise.
/// let result = robustness(
///     &labels,
///     &splits,
///     &RobustnessParams::default(),
///     |_train, _| Ok::<_, Infallible>(()),
///     |(), test, perturbation| {
///         let wrong = |cell: usize| u32::from(perturbation.is_some() && cell % 10 == 0);
///         let codes = test.iter().map(|&cell| labels.codes()[cell] ^ wrong(cell)).collect();
///         Ok(Prediction { codes, probabilities: None })
///     },
/// )?;
/// let half = result.curves[0].at(0.5)?;
/// assert!((half.drop.accuracy.value - 0.1).abs() < 1e-12);
/// assert!(half.drop.accuracy.interval.low > 0.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn robustness<M, E>(
    labels: &Labels,
    splits: &[Split],
    params: &RobustnessParams,
    fit: impl FnMut(&[usize], Option<&Perturbation<'_>>) -> Result<M, E>,
    mut predict: impl FnMut(&M, &[usize], Option<&Perturbation<'_>>) -> Result<Prediction, E>,
) -> Result<Robustness>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let one = |model: &M, test: &[usize], perturbation: Option<&Perturbation<'_>>| {
        predict(model, test, perturbation).map(|answer| vec![answer])
    };
    let mut results = robustness_all(labels, splits, 1, params, fit, one)?;
    Ok(results.pop().expect("one model has one result"))
}

/// As [`robustness`], for several models that share their preprocessing: cells are perturbed once for all of them.
///
/// * `fit`: fits all models.
/// * `predict`: answers for all `n_models` models, in the same order every time.
///
/// # Errors
/// As [`robustness`]; [`Error::Answer`] around [`Error::Length`] if the number of answers is not `n_models`.
pub fn robustness_all<M, E>(
    labels: &Labels,
    splits: &[Split],
    n_models: usize,
    params: &RobustnessParams,
    mut fit: impl FnMut(&[usize], Option<&Perturbation<'_>>) -> Result<M, E>,
    mut predict: impl FnMut(&M, &[usize], Option<&Perturbation<'_>>) -> Result<Vec<Prediction>, E>,
) -> Result<Vec<Robustness>>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    params.validate()?;
    params.bootstrap.validate()?;
    check_splits(splits, labels.len())?;
    let all: Vec<Option<Perturbation<'_>>> =
        std::iter::once(None).chain(params.perturbations().map(Some)).collect();
    let mut gathered: Vec<Gathered> = (0..n_models).map(|_| Gathered::new(all.len())).collect();
    for (fold, split) in splits.iter().enumerate() {
        let truth = labels.select(&split.test);
        gathered.iter_mut().for_each(|model| model.begin(&truth));
        let clean = fit(&split.train, None).map_err(|source| Error::run(place(fold, None), source))?;
        for (at, perturbation) in all.iter().enumerate() {
            let perturbation = perturbation.as_ref();
            let failed = |source| Error::run(place(fold, perturbation), source);
            let own = match perturbation {
                Some(_) if params.perturb_training => Some(fit(&split.train, perturbation).map_err(failed)?),
                _ => None,
            };
            let answers =
                predict(own.as_ref().unwrap_or(&clean), &split.test, perturbation).map_err(failed)?;
            let wrong = |source| Error::answer(place(fold, perturbation), source);
            if answers.len() != n_models {
                let (found, expected) = (answers.len(), n_models);
                return Err(wrong(Error::Length { what: "the list of answers", found, expected }));
            }
            for (model, answer) in gathered.iter_mut().zip(answers) {
                model.add(at, answer, labels.n_classes()).map_err(wrong)?;
            }
        }
    }
    let scored = |model: Gathered| {
        let replicates = Replicates::new(&model.folds, &params.bootstrap)?;
        Ok(Robustness {
            curves: curves(params, &model.scores, &replicates),
            n_folds: splits.len(),
            n_repeats: params.n_repeats,
            perturb_training: params.perturb_training,
        })
    };
    gathered.into_iter().map(scored).collect()
}

/// What is known of one model so far.
struct Gathered {
    /// For each perturbation, the scores of each fold.
    scores: Vec<Vec<Scores>>,
    folds: Vec<PairedFold>,
}

impl Gathered {
    fn new(n_perturbations: usize) -> Self {
        Self { scores: vec![Vec::new(); n_perturbations], folds: Vec::new() }
    }

    /// Begins a fold.
    fn begin(&mut self, truth: &[u32]) {
        self.folds.push(PairedFold { truth: truth.to_vec(), answers: Vec::with_capacity(self.scores.len()) });
    }

    /// Takes an answer about the test cells of the fold that was begun.
    fn add(&mut self, perturbation: usize, answer: Prediction, n_classes: usize) -> Result<()> {
        let fold = self.folds.last_mut().expect("a fold was begun");
        check_prediction(&answer, fold.truth.len(), n_classes)?;
        let counts = confusion_matrix(&fold.truth, &answer.codes, n_classes)?;
        let probabilities = answer.probabilities.as_ref().map(|p| p.view());
        self.scores[perturbation].push(Scores::new(&counts, &fold.truth, probabilities)?);
        fold.answers.push(answer.codes);
        Ok(())
    }
}

/// The curves; variant 0 of the scores and replicates is clean, the others are in the order of the perturbations.
fn curves(
    params: &RobustnessParams,
    scores: &[Vec<Scores>],
    replicates: &Replicates,
) -> Vec<RobustnessCurve> {
    let mut next = 1;
    let mut curve = |kind: &PerturbationKind| {
        let mut levels = vec![(0.0, 0..1)];
        for &level in kind.levels.iter().filter(|&&level| level > 0.0) {
            levels.push((level, next..next + params.n_repeats));
            next += params.n_repeats;
        }
        let mean = |score: &dyn Fn(usize) -> f64, variants: &std::ops::Range<usize>| {
            variants.clone().map(score).sum::<f64>() / variants.len() as f64
        };
        let points = levels.iter().map(|(level, variants)| {
            let all: Vec<Scores> = scores[variants.clone()].iter().flatten().copied().collect();
            RobustnessPoint {
                level: *level,
                mean: Scores::mean(&all),
                sd: Scores::sd(&all),
                scores: replicates.estimates(|score| mean(score, variants)),
                drop: replicates.estimates(|score| score(0) - mean(score, variants)),
            }
        });
        let highest = levels.last().map_or(1.0, |(level, _)| *level);
        let area = replicates.estimates(|score| {
            let trapezoids = levels.windows(2).map(|pair| {
                let [(low, at_low), (high, at_high)] = pair else { return 0.0 };
                (high - low) * f64::midpoint(mean(score, at_low), mean(score, at_high))
            });
            trapezoids.sum::<f64>() / highest
        });
        RobustnessCurve { kind: kind.name.clone(), points: points.collect(), area }
    };
    params.kinds.iter().map(&mut curve).collect()
}

fn place(fold: usize, perturbation: Option<&Perturbation<'_>>) -> String {
    match perturbation {
        None => format!("fold {fold} (counted from 0), clean cells"),
        Some(Perturbation { kind, level, repeat, .. }) => {
            format!("fold {fold} (counted from 0), {kind} of {level}, repeat {repeat}")
        }
    }
}

#[cfg(test)]
mod tests;
