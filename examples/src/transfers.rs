//! The parts of a report that tell what became of models in other tissues.

use anyhow::Result;
use ndarray::Array2;
use sc_eval::ontology::{BROAD_CLASSES, Ontology, ScoreRule};
use sc_eval::protocol::{Transfer, Transferred};
use sc_eval::report::{Best, Cell, Column, Kind, Matrix, MatrixValues, Section, Table};

use crate::cells::Cells;
use crate::progress::thousands;
use crate::tissues::Tissues;

/// Tables and heatmaps of what `models` scored at home and abroad.
///
/// # Errors
/// If the ontology cannot score the answers.
pub fn sections(
    tissues: &Tissues,
    sets: &[Cells],
    models: &[&str],
    results: &[Transfer],
    ontology: Option<&Ontology>,
) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for (target, result) in results[0].targets.iter().enumerate() {
        sections.push(Section::new(format!("To {}", result.name), LEDE, scores(models, results, target)));
    }
    sections.push(heatmap(&sets[0].dataset, models, results));
    let best = best(results);
    for (target, result) in results[best].targets.iter().enumerate() {
        sections.push(answers(tissues, target, models[best], result));
    }
    if let Some(ontology) = ontology {
        sections.push(by_ontology(tissues, models, results, ontology)?);
    }
    sections.push(labels(tissues, sets));
    Ok(sections)
}

/// The first sentence of the page: what the best model is worth on each target.
pub fn answer(models: &[&str], results: &[Transfer]) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let one = |target: usize| {
        let of = |result: &Transfer| result.targets[target].confusion.correct();
        let most = results.iter().map(of).max().unwrap_or(0);
        let best = results.iter().position(|result| of(result) == most).unwrap_or(0);
        let Transferred { name, n_shared, accuracy_shared, accuracy_within, majority_shared, .. } =
            &results[best].targets[target];
        match n_shared {
            0 => format!("{name} has no cell of a type that the source has."),
            _ => format!(
                "On {name}, {} is the best and names {} of the cells of shared classes rightly, after {} of such cells at home; \
                 the largest class alone is {}.",
                models[best],
                percent(*accuracy_shared),
                percent(*accuracy_within),
                percent(*majority_shared)
            ),
        }
    };
    (0..results[0].targets.len()).map(one).collect::<Vec<_>>().join(" ")
}

/// The model that is right most often abroad; the first among equals.
fn best(results: &[Transfer]) -> usize {
    let right =
        |result: &Transfer| result.targets.iter().map(|target| target.confusion.correct()).sum::<u64>();
    let most = results.iter().map(right).max().unwrap_or(0);
    results.iter().position(|result| right(result) == most).unwrap_or(0)
}

/// What each model scores on one target.
pub fn scores(models: &[&str], results: &[Transfer], target: usize) -> Table {
    let mut table = Table::new(vec![
        Column::text("Model"),
        Column::new("Accuracy", Kind::Interval(3)).best(Best::Highest),
        Column::new("Macro-F1", Kind::Number(3)).best(Best::Highest),
        Column::new("At home", Kind::Number(3)),
        Column::new("Gap", Kind::Interval(3)),
        Column::new("Accuracy, all cells", Kind::Number(3)).best(Best::Highest),
        Column::new("AUROC of doubt", Kind::Number(3)).best(Best::Highest),
    ]);
    for (model, result) in models.iter().zip(results) {
        let target = &result.targets[target];
        table.row([
            Cell::from(*model),
            interval(target.accuracy_shared, target.accuracy_interval),
            Cell::Value(target.f1_macro_shared),
            Cell::Value(target.accuracy_within),
            interval(target.gap, target.gap_interval),
            Cell::Value(target.accuracy_all),
            target.unseen_auroc.map_or(Cell::Empty, Cell::Value),
        ]);
    }
    let any = &results[0].targets[target];
    table.caption = format!(
        "{} cells of classes that the source has too, {} of the largest of them; {} cells of types that it does not have, \
         which only the accuracy of all cells counts, as wrong.",
        thousands(any.n_shared),
        if any.majority_shared.is_nan() { "none".to_owned() } else { format!("{:.3}", any.majority_shared) },
        thousands(any.n_unseen)
    );
    table
}

/// What the table of [`scores`] means.
const LEDE: &str = "What a model that has learnt from all of the source makes of other data sets. At home is its \
                cross-validated accuracy on the same classes, and the gap what is lost. The AUROC of doubt tells how well \
                low confidence finds cells of types that the source does not have; 0.5 is not at all.";

fn interval(value: f64, interval: sc_eval::statistics::Interval) -> Cell {
    match value.is_nan() {
        true => Cell::Empty,
        false => Cell::Interval { value, low: interval.low, high: interval.high },
    }
}

fn heatmap(source: &str, models: &[&str], results: &[Transfer]) -> Section {
    let targets = &results[0].targets;
    let mut values = Array2::from_elem((models.len(), targets.len() + 1), f64::NAN);
    for (mut row, result) in values.rows_mut().into_iter().zip(results) {
        row[0] = result.within.mean.accuracy;
        for (at, target) in result.targets.iter().enumerate() {
            row[at + 1] = target.accuracy_shared;
        }
    }
    let matrix = Matrix {
        row_axis: "model".into(),
        column_axis: "tested on".into(),
        rows: models.iter().map(|&model| model.to_owned()).collect(),
        columns: [format!("{source} (at home)")]
            .into_iter()
            .chain(targets.iter().map(|t| t.name.clone()))
            .collect(),
        values,
        measure: MatrixValues::Scores(3),
        caption: String::new(),
    };
    Section::new("Accuracy at home and abroad", "On cells of classes that the source has too.", matrix)
}

fn answers(tissues: &Tissues, target: usize, model: &str, result: &Transferred) -> Section {
    let names: Vec<&String> = tissues.labels[target + 1].keys().collect();
    let mut counts = Array2::zeros((names.len(), tissues.source.n_classes()));
    for (name, &code) in tissues.names[target].iter().zip(&result.prediction.codes) {
        let row = names.binary_search(&name).expect("every name is a label");
        counts[[row, code as usize]] += 1.0;
    }
    let matrix = Matrix {
        row_axis: format!("label in {}", result.name),
        column_axis: "was called".into(),
        rows: names.into_iter().cloned().collect(),
        columns: tissues.source.classes().to_vec(),
        values: counts,
        measure: MatrixValues::Counts,
        caption: String::new(),
    };
    let lede = format!("All cells of {}, by their own labels, and what {model} called them.", result.name);
    Section::new(format!("What the cells of {} were called", result.name), lede, matrix)
}

fn by_ontology(
    tissues: &Tissues,
    models: &[&str],
    results: &[Transfer],
    ontology: &Ontology,
) -> Result<Section> {
    let classes = ontology.terms(BROAD_CLASSES).unwrap_or_default();
    let mut table = Table::new(vec![
        Column::text("Model"),
        Column::text("Target"),
        Column::new("Score", Kind::Number(3)).best(Best::Highest),
        Column::new("Same", Kind::Count),
        Column::new("Broader", Kind::Count),
        Column::new("Narrower", Kind::Count),
        Column::new("Same broad class", Kind::Count),
        Column::new("Unrelated", Kind::Count),
        Column::new("Without a term", Kind::Count),
        Column::new("Steps apart", Kind::Number(2)).best(Best::Lowest),
        Column::new("Lin's similarity", Kind::Number(3)).best(Best::Highest),
    ]);
    for (model, result) in models.iter().zip(results) {
        for (target, truth) in result.targets.iter().zip(&tissues.names) {
            let said: Vec<&str> = target
                .prediction
                .codes
                .iter()
                .map(|&code| tissues.source.classes()[code as usize].as_str())
                .collect();
            let s = ontology.scores(&said, truth, &classes, &ScoreRule::strict())?;
            let count = |n: usize| Cell::Value(n as f64);
            table.row([
                Cell::from(*model),
                target.name.as_str().into(),
                Cell::Value(s.score),
                count(s.same),
                count(s.broader),
                count(s.narrower),
                count(s.shared_class),
                count(s.unrelated),
                count(s.unmapped),
                Cell::Value(s.hops),
                Cell::Value(s.lin),
            ]);
        }
    }
    let lede = "Every cell of the targets, by what its own label and the answer are in the Cell Ontology: 1 for the same \
                term, 0.5 for a broader or narrower one or one of the same broad class, 0 for the rest. No cell is left out.";
    Ok(Section::new("Scored over the Cell Ontology", lede, table))
}

fn labels(tissues: &Tissues, sets: &[Cells]) -> Section {
    let mut table = Table::new(vec![
        Column::text("Data set"),
        Column::text("Label"),
        Column::new("Cells", Kind::Count),
        Column::text("Compared as"),
    ]);
    for (at, (set, labels)) in sets.iter().zip(&tissues.labels).enumerate() {
        for (label, &n) in labels {
            let class = &tissues.harmonized.class_of[at][label];
            let compared = match tissues.harmonized.is_shared(class) {
                true => class.clone(),
                false => format!("{class} (here only)"),
            };
            table.row([
                set.dataset.as_str().into(),
                label.as_str().into(),
                Cell::Value(n as f64),
                compared.into(),
            ]);
        }
    }
    Section::new(
        "Labels brought together",
        "The class that each label stands for in the scores above.",
        table,
    )
}
