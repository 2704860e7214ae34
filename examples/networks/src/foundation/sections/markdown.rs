//! Tables as Markdown, for a paper or an issue.

use sc_eval::report::{Cell, Kind, Table};

/// A table as Markdown.
pub(super) fn markdown(table: &Table) -> String {
    let cell = |cell: &Cell, kind: Kind| {
        let print = |value: f64| match kind {
            Kind::Number(decimals) | Kind::Interval(decimals) => format!("{value:.*}", usize::from(decimals)),
            _ => value.to_string(),
        };
        match cell {
            Cell::Text(text) => text.replace('|', "\\|").replace('\n', " "),
            Cell::Value(value) if value.is_finite() => print(*value),
            Cell::Interval { value, low, high } => {
                format!("{} [{}, {}]", print(*value), print(*low), print(*high))
            }
            _ => String::new(),
        }
    };
    let heads: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let rules: Vec<&str> =
        table.columns.iter().map(|c| if c.kind == Kind::Text { "---" } else { "---:" }).collect();
    let mut lines = vec![heads.join(" | "), rules.join(" | ")];
    for row in &table.rows {
        let cells: Vec<String> =
            row.iter().zip(&table.columns).map(|(c, column)| cell(c, column.kind)).collect();
        lines.push(cells.join(" | "));
    }
    lines.iter().map(|line| format!("| {line} |\n")).collect()
}

#[cfg(test)]
mod tests {
    use sc_eval::report::Column;

    use super::*;

    #[test]
    fn a_table_becomes_markdown_and_names_stay_in_their_cells() {
        let mut table = Table::new(vec![Column::text("Model"), Column::new("Accuracy", Kind::Interval(2))]);
        table.row([Cell::from("a | b"), Cell::Interval { value: 0.5, low: 0.25, high: 0.751 }]);
        table.row([Cell::from("c"), Cell::Empty]);
        let expected = "| Model | Accuracy |\n| --- | ---: |\n| a \\| b | 0.50 [0.25, 0.75] |\n| c |  |\n";
        assert_eq!(markdown(&table), expected);
    }
}
