//! The report of an evaluation.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;
use ndarray::Array2;
use sc_eval::report::{
    Bars, Best, Cell, Column, KeyFigure, Kind, Matrix, MatrixValues, Section, Table, Tone,
};
use sc_eval::{Manifest, Report};
use sc_llm::cellreasoner::{CellResult, OnMissing};

use super::evaluate::Found;
use super::scores::Estimate;

/// Answers of the heatmap; rarer ones are one column.
const MOST_ANSWERS: usize = 30;
/// Answers that the page shows whole.
const SHOWN: usize = 20;
/// Characters of an answer that the page shows.
const MOST_CHARACTERS: usize = 2000;

/// Pairs of label and answer that the page lists.
const MOST_PAIRS: usize = 40;

/// The numbers, a line each.
pub(super) fn lines(found: &Found) -> Result<Vec<String>> {
    let Found { scores, results, .. } = found;
    let n = results.len();
    let mut lines = Vec::new();
    if let (Some(published), Some(estimate)) = (&scores.published, scores.published(found.on_missing)?) {
        let n_counted = if is_dropped(found) { n - published.n_missing } else { n };
        lines.push(format!(
            "score as published: {} over {n_counted} cells; answers that the table does not have: {}, {}",
            text(estimate),
            published.n_missing,
            rule(found)
        ));
    }
    if let (Some(ontology), Some(estimate)) = (&scores.ontology, scores.ontology()?) {
        lines.push(format!(
            "score by the Cell Ontology: {} over all {n} cells; answers or labels that it does not have: {}",
            text(estimate),
            ontology.unmapped
        ));
    }
    lines.push(format!(
        "answers that are the name of the label: {} over all {n} cells",
        text(scores.accuracy()?)
    ));
    let n_empty = empty(found);
    if n_empty > 0 {
        lines.push(format!("empty answers: {n_empty}"));
    }
    Ok(lines)
}

fn text(Estimate { value, low, high }: Estimate) -> String {
    format!("{value:.3} [{low:.3}, {high:.3}]")
}

fn is_dropped(found: &Found) -> bool {
    found.on_missing == OnMissing::Drop
}

fn rule(found: &Found) -> &'static str {
    match found.on_missing {
        OnMissing::Drop => "left out",
        OnMissing::Zero => "counted 0",
        OnMissing::Error => "an error",
    }
}

fn empty(found: &Found) -> usize {
    found.results.iter().filter(|result| result.prediction().is_empty()).count()
}

pub(super) fn report(found: &Found, input: &str, manifest: Manifest) -> Result<Report> {
    let mut report = Report::of_sections("CellReasoner's answers", input, manifest);
    let scores = &found.scores;
    let n = found.results.len();
    report.answer = Some(answer(found)?);
    let mut figure = |name: &str, value: String, note: String| {
        report.key_figures.push(KeyFigure { name: name.to_owned(), value, note });
    };
    let interval = |estimate: Estimate| format!("95 % interval {:.3} to {:.3}", estimate.low, estimate.high);
    if let (Some(published), Some(estimate)) = (&scores.published, scores.published(found.on_missing)?) {
        figure("score as published", format!("{:.3}", estimate.value), interval(estimate));
        let share = 100.0 * published.n_missing as f64 / n as f64;
        figure(
            "not in the table of pairs",
            format!("{share:.1} %"),
            format!("{} of {n} answers, {}", published.n_missing, rule(found)),
        );
    }
    if let Some(estimate) = scores.ontology()? {
        figure("score by the Cell Ontology", format!("{:.3}", estimate.value), interval(estimate));
    }
    let accuracy = scores.accuracy()?;
    figure("same name as the label", format!("{:.1} %", 100.0 * accuracy.value), interval(accuracy));
    figure("empty answers", empty(found).to_string(), String::new());
    if !found.baselines.is_empty() {
        report.sections.push(Section::new("Beside baselines", BESIDE, comparison(found)?).leading());
    }
    let tones = found.scores.published_tones();
    if let Some(tones) = &tones {
        let lede = "As the published table of pairs says of each label and answer.";
        report.sections.push(Section::new("Agreement by label, as published", lede, bars(found, tones)));
    }
    if scores.ontology.is_some() {
        let lede = "The same term or a kind of it; a wider term or one of the same broad class; another; no term at all.";
        let tones: Vec<Tone> = scores.terms.iter().map(|(_, tone)| *tone).collect();
        report.sections.push(Section::new(
            "Agreement by label, by the Cell Ontology",
            lede,
            bars(found, &tones),
        ));
    }
    if tones.is_none() && scores.ontology.is_none() {
        let tone = |named: &bool| if *named { Tone::Right } else { Tone::Wrong };
        let tones: Vec<Tone> = scores.named.iter().map(tone).collect();
        let lede = "Whether the answer is the name of the label, up to case and white space.";
        report.sections.push(Section::new("Agreement by label", lede, bars(found, &tones)));
    }
    let mut lede = String::new();
    lede += if scores.published.is_some() { PUBLISHED } else { "" };
    lede += if scores.ontology.is_some() { ONTOLOGY } else { "" };
    report.sections.push(Section::new("Scores by label", lede.trim_end(), by_label(found)));
    report.sections.push(Section::new("Labels and answers", "Number of cells.", confusion(found)));
    if let Some(tones) = tones.filter(|tones| tones.contains(&Tone::Open)) {
        let title = "Answers that the table of pairs does not have";
        report.sections.push(Section::new(title, MISSING, missing(found, &tones)));
    }
    report.sections.push(Section::new("Answers as they came", "The first ones, whole.", answers(found)));
    Ok(report)
}

/// The first words of the page.
fn answer(found: &Found) -> Result<String> {
    let sentence = |line: &String| {
        let rest = line.get(1..).unwrap_or_default();
        format!("{}{rest}.", line.chars().next().into_iter().flat_map(char::to_uppercase).collect::<String>())
    };
    let mut sentences = lines(found)?.iter().map(sentence).collect::<Vec<_>>().join(" ");
    let mut best: Option<(&str, f64)> = None;
    for (method, scores) in &found.baselines {
        let value = scores.accuracy()?.value;
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((method, value));
        }
    }
    if let Some((method, value)) = best {
        sentences += &format!(" Of what stands beside the model, {method} names most labels: {value:.3}.");
    }
    Ok(sentences)
}

const BESIDE: &str = "All methods on the same cells. An answer that is not the name of the label is wrong. Intervals at 95 %: \
                      Wilson's for shares, of cells drawn with replacement for scores. Shuffled gene names is the model once \
                      more, with every gene under the name of another.";

/// The answers and what stands beside them.
pub(super) fn comparison(found: &Found) -> Result<Table> {
    let mut columns = vec![
        Column::text("Method"),
        Column::new("Cells", Kind::Count),
        Column::new("Same name", Kind::Interval(3)).best(Best::Highest),
    ];
    if found.scores.published.is_some() {
        columns.push(Column::new("As published", Kind::Interval(3)).best(Best::Highest));
        columns.push(Column::new("Not in the table", Kind::Count));
    }
    if found.scores.ontology.is_some() {
        columns.push(Column::new("Cell Ontology", Kind::Interval(3)).best(Best::Highest));
    }
    let mut table = Table::new(columns);
    let own = [("model", &found.scores)].into_iter();
    for (method, scores) in
        own.chain(found.baselines.iter().map(|(method, scores)| (method.as_str(), scores)))
    {
        let cell = |Estimate { value, low, high }: Estimate| Cell::Interval { value, low, high };
        let mut row = vec![method.into(), scores.named.len().into(), cell(scores.accuracy()?)];
        if let (Some(published), Some(estimate)) = (&scores.published, scores.published(found.on_missing)?) {
            row.extend([cell(estimate), published.n_missing.into()]);
        }
        row.extend(scores.ontology()?.map(cell));
        table.row(row);
    }
    Ok(table)
}

/// How many cells of each label agree.
fn bars(found: &Found, tones: &[Tone]) -> Bars {
    let parts = [
        ("agree", Tone::Right),
        ("agree in part", Tone::Partly),
        ("disagree", Tone::Wrong),
        ("not scored", Tone::Open),
    ];
    let parts = parts.into_iter().filter(|(_, tone)| tones.contains(tone)).collect::<Vec<_>>();
    let mut bars = Bars::new("label", parts.clone());
    for (label, places, _) in &found.by_label {
        let n = |tone: Tone| places.iter().filter(|&&place| tones[place] == tone).count();
        bars.bar(label, &parts.iter().map(|&(_, tone)| n(tone)).collect::<Vec<_>>());
    }
    bars
}

const PUBLISHED: &str = "The published score is the mean over the answers that the table of pairs has. ";
const ONTOLOGY: &str = "The score by the Cell Ontology is over all cells: 1 for the same term or a kind of it, one half for a \
                        wider term or the same broad class. ";

fn by_label(found: &Found) -> Table {
    let mut columns = vec![
        Column::text("Label"),
        Column::new("Cells", Kind::Count),
        Column::new("Same name", Kind::Percent(1)),
    ];
    if found.scores.published.is_some() {
        columns.push(Column::new("As published", Kind::Number(3)));
        columns.push(Column::new("Not in the table", Kind::Count));
    }
    if found.scores.ontology.is_some() {
        columns.push(Column::new("Cell Ontology", Kind::Number(3)));
        for name in ["Same", "Wider", "Narrower", "Same broad class", "Other", "In no ontology"] {
            columns.push(Column::new(name, Kind::Count));
        }
    }
    let mut table = Table::new(columns);
    for (label, places, scores) in &found.by_label {
        let count = |n: usize| Cell::Value(n as f64);
        let named = places.iter().filter(|&&place| found.scores.named[place]).count();
        let mut row = vec![
            Cell::from(label.as_str()),
            count(places.len()),
            Cell::Value(named as f64 / places.len() as f64),
        ];
        if let Some(published) = &found.scores.published {
            let own: Vec<f64> = places.iter().filter_map(|&place| published.scores[place]).collect();
            let n_counted = if is_dropped(found) { own.len() } else { places.len() };
            row.push(Cell::Value(own.iter().sum::<f64>() / n_counted as f64));
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

const MISSING: &str = "The table holds the answers that the published models gave, by their exact text; of another model it lacks \
                       answers, right ones too. The most frequent pairs.";

/// Pairs without a score, the most frequent first.
fn missing(found: &Found, tones: &[Tone]) -> Table {
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    for (result, _) in found.results.iter().zip(tones).filter(|(_, tone)| **tone == Tone::Open) {
        *counts.entry((result.label.as_deref().unwrap_or_default(), shown(result))).or_default() += 1;
    }
    let mut pairs: Vec<_> = counts.into_iter().collect();
    pairs.sort_by_key(|&(_, n)| Reverse(n));
    let mut table =
        Table::new(vec![Column::text("Label"), Column::text("Answer"), Column::new("Cells", Kind::Count)]);
    for ((label, answer), n) in pairs.into_iter().take(MOST_PAIRS) {
        table.row([label.into(), answer.into(), n.into()]);
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
