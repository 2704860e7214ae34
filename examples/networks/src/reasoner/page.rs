//! The report of an evaluation.

use std::collections::BTreeMap;

use ndarray::Array2;
use sc_eval::report::KeyFigure;
use sc_eval::report::{Cell, Column, Kind, Matrix, MatrixValues, Section, Table};
use sc_eval::{Manifest, Report};
use sc_llm::cellreasoner::CellResult;

use super::evaluate::Found;

/// Answers of the heatmap; rarer ones are one column.
const MOST_ANSWERS: usize = 30;
/// Answers that the page shows whole.
const SHOWN: usize = 20;
/// Characters of an answer that the page shows.
const MOST_CHARACTERS: usize = 2000;

/// The numbers, a line each.
pub(super) fn lines(found: &Found) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((words, published)) = &found.published {
        lines.push(format!(
            "score as published: {:.3} over {} cells; answers that the table does not have: {}, {words}",
            published.score,
            published.n_cells - if *words == "left out" { published.n_missing } else { 0 },
            published.n_missing
        ));
    }
    if let Some(scores) = &found.ontology {
        lines.push(format!(
            "score by the Cell Ontology: {:.3} over all {} cells; answers or labels that it does not have: {}",
            scores.score, scores.n_cells, scores.unmapped
        ));
    }
    let n_empty = empty(found);
    if n_empty > 0 {
        lines.push(format!("empty answers: {n_empty}"));
    }
    lines
}

fn empty(found: &Found) -> usize {
    found.results.iter().filter(|result| result.prediction().is_empty()).count()
}

pub(super) fn report(found: &Found, input: &str, manifest: Manifest) -> Report {
    let mut report = Report::of_sections("CellReasoner's answers", input, manifest);
    report.answer = Some(lines(found).join(". ") + ".");
    let figure = |name: &str, value: String, note: String| KeyFigure { name: name.to_owned(), value, note };
    if let Some((words, published)) = &found.published {
        let note = format!("{} of {} answers are {words}", published.n_missing, published.n_cells);
        report.key_figures.push(figure("score as published", format!("{:.3}", published.score), note));
    }
    if let Some(scores) = &found.ontology {
        let note = format!("all {} cells", scores.n_cells);
        report.key_figures.push(figure("score by the Cell Ontology", format!("{:.3}", scores.score), note));
    }
    report.key_figures.push(figure("empty answers", empty(found).to_string(), String::new()));
    report.sections.push(Section::new("Scores by label", BY_LABEL, by_label(found)));
    report.sections.push(Section::new("Labels and answers", "Number of cells.", confusion(found)));
    report.sections.push(Section::new("Answers as they came", "The first ones, whole.", answers(found)));
    report
}

const BY_LABEL: &str = "The published score is the mean over the answers that the table of pairs has. The score by the Cell Ontology is \
                        over all cells: 1 for the same term or a kind of it, one half for a wider term or the same broad class.";

fn by_label(found: &Found) -> Table {
    let mut columns = vec![Column::text("Label"), Column::new("Cells", Kind::Count)];
    if found.published.is_some() {
        columns.push(Column::new("As published", Kind::Number(3)));
        columns.push(Column::new("Not in the table", Kind::Count));
    }
    if found.ontology.is_some() {
        columns.push(Column::new("Cell Ontology", Kind::Number(3)));
        for name in ["Same", "Wider", "Narrower", "Same broad class", "Other", "In no ontology"] {
            columns.push(Column::new(name, Kind::Count));
        }
    }
    let mut table = Table::new(columns);
    for (label, places, scores) in &found.by_label {
        let count = |n: usize| Cell::Value(n as f64);
        let mut row = vec![Cell::from(label.as_str()), count(places.len())];
        if let Some((_, published)) = &found.published {
            let own: Vec<f64> = places.iter().filter_map(|&place| published.scores[place]).collect();
            row.push(Cell::Value(own.iter().sum::<f64>() / own.len() as f64));
            row.push(count(places.len() - own.len()));
        }
        if let Some(scores) = scores {
            row.push(Cell::Value(scores.score));
            let counts = [
                scores.same,
                scores.broader,
                scores.narrower,
                scores.shared_class,
                scores.unrelated,
                scores.unmapped,
            ];
            row.extend(counts.map(count));
        }
        table.row(row);
    }
    table
}

fn confusion(found: &Found) -> Matrix {
    let mut counts = BTreeMap::<&str, usize>::new();
    found.results.iter().for_each(|result| *counts.entry(shown(result)).or_default() += 1);
    let mut answers: Vec<(&str, usize)> = counts.into_iter().collect();
    answers.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let has_rest = answers.len() > MOST_ANSWERS;
    answers.truncate(MOST_ANSWERS);
    let mut columns: Vec<String> = answers.iter().map(|(answer, _)| (*answer).to_owned()).collect();
    if has_rest {
        columns.push("other answers".to_owned());
    }
    let mut values = Array2::zeros((found.by_label.len(), columns.len()));
    for (row, (_, places, _)) in found.by_label.iter().enumerate() {
        for &place in places {
            let answer = shown(&found.results[place]);
            let column = answers.iter().position(|(name, _)| *name == answer).unwrap_or(columns.len() - 1);
            values[[row, column]] += 1.0;
        }
    }
    Matrix {
        row_axis: "label".to_owned(),
        column_axis: "answer".to_owned(),
        rows: found.by_label.iter().map(|(label, ..)| label.clone()).collect(),
        columns,
        values,
        measure: MatrixValues::Counts,
        caption: String::new(),
    }
}

fn shown(result: &CellResult) -> &str {
    if result.prediction().is_empty() { "(empty)" } else { result.prediction() }
}

fn answers(found: &Found) -> Table {
    let mut table = Table::new(["Cell", "Label", "Answer"].map(Column::text).into());
    for result in found.results.iter().take(SHOWN) {
        let mut text: String = result.response.chars().take(MOST_CHARACTERS).collect();
        if text.len() < result.response.len() {
            text.push('…');
        }
        let label = result.label.as_deref().unwrap_or_default();
        table.row([result.cell_name.as_str().into(), label.into(), text.as_str().into()]);
    }
    table
}
