//! Text of others, made harmless.
//!
//! Names of genes, tissues and labels come from files. In a prompt they are values of JSON, so a quotation mark or a line
//! break cannot end them; a tokeniser, though, looks for names of special tokens anywhere, so `<` is escaped as well.

/// The text without what cannot be seen, with one space for each run of white space; `None` if nothing is left.
pub(super) fn clean(text: &str) -> Option<String> {
    let visible: String = text.chars().filter(|&c| c.is_whitespace() || !is_hidden(c)).collect();
    let words: Vec<&str> =
        visible.split(|c: char| c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// [`clean`], cut after some characters.
pub(super) fn capped(text: &str, max_chars: usize) -> Option<String> {
    // What is beyond a few times the cap is not looked at.
    let start: String = text.chars().take(8 * max_chars).collect();
    let clean = clean(&start)?;
    Some(clean.chars().take(max_chars).collect::<String>().trim_end().to_owned())
}

/// Controls, marks that reorder or hide text, unassigned private characters, and tags: what a reader does not see and a
/// model does.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{E000}'..='\u{F8FF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{10FFFF}')
}

/// The text as a string of JSON.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('<', "\\u003c")
}

/// The text as it stands between the quotation marks of a string of JSON.
pub(crate) fn json_inside(text: &str) -> String {
    let quoted = json(text);
    quoted[1..quoted.len() - 1].to_owned()
}

/// Characters of names of genes, and no others: for prompts that are not JSON.
pub(super) fn gene_symbol(text: &str, max_chars: usize) -> Option<String> {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "-._/:@+".contains(*c);
    let symbol: String = text.chars().filter(is_allowed).take(max_chars).collect();
    (!symbol.is_empty()).then_some(symbol)
}
