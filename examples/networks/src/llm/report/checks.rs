//! What a reader should know before the tables: whether the control is at chance, whether the models are above it, what
//! their answers rest on, and whether these are labels.

use anyhow::Result;
use sc_eval::report::{Finding, Findings, Severity};
use sc_eval::statistics::{Discordant, McNemar, discordant, mcnemar, wilson};
use sc_examples::progress::thousands;

use super::super::args::{Decoding, TaskName};
use super::super::scores::{Row, Scores};
use super::Scored;
use super::words::percent;

pub(super) const LEDE: &str =
    "Every item counts: an answer that is no label is wrong. Intervals are Wilson's, at 95 %.";

/// How much an error of the first kind is allowed, for all rows of a check together.
const ALPHA: f64 = 0.05;

/// Whether anything is told from barcodes.
pub(super) struct Control<'a> {
    /// Ways that were compared.
    n_ways: usize,
    best: (&'a Row, Scores),
    chance: Scores,
    /// The first row that is above chance.
    pub(super) above: Option<&'a Row>,
}

impl<'a> Control<'a> {
    pub(super) fn of(scored: &Scored<'a>) -> Option<Self> {
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

/// All findings, the gravest first.
///
/// # Errors
/// Those of the statistics.
pub(super) fn findings(scored: &[Scored<'_>]) -> Result<Findings> {
    let mut findings = Vec::new();
    for scored in scored {
        match scored.task.name {
            TaskName::BarcodeCluster => findings.extend(control(scored)),
            _ => findings.extend(against_baselines(scored)?),
        }
    }
    for scored in scored.iter().filter(|scored| scored.task.name != TaskName::BarcodeCluster) {
        findings.extend(disguises(scored)?);
    }
    findings.extend(compliance(scored));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(Findings { findings })
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
        let (cells, p) = apart(scored, model, baseline)?;
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

/// The items for which only one of two methods is right, and how likely it is that they differ so by chance.
fn apart(scored: &Scored<'_>, first: &Row, second: &Row) -> Result<(Discordant, f64)> {
    let codes = |row: &Row| -> Vec<u32> {
        row.answers.iter().map(|answer| answer.map_or(u32::MAX, |label| label as u32)).collect()
    };
    let truth: Vec<u32> = scored.task.test.iter().map(|asked| asked.truth as u32).collect();
    let cells = discordant(&truth, &codes(first), &codes(second))?;
    Ok((cells, mcnemar(cells, McNemar::Exact)))
}

/// What is left when the names of genes are shuffled.
fn disguises(scored: &Scored<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let Some(majority) = scored.majority() else { return Ok(findings) };
    for (row, scores) in scored.rows.iter().filter(|(row, _)| row.is_disguised) {
        let is_same = |other: &&(&Row, Scores)| {
            row.method.strip_suffix(", shuffled names") == Some(&other.0.method)
                && other.0.decoding == row.decoding
        };
        let Some((model, before)) = scored.models().find(is_same) else { continue };
        let (cells, p) = apart(scored, model, row)?;
        let falls = p < ALPHA && cells.only_first > cells.only_second;
        let (severity, verdict) =
            rests_on(majority.accuracy, before.interval.low, scores.interval.low, falls);
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
    Ok(findings)
}

/// What answers rest on, which only those of a model show that knows something.
///
/// * `before`, `after`: the least accuracy that is likely, with the names of genes and with those of others.
/// * `falls`: whether the answers are worse with those of others, beyond chance.
fn rests_on(chance: f64, before: f64, after: f64, falls: bool) -> (Severity, &'static str) {
    match (after > chance, before > chance && falls) {
        (true, _) => (Severity::Warning, "some of its answers rest on something else than the genes"),
        (false, true) => (Severity::Passed, "its answers rest on the genes"),
        (false, false) => (Severity::Note, "what its answers rest on cannot be told"),
    }
}

/// Ways whose answers can be nothing but labels.
const CHOSEN: [Decoding; 3] = [Decoding::Constrained, Decoding::Posterior, Decoding::Template];

/// Which answers are labels.
fn compliance(scored: &[Scored<'_>]) -> Vec<Finding> {
    let all = || scored.iter().flat_map(|scored| &scored.rows).filter(|(row, _)| row.is_model());
    let by = |chosen: bool| {
        all().filter(move |(row, _)| CHOSEN.iter().any(|way| way.word() == row.decoding) == chosen)
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
        let is_there = |way: &Decoding| by(true).any(|(row, _)| row.decoding == way.word());
        let ways: Vec<&str> = CHOSEN.into_iter().filter(is_there).map(Decoding::word).collect();
        let text = format!(
            "Answers that can be nothing but labels ({}) are labels: {} of {}, {}{end}",
            ways.join(", "),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_model_that_knows_something_and_loses_it_rests_on_genes() {
        let severity = |before, after, falls| rests_on(0.2, before, after, falls).0;
        assert_eq!(severity(0.6, 0.1, true), Severity::Passed);
        assert_eq!(severity(0.6, 0.3, true), Severity::Warning);
        assert_eq!(severity(0.6, 0.1, false), Severity::Note);
        assert_eq!(severity(0.1, 0.1, false), Severity::Note, "a model at chance stays there");
    }
}
