//! Whether a model notices cells of a type that it has never seen.

mod ranking;
mod score;

pub use score::{entropy, free_energy, margin, max_probability};

use super::Estimate;
use super::sample_efficiency::n_classes;
use crate::split::{Split, check_splits};
use crate::statistics::{BootstrapParams, below};
use crate::{Error, Labels, Result};
use ranking::Ranking;

/// Which types to leave out, one at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyParams {
    /// Types with fewer cells are never the unseen one, at least 1. Default 10.
    pub min_cells: usize,
    /// How intervals are made.
    pub bootstrap: BootstrapParams,
}

impl Default for AnomalyParams {
    fn default() -> Self {
        Self { min_cells: 10, bootstrap: BootstrapParams::default() }
    }
}

/// How well scores tell unseen from known cells. Unseen cells are the positive ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnomalyScores<T> {
    /// Area under the ROC curve: the probability that an unseen cell scores above a known one; chance is 0.5.
    pub auroc: T,
    /// Area under the precision-recall curve: scikit-learn's `average_precision_score`; chance is the prevalence.
    pub aupr: T,
    /// Share of known cells at or above the highest threshold that at least 95 % of unseen cells reach: how many known
    /// cells are put aside by mistake to find nearly all unseen ones; less is better, chance is about 0.95.
    pub fpr_at_95_tpr: T,
}

impl<T: Copy> AnomalyScores<T> {
    /// Names and values in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, T)> {
        [("auroc", self.auroc), ("aupr", self.aupr), ("fpr_at_95_tpr", self.fpr_at_95_tpr)].into_iter()
    }

    pub(crate) fn from_array([auroc, aupr, fpr_at_95_tpr]: [T; 3]) -> Self {
        Self { auroc, aupr, fpr_at_95_tpr }
    }
}

/// How well one unseen type is noticed.
#[derive(Clone, Debug, PartialEq)]
pub struct UnseenType {
    /// The type.
    pub label: String,
    /// Its number of cells, all of which are scored in every split.
    pub n_unseen: usize,
    /// Known cells that were scored, over all splits.
    pub n_known: usize,
    /// Mean over splits of the share of unseen cells among those scored.
    pub prevalence: f64,
    /// Means over splits.
    pub scores: AnomalyScores<Estimate>,
}

/// Leave-one-type-out detection of unseen cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Each type that was left out of training in turn, in class order.
    pub types: Vec<UnseenType>,
    /// Types with too few cells to be the unseen one, and how many they have.
    pub left_out: Vec<(String, usize)>,
    /// Plain mean over types.
    pub mean: AnomalyScores<Estimate>,
}

/// For each type, trains a model without it and asks how strange it finds held-out known cells and that type.
///
/// * `splits`: one split, or folds. The known cells that are scored are a split's test cells; the unseen ones are all cells
///   of the type, as none of them is trained on.
/// * `model`: gets the training cells without the type, and the cells to score, ascending; answers with one score per
///   cell, in that order, higher for a stranger cell. [`max_probability`], [`entropy`], [`margin`] and [`free_energy`]
///   make scores from what a classifier says.
///
/// Scores of different models cannot be compared, so areas are computed within each split and averaged. Intervals draw
/// known and unseen cells apart, with replacement; all types see the same draws of known cells.
///
/// # Errors
/// [`Error::Parameter`] if no type has enough cells; [`Error::Fold`] for a split that is not valid;
/// [`Error::OneClassLeft`] if a single type remains for training; [`Error::Run`] with the place and the model's own error;
/// [`Error::Answer`] for scores of a wrong number or NaN, or if no known cell is left to test.
///
/// ```
/// use std::convert::Infallible;
///
/// use sc_eval::Labels;
/// use sc_eval::protocol::{AnomalyParams, anomaly};
/// use sc_eval::split::train_test_split_stratified;
///
/// let labels = Labels::new(&(0..90).map(|i| ["B", "NK", "T"][i % 3]).collect::<Vec<_>>())?;
/// let split = train_test_split_stratified(&labels, 0.5, 42)?;
/// // A model that finds a cell strange if its type is not among the training cells.
/// let found = anomaly(&labels, &[split], &AnomalyParams::default(), |train, test| {
///     let known = labels.select(train);
///     let strange = |code| if known.contains(code) { 0.0f32 } else { 1.0 };
///     Ok::<_, Infallible>(labels.select(test).iter().map(strange).collect())
/// })?;
/// assert_eq!(found.mean.auroc.value, 1.0);
/// assert_eq!(found.mean.fpr_at_95_tpr.value, 0.0);
/// # Ok::<(), sc_eval::Error>(())
/// ```
pub fn anomaly<E>(
    labels: &Labels,
    splits: &[Split],
    params: &AnomalyParams,
    mut model: impl FnMut(&[usize], &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Anomaly>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    params.bootstrap.validate()?;
    check_splits(splits, labels.len())?;
    let counts = labels.counts();
    let named = |class: usize| (labels.classes()[class].clone(), counts[class]);
    let (unseen, left_out): (Vec<usize>, Vec<usize>) = (0..labels.n_classes())
        .filter(|&c| counts[c] > 0)
        .partition(|&c| counts[c] >= params.min_cells.max(1));
    if unseen.is_empty() {
        let expected = "a number of cells that some type has";
        return Err(Error::Parameter { name: "min_cells", value: params.min_cells.to_string(), expected });
    }
    let mut types = Vec::with_capacity(unseen.len());
    for &class in &unseen {
        let mut folds = Vec::with_capacity(splits.len());
        for (fold, split) in splits.iter().enumerate() {
            let label = &labels.classes()[class];
            let place = || format!("fold {fold} (counted from 0), without {label:?}");
            folds.push(one(labels, split, class as u32, place, &mut model)?);
        }
        types.push(folds);
    }
    let draws = Draws::new(labels, splits, &unseen, &params.bootstrap)?;
    let replicates = draws.replicates(&types);
    let observed: Vec<[f64; 3]> =
        types.iter().map(|folds| mean(folds.iter().map(Ranking::observed))).collect();
    let estimate = |value: [f64; 3], of: &dyn Fn(&[[f64; 3]]) -> [f64; 3]| {
        AnomalyScores::from_array(std::array::from_fn(|score| Estimate {
            value: value[score],
            interval: params.bootstrap.interval(replicates.iter().map(|types| of(types)[score]).collect()),
        }))
    };
    let summary = |(at, (&class, folds)): (usize, (&usize, &Vec<Ranking>))| {
        let (label, n_unseen) = named(class);
        let prevalence = folds.iter().map(|fold| fold.prevalence()).sum::<f64>() / folds.len() as f64;
        let n_known = folds.iter().map(Ranking::n_known).sum();
        let scores = estimate(observed[at], &|types| types[at]);
        UnseenType { label, n_unseen, n_known, prevalence, scores }
    };
    Ok(Anomaly {
        types: unseen.iter().zip(&types).enumerate().map(summary).collect(),
        left_out: left_out.into_iter().map(named).collect(),
        mean: estimate(mean(observed.iter().copied()), &|types| mean(types.iter().copied())),
    })
}

/// Scores of the test cells of one split and of all cells of the type `unseen`.
fn one<E>(
    labels: &Labels,
    split: &Split,
    unseen: u32,
    place: impl Fn() -> String,
    model: &mut impl FnMut(&[usize], &[usize]) -> Result<Vec<f32>, E>,
) -> Result<Ranking>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let codes = labels.codes();
    let train: Vec<usize> = split.train.iter().copied().filter(|&cell| codes[cell] != unseen).collect();
    n_classes(labels, &train, &place)?;
    let of_type = (0..codes.len()).filter(|&cell| codes[cell] == unseen);
    let mut test: Vec<usize> =
        split.test.iter().copied().filter(|&cell| codes[cell] != unseen).chain(of_type).collect();
    test.sort_unstable();
    let scores = model(&train, &test).map_err(|source| Error::run(place(), source))?;
    let wrong = |source| Error::answer(place(), source);
    if scores.len() != test.len() {
        let (found, expected) = (scores.len(), test.len());
        return Err(wrong(Error::Length { what: "the list of scores", found, expected }));
    }
    if let Some(at) = scores.iter().position(|score| score.is_nan()) {
        let value = format!("NaN for cell {}", test[at]);
        return Err(wrong(Error::Parameter { name: "scores", value, expected: "a number for every cell" }));
    }
    let scored = test.iter().zip(&scores).map(|(&cell, &score)| (score, cell, codes[cell] == unseen));
    Ranking::new(scored.collect()).ok_or_else(|| wrong(Error::Empty { what: "the set of known test cells" }))
}

/// Draws of known test cells, split by split, and of the cells of each type.
struct Draws<'a> {
    /// Cells to draw from: the test cells of every split, then those of every type.
    pools: Vec<Vec<usize>>,
    n_splits: usize,
    n_cells: usize,
    params: &'a BootstrapParams,
}

impl<'a> Draws<'a> {
    fn new(labels: &Labels, splits: &[Split], unseen: &[usize], params: &'a BootstrapParams) -> Result<Self> {
        let n_cells = labels.len();
        if u32::try_from(n_cells).is_err() {
            let (value, expected) = (format!("{n_cells} cells"), "at most 4294967295 cells");
            return Err(Error::Parameter { name: "labels", value, expected });
        }
        let of_type =
            |&class: &usize| (0..n_cells).filter(|&i| labels.codes()[i] as usize == class).collect();
        let tests = splits.iter().map(|split| split.test.clone());
        let pools = tests.chain(unseen.iter().map(of_type)).collect();
        Ok(Self { pools, n_splits: splits.len(), n_cells, params })
    }

    /// For each replicate and type, the means over splits.
    fn replicates(&self, types: &[Vec<Ranking>]) -> Vec<Vec<[f64; 3]>> {
        let mut weights: Vec<Vec<u32>> = vec![vec![0; self.n_cells]; self.pools.len()];
        let replicate = |index| {
            let mut rng = self.params.rng(index);
            for (pool, weights) in self.pools.iter().zip(&mut weights) {
                weights.fill(0);
                for _ in 0..pool.len() {
                    // No pool is larger than the number of cells, which fits.
                    weights[pool[below(&mut rng, pool.len() as u32) as usize]] += 1;
                }
            }
            let of_type = |(folds, unseen): (&Vec<Ranking>, &Vec<u32>)| {
                mean(folds.iter().zip(&weights).map(|(fold, known)| fold.weighted(known, unseen)))
            };
            types.iter().zip(&weights[self.n_splits..]).map(of_type).collect()
        };
        (0..self.params.n_replicates).map(replicate).collect()
    }
}

fn mean(rows: impl Iterator<Item = [f64; 3]>) -> [f64; 3] {
    let (mut sums, mut n) = ([0.0; 3], 0.0);
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        n += 1.0;
    }
    sums.map(|sum| sum / n)
}

#[cfg(test)]
mod tests;
