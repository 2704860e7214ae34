//! The rows of the file.

use std::borrow::Cow;
use std::fmt::Write;

use super::Perturber;
use super::perturber::Outcome;

/// The columns in front of the shifts.
pub(super) const COLUMNS: [&str; 10] = [
    "perturbation",
    "gene_id",
    "gene_name",
    "token",
    "anchor",
    "cell",
    "position",
    "affected_gene_id",
    "affected_token",
    "cosine",
];

/// What the name of a column of shifts begins with.
pub(super) const SHIFT: &str = "shift_";

pub(super) struct Writer<'p> {
    pub(super) perturber: &'p Perturber<'p>,
    pub(super) states: &'p [String],
}

impl Writer<'_> {
    pub(super) fn header(&self) -> String {
        let shifts = self.states.iter().map(|state| quoted(&format!("{SHIFT}{state}")).into_owned());
        let columns: Vec<String> = COLUMNS.iter().map(|&name| name.to_owned()).chain(shifts).collect();
        columns.join(",") + "\n"
    }

    pub(super) fn rows(&self, outcome: &Outcome, text: &mut String) {
        let perturber = self.perturber;
        let (id, name) = perturber.gene(&outcome.tokens);
        let tokens: Vec<String> = outcome.tokens.iter().map(u32::to_string).collect();
        let anchor = perturber.anchor().map_or("", |token| perturber.id(token));
        let position = outcome.position.map_or(String::new(), |position| position.to_string());
        let start = format!(
            "{},{},{},{},{},{},{position},",
            perturber.params.perturbation,
            quoted(&id),
            quoted(&name),
            tokens.join("+"),
            quoted(anchor),
            outcome.row
        );
        let compared = &outcome.compared;
        write!(text, "{start},,{}", compared.cosine).expect("a string takes everything");
        compared.shifts.iter().for_each(|shift| write!(text, ",{shift}").expect("a string takes everything"));
        text.push('\n');
        let none = ",".repeat(self.states.len());
        for &(token, cosine) in &compared.affected {
            let id = quoted(perturber.id(token));
            writeln!(text, "{start}{id},{token},{cosine}{none}").expect("a string takes everything");
        }
    }
}

impl Perturber<'_> {
    pub(super) fn id(&self, token: u32) -> &str {
        self.ids.get(&token).map_or("", String::as_str)
    }

    /// Id and name of a gene, or of several; the name is empty where none is known.
    pub(super) fn gene(&self, tokens: &[u32]) -> (String, String) {
        let ids: Vec<&str> = tokens.iter().map(|&token| self.id(token)).collect();
        let names: Vec<Option<&String>> = ids.iter().map(|&id| self.names.get(id)).collect();
        let name = match names.iter().any(Option::is_some) {
            false => String::new(),
            true => {
                let shown = names.iter().zip(&ids).map(|(name, id)| name.map_or(*id, String::as_str));
                shown.collect::<Vec<_>>().join("+")
            }
        };
        (ids.join("+"), name)
    }
}

/// A field, in quotes where it needs them.
fn quoted(field: &str) -> Cow<'_, str> {
    match field.contains([',', '"', '\n', '\r', '\t']) {
        true => Cow::Owned(format!("\"{}\"", field.replace('"', "\"\""))),
        false => Cow::Borrowed(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(quoted("T cell"), "T cell");
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }
}
