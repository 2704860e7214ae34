//! Tables of the report.

use std::collections::BTreeMap;

use ndarray::Array2;
use sc_eval::report::{Best, Cell, Column, Kind, Matrix, MatrixValues, Section, Table};
use sc_examples::progress::thousands;
use sc_llm::evidence::Evidence;

use super::super::args::TaskName;
use super::super::scores::Row;
use super::super::tasks::Task;
use super::Scored;

/// Rows of the table of answers that are no label, and characters of each.
const MOST_SAID: usize = 15;
const MOST_CHARS: usize = 120;

pub(super) fn comparison(scored: &Scored<'_>) -> Table {
    let is_of_clusters = scored.task.name == TaskName::Markers;
    let is_paid = scored.rows.iter().any(|(row, _)| row.cost.is_some());
    let mut columns = vec![
        Column::text("Method"),
        Column::text("Answer"),
        Column::new("Right", Kind::Count),
        Column::new("Accuracy", Kind::Interval(3)).best(Best::Highest),
    ];
    if is_of_clusters {
        columns.push(Column::new("Cells right", Kind::Percent(1)));
    }
    columns.extend([
        Column::new("Precision", Kind::Number(3)),
        Column::new("Recall", Kind::Number(3)),
        Column::new("Macro-F1", Kind::Number(3)),
        Column::new("Labels", Kind::Percent(1)),
        Column::new("Tokens", Kind::Count),
        Column::new("Tokens/s", Kind::Count),
        Column::new("Time, s", Kind::Seconds),
    ]);
    if is_paid {
        columns.push(Column::new("Cost", Kind::Number(4)));
    }
    let mut table = Table::new(columns);
    let n = thousands(scored.task.test.len());
    let things = if is_of_clusters { "clusters" } else { "cells" };
    table.caption =
        format!("All methods are asked about the same {n} {things}. ★ marks the highest accuracy.");
    for (row, s) in &scored.rows {
        let value = |x: f64| if row.is_model() { Cell::Value(x) } else { Cell::Empty };
        let mut cells = vec![
            row.method.as_str().into(),
            row.decoding.as_str().into(),
            Cell::Value(s.n_right as f64),
            Cell::Interval { value: s.accuracy, low: s.interval.low, high: s.interval.high },
        ];
        if is_of_clusters {
            cells.push(Cell::Value(s.cells));
        }
        cells.extend([
            Cell::Value(s.precision),
            Cell::Value(s.recall),
            Cell::Value(s.f1),
            Cell::Value(s.compliance),
            value(row.n_tokens as f64),
            value(speed(row).round()),
            Cell::Value(row.seconds),
        ]);
        if is_paid {
            cells.push(row.cost.map_or(Cell::Empty, Cell::Value));
        }
        table.row(cells);
    }
    table
}

/// Tokens in a second.
pub(super) fn speed(row: &Row) -> f64 {
    row.n_tokens as f64 / row.seconds.max(1e-9)
}

/// The clusters that were asked about, and what each model calls them.
pub(super) fn clusters(scored: &Scored<'_>) -> Option<Section> {
    if scored.task.name != TaskName::Markers {
        return None;
    }
    let shown = shown(scored);
    let mut columns = vec![
        Column::text("Cluster"),
        Column::new("Cells", Kind::Count),
        Column::text("Most of them"),
        Column::new("Share", Kind::Percent(0)),
        Column::text("Markers"),
    ];
    columns.extend(shown.iter().map(|row| Column::text(row.name())));
    let mut table = Table::new(columns);
    for (place, asked) in scored.task.test.iter().enumerate() {
        let Evidence::Genes(genes) = &asked.evidence else { continue };
        let mut cells: Vec<Cell> = vec![
            asked.id.as_str().into(),
            Cell::Value(asked.cells.len() as f64),
            scored.task.labels[asked.truth].as_str().into(),
            Cell::Value(scored.task.purity(asked)),
            genes.join(" ").into(),
        ];
        cells.extend(shown.iter().map(|row| answer(scored.task, row, place).into()));
        table.row(cells);
    }
    Some(Section::new(
        "Clusters",
        "Leiden clusters of the test cells. The true type of a cluster is that of most of its cells; their share is the most \
         that its answer can be worth cell by cell.",
        table,
    ))
}

/// The best way of each model and the best baseline, in the order of the table.
fn shown<'a>(scored: &Scored<'a>) -> Vec<&'a Row> {
    let mut methods: Vec<&str> = Vec::new();
    for (row, _) in scored.models() {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let best = |method: &str| scored.best(|row| row.is_model() && row.method == method);
    let models = methods.into_iter().filter_map(best);
    models.chain(scored.best(|row| !row.is_model())).map(|(row, _)| row).collect()
}

fn answer(task: &Task, row: &Row, place: usize) -> String {
    row.answers[place].map_or_else(|| "(no label)".to_owned(), |label| task.labels[label].clone())
}

/// How well each type is named by the best way of each model and the best baseline.
pub(super) fn types(scored: &Scored<'_>) -> Option<Section> {
    if scored.task.name != TaskName::Expression {
        return None;
    }
    let shown = shown(scored);
    let mut columns = vec![Column::text("Type"), Column::new("Cells", Kind::Count)];
    for row in &shown {
        columns.push(Column::new(format!("Found, {}", row.name()), Kind::Percent(0)));
        columns.push(Column::new(format!("F1, {}", row.name()), Kind::Number(2)));
    }
    let mut table = Table::new(columns);
    let of_labels: Vec<_> = shown.iter().map(|row| row.of_labels(scored.task)).collect();
    for (label, name) in scored.task.labels.iter().enumerate() {
        let n = of_labels.first().map_or(0, |of| of[label].n);
        let mut cells: Vec<Cell> = vec![name.as_str().into(), Cell::Value(n as f64)];
        for of in &of_labels {
            let is_there = of[label].n + of[label].given > 0;
            let value = |x: f64| if is_there { Cell::Value(x) } else { Cell::Empty };
            cells.extend([value(of[label].recall()), value(of[label].f1())]);
        }
        table.row(cells);
    }
    Some(Section::new(
        "Types",
        "Task expression, type by type: the share of a type's cells that are named so, and F1, which also counts the cells \
         of other types that are named so. The best way of each model, and the best baseline.",
        table,
    ))
}

/// What items of each label were called; the last column is no label.
pub(super) fn counts(task: &Task, row: &Row) -> Array2<f64> {
    let n = task.labels.len();
    let mut values = Array2::zeros((n, n + 1));
    for (asked, answer) in task.test.iter().zip(&row.answers) {
        values[(asked.truth, answer.unwrap_or(n))] += 1.0;
    }
    values
}

/// What items of each type were called by the best way of each model.
pub(super) fn confusions<'a>(scored: &'a Scored<'_>) -> impl Iterator<Item = Section> + 'a {
    let rows = shown(scored).into_iter().filter(|row| row.is_model());
    rows.map(|row| {
        let labels = &scored.task.labels;
        let mut values = counts(scored.task, row);
        let mut columns = labels.clone();
        match row.answers.contains(&None) {
            true => columns.push("(no label)".to_owned()),
            false => values = values.slice_move(ndarray::s![.., ..labels.len()]),
        }
        let matrix = Matrix {
            row_axis: "true".to_owned(),
            column_axis: "answer".to_owned(),
            rows: labels.clone(),
            columns,
            values,
            measure: MatrixValues::Counts,
            caption: String::new(),
        };
        let what = if scored.task.name == TaskName::Markers { "clusters" } else { "cells" };
        let lede = format!("What {what} of each row were called. Those of all ways are in confusions.csv.");
        Section::new(format!("Confusion: {}, {}", row.task, row.name()), lede, matrix)
    })
}

/// The most frequent answers that are no label.
pub(super) fn no_labels(scored: &[Scored<'_>]) -> Option<Section> {
    let mut said: BTreeMap<[&str; 4], (usize, String)> = BTreeMap::new();
    for line in scored.iter().flat_map(|scored| scored.models()).flat_map(|(row, _)| &row.lines) {
        if line.label.is_none() {
            let key = [line.task.as_str(), &line.method, &line.decoding, &line.text];
            said.entry(key).or_insert_with(|| (0, line.outcome.clone())).0 += 1;
        }
    }
    let mut said: Vec<_> = said.into_iter().collect();
    said.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    if said.is_empty() {
        return None;
    }
    let mut table = Table::new(vec![
        Column::text("Said"),
        Column::text("Task"),
        Column::text("Method"),
        Column::text("Answer"),
        Column::text("Why it is no label"),
        Column::new("Times", Kind::Count),
    ]);
    for ([task, method, decoding, text], (n, outcome)) in said.into_iter().take(MOST_SAID) {
        let text = text.trim();
        let mut start: String = text.chars().take(MOST_CHARS).collect();
        if start.len() < text.len() {
            start.push('…');
        }
        table.row([
            start.into(),
            task.into(),
            method.into(),
            decoding.into(),
            outcome.into(),
            Cell::Value(n as f64),
        ]);
    }
    let lede =
        "What was said in place of a label, the most frequent first. All answers are in records.jsonl.";
    Some(Section::new("No labels", lede, table))
}
