//! The results as a table of plain text.

use super::facts::{Facts, Score};
use super::number;

/// Columns before a name is cut.
const NAME: usize = 22;

/// Lines of at most 98 columns; `*` marks the best of a column.
pub(super) fn table(facts: &Facts<'_>) -> String {
    let width = facts.models.iter().map(|m| name(m.name).chars().count()).fold(8, usize::max);
    let mut out = format!(
        "{:<width$}  {:<22} {:<22} {:<9} {:>8} {:>8}\n",
        "model", "accuracy [95 %]", "macro-F1 [95 %]", "balanced", "fit s", "predict s"
    );
    let line_width = out.trim_end().chars().count();
    out.push_str(&"─".repeat(line_width));
    out.push('\n');
    for model in &facts.models {
        let [fit, predict] = [model.result.fit_seconds, model.result.predict_seconds].map(number::seconds);
        let line = format!(
            "{:<width$}  {:<22} {:<22} {:<9} {fit:>8} {predict:>9}",
            name(model.name),
            interval(model.accuracy),
            interval(model.f1_macro),
            marked(model.balanced_accuracy),
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let majority = number::score(facts.majority);
    out.push_str(&"─".repeat(line_width));
    let class = name(facts.majority_class);
    out.push_str(&format!("\n* best of its column; always “{class}”: accuracy {majority}\n"));
    out
}

/// A name on one line, without control characters, cut to the width of its column.
fn name(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(NAME) {
        None => clean,
        Some(_) => clean.chars().take(NAME - 1).chain(['…']).collect(),
    }
}

fn interval(score: Score) -> String {
    let Score { low, high, .. } = score;
    format!("{}[{low:.3}, {high:.3}]", pad(&marked(score), 7))
}

fn marked(score: Score) -> String {
    format!("{:.3}{}", score.value, if score.best { "*" } else { "" })
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

#[cfg(test)]
mod tests {
    use crate::report::sample;

    #[test]
    fn columns_are_aligned_and_fit_a_terminal() {
        let mut report = sample::report();
        report.models[1].0 = "a very long name of a model that nobody can remember".into();
        let table = report.table();
        assert!(table.lines().all(|line| line.chars().count() < 100), "{table}");
        let rows: Vec<_> = table.lines().skip(2).take(report.models.len()).collect();
        let places: Vec<_> = rows.iter().map(|r| r.chars().position(|c| c == '[').unwrap()).collect();
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        assert!(table.contains('*') && table.contains('…'));
    }

    #[test]
    fn control_characters_of_a_name_do_not_reach_the_terminal() {
        let mut report = sample::report();
        report.models[0].0 = "red \x1b[31m".into();
        assert!(!report.table().contains('\x1b'));
    }
}
