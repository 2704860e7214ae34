//! Everything a program may want to read of a report, as one JSON document.

use serde::{Serialize, Serializer};

use super::facts::{Facts, ModelFacts};
use super::files::FileRecord;
use super::section::Section;
use super::{KeyFigure, Report};
use crate::Manifest;
use crate::metrics::classification::ConfusionMatrix;
use crate::protocol::Scores;
use crate::statistics::Interval;

/// Version of the document's layout; a field that changes its meaning makes it rise, a new field does not.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    title: &'a str,
    dataset: &'a str,
    answer: Option<&'a str>,
    key_figures: &'a [KeyFigure],
    classes: &'a [String],
    majority_class: Option<&'a str>,
    majority_share: Option<f64>,
    best_model: Option<&'a str>,
    models: Vec<Model<'a>>,
    sections: &'a [Section],
    protocol: Pairs<&'a str>,
    notes: &'a [String],
    manifest: &'a Manifest,
    files: &'a [FileRecord],
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    mean: Pairs<Option<f64>>,
    sd: Option<Pairs<Option<f64>>>,
    intervals: Pairs<Ends>,
    folds: Vec<Fold>,
    confusion: Vec<&'a [u64]>,
    per_class: Vec<Class<'a>>,
    against_best: Option<Against>,
    fit_seconds: f64,
    predict_seconds: f64,
}

#[derive(Serialize)]
struct Ends {
    low: f64,
    high: f64,
    level: f64,
}

#[derive(Serialize)]
struct Fold {
    n_train: usize,
    n_test: usize,
    scores: Pairs<Option<f64>>,
    fit_seconds: f64,
    predict_seconds: f64,
}

#[derive(Serialize)]
struct Class<'a> {
    class: &'a str,
    precision: f64,
    recall: f64,
    f1: f64,
    support: u64,
    predicted: u64,
}

#[derive(Serialize)]
struct Against {
    only_best_right: usize,
    only_this_right: usize,
    p_mcnemar: f64,
    p_holm: f64,
    intervals_overlap: bool,
}

/// Named values in their order.
struct Pairs<V>(Vec<(String, V)>);

impl<V: Serialize> Serialize for Pairs<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The document, with line breaks; `files` are all files beside it.
pub(super) fn document(
    report: &Report,
    facts: Option<&Facts<'_>>,
    sections: &[Section],
    files: &[FileRecord],
) -> Vec<u8> {
    let classes = report.labels.classes();
    let models = facts.into_iter().flat_map(|facts| &facts.models);
    let document = Document {
        format: FORMAT,
        title: &report.title,
        dataset: &report.dataset,
        classes,
        answer: report.answer.as_deref(),
        key_figures: &report.key_figures,
        majority_class: facts.map(|facts| facts.majority_class),
        majority_share: facts.map(|facts| facts.majority),
        best_model: facts.map(|facts| facts.best().name),
        models: models.map(|model| Model::new(model, classes)).collect(),
        sections,
        protocol: Pairs(report.protocol.iter().map(|(name, value)| (name.clone(), value.as_str())).collect()),
        notes: &report.notes,
        manifest: &report.manifest,
        files,
    };
    let mut bytes = serde_json::to_vec_pretty(&document).expect("strings and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

impl<'a> Model<'a> {
    fn new(facts: &ModelFacts<'a>, classes: &'a [String]) -> Self {
        let result = facts.result;
        let ends = |Interval { low, high, level }| Ends { low, high, level };
        let names = result.mean.iter().map(|(name, _)| name);
        let intervals = names.filter_map(|name| Some((name.to_owned(), ends(result.intervals.get(name)?))));
        let folds = result.folds.iter().map(|fold| Fold {
            n_train: fold.n_train,
            n_test: fold.n_test,
            scores: scores(&fold.scores),
            fit_seconds: fold.fit_seconds,
            predict_seconds: fold.predict_seconds,
        });
        let per_class = classes.iter().zip(&result.per_class).map(|(class, scores)| Class {
            class,
            precision: scores.precision,
            recall: scores.recall,
            f1: scores.f1,
            support: scores.support,
            predicted: scores.predicted,
        });
        Self {
            name: facts.name,
            mean: scores(&result.mean),
            sd: result.sd.as_ref().map(scores),
            intervals: Pairs(intervals.collect()),
            folds: folds.collect(),
            confusion: rows(&result.confusion),
            per_class: per_class.collect(),
            against_best: facts.against_best.as_ref().map(|against| Against {
                only_best_right: against.paired.only_first,
                only_this_right: against.paired.only_second,
                p_mcnemar: against.paired.p,
                p_holm: against.p_holm,
                intervals_overlap: against.intervals_overlap,
            }),
            fit_seconds: result.fit_seconds,
            predict_seconds: result.predict_seconds,
        }
    }
}

fn scores(scores: &Scores) -> Pairs<Option<f64>> {
    Pairs(scores.iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn rows(counts: &ConfusionMatrix) -> Vec<&[u64]> {
    (0..counts.n_classes()).map(|truth| counts.row(truth)).collect()
}
