//! How strange cells of a type that was never seen are, by several methods at once.

mod sections;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use indicatif::ProgressBar;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use sc_eval::classifiers::{AutoencoderParams, Model};
use sc_eval::metrics::classification::{RocCurve, roc_curve};
use sc_eval::protocol::anomaly::{entropy, margin, max_probability};
use sc_eval::protocol::{Anomaly, AnomalyParams, anomaly};
use sc_eval::split::Split;
use sc_eval::{Labels, Prediction};
use sc_prep::{LogNormalized, knn};

use crate::end::Usage;
use crate::fold::{Failure, Fold, FoldParams};

pub use sections::{best, headline, key_figures, means, sections};

/// Neighbours whose last one says how strange a cell is; fewer for fewer training cells.
const NEIGHBORS: usize = 15;

/// What needs no classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Detector {
    /// Squared error with which an autoencoder gives a cell back
    ReconstructionError,
    /// Distance to the 15th nearest training cell in the principal components
    NeighborDistance,
    /// Distance to the nearest mean of a class in the principal components
    CentroidDistance,
}

/// A score of strangeness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The classifier that it is made from, or the autoencoder; `components` for distances.
    pub model: &'static str,
    /// What is made of it.
    pub score: &'static str,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.model, self.score)
    }
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Methods {
    /// Classifiers that say how probable each class is; three scores each.
    pub models: Vec<Model>,
    /// The others, a score each.
    pub detectors: Vec<Detector>,
    /// Seed of the autoencoder.
    pub seed: u64,
}

impl Methods {
    /// All scores, in the order of the tables.
    pub fn list(&self) -> Vec<Method> {
        let of_model = |model: &Model| {
            let model = model.name();
            ["1 - max p", "entropy", "margin"].map(|score| Method { model, score })
        };
        let of_detector = |detector: &Detector| match detector {
            Detector::ReconstructionError => Method { model: "autoencoder", score: "reconstruction" },
            Detector::NeighborDistance => Method { model: "components", score: "15th neighbour" },
            Detector::CentroidDistance => Method { model: "components", score: "nearest centroid" },
        };
        self.models.iter().flat_map(of_model).chain(self.detectors.iter().map(of_detector)).collect()
    }

    /// The scores of the test cells of a fold by every method; the labels are those of the training cells.
    fn of_fold(&self, fold: &Fold<'_>, labels: &[u32], bar: &ProgressBar) -> Result<Vec<Vec<f32>>, Failure> {
        let mut scores = Vec::with_capacity(3 * self.models.len() + self.detectors.len());
        for model in &self.models {
            bar.set_message(model.name());
            let p = probabilities(model, fold.run(model)?.prediction)?;
            scores.extend([max_probability(p.view())?, entropy(p.view())?, margin(p.view())?]);
            bar.inc(1);
        }
        let distances = |detector: &Detector| !matches!(detector, Detector::ReconstructionError);
        let components = match self.detectors.iter().any(distances) {
            true => Some(fold.components()?),
            false => None,
        };
        for detector in &self.detectors {
            scores.push(match (detector, &components) {
                (Detector::NeighborDistance, Some([train, test])) => {
                    let k = NEIGHBORS.min(train.nrows());
                    knn(train.view(), test.view(), k)?.distances.column(k - 1).to_vec()
                }
                (Detector::CentroidDistance, Some([train, test])) => {
                    centroid_distances(train.view(), labels, test.view())
                }
                _ => {
                    bar.set_message("autoencoder");
                    let [train, test] = fold.features();
                    let model = AutoencoderParams { seed: self.seed, ..Default::default() }.fit(train)?;
                    model.reconstruction_error(test)?.into_iter().map(|error| error as f32).collect()
                }
            });
            bar.inc(1);
        }
        Ok(scores)
    }
}

fn probabilities(model: &Model, prediction: Prediction) -> Result<Array2<f32>, Failure> {
    prediction.probabilities.ok_or_else(|| {
        let text = format!(
            "{} says which class a cell is of, but not how surely: leave it out of --models",
            model.name()
        );
        Usage(text).into()
    })
}

/// Distance of each test cell to the nearest mean of a class of training cells.
fn centroid_distances(train: ArrayView2<'_, f32>, labels: &[u32], test: ArrayView2<'_, f32>) -> Vec<f32> {
    let n_classes = labels.iter().max().map_or(0, |&largest| largest as usize + 1);
    let mut centers = Array2::<f64>::zeros((n_classes, train.ncols()));
    let mut sizes = vec![0f64; n_classes];
    for (row, &label) in train.rows().into_iter().zip(labels) {
        centers.row_mut(label as usize).zip_mut_with(&row, |sum, &v| *sum += f64::from(v));
        sizes[label as usize] += 1.0;
    }
    let nearest = |cell: ndarray::ArrayView1<'_, f32>| {
        let distance = |(sum, &n): (ndarray::ArrayView1<'_, f64>, &f64)| {
            let away = |(&v, s): (&f32, &f64)| (f64::from(v) - s / n) * (f64::from(v) - s / n);
            cell.iter().zip(sum).map(away).sum::<f64>()
        };
        let there = centers.rows().into_iter().zip(&sizes).filter(|(_, n)| **n > 0.0);
        there.map(distance).fold(f64::INFINITY, f64::min).sqrt() as f32
    };
    test.rows().into_iter().map(nearest).collect()
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The scores that were compared.
    pub methods: Vec<Method>,
    /// What each is worth, in the order of the methods.
    pub results: Vec<Anomaly>,
    /// ROC curve of each method and unseen type, in the first split.
    pub curves: Vec<Vec<RocCurve>>,
}

/// The steps that [`compare`] tells of.
pub fn n_steps(labels: &Labels, n_splits: usize, methods: &Methods, min_cells: usize) -> usize {
    let n_types = labels.counts().into_iter().filter(|&n| n >= min_cells.max(1)).count();
    n_types * n_splits * (1 + methods.models.len() + methods.detectors.len())
}

/// For each type and split, learns genes, components and models without the type, and asks every method how strange it
/// finds the type and held-out cells of the others.
///
/// # Errors
/// As [`anomaly()`].
pub fn compare(
    x: &LogNormalized,
    labels: &Labels,
    splits: &[Split],
    (methods, params, genes): (&Methods, &AnomalyParams, &FoldParams),
    bar: &ProgressBar,
) -> Result<Found> {
    // The protocol asks for one score at a time. What is learnt without a type serves all of them, so the first round
    // makes all scores, and the others read them in the same order.
    let mut made: Vec<Vec<Vec<f32>>> = Vec::new();
    let mut unseen: Vec<Vec<bool>> = Vec::new();
    let first = anomaly(labels, splits, params, |train, test| -> Result<Vec<f32>, Failure> {
        bar.set_message("genes");
        let truth = labels.select(train);
        let fold = Fold::new(x, (train, test), (&truth, labels.n_classes()), genes)?;
        bar.inc(1);
        let scores = methods.of_fold(&fold, &truth, bar)?;
        unseen.push(labels.select(test).iter().map(|code| !truth.contains(code)).collect());
        made.push(scores);
        Ok(made.last().and_then(|scores| scores.first()).cloned().unwrap_or_default())
    })?;
    let list = methods.list();
    bar.set_message("intervals");
    let again = |at: usize| {
        let mut made = made.iter();
        anomaly(labels, splits, params, |_, _| -> Result<Vec<f32>, Failure> {
            Ok(made.next().expect("asked for as in the first round")[at].clone())
        })
    };
    let others = (1..list.len()).into_par_iter().map(again).collect::<Result<Vec<_>, _>>()?;
    let curve = |at: usize| {
        let of_first_split = made.iter().zip(&unseen).step_by(splits.len());
        of_first_split.map(|(scores, unseen)| Ok(roc_curve(unseen, &scores[at], true)?)).collect()
    };
    let curves = (0..list.len()).map(curve).collect::<Result<_>>()?;
    Ok(Found { methods: list, results: [first].into_iter().chain(others).collect(), curves })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_nearest_class_that_was_seen_counts() {
        let train = array![[0.0f32, 0.0], [2.0, 0.0], [9.0, 4.0]];
        let test = array![[1.0f32, 3.0], [9.0, 4.0]];
        // Class 1 has no training cell.
        assert_eq!(centroid_distances(train.view(), &[0, 0, 2], test.view()), [3.0, 0.0]);
    }

    #[test]
    fn a_classifier_makes_three_scores_and_a_detector_one() {
        let models = vec!["knn".parse().unwrap()];
        let methods = Methods { models, detectors: vec![Detector::ReconstructionError], seed: 0 };
        let names: Vec<String> = methods.list().iter().map(Method::to_string).collect();
        let expected = ["knn, 1 - max p", "knn, entropy", "knn, margin", "autoencoder, reconstruction"];
        assert_eq!(names, expected);
    }
}
