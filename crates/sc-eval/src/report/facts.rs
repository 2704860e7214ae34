//! What a report says, worked out once for all its renderings.

use super::Report;
use super::figures::range;
use super::files::slug;
use super::paired::{Paired, compare};
use crate::protocol::CrossValidation;
use crate::statistics::{Interval, holm};

/// Below this p, adjusted for the number of comparisons, two models count as different.
pub(super) const ALPHA: f64 = 0.05;

/// Results of the models, compared.
pub(super) struct Facts<'a> {
    pub(super) models: Vec<ModelFacts<'a>>,
    /// The model with the highest accuracy; the first of them.
    pub(super) best: usize,
    /// The class with the most tested cells.
    pub(super) majority_class: &'a str,
    /// Its share of them: the accuracy of always naming it.
    pub(super) majority: f64,
    /// Cells that were in a test set.
    pub(super) n_tested: usize,
}

/// One model.
pub(super) struct ModelFacts<'a> {
    pub(super) name: &'a str,
    /// The name as part of a file's name; no other model has it.
    pub(super) slug: String,
    pub(super) result: &'a CrossValidation,
    pub(super) accuracy: Score,
    pub(super) f1_macro: Score,
    pub(super) balanced_accuracy: Score,
    /// The comparison with the best model; `None` for that model itself.
    pub(super) against_best: Option<Against>,
}

/// A score with its interval.
#[derive(Clone, Copy)]
pub(super) struct Score {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Whether no model has a higher one, to the digits that are printed.
    pub(super) best: bool,
}

/// The best model (first) against another (second).
pub(super) struct Against {
    pub(super) paired: Paired,
    /// The p value, adjusted by Holm over all models.
    pub(super) p_holm: f64,
    pub(super) intervals_overlap: bool,
}

impl<'a> Facts<'a> {
    /// The facts of a report that has been validated; `None` for one without models.
    pub(super) fn new(report: &'a Report) -> Option<Self> {
        if report.models.is_empty() {
            return None;
        }
        let mut models: Vec<ModelFacts<'a>> = Vec::with_capacity(report.models.len());
        for (name, result) in &report.models {
            let (mean, intervals) = (&result.mean, &result.intervals);
            let slug = slug(name, |slug| models.iter().any(|model| model.slug == slug));
            models.push(ModelFacts {
                name,
                slug,
                result,
                accuracy: Score::new(mean.accuracy, intervals.accuracy),
                f1_macro: Score::new(mean.f1_macro, intervals.f1_macro),
                balanced_accuracy: Score::new(mean.balanced_accuracy, intervals.balanced_accuracy),
                against_best: None,
            });
        }
        mark_best(&mut models, |model| &mut model.accuracy);
        mark_best(&mut models, |model| &mut model.f1_macro);
        mark_best(&mut models, |model| &mut model.balanced_accuracy);
        let mut best = 0;
        for (i, model) in models.iter().enumerate() {
            if model.accuracy.value > models[best].accuracy.value {
                best = i;
            }
        }
        compare_with_best(&mut models, best);
        let counts = &report.models[best].1.confusion;
        let support = counts.support();
        let mut largest = 0;
        for (class, &n) in support.iter().enumerate() {
            if n > support[largest] {
                largest = class;
            }
        }
        let majority_class = &report.labels.classes()[largest];
        let majority = report.models[best].1.majority_share();
        Some(Self { models, best, majority_class, majority, n_tested: counts.total() as usize })
    }

    /// The best model.
    pub(super) fn best(&self) -> &ModelFacts<'a> {
        &self.models[self.best]
    }

    /// Models that the best is not told apart from, in the order of the run.
    pub(super) fn not_told_apart(&self) -> impl Iterator<Item = &ModelFacts<'a>> {
        let apart = |model: &&ModelFacts<'_>| model.against_best.as_ref().is_some_and(|a| a.p_holm >= ALPHA);
        self.models.iter().filter(apart)
    }

    /// Models that beat always naming the largest class: their whole interval lies above it.
    pub(super) fn better_than_majority(&self) -> impl Iterator<Item = &ModelFacts<'a>> {
        self.models.iter().filter(|model| model.accuracy.low > self.majority)
    }
}

impl Facts<'_> {
    /// The axis on which the models' accuracies are drawn.
    pub(super) fn range(&self) -> [f64; 2] {
        let scores = self.models.iter().map(|model| &model.accuracy);
        let scores: Vec<_> = scores.map(|score| [score.value, score.low, score.high]).collect();
        range(&scores, self.majority)
    }

    /// How many of the models that beat the baseline are wrong about each cell, and how many models these are.
    ///
    /// A baseline is wrong about most cells: counting it would hide where models fail.
    pub(super) fn n_wrong(&self) -> (Vec<usize>, usize) {
        let mut n_wrong = vec![0; self.models[0].result.truth.len()];
        for model in self.better_than_majority() {
            let answers = model.result.predicted.iter().zip(&model.result.truth);
            for (n, (predicted, truth)) in n_wrong.iter_mut().zip(answers) {
                *n += usize::from(predicted.is_some_and(|code| code != *truth));
            }
        }
        (n_wrong, self.better_than_majority().count())
    }
}

impl Score {
    fn new(value: f64, interval: Interval) -> Self {
        Self { value, low: interval.low, high: interval.high, best: false }
    }
}

fn mark_best<'a>(
    models: &mut [ModelFacts<'a>],
    score: impl for<'m> Fn(&'m mut ModelFacts<'a>) -> &'m mut Score,
) {
    let printed = |value: f64| (value * 1_000.0).round();
    let best = models.iter_mut().map(|m| printed(score(m).value)).fold(f64::NEG_INFINITY, f64::max);
    for model in models {
        let score = score(model);
        score.best = printed(score.value) == best;
    }
}

fn compare_with_best(models: &mut [ModelFacts<'_>], best: usize) {
    let others: Vec<usize> = (0..models.len()).filter(|&i| i != best).collect();
    let first = models[best].result;
    let paired: Vec<Paired> = others.iter().map(|&i| compare(first, models[i].result)).collect();
    let p: Vec<f64> = paired.iter().map(|pair| pair.p).collect();
    let lowest = models[best].accuracy.low;
    for ((&i, paired), p_holm) in others.iter().zip(paired).zip(holm(&p)) {
        let intervals_overlap = models[i].accuracy.high >= lowest;
        models[i].against_best = Some(Against { paired, p_holm, intervals_overlap });
    }
}
