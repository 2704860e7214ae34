//! The OBO text format, as far as an is-a hierarchy with names needs it.

use super::{Ontology, RawTerm};
use crate::{Error, Result};

impl Ontology {
    /// Reads a release from OBO 1.2 or 1.4 text (`cl.obo`, `cl-basic.obo`).
    ///
    /// Of each `[Term]`: `id`, `name`, `synonym` where it is `EXACT`, `is_a`, `is_obsolete`, `replaced_by`. Other
    /// stanzas and tags are left out; so are relations such as `develops_from`, because a precursor is no kind of what
    /// it becomes.
    ///
    /// # Errors
    /// [`Error::Ontology`] for a term without `id` or name, defined twice, or a kind of itself; [`Error::Empty`] without
    /// terms.
    pub fn from_obo(text: &str) -> Result<Self> {
        let mut terms: Vec<RawTerm> = Vec::new();
        let mut in_term = false;
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with('[') {
                in_term = line == "[Term]";
                if in_term {
                    terms.push(RawTerm::default());
                }
                continue;
            }
            let (true, Some(term)) = (in_term, terms.last_mut()) else { continue };
            let Some((tag, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match tag {
                "id" => term.id = bare(value).to_owned(),
                "name" => term.name = unescape(value),
                "synonym" => term.synonyms.extend(exact_synonym(value)),
                "is_a" => term.ancestors.push((bare(value).to_owned(), 1)),
                "is_obsolete" => term.obsolete = bare(value) == "true",
                "replaced_by" => term.replaced_by = Some(bare(value).to_owned()),
                _ => {}
            }
        }
        // A release imports terms of other ontologies as bare identifiers; only named terms can be looked up.
        terms.retain(|term| !term.id.is_empty() && !term.name.is_empty());
        if terms.is_empty() {
            let reason = "holds no [Term] with an id and a name; is it OBO text?".to_owned();
            return Err(Error::Ontology { term: String::new(), reason });
        }
        Self::new(terms)
    }
}

/// An identifier without the comment (`! name`) and trailing modifiers (`{...}`) behind it.
fn bare(value: &str) -> &str {
    value.split(['!', '{']).next().unwrap_or_default().trim()
}

/// `"text" EXACT [...]` to `text`; other scopes mean something broader, narrower or merely related.
fn exact_synonym(value: &str) -> Option<String> {
    let rest = value.strip_prefix('"')?;
    let mut escaped = false;
    let end = rest.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })?;
    let scope = rest[end + 1..].trim_start();
    scope.starts_with("EXACT").then(|| unescape(&rest[..end]))
}

/// Undoes OBO's backslashes.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 't' | 'W') => out.push(' '),
                Some(other) => out.push(other),
                None => {}
            },
            _ => out.push(c),
        }
    }
    out
}
