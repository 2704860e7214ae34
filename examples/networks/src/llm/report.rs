//! The report: the comparison, confusions, what was asked, and every answer.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use ndarray::Array2;
use sc_eval::report::{Best, Cell, Column, Kind, Matrix, MatrixValues, Section, Table};
use sc_eval::split::Split;
use sc_eval::{Manifest, Report};
use sc_examples::cells::Cells;
use sc_examples::progress::thousands;

use super::args::{LlmArgs, TaskName};
use super::records::{Line, Records};
use super::scores::{Row, Scores};
use super::tasks::Task;
use crate::small::NAME as SMALL;

/// All that the report is about.
pub(super) struct Findings<'a> {
    cells: &'a Cells,
    args: &'a LlmArgs,
    split: &'a Split,
    pub(super) tasks: Vec<(Task, Vec<Row>)>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(cells: &'a Cells, args: &'a LlmArgs, split: &'a Split) -> Self {
        Self { cells, args, split, tasks: Vec::new() }
    }

    /// Writes all files; returns the comparison for a terminal, and the page.
    pub(super) fn write(&self, manifest: Manifest, records: &Records) -> Result<(String, PathBuf)> {
        let out = &self.args.out;
        let mut scored = Vec::new();
        for row in self.tasks.iter().flat_map(|(_, rows)| rows) {
            scored.push((row, row.scores()?));
        }
        let mut report =
            Report::of_sections("Language models that name cells", &self.cells.dataset, manifest);
        report.answer = Some(self.answer(&scored));
        report.protocol = self.protocol();
        report.notes = self.notes();
        report.sections.push(Section::new("Comparison", LEDE, comparison(&scored)).leading());
        for (task, rows) in &self.tasks {
            report.sections.extend(rows.iter().filter(|row| row.is_model()).map(|row| confusion(task, row)));
        }
        report.write(out, true)?;
        let files = [("metrics.csv", metrics(&scored)?), ("predictions.csv", self.predictions(records)?)];
        for (name, text) in files {
            sc_io::atomic::write_aside(out.join(name), true, |file| file.write_all(text.as_bytes()))?;
        }
        Ok((text(&scored), out.join("report.html")))
    }

    fn answer(&self, scored: &[(&Row, Scores)]) -> String {
        let mut sentences = Vec::new();
        for (task, _) in &self.tasks {
            let best = |is_model: bool| {
                let is_one = |row: &Row| row.task == task.name.word() && row.is_model() == is_model;
                let rows = scored.iter().filter(|(row, _)| is_one(row));
                rows.reduce(|best, row| if row.1.accuracy > best.1.accuracy { row } else { best })
            };
            if let (Some((model, scores)), Some((baseline, beside))) = (best(true), best(false)) {
                sentences.push(format!(
                    "{}: {} ({}) names {:.1} % of {} rightly, {} {:.1} %.",
                    task.name.word(),
                    model.method,
                    model.decoding,
                    100.0 * scores.accuracy,
                    scores.n,
                    baseline.method,
                    100.0 * beside.accuracy
                ));
            }
        }
        sentences.join(" ")
    }

    fn protocol(&self) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let models = match self.args.model.is_empty() {
            true => format!(
                "{SMALL}: of random weights, trained for {} epochs on the prompts and labels of the training items of \
                 each task",
                self.args.epochs
            ),
            false => "as released, asked without examples and without training".to_owned(),
        };
        vec![
            fact(
                "Cells",
                format!(
                    "{} for training and baselines, {} for tests, stratified by label, seed {}",
                    thousands(self.split.train.len()),
                    thousands(self.split.test.len()),
                    self.args.run.seed
                ),
            ),
            fact("Models", models),
            fact("Counts", "normalised to 10,000 and log1p, cell by cell".to_owned()),
            fact(
                "Posterior",
                match self.args.calibrate {
                    true => "less what the model says without a cell".to_owned(),
                    false => "as the model gives it".to_owned(),
                },
            ),
        ]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.cells.notes();
        for (task, _) in &self.tasks {
            match task.name {
                TaskName::Markers => {
                    notes.push(
                        "Clusters of task markers are the test cells of one type, so an interval is of few items; their \
                         markers are found among test cells alone."
                            .to_owned(),
                    );
                    if task.n_small > 0 {
                        notes.push(format!("{} types have too few test cells to be clusters.", task.n_small));
                    }
                }
                TaskName::BarcodeCluster => notes.push(
                    "Task barcode-cluster is a control: barcodes say nothing of types, and what is above the majority \
                     there is chance or a leak."
                        .to_owned(),
                ),
                TaskName::Expression => {}
            }
        }
        notes
    }

    fn predictions(&self, records: &Records) -> Result<String> {
        let mut text = "task,method,decoding,id,truth,label,outcome,probability\n".to_owned();
        let tasks: Vec<&str> = self.tasks.iter().map(|(task, _)| task.name.word()).collect();
        for line in records.lines().filter(|line| tasks.contains(&line.task.as_str())) {
            let probability = line.probability.map_or_else(String::new, |p| format!("{p:.6}"));
            let label = line.label.as_deref().unwrap_or_default();
            let Line { task, method, decoding, id, truth, outcome, .. } = line;
            let fields: [&str; 8] = [task, method, decoding, id, truth, label, outcome, &probability];
            writeln!(text, "{}", fields.map(quoted).join(","))?;
        }
        // Baselines have answers too.
        for (task, rows) in &self.tasks {
            for row in rows.iter().filter(|row| !row.is_model()) {
                for (asked, answer) in task.test.iter().zip(&row.answers) {
                    let (truth, label) =
                        (&task.labels[asked.truth], answer.map_or("", |label| task.labels[label].as_str()));
                    let fields = [row.task, &row.method, "", &asked.id, truth, label, "exact", ""];
                    writeln!(text, "{}", fields.map(quoted).join(","))?;
                }
            }
        }
        Ok(text)
    }
}

const LEDE: &str = "Every item counts: an answer that is no label is wrong. Intervals are Wilson's, at 95 %. Precision, recall \
                    and F1 are means over the types. Tokens are those that went through the model.";

fn comparison(scored: &[(&Row, Scores)]) -> Table {
    let mut table = Table::new(vec![
        Column::text("Task"),
        Column::text("Method"),
        Column::text("Decoding"),
        Column::new("Items", Kind::Count),
        Column::new("Accuracy", Kind::Interval(3)),
        Column::new("Precision", Kind::Number(3)),
        Column::new("Recall", Kind::Number(3)),
        Column::new("Macro-F1", Kind::Number(3)),
        Column::new("Labels", Kind::Percent(1)).best(Best::None),
        Column::new("Tokens", Kind::Count),
        Column::new("Tokens/s", Kind::Number(0)),
        Column::new("Time", Kind::Seconds),
    ]);
    for (row, scores) in scored {
        let value = |x: f64| if row.is_model() { Cell::Value(x) } else { Cell::Empty };
        table.row([
            row.task.into(),
            row.method.as_str().into(),
            row.decoding.as_str().into(),
            Cell::Value(scores.n as f64),
            Cell::Interval { value: scores.accuracy, low: scores.interval.low, high: scores.interval.high },
            Cell::Value(scores.precision),
            Cell::Value(scores.recall),
            Cell::Value(scores.f1),
            Cell::Value(scores.compliance),
            value(row.n_tokens as f64),
            value(row.n_tokens as f64 / row.seconds.max(1e-9)),
            Cell::Value(row.seconds),
        ]);
    }
    table
}

/// What items of each type were called; the last column is no label.
fn confusion(task: &Task, row: &Row) -> Section {
    let n = task.labels.len();
    let mut values = Array2::zeros((n, n + 1));
    for (&truth, answer) in row.truth.iter().zip(&row.answers) {
        values[(truth, answer.unwrap_or(n))] += 1.0;
    }
    let mut columns = task.labels.clone();
    columns.push("(no label)".to_owned());
    let matrix = Matrix {
        row_axis: "true".to_owned(),
        column_axis: "answer".to_owned(),
        rows: task.labels.clone(),
        columns,
        values,
        measure: MatrixValues::Counts,
        caption: String::new(),
    };
    Section::new(format!("Confusion {} {} {}", row.task, row.method, row.decoding), "", matrix)
}

fn metrics(scored: &[(&Row, Scores)]) -> Result<String> {
    let mut text =
        "task,method,decoding,n,accuracy,accuracy_low,accuracy_high,precision_macro,recall_macro,f1_macro,\
                    compliance,n_tokens,seconds\n"
            .to_owned();
    for (row, s) in scored {
        let names = [row.task, &row.method, &row.decoding].map(quoted).join(",");
        writeln!(
            text,
            "{names},{},{},{},{},{},{},{},{},{},{}",
            s.n,
            s.accuracy,
            s.interval.low,
            s.interval.high,
            s.precision,
            s.recall,
            s.f1,
            s.compliance,
            row.n_tokens,
            row.seconds
        )?;
    }
    Ok(text)
}

/// A field of a CSV file.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

/// The comparison for a terminal.
fn text(scored: &[(&Row, Scores)]) -> String {
    let width = scored.iter().map(|(row, _)| row.method.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!(
        "{:<16} {:<width$} {:<12} {:>5} {:>8} {:>8} {:>7} {:>9}\n",
        "task", "method", "decoding", "items", "accuracy", "macro-F1", "labels", "tokens/s"
    );
    for (row, s) in scored {
        let speed = match row.is_model() {
            true => format!("{:.0}", row.n_tokens as f64 / row.seconds.max(1e-9)),
            false => String::new(),
        };
        text += &format!(
            "{:<16} {:<width$} {:<12} {:>5} {:>8.3} {:>8.3} {:>5.1} % {speed:>9}\n",
            row.task,
            row.method,
            row.decoding,
            s.n,
            s.accuracy,
            s.f1,
            100.0 * s.compliance
        );
    }
    text
}
