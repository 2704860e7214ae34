//! What a template may hold, looked at before it runs.
//!
//! Steps and output are limited while it runs, but not the memory of a value: `x = x + x` in a loop of thirty rounds
//! makes 2³⁰ bytes of one. So variables may hold parts of what is given, and text may be put together in output only.
//! A few sums outside loops are let through; each at most doubles a value.

use super::Error;

const MAX_TEMPLATE_BYTES: usize = 64 << 10;
/// Sums in one template: published ones have up to about 60.
const MAX_SUMS: usize = 256;
const MAX_SUMS_INTO_VARIABLES: usize = 8;
/// Tags that give text or templates a name.
const TAGS: [&str; 11] =
    ["macro", "call", "filter", "include", "import", "from", "extends", "block", "with", "autoescape", "do"];

pub(super) fn check(template: &str) -> Result<(), Error> {
    if template.len() > MAX_TEMPLATE_BYTES {
        return Err(Error::TemplateTooLong { found: template.len(), limit: MAX_TEMPLATE_BYTES });
    }
    let mut loops = 0_usize;
    let (mut n_sums, mut n_into_variables) = (0, 0);
    let mut rest = template;
    while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        let line = template[..template.len() - rest.len() + open].matches('\n').count() + 1;
        let refuse = |found: &str| Err(Error::NotAllowed { found: found.to_owned(), line });
        let inside = &rest[open + 2..];
        let is_tag = rest[open..].starts_with("{%");
        if rest[open..].starts_with("{#") {
            rest = inside.split_once("#}").map_or("", |(_, behind)| behind);
            continue;
        }
        let tokens = tokens(inside, if is_tag { "%}" } else { "}}" });
        rest = &inside[tokens.len..];
        let words = &tokens.words;
        let tag =
            if is_tag { words.iter().find(|word| **word != "-" && **word != "+").copied() } else { None };
        if let Some(tag) = tag.filter(|tag| TAGS.contains(tag) || *tag == "raw") {
            return refuse(&format!("the tag `{tag}`"));
        }
        let names_a_value = matches!(tag, Some("set" | "for"));
        if tag == Some("set") && !words.contains(&"=") {
            return refuse("a `set` of a whole block");
        }
        if words.contains(&"*") {
            return refuse("a product");
        }
        let start = usize::from(matches!(words.first(), Some(&"-" | &"+")));
        for place in start..words.len() {
            let is_number =
                |word: Option<&&str>| word.is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()));
            let before = place.checked_sub(1).and_then(|before| words.get(before));
            match words[place] {
                // The mark that keeps white space, at the end of a tag.
                "+" if place + 1 == words.len() => {}
                "+" if is_number(words.get(place + 1)) || is_number(before) => {}
                "+" | "~" => {
                    n_sums += 1;
                    n_into_variables += usize::from(names_a_value);
                    if names_a_value && loops > 0 {
                        return refuse("a variable that is put together in a loop");
                    }
                }
                "[" | "{" | "(" if names_a_value && is_literal(words, place) => {
                    return refuse("a variable with a list or table of others");
                }
                "replace" | "join" | "format" | "indent" if names_a_value => {
                    return refuse(&format!("`{}` into a variable", words[place]));
                }
                _ => {}
            }
        }
        if n_sums > MAX_SUMS || n_into_variables > MAX_SUMS_INTO_VARIABLES {
            return refuse("too many sums");
        }
        match tag {
            Some("for") => loops += 1,
            Some("endfor") => loops = loops.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a bracket opens a list, table or tuple with something in it, and not an index, a call or a group of one.
fn is_literal(words: &[&str], place: usize) -> bool {
    let close = match words[place] {
        "[" => "]",
        "{" => "}",
        _ => ")",
    };
    let is_empty = words.get(place + 1) == Some(&close);
    let before = place.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or("=");
    let ends_a_value = |word: &str| {
        let is_name = word.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
        (is_name && !["in", "if", "else", "and", "or", "not", "is"].contains(&word))
            || word == ")"
            || word == "]"
    };
    if is_empty || ends_a_value(before) {
        return false;
    }
    // A group in round brackets has no comma of its own.
    let mut depth = 0;
    words[place] != "("
        || words[place..].iter().any(|word| {
            depth +=
                i32::from(matches!(*word, "(" | "[" | "{")) - i32::from(matches!(*word, ")" | "]" | "}"));
            depth == 1 && *word == ","
        })
}

struct Tokens<'a> {
    /// Names, numbers and single signs; a quoted text is `"`.
    words: Vec<&'a str>,
    /// Bytes up to and with the end of the tag.
    len: usize,
}

fn tokens<'a>(text: &'a str, end: &str) -> Tokens<'a> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let behind = at + c.len_utf8();
        let rest = &text[behind..];
        match c {
            _ if text[at..].starts_with(end) => return Tokens { words, len: at + end.len() },
            '"' | '\'' => {
                let mut is_escaped = false;
                let close = rest.find(|inner: char| {
                    let closes = inner == c && !is_escaped;
                    is_escaped = inner == '\\' && !is_escaped;
                    closes
                });
                words.push("\"");
                at = close.map_or(text.len(), |close| behind + close + 1);
            }
            c if c.is_alphanumeric() || c == '_' => {
                let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                words.push(&text[at..behind + len]);
                at = behind + len;
            }
            c => {
                if !c.is_whitespace() {
                    words.push(&text[at..behind]);
                }
                at = behind;
            }
        }
    }
    Tokens { words, len: text.len() }
}
