//! What was found, in words.

use anyhow::Result;
use sc_eval::report::{KeyFigure, Section};
use sc_examples::progress::thousands;

use super::super::args::{Decoding, LlmArgs, TaskName};
use super::super::models::prompt_params;
use super::super::scores::Row;
use super::super::servers::Purse;
use super::super::small::passes;
use super::super::tasks::Task;
use super::checks::Control;
use super::{Findings, Scored, tables};
use crate::small::NAME as SMALL;

/// What a task asks and what its table says.
pub(super) fn lede(task: &Task) -> String {
    let what = match task.name {
        TaskName::Markers => {
            "The type of a cluster from its first markers by Wilcoxon's test. Few clusters make wide intervals. Cells right: \
             the share of the cells whose own type is the answer of their cluster."
        }
        TaskName::Expression => "The type of a cell from its highest genes with their values, as JSON.",
        TaskName::BarcodeCluster => {
            "The number of a cell's Leiden cluster from its barcode: a control. A barcode says nothing of a cell, so nothing \
             can be right more often than the most frequent answer, but by chance or by a leak."
        }
    };
    format!(
        "{what} Precision, recall and F1 are means over the labels. Labels: the share of answers that are a label at all. \
         Tokens are those that went through the model; the time of a server is that of its requests, one after another."
    )
}

/// The headline.
pub(super) fn answer(scored: &[Scored<'_>]) -> String {
    let mut sentences = Vec::new();
    for scored in scored.iter().filter(|scored| scored.task.name != TaskName::BarcodeCluster) {
        let baseline = scored.best(|row| !row.is_model());
        if let (Some((model, scores)), Some((baseline, beside))) = (scored.best_model(), baseline) {
            sentences.push(format!(
                "From {}, {} names {} of {} {} rightly ({}); the best baseline, {}, names {} ({}).",
                match scored.task.name {
                    TaskName::Markers => "markers",
                    _ => "its highest genes",
                },
                model.method,
                scores.n_right,
                scores.n,
                things(scored.task),
                percent(scores.accuracy),
                baseline.method,
                beside.n_right,
                percent(beside.accuracy)
            ));
        }
    }
    for scored in scored.iter().filter(|scored| scored.task.name == TaskName::BarcodeCluster) {
        if let Some(control) = Control::of(scored) {
            sentences.push(match control.above {
                None => "From a barcode nothing is told above chance, as it must be.".to_owned(),
                Some(_) => "From a barcode clusters are told above chance: something leaks.".to_owned(),
            });
        }
    }
    sentences.join(" ")
}

fn things(task: &Task) -> &'static str {
    if task.name == TaskName::Markers { "clusters" } else { "cells" }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Numbers for the top of the page.
pub(super) fn key_figures(scored: &[Scored<'_>], purse: Purse) -> Vec<KeyFigure> {
    let mut figures = Vec::new();
    let mut add = |name: String, value: String, note: String| figures.push(KeyFigure { name, value, note });
    for scored in scored {
        if let Some((row, scores)) = scored.best_model() {
            let note = format!("right: {} of {}; {}", scores.n_right, scores.n, row.name());
            add(format!("best model, {}", scored.word()), percent(scores.accuracy), note);
        }
    }
    let free = |row: &Row| row.decoding == Decoding::Free.word() && !row.is_disguised;
    let rows = scored.iter().flat_map(|scored| &scored.rows).filter(|(row, _)| free(row));
    let (mut n, mut n_labels) = (0usize, 0usize);
    for (row, scores) in rows {
        n += scores.n;
        n_labels += row.answers.iter().flatten().count();
    }
    if n > 0 {
        let note = format!("{} of {} free answers", thousands(n_labels), thousands(n));
        add("are a label when text is free".to_owned(), percent(n_labels as f64 / n as f64), note);
    }
    if let Some(cost) = purse.cost {
        add(
            "was paid".to_owned(),
            format!("{cost:.4}"),
            format!("{} tokens in this run", thousands(purse.tokens as usize)),
        );
    }
    figures
}

impl Findings<'_> {
    pub(super) fn protocol(&self) -> Vec<(String, String)> {
        let args = self.args;
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let mut facts = vec![fact(
            "Cells",
            format!(
                "{} for training and baselines, {} asked about, stratified by label, seed {}",
                thousands(self.split.train.len()),
                thousands(self.split.test.len()),
                args.run.seed
            ),
        )];
        if self.has(TaskName::Markers) || self.has(TaskName::BarcodeCluster) {
            let text = format!(
                "Leiden at resolution {} on 40 principal components and 10 neighbours, without labels: for task markers of \
                 the test cells alone, for the control of all cells",
                args.resolution
            );
            facts.push(fact("Clusters", text));
        }
        if args.trains_small() {
            let times =
                self.tasks.iter().map(|(task, _)| format!("{} {}", task.name.word(), passes(task, args)));
            let text = format!(
                "of random weights, trained on the prompts and labels of the training items of each task, each time without \
                 another fifth of the genes; passes: {}",
                times.collect::<Vec<_>>().join(", ")
            );
            facts.push(fact(SMALL, text));
        }
        for (name, manner) in &self.manners {
            facts.push(fact(name, format!("as released, without training and examples, asked in {manner}")));
        }
        for server in &args.servers.endpoint {
            let text = format!("{} at {}, asked in messages, without examples", server.model, server.base);
            facts.push(fact(&server.name, text));
        }
        facts.push(fact("Counts", "normalised to 10,000 and log1p, cell by cell".to_owned()));
        let posterior = match args.calibrate {
            true => "less what the model says without a cell",
            false => "as the model gives it",
        };
        facts.push(fact("Posterior", posterior.to_owned()));
        facts
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.cells.notes();
        for (task, rows) in &self.tasks {
            if task.n_small > 0 {
                notes.push(format!(
                    "{} test cells are in clusters too small to be asked about.",
                    task.n_small
                ));
            }
            if task.name == TaskName::Markers {
                notes.push(
                    "Markers of a cluster are found among test cells alone, those for training among training cells alone."
                        .to_owned(),
                );
            }
            if rows.iter().any(|row| row.method.starts_with("SingleR")) && task.name == TaskName::Expression {
                notes.push(
                    "Nearest centroid and SingleR (markers by Cohen's d) see all genes of a cell, of which a prompt has some. \
                     Of a cluster they see the mean of its cells."
                        .to_owned(),
                );
            }
        }
        let decodings = &self.args.decoding;
        if decodings.iter().any(|way| way.needs_weights()) && !self.args.servers.endpoint.is_empty() {
            notes.push(
                "An exact posterior and a filled template need the weights of a model, so servers are not asked for them."
                    .to_owned(),
            );
        }
        if decodings.contains(&Decoding::Free) && decodings.contains(&Decoding::Strict) {
            notes.push(
                "Free and strict are two readings of one answer: its tokens and its time stand in both rows."
                    .to_owned(),
            );
        }
        if decodings.contains(&Decoding::Template) {
            notes.push(format!(
                "Template: the answer is {}, of which the model writes the reason, {} tokens at most, and then chooses the \
                 label. What it wrote is in records.jsonl.",
                r#"{"reason": "…", "cell_type": "…"}"#,
                self.args.max_new_tokens
            ));
            if self.args.trains_small() {
                notes.push(
                    "The small decoder has learnt bare labels and has never seen such an object: its templates show that they \
                     are filled, not what a template is worth."
                        .to_owned(),
                );
            }
        }
        notes
    }
}

/// The first prompt of each task, as a model without a frame of its own is asked.
pub(super) fn prompts(tasks: &[(Task, Vec<Row>)], args: &LlmArgs) -> Result<Section> {
    let mut lines = Vec::new();
    for (task, _) in tasks {
        if let Some(asked) = task.test.first() {
            let prompter =
                sc_llm::prompt::Prompter::new(&prompt_params(task, args)).map_err(sc_llm::Error::from)?;
            let prompt = prompter.prompt(&asked.evidence).map_err(sc_llm::Error::from)?;
            lines.push(format!("{} ({}), of {}:", task.name.word(), prompter.template().id(), asked.id));
            lines.extend(prompt.text().lines().map(str::to_owned));
        }
    }
    Ok(Section::text("What a model is asked", lines.join("\n\n")))
}

/// The comparison for a terminal.
pub(super) fn text(scored: &[Scored<'_>]) -> String {
    let rows = || scored.iter().flat_map(|scored| &scored.rows);
    let width = rows().map(|(row, _)| row.method.chars().count()).max().unwrap_or(0).max(6);
    let is_paid = rows().any(|(row, _)| row.cost.is_some());
    let cost = |text: &str| if is_paid { format!(" {text:>9}") } else { String::new() };
    let mut text = format!(
        "{:<16} {:<width$} {:<12} {:>9} {:>8} {:>8} {:>7} {:>9}{}\n",
        "task",
        "method",
        "decoding",
        "right",
        "accuracy",
        "macro-F1",
        "labels",
        "tokens/s",
        cost("cost")
    );
    for (row, s) in rows() {
        let speed = if row.is_model() { format!("{:.0}", tables::speed(row)) } else { String::new() };
        let right = format!("{}/{}", s.n_right, s.n);
        let paid = cost(&row.cost.map_or_else(String::new, |cost| format!("{cost:.4}")));
        text += &format!(
            "{:<16} {:<width$} {:<12} {right:>9} {:>8.3} {:>8.3} {:>5.1} % {speed:>9}{paid}\n",
            row.task,
            row.method,
            row.decoding,
            s.accuracy,
            s.f1,
            100.0 * s.compliance
        );
    }
    text
}
