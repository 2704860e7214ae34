//! Tables for programs.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use super::super::records::Line;
use super::Scored;

/// Writes `metrics.csv`, `predictions.csv` and `confusions.csv`.
pub(super) fn write(out: &Path, scored: &[Scored<'_>]) -> Result<()> {
    let files = [
        ("metrics.csv", metrics(scored)?),
        ("predictions.csv", predictions(scored)?),
        ("confusions.csv", confusions(scored)?),
    ];
    for (name, text) in files {
        sc_io::atomic::write_aside(out.join(name), true, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(())
}

fn metrics(scored: &[Scored<'_>]) -> Result<String> {
    let mut text = "task,method,decoding,n,n_right,accuracy,accuracy_low,accuracy_high,accuracy_of_cells,\
                    precision_macro,recall_macro,f1_macro,compliance,n_tokens,seconds,cost\n"
        .to_owned();
    for (row, s) in scored.iter().flat_map(|scored| &scored.rows) {
        let names = [row.task, &row.method, &row.decoding].map(quoted).join(",");
        let numbers =
            [s.accuracy, s.interval.low, s.interval.high, s.cells, s.precision, s.recall, s.f1, s.compliance];
        let numbers = numbers.map(|number| number.to_string()).join(",");
        let cost = row.cost.map_or_else(String::new, |cost| cost.to_string());
        let (n, n_right, n_tokens, seconds) = (s.n, s.n_right, row.n_tokens, row.seconds);
        writeln!(text, "{names},{n},{n_right},{numbers},{n_tokens},{seconds},{cost}")?;
    }
    Ok(text)
}

/// Every answer, those of the baselines too.
fn predictions(scored: &[Scored<'_>]) -> Result<String> {
    let mut text = "task,method,decoding,id,truth,label,outcome,probability\n".to_owned();
    for (scored, (row, _)) in
        scored.iter().flat_map(|scored| scored.rows.iter().map(move |row| (scored, row)))
    {
        for line in &row.lines {
            let probability = line.probability.map_or_else(String::new, |p| format!("{p:.6}"));
            let label = line.label.as_deref().unwrap_or_default();
            let Line { task, method, decoding, id, truth, outcome, .. } = line;
            let fields: [&str; 8] = [task, method, decoding, id, truth, label, outcome, &probability];
            writeln!(text, "{}", fields.map(quoted).join(","))?;
        }
        if !row.is_model() {
            let labels = &scored.task.labels;
            for (asked, answer) in scored.task.test.iter().zip(&row.answers) {
                let label = answer.map_or("", |label| labels[label].as_str());
                let fields = [row.task, &row.method, "", &asked.id, &labels[asked.truth], label, "exact", ""];
                writeln!(text, "{}", fields.map(quoted).join(","))?;
            }
        }
    }
    Ok(text)
}

/// How often items of each label were called what, wherever that is not 0; no label is empty.
fn confusions(scored: &[Scored<'_>]) -> Result<String> {
    let mut text = "task,method,decoding,truth,answer,n\n".to_owned();
    for (scored, (row, _)) in
        scored.iter().flat_map(|scored| scored.rows.iter().map(move |row| (scored, row)))
    {
        let labels = &scored.task.labels;
        let counts = super::tables::counts(scored.task, row);
        for ((truth, answer), &n) in counts.indexed_iter().filter(|(_, n)| **n > 0.0) {
            let answer = labels.get(answer).map_or("", String::as_str);
            let fields = [row.task, &row.method, &row.decoding, &labels[truth], answer].map(quoted).join(",");
            writeln!(text, "{fields},{n}")?;
        }
    }
    Ok(text)
}

/// A field of a CSV file. What a spreadsheet would take for a formula gets an apostrophe in front.
fn quoted(field: &str) -> String {
    let field = match field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{field}"),
        false => field.to_owned(),
    };
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_text_and_one_field_each() {
        assert_eq!(quoted("T cell, CD4+"), "\"T cell, CD4+\"");
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("B cell"), "B cell");
    }
}
