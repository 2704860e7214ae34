//! The merged results as JSON and CSV.
//!
//! Tables are comma-separated, with `.` for decimals, in UTF-8; lines end in a line feed. A name that a spreadsheet would
//! take for a formula gets an apostrophe in front.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::plan::FORMAT;
use super::store::pretty;
use super::{Merged, MergedModel, MergedSeed};
use crate::protocol::{Intervals, Scores};

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    name: &'a str,
    plan_sha256: String,
    parameters: &'a std::collections::BTreeMap<String, Value>,
    inputs: Vec<Input<'a>>,
    datasets: Vec<Dataset<'a>>,
    missing: Vec<String>,
}

#[derive(Serialize)]
struct Input<'a> {
    bytes: u64,
    sha256: &'a str,
}

#[derive(Serialize)]
struct Dataset<'a> {
    name: &'a str,
    n_cells: usize,
    classes: Pairs<usize>,
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    parameters: &'a Value,
    mean: Pairs<Option<f64>>,
    sd: Option<Pairs<Option<f64>>>,
    intervals: Pairs<[f64; 2]>,
    seeds: Vec<Seed>,
}

#[derive(Serialize)]
struct Seed {
    seed: u64,
    mean: Pairs<Option<f64>>,
    sd: Option<Pairs<Option<f64>>>,
    intervals: Pairs<[f64; 2]>,
    folds: Vec<Fold>,
    /// Rows of true classes, columns of predicted ones, over all folds.
    confusion: Vec<Vec<u64>>,
    per_class: Vec<Class>,
}

#[derive(Serialize)]
struct Fold {
    fold: usize,
    n_train: usize,
    n_test: usize,
    scores: Pairs<Option<f64>>,
}

#[derive(Serialize)]
struct Class {
    class: String,
    precision: f64,
    recall: f64,
    f1: f64,
    support: u64,
}

/// Named values in their order.
struct Pairs<V>(Vec<(String, V)>);

impl<V: Serialize> Serialize for Pairs<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn scores(scores: &Scores) -> Pairs<Option<f64>> {
    Pairs(scores.iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The scores that have intervals, with the lower and the upper end.
fn intervals(intervals: &Intervals, mean: &Scores) -> Pairs<[f64; 2]> {
    let ends = |name: &str| intervals.get(name).map(|interval| [interval.low, interval.high]);
    Pairs(mean.iter().filter_map(|(name, _)| Some((name.to_owned(), ends(name)?))).collect())
}

pub(super) fn json(merged: &Merged) -> Vec<u8> {
    let Merged { plan, datasets, missing } = merged;
    let dataset = |data: &'_ super::MergedDataset| {
        let counts = data.labels.classes().iter().cloned().zip(data.labels.counts());
        (data.labels.len(), Pairs(counts.collect()))
    };
    pretty(&Document {
        format: FORMAT,
        name: &plan.name,
        plan_sha256: plan.sha256(),
        parameters: &plan.parameters,
        inputs: plan.inputs.iter().map(|i| Input { bytes: i.bytes, sha256: &i.sha256 }).collect(),
        datasets: datasets
            .iter()
            .map(|data| {
                let (n_cells, classes) = dataset(data);
                Dataset {
                    name: &data.name,
                    n_cells,
                    classes,
                    models: data.models.iter().map(model).collect(),
                }
            })
            .collect(),
        missing: missing.iter().map(|key| key.words(plan)).collect(),
    })
}

fn model(model: &MergedModel) -> Model<'_> {
    Model {
        name: &model.plan.name,
        parameters: &model.plan.parameters,
        mean: scores(&model.mean),
        sd: model.sd.as_ref().map(scores),
        intervals: intervals(&model.intervals, &model.mean),
        seeds: model.seeds.iter().map(seed).collect(),
    }
}

fn seed(seed: &MergedSeed) -> Seed {
    let result = &seed.result;
    let folds = seed.folds.iter().zip(&result.folds).map(|(&number, fold)| Fold {
        fold: number,
        n_train: fold.n_train,
        n_test: fold.n_test,
        scores: scores(&fold.scores),
    });
    let per_class = result.classes.iter().zip(&result.per_class).map(|(class, scores)| Class {
        class: class.clone(),
        precision: scores.precision,
        recall: scores.recall,
        f1: scores.f1,
        support: scores.support,
    });
    Seed {
        seed: seed.seed,
        mean: scores(&result.mean),
        sd: result.sd.as_ref().map(scores),
        intervals: intervals(&result.intervals, &result.mean),
        folds: folds.collect(),
        confusion: (0..result.confusion.n_classes()).map(|row| result.confusion.row(row).to_vec()).collect(),
        per_class: per_class.collect(),
    }
}

pub(super) fn csv(merged: &Merged) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut header: Option<Vec<String>> = None;
    for data in &merged.datasets {
        for model in &data.models {
            let fixed = [
                ("dataset", text(&data.name)),
                ("model", text(&model.plan.name)),
                ("n_seeds", model.seeds.len().to_string()),
                ("n_folds", model.n_folds().to_string()),
                ("n_cells", data.labels.len().to_string()),
            ];
            let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
            let (names, values): (Vec<_>, Vec<_>) = fixed.into_iter().chain(columns(model)).unzip();
            if header.is_none() {
                record(&mut table, &names);
                header = Some(names);
            }
            record(&mut table, &values);
        }
    }
    bytes(table)
}

/// Mean, interval and deviation of each score.
fn columns(model: &MergedModel) -> impl Iterator<Item = (String, String)> {
    let sds: Vec<Option<f64>> = match &model.sd {
        Some(sd) => sd.iter().map(|(_, value)| value).collect(),
        None => vec![None; Scores::LEN],
    };
    model.mean.iter().zip(sds).flat_map(|((name, mean), sd)| {
        let ends = model.intervals.get(name);
        let interval = ends.into_iter().flat_map(|ends| [("_low", ends.low), ("_high", ends.high)]);
        let named = |suffix: &str, value| (format!("{name}{suffix}"), number(value));
        std::iter::once(named("", mean))
            .chain(interval.map(|(suffix, end)| named(suffix, Some(end))))
            .chain([named("_sd", sd)])
            .collect::<Vec<_>>()
    })
}

pub(super) fn times(merged: &Merged) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = ["dataset", "model", "seed", "fold", "prepare_seconds", "fit_seconds", "predict_seconds"];
    record(&mut table, &header.map(str::to_owned));
    for data in &merged.datasets {
        for model in &data.models {
            for seed in &model.seeds {
                let folds = seed.folds.iter().zip(&seed.prepare_seconds).zip(&seed.result.folds);
                for ((fold, prepare), scores) in folds {
                    let seconds = [*prepare, scores.fit_seconds, scores.predict_seconds].map(|seconds| {
                        if seconds.is_finite() { format!("{seconds:.6}") } else { String::new() }
                    });
                    let place =
                        [text(&data.name), text(&model.plan.name), seed.seed.to_string(), fold.to_string()];
                    record(&mut table, &[place.as_slice(), seconds.as_slice()].concat());
                }
            }
        }
    }
    bytes(table)
}

/// A name that no spreadsheet runs.
fn text(name: &str) -> String {
    match name.bytes().next() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => format!("'{name}"),
        _ => name.to_owned(),
    }
}

/// A score with six decimals; nothing where there is none. Adding 0 makes a negative zero positive.
fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{:.6}", value + 0.0))
}

fn record(table: &mut csv::Writer<Vec<u8>>, fields: &[String]) {
    table.write_record(fields).expect("memory takes every write, and all rows have one length");
}

fn bytes(table: csv::Writer<Vec<u8>>) -> Vec<u8> {
    table.into_inner().expect("memory takes every write")
}
