//! The merged results as a table of plain text.

use super::{Merged, MergedModel};
use crate::statistics::Interval;

/// Columns before the name of a model is cut.
const MODEL: usize = 22;
/// Columns before the name of a data set is cut.
const DATASET: usize = 60;

/// A block for each data set, a line for each model.
pub(super) fn table(merged: &Merged) -> String {
    let models = || merged.datasets.iter().flat_map(|data| &data.models);
    let width = models().map(|model| name(&model.plan.name, MODEL).chars().count()).fold(8, usize::max);
    let mut out = String::new();
    for data in &merged.datasets {
        let n = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let classes = match data.labels.n_classes() {
            1 => "1 class".to_owned(),
            n => format!("{n} classes"),
        };
        out += &format!(
            "{}: {}, {classes}, {}\n",
            name(&data.name, DATASET),
            n(data.labels.len(), "cell"),
            n(merged.plan.seeds.len(), "seed")
        );
        let header = format!(
            "{:<width$}  {:<23} {:<23} {:<9} {:>6} {:>6}",
            "model", "accuracy [95 %]", "macro-F1 [95 %]", "balanced", "sd", "folds"
        );
        let rule = "─".repeat(header.chars().count());
        out += &format!("{header}\n{rule}\n");
        for model in &data.models {
            out += &line(model, &data.models, width);
        }
        out += &format!("{rule}\n");
    }
    out += "* best of its column; sd is of accuracy, over the folds of all seeds\n";
    out
}

fn line(model: &MergedModel, all: &[MergedModel], width: usize) -> String {
    let marked = |of: fn(&MergedModel) -> f64| {
        let printed = |model: &MergedModel| (of(model) * 1_000.0).round();
        let best = all.iter().map(printed).fold(f64::NEG_INFINITY, f64::max);
        format!("{:.3}{}", of(model), if printed(model) == best { "*" } else { "" })
    };
    let ends = |Interval { low, high, .. }: Interval| format!("[{low:.3}, {high:.3}]");
    let accuracy = format!("{:<7}{}", marked(|m| m.mean.accuracy), ends(model.intervals.accuracy));
    let f1_macro = format!("{:<7}{}", marked(|m| m.mean.f1_macro), ends(model.intervals.f1_macro));
    let balanced = marked(|m| m.mean.balanced_accuracy);
    let sd = model.sd.map_or_else(|| "-".to_owned(), |sd| format!("{:.3}", sd.accuracy));
    let name = name(&model.plan.name, MODEL);
    format!("{name:<width$}  {accuracy:<23} {f1_macro:<23} {balanced:<9} {sd:>6} {:>6}\n", model.n_folds())
}

/// A name on one line, without control characters, cut to `most` columns.
fn name(name: &str, most: usize) -> String {
    let clean = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    match name.chars().nth(most) {
        None => clean.collect(),
        Some(_) => clean.take(most - 1).chain(['…']).collect(),
    }
}
