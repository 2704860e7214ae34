//! What was found, in words.

use anyhow::Result;
use sc_eval::report::{Finding, Findings as Checks, KeyFigure, Section, Severity};
use sc_eval::statistics::{McNemar, discordant, mcnemar, wilson};
use sc_examples::progress::thousands;

use super::super::args::{Decoding, LlmArgs, TaskName};
use super::super::models::prompt_params;
use super::super::scores::{Row, Scores};
use super::super::servers::Purse;
use super::super::tasks::Task;
use super::{Findings, Scored, tables};
use crate::small::NAME as SMALL;

pub(super) const CHECKS: &str = "Every item counts: an answer that is no label is wrong. Intervals of single rows are Wilson's, \
                                 at 95 %.";

/// How much an error of the first kind is allowed, for all rows of a check together.
const ALPHA: f64 = 0.05;

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

fn percent(share: f64) -> String {
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

/// Whether anything is told from barcodes.
struct Control<'a> {
    /// Ways that were compared.
    n_ways: usize,
    best: (&'a Row, Scores),
    chance: Scores,
    /// The first row that is above chance.
    above: Option<&'a Row>,
}

impl<'a> Control<'a> {
    fn of(scored: &Scored<'a>) -> Option<Self> {
        let is_way = |row: &Row| !["majority", "random by prior"].contains(&row.method.as_str());
        let ways = || scored.rows.iter().filter(|(row, _)| is_way(row));
        let (n_ways, chance) = (ways().count(), scored.majority()?);
        // One way in twenty is above an interval of 95 % by chance alone.
        let level = 1.0 - ALPHA / n_ways.max(1) as f64;
        let is_above = |scores: &Scores| {
            wilson(scores.n_right as u64, scores.n as u64, level)
                .is_ok_and(|interval| interval.low > chance.accuracy)
        };
        let above = ways().find(|(_, scores)| is_above(scores)).map(|(row, _)| *row);
        Some(Self { n_ways, best: scored.best(is_way)?, chance, above })
    }
}

/// What a reader should know before the tables.
pub(super) fn checks(scored: &[Scored<'_>]) -> Result<Checks> {
    let mut findings = Vec::new();
    for scored in scored {
        match scored.task.name {
            TaskName::BarcodeCluster => findings.extend(control(scored)),
            _ => findings.extend(against_baselines(scored)?),
        }
    }
    for scored in scored.iter().filter(|scored| scored.task.name != TaskName::BarcodeCluster) {
        findings.extend(disguises(scored));
    }
    findings.extend(compliance(scored));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(Checks { findings })
}

fn interval(scores: &Scores) -> String {
    format!(
        "{} of {}, {} (95 % interval {} to {})",
        scores.n_right,
        scores.n,
        percent(scores.accuracy),
        percent(scores.interval.low),
        percent(scores.interval.high)
    )
}

fn control(scored: &Scored<'_>) -> Option<Finding> {
    let Control { n_ways, best: (best, scores), chance, above } = Control::of(scored)?;
    let chance = format!(
        "always the most frequent cluster of the training cells is right for {} of {}, {}",
        chance.n_right,
        chance.n,
        percent(chance.accuracy)
    );
    let best = format!("the best of {n_ways} ways, {}, is right for {}", best.name(), interval(&scores));
    let level = format!("at {} % over all {n_ways} ways together", 100.0 * (1.0 - ALPHA));
    Some(match above {
        None => Finding::new(
            Severity::Passed,
            format!(
                "Task barcode-cluster stays at chance, as it must: {best}; {chance}. No way is above that {level}. An accuracy \
                 on this task says nothing of biology."
            ),
        ),
        Some(row) => Finding::new(
            Severity::Error,
            format!(
                "Task barcode-cluster is above chance: {best}; {chance}. {} is above that {level}. Barcodes carry something of \
                 the clusters here, such as the sample or batch that a cell is of, or something leaks.",
                row.name()
            ),
        ),
    })
}

fn against_baselines(scored: &Scored<'_>) -> Result<Vec<Finding>> {
    let (Some((model, scores)), Some(majority)) = (scored.best_model(), scored.majority()) else {
        return Ok(Vec::new());
    };
    let word = scored.word();
    let is_above = scores.interval.low > majority.accuracy;
    let verdict = if is_above { "is above chance" } else { "is not clearly above chance" };
    let severity = if is_above { Severity::Passed } else { Severity::Warning };
    let text = format!(
        "Task {word} {verdict}: {} is right for {}; always the most frequent type is right for {}.",
        model.name(),
        interval(&scores),
        percent(majority.accuracy)
    );
    let mut findings = vec![Finding::new(severity, text)];
    if let Some((baseline, beside)) = scored.best(|row| !row.is_model()) {
        let codes = |row: &Row| -> Vec<u32> {
            row.answers.iter().map(|answer| answer.map_or(u32::MAX, |label| label as u32)).collect()
        };
        let truth: Vec<u32> = scored.task.test.iter().map(|asked| asked.truth as u32).collect();
        let cells = discordant(&truth, &codes(model), &codes(baseline))?;
        let p = mcnemar(cells, McNemar::Exact);
        let verdict = match (p < ALPHA, scores.n_right > beside.n_right) {
            (true, true) => "The model is better than every baseline",
            (true, false) => "The model is worse than the best baseline",
            (false, _) => "Model and best baseline cannot be told apart",
        };
        let text = format!(
            "{verdict} on task {word}: {} {} of {}, {} {}; only the model is right for {}, only the baseline for {} \
             (McNemar's exact p {}).",
            model.name(),
            scores.n_right,
            scores.n,
            baseline.name(),
            beside.n_right,
            cells.only_first,
            cells.only_second,
            match p < 1e-4 {
                true => "below 0.0001".to_owned(),
                false => format!("{p:.4}"),
            }
        );
        findings.push(Finding::new(Severity::Note, text));
    }
    Ok(findings)
}

/// What is left when the names of genes are shuffled.
fn disguises(scored: &Scored<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(majority) = scored.majority() else { return findings };
    for (row, scores) in scored.rows.iter().filter(|(row, _)| row.is_disguised) {
        let is_same = |other: &&(&Row, Scores)| {
            row.method.strip_suffix(", shuffled names") == Some(&other.0.method)
                && other.0.decoding == row.decoding
        };
        let Some((model, before)) = scored.models().find(is_same) else { continue };
        let falls = scores.interval.low <= majority.accuracy;
        let (severity, verdict) = match falls {
            true => (Severity::Passed, "its answers rest on the genes"),
            false => (Severity::Warning, "some of its answers rest on something else than the genes"),
        };
        let text = format!(
            "Task {}: when every gene gets the name of another, {} falls from {} to {}; the most frequent type is {}: {verdict}.",
            scored.word(),
            model.name(),
            percent(before.accuracy),
            percent(scores.accuracy),
            percent(majority.accuracy)
        );
        let text = match scores.n_right < before.n_right {
            true => text,
            false => text.replace("falls from", "goes from"),
        };
        findings.push(Finding::new(severity, text));
    }
    findings
}

/// Which answers are labels.
fn compliance(scored: &[Scored<'_>]) -> Vec<Finding> {
    let all = || scored.iter().flat_map(|scored| &scored.rows).filter(|(row, _)| row.is_model());
    let by = |chosen: bool| {
        all().filter(move |(row, _)| {
            let is_chosen = [Decoding::Constrained, Decoding::Posterior].map(Decoding::word);
            is_chosen.contains(&row.decoding.as_str()) == chosen
        })
    };
    let count = |chosen: bool| {
        let answers = || by(chosen).flat_map(|(row, _)| &row.answers);
        (answers().flatten().count(), answers().count())
    };
    let mut findings = Vec::new();
    let (n_labels, n) = count(true);
    if n > 0 {
        let (severity, end) = match n_labels == n {
            true => (Severity::Passed, "."),
            false => (Severity::Warning, ": a server did not keep to the labels that it was given."),
        };
        let text = format!(
            "Constrained and posterior answers are labels: {} of {}, {}{end}",
            thousands(n_labels),
            thousands(n),
            percent(n_labels as f64 / n as f64)
        );
        findings.push(Finding::new(severity, text));
    }
    let (n_labels, n) = count(false);
    if n > 0 {
        let text = format!(
            "Free text need not be a label: {} of {} free and strict answers are one, {}. The others count as wrong; left out, \
             as published scores leave them out, they would flatter a model.",
            thousands(n_labels),
            thousands(n),
            percent(n_labels as f64 / n as f64)
        );
        findings.push(Finding::new(Severity::Note, text));
    }
    let n_failed = all().flat_map(|(row, _)| &row.lines).filter(|line| line.outcome == "failed").count();
    if n_failed > 0 {
        let text = format!(
            "{} requests to servers failed and count as wrong; --resume asks again.",
            thousands(n_failed)
        );
        findings.push(Finding::new(Severity::Warning, text));
    }
    findings
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
            let text = format!(
                "of random weights, trained for {} epochs on the prompts and labels of the training items of each task",
                args.epochs
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
        if self.args.decoding.contains(&Decoding::Posterior) && !self.args.servers.endpoint.is_empty() {
            notes.push(
                "The exact posterior needs the weights of a model, so servers are not asked for it."
                    .to_owned(),
            );
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
