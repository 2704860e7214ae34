//! One form for the ways in which the same cell type is written.

/// Names of Greek letters, as they stand in names of cell types.
const GREEK: [(char, &str); 10] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ω', "omega"),
];

/// Words in lower case and singular, Greek letters by name, signs as words of their own; hyphens within words, and
/// punctuation, are spaces.
pub(super) fn form(text: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    let whole = |words: &mut Vec<String>, word: &str| words.extend([word.to_owned(), String::new()]);
    let mut chars = text.chars().flat_map(char::to_lowercase).peekable();
    while let Some(c) = chars.next() {
        if let Some((_, name)) = GREEK.iter().find(|(letter, _)| *letter == c || (*letter == 'μ' && c == 'µ'))
        {
            whole(&mut words, name);
            continue;
        }
        match c {
            '+' | '⁺' => whole(&mut words, "+"),
            '⁻' => whole(&mut words, "-"),
            '-' | '−' if !chars.peek().is_some_and(|next| next.is_alphanumeric()) => whole(&mut words, "-"),
            c if c.is_alphanumeric() => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
            _ => words.push(String::new()),
        }
    }
    let words = words.iter().filter(|word| !word.is_empty()).map(|word| match word.as_str() {
        "positive" | "pos" => "+",
        "negative" | "neg" => "-",
        word => singular(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn singular(word: &str) -> &str {
    match word.strip_suffix('s') {
        Some(rest) if rest.len() > 2 && !rest.ends_with(['s', 'u', 'i']) => rest,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn ways_to_write_a_cell_type_have_one_form() {
        for (texts, expected) in [
            (["CD8+ T cells", "CD8-positive T cell", "CD8 pos. T-Cell", "cd8⁺ t cell"], "cd8 + t cell"),
            (["γδ T cell", "gamma-delta T cells", "Gamma Delta T cell", "ΓΔ T cell."], "gamma delta t cell"),
            (
                ["CD14- monocyte", "CD14⁻ monocytes", "CD14-negative monocyte", "CD14− monocyte"],
                "cd14 - monocyte",
            ),
            (["**B cell**", "\"B cells\"", "B_cell", " B  cell "], "b cell"),
        ] {
            for text in texts {
                assert_eq!(form(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn what_differs_stays_different() {
        assert_ne!(form("CD4+ T cell"), form("CD4 T cell"));
        assert_ne!(form("CD4+ T cell"), form("CD4- T cell"));
        assert_ne!(form("Th1"), form("Th17"));
        for word in ["gas", "virus", "thymus", "pancreatitis", "class"] {
            assert_eq!(form(word), word);
        }
        assert_eq!((form(""), form(" .")), (String::new(), String::new()));
    }
}
