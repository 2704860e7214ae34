//! The results as Markdown, for a README or an issue.

use super::Report;
use super::facts::Facts;
use super::number;
use super::words;

/// Title, answer, table of models, F1 by class, notes.
pub(super) fn page(report: &Report, facts: &Facts<'_>) -> String {
    let mut out = format!("# {}\n\n{}\n\n", escape(&report.title), escape(&words::answer_text(facts)));
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
    if !report.notes.is_empty() {
        out.push_str("\n## Notes\n\n");
        for note in &report.notes {
            out.push_str(&format!("- {}\n", escape(note)));
        }
    }
    out
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
