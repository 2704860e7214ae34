//! The parts of a report that tell what the tests for leaks found.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sc_eval::protocol::leak;
use sc_eval::report::{Cell, Column, Finding, Findings, KeyFigure, Kind, Section, Severity, Table, compare};

use crate::leaks::{CHOSEN_BY_LABEL, Examined, Prepared, is_leak};
use crate::progress::thousands;

/// Everything that was found.
pub struct Found {
    /// The pipeline in question, with each model.
    pub checked: Vec<Examined>,
    /// Copies across the split.
    pub copies: leak::Finding,
    /// Pipelines to compare with, under the first model; empty if none were asked for.
    pub controls: Vec<Examined>,
    /// Copies across the split where some were planted.
    pub planted_copies: Option<leak::Finding>,
}

impl Found {
    /// Every finding about the pipeline in question, the gravest first.
    fn all(&self) -> Vec<(Option<&'static str>, &leak::Finding)> {
        let of_models =
            self.checked.iter().flat_map(|e| e.findings().map(|finding| (Some(e.model), finding)));
        let mut all: Vec<_> = of_models.chain([(None, &self.copies)]).collect();
        all.sort_by_key(|(_, finding)| Reverse(finding.severity));
        all
    }

    /// Tests that found a leak, and tests. A test that names several steps is one.
    pub fn count(&self) -> (usize, usize) {
        let all = self.all();
        let tests = |leaks_only: bool| {
            let counted = all.iter().filter(|(_, finding)| !leaks_only || is_leak(finding));
            counted.map(|(model, finding)| (*model, finding.test)).collect::<BTreeSet<_>>().len()
        };
        (tests(true), tests(false))
    }

    fn prepared(&self) -> Prepared {
        self.checked[0].prepared
    }

    /// The pipeline in question under its first model, and the controls.
    fn pipelines(&self) -> Vec<&Examined> {
        let mut all: Vec<&Examined> = self.checked.iter().take(1).chain(&self.controls).collect();
        all.sort_by_key(|e| e.prepared as u8);
        all
    }
}

/// The sections of the page.
pub fn sections(found: &Found) -> Vec<Section> {
    let mut sections = vec![Section::new("What the tests found", lede(found.prepared()), findings(found))];
    if !found.controls.is_empty() {
        sections.push(Section::new("Which test sees which leak", SEES, verdicts(found)));
        sections.push(Section::new("What the leaks are worth", WORTH, worth(found)));
    }
    sections.push(Section::new("Who learnt from which cells", LEARNT, steps(found)));
    sections.push(Section::text("How the tests work", HOW));
    sections
}

fn lede(prepared: Prepared) -> &'static str {
    match prepared {
        Prepared::OnTrainingCells => {
            "The benchmark's own pipeline, run from counts to answers again and again: genes are chosen and scaled on \
             training cells, then a model is fitted."
        }
        _ => {
            "A pipeline as it is often published: genes are chosen and standardised on all cells, and only then are the \
             cells divided."
        }
    }
}

const SEES: &str = "The same tests on pipelines that leak on purpose, and on test cells that were replaced by copies of training \
                    cells. A test that passes means something only if it fails where it should; no test sees every leak. What \
                    is empty was not run.";

const WORTH: &str = "Accuracy on the true labels beside accuracy on shuffled ones, from which nothing can be learnt: what exceeds chance \
                     there is leaked. A leak may be worth little on one data set and much on another; its size is not known \
                     before it is closed.";

const LEARNT: &str = "What each step of the first fold was fitted on.";

const HOW: &str = "Declared steps: every step says which cells it was fitted on, and none may be a test cell. This believes the steps; \
the next test does not.

Poisoned test cells: half of the test cells are replaced by copies of other test cells, and the whole pipeline is run again. \
What it says of the other half must stay the same to the last bit: a test cell must not depend on its neighbours in the test set.

Shuffled labels: labels are shuffled among the cells that are tested together, and the whole pipeline is run on them. Nothing can be \
learnt, so accuracy must fall to chance; an exact permutation test says whether it does, at 1 in 100.

Duplicated cells: no test cell may equal a training cell, or the model has seen the answer. Cells that are nearly equal are told, but \
may be alike by nature.

A test that passes has found no leak of its kind. It does not prove that there is none.";

/// The answer of the page.
pub fn answer(found: &Found) -> String {
    let (leaks, n) = found.count();
    let pipeline = match found.prepared() {
        Prepared::OnTrainingCells => "the benchmark's pipeline",
        _ => "the pipeline as published",
    };
    let caught = match (found.controls.is_empty(), every_control_is_caught(found)) {
        (true, _) => "",
        (false, true) => " Every leak that was planted was caught.",
        (false, false) => " Not every leak that was planted was caught: see below.",
    };
    match leaks {
        0 => format!("None of {n} tests found a leak in {pipeline}.{caught}"),
        _ => {
            format!("{leaks} of {n} tests found a leak in {pipeline}: its scores cannot be trusted.{caught}")
        }
    }
}

/// The numbers behind the verdicts.
pub fn key_figures(found: &Found) -> Vec<KeyFigure> {
    let (leaks, n) = found.count();
    let first = &found.checked[0];
    let number = |finding: &leak::Finding, name: &str| finding.number(name).unwrap_or(f64::NAN);
    let figure = |name: &str, value: String, note: String| KeyFigure { name: name.to_owned(), value, note };
    let count = |finding: &leak::Finding, name: &str| thousands(number(finding, name) as usize);
    vec![
        figure("leaks found", leaks.to_string(), format!("by {n} tests")),
        figure(
            "answers changed by other test cells",
            count(&first.poison, "changed"),
            format!("of {}", count(&first.poison, "untouched")),
        ),
        figure(
            "accuracy on shuffled labels",
            format!("{:.3}", number(&first.shuffle, "accuracy")),
            format!("chance: {:.3}", number(&first.shuffle, "chance")),
        ),
        figure(
            "copied test cells",
            count(&found.copies, "exact"),
            format!("of {}", count(&found.copies, "tested")),
        ),
    ]
}

fn findings(found: &Found) -> Findings {
    let told = |(model, finding): (Option<&str>, &leak::Finding)| {
        let severity = match finding.severity {
            leak::Severity::Leak => Severity::Error,
            leak::Severity::Notice => Severity::Note,
            leak::Severity::Passed => Severity::Passed,
        };
        let of = model.map_or_else(String::new, |model| format!(" ({model})"));
        let mut told = Finding::new(severity, format!("{}{of}: {}.", capital(finding.test), finding.words));
        for (name, value) in &finding.numbers {
            told = told.number(name.replace('_', " "), printed(*value));
        }
        told
    };
    Findings { findings: found.all().into_iter().map(told).collect() }
}

/// What every test says of every pipeline.
pub fn verdicts(found: &Found) -> Table {
    let tests = ["Declared steps", "Poisoned test cells", "Shuffled labels", "Duplicated cells"];
    let mut columns = vec![Column::text("Pipeline")];
    columns.extend(tests.map(Column::text));
    columns.push(Column::text("What it does"));
    let mut table = Table::new(columns);
    let verdict = |finding: &leak::Finding| Cell::from(finding.severity.to_string());
    for e in found.pipelines() {
        let declared = e.declared.iter().max_by_key(|finding| finding.severity).expect("it says something");
        let verdicts = [declared, &e.poison, &e.shuffle, &found.copies].map(verdict);
        let mut row = vec![Cell::from(e.prepared.name())];
        row.extend(verdicts);
        row.push(e.prepared.words().into());
        table.row(row);
    }
    if let Some(planted) = &found.planted_copies {
        let words = "test cells replaced by training cells";
        table.row(["copies".into(), Cell::Empty, Cell::Empty, Cell::Empty, verdict(planted), words.into()]);
    }
    table
}

/// A row a test, for the pipeline in question.
pub fn summary(found: &Found) -> Table {
    let mut table = Table::new(["Model", "Test", "Verdict"].map(Column::text).into());
    for (model, finding) in found.all() {
        table.row([model.unwrap_or("any").into(), finding.test.into(), finding.severity.to_string().into()]);
    }
    table
}

fn worth(found: &Found) -> Table {
    let mut table = Table::new(vec![
        Column::text("Pipeline"),
        Column::new("Accuracy", Kind::Interval(3)),
        Column::new("Macro-F1", Kind::Number(3)),
        Column::new("Right where the benchmark is wrong", Kind::Count),
        Column::new("Wrong where it is right", Kind::Count),
        Column::new("p", Kind::Number(3)),
        Column::new("Accuracy on shuffled labels", Kind::Number(3)),
        Column::new("Chance", Kind::Number(3)),
        Column::new("p of the excess", Kind::Number(4)),
    ]);
    let pipelines = found.pipelines();
    let honest = pipelines.iter().find(|e| e.prepared == Prepared::OnTrainingCells);
    let number = |e: &Examined, name: &str| e.shuffle.number(name).map_or(Cell::Empty, Cell::Value);
    for e in &pipelines {
        let accuracy = e.scores.intervals.accuracy;
        let mut row = vec![
            Cell::from(e.prepared.name()),
            Cell::Interval { value: e.scores.mean.accuracy, low: accuracy.low, high: accuracy.high },
            Cell::Value(e.scores.mean.f1_macro),
        ];
        row.extend(match honest.filter(|honest| honest.prepared != e.prepared) {
            None => [Cell::Empty, Cell::Empty, Cell::Empty],
            Some(honest) => {
                let paired = compare(&e.scores, &honest.scores);
                [paired.only_first.into(), paired.only_second.into(), Cell::Value(paired.p)]
            }
        });
        row.extend([number(e, "accuracy"), number(e, "chance"), number(e, "p")]);
        table.row(row);
    }
    table.caption = format!(
        "With {}, on the same cells; genes by label are at most {CHOSEN_BY_LABEL}. p: exact McNemar test.",
        found.checked[0].model
    );
    table
}

fn steps(found: &Found) -> Table {
    let mut table = Table::new(vec![
        Column::text("Pipeline"),
        Column::text("Step"),
        Column::new("Cells", Kind::Count),
        Column::new("of them tested", Kind::Count),
    ]);
    for e in found.checked.iter().chain(&found.controls) {
        for step in &e.steps {
            let cells = step.fitted_on.len();
            let tested = step.fitted_on.iter().filter(|&&cell| e.scores.fold[cell] == Some(0)).count();
            table.row([e.prepared.name().into(), step.name.as_str().into(), cells.into(), tested.into()]);
        }
    }
    table
}

/// Whether each control is caught by the tests that are there for it.
fn every_control_is_caught(found: &Found) -> bool {
    let caught = |e: &Examined| match e.prepared {
        Prepared::OnTrainingCells => true,
        Prepared::OnAllCells => is_leak(&e.poison) && e.declared.iter().any(is_leak),
        Prepared::GenesByLabel => is_leak(&e.shuffle) && is_leak(&e.poison) && e.declared.iter().any(is_leak),
    };
    found.controls.iter().all(caught) && found.planted_copies.as_ref().is_some_and(is_leak)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A number of a finding: whole as it is, others with four digits.
fn printed(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.4}") }
}
