//! The results as Markdown, for a README or an issue.

use super::Report;
use super::facts::Facts;
use super::number;
use super::section::{Cell, Content, Kind, Section, Table};
use super::words;

/// Rows of a section's table; more of them are left to its file.
const MAX_ROWS: usize = 60;

/// Title, answer, table of models, F1 by class, sections, notes.
pub(super) fn page(report: &Report, facts: Option<&Facts<'_>>, sections: &[Section]) -> String {
    let mut out = format!("# {}\n", escape(&report.title));
    let headline = words::headline_text(report, facts);
    if !headline.is_empty() {
        out.push_str(&format!("\n{}\n", escape(&headline)));
    }
    for figure in &report.key_figures {
        let note =
            if figure.note.is_empty() { String::new() } else { format!(" ({})", escape(&figure.note)) };
        out.push_str(&format!("\n- {}: {}{note}", escape(&figure.name), escape(&figure.value)));
    }
    if !report.key_figures.is_empty() {
        out.push('\n');
    }
    for section in sections.iter().filter(|section| section.leads) {
        self::section(&mut out, section);
    }
    if let Some(facts) = facts {
        out.push('\n');
        if report.scope.is_some() {
            out.push_str(&format!("## {}\n\n", escape(&words::models_title(report))));
        }
        models(&mut out, facts);
        classes(&mut out, report, facts);
    }
    for section in sections.iter().filter(|section| !section.leads) {
        self::section(&mut out, section);
    }
    if !report.notes.is_empty() {
        out.push_str("\n## Notes\n\n");
        for note in &report.notes {
            out.push_str(&format!("- {}\n", escape(note)));
        }
    }
    out
}

fn section(out: &mut String, section: &Section) {
    out.push_str(&format!("\n## {}\n", escape(&section.title)));
    if !section.lede.is_empty() {
        out.push_str(&format!("\n{}\n", escape(&section.lede)));
    }
    if let Content::Text { text } = &section.content {
        for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
            out.push_str(&format!("\n{}\n", escape(paragraph)));
        }
    }
    if let Content::Map(map) = &section.content {
        out.push_str(&format!("\n{} on a map.\n", number::cells(map.codes.len())));
    }
    let table = match &section.content {
        Content::Reliability(reliability) => Some(reliability.summary()),
        _ => section.table(),
    };
    match table {
        Some(table) if table.rows.len() > MAX_ROWS => {
            let n = number::count(table.rows.len());
            out.push_str(&format!("\n{n} rows, in the CSV file of this section.\n"));
        }
        Some(table) => self::table(out, &table),
        None => {}
    }
}

fn table(out: &mut String, table: &Table) {
    if !table.caption.is_empty() {
        out.push_str(&format!("\n{}\n", escape(&table.caption)));
    }
    out.push_str("\n|");
    for column in &table.columns {
        out.push_str(&format!(" {} |", escape(&column.name)));
    }
    out.push_str("\n|");
    for column in &table.columns {
        out.push_str(if matches!(column.kind, Kind::Text | Kind::Interval(_)) { "---|" } else { "---:|" });
    }
    out.push('\n');
    let best: Vec<_> = (0..table.columns.len()).map(|column| table.is_best(column)).collect();
    for (i, row) in table.rows.iter().enumerate() {
        out.push('|');
        for (j, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
            let text = match cell {
                Cell::Text(text) => escape(text),
                cell => cell.value().map_or_else(String::new, |value| column.kind.print(value)),
            };
            let text = if best[j][i] { format!("**{text}**") } else { text };
            let print = |(low, high)| format!(" [{}, {}]", column.kind.print(low), column.kind.print(high));
            let ends = cell.ends().filter(|_| cell.value().is_some()).map(print);
            out.push_str(&format!(" {text}{} |", ends.unwrap_or_default()));
        }
        out.push('\n');
    }
}

fn models(out: &mut String, facts: &Facts<'_>) {
    out.push_str("| model | accuracy [95 %] | macro-F1 [95 %] | balanced accuracy | fit, s | predict, s |\n");
    out.push_str("|---|---|---|---:|---:|---:|\n");
    for model in &facts.models {
        let bold = |score: super::facts::Score| {
            let value = number::score(score.value);
            if score.best { format!("**{value}**") } else { value }
        };
        let interval = |score: super::facts::Score| {
            format!("{} [{}, {}]", bold(score), number::score(score.low), number::score(score.high))
        };
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            escape(model.name),
            interval(model.accuracy),
            interval(model.f1_macro),
            bold(model.balanced_accuracy),
            number::seconds(model.result.fit_seconds),
            number::seconds(model.result.predict_seconds),
        ));
    }
}

fn classes(out: &mut String, report: &Report, facts: &Facts<'_>) {
    out.push_str(&format!("\n{}\n\n## F1 by cell type\n\n| cell type | cells |", escape(words::INTERVALS)));
    for model in &facts.models {
        out.push_str(&format!(" {} |", escape(model.name)));
    }
    out.push_str(&format!("\n|---|---:|{}\n", "---:|".repeat(facts.models.len())));
    let support = facts.best().result.confusion.support();
    for (class, name) in report.labels.classes().iter().enumerate() {
        out.push_str(&format!("| {} | {} |", escape(name), support[class]));
        for model in &facts.models {
            out.push_str(&format!(" {} |", number::score(model.result.per_class[class].f1)));
        }
        out.push('\n');
    }
}

/// A text that Markdown and the HTML in it take for nothing but text, on one line.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => out.extend(['\\', c]),
            // A bare address would become a link.
            ':' => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_cell_nor_become_markup() {
        assert_eq!(escape("a|b\nc"), "a\\|b c");
        assert_eq!(escape("<img src=x onerror=alert(1)>"), "&lt;img src=x onerror=alert(1)&gt;");
        assert_eq!(escape("[x](javascript:alert(1))"), "\\[x\\](javascript&#58;alert(1))");
        assert_eq!(escape("https://example.org"), "https&#58;//example.org");
        assert_eq!(escape("random_forest"), "random\\_forest");
    }
}
