//! From what people call cells to terms.

use std::collections::BTreeMap;

use super::abbreviations::ABBREVIATIONS;
use super::{Ontology, Term, TermId};

/// How a name led to a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It is the identifier.
    Id,
    /// It is the name, but for case, punctuation, blanks and plural.
    Name,
    /// It is a synonym, likewise.
    Synonym,
    /// It is a usual short form, such as `CD4 T`, `pDC` or `FCGR3A+ monocyte`.
    Abbreviation,
}

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// One term.
    Found {
        /// The term; for one out of use, its replacement.
        term: TermId,
        /// How.
        how: Match,
    },
    /// Several terms share the synonym; none is chosen.
    Ambiguous(Vec<TermId>),
    /// No term.
    Unknown,
}

impl Lookup {
    /// The term, if there is exactly one.
    pub fn term(&self) -> Option<TermId> {
        match self {
            Self::Found { term, .. } => Some(*term),
            Self::Ambiguous(_) | Self::Unknown => None,
        }
    }
}

/// Terms by the letters and digits of their names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Index {
    names: BTreeMap<String, TermId>,
    synonyms: BTreeMap<String, Vec<TermId>>,
    abbreviations: BTreeMap<String, TermId>,
}

impl Index {
    pub(super) fn new(terms: &[Term]) -> Self {
        let (mut names, mut synonyms) = (BTreeMap::new(), BTreeMap::<String, Vec<TermId>>::new());
        for (at, term) in terms.iter().enumerate().filter(|(_, term)| !term.obsolete) {
            let id = TermId(at as u32);
            names.entry(key(&term.name)).or_insert(id);
            for synonym in &term.synonyms {
                let ids = synonyms.entry(key(synonym)).or_default();
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        // A short form counts only where the ontology has the term that it stands for.
        let abbreviations = ABBREVIATIONS
            .iter()
            .filter_map(|(short, name)| Some((key(short), *names.get(&key(name))?)))
            .collect();
        Self { names, synonyms, abbreviations }
    }

    fn find(&self, key: &str) -> Option<Lookup> {
        let found = |term, how| Some(Lookup::Found { term, how });
        if let Some(&term) = self.names.get(key) {
            return found(term, Match::Name);
        }
        match self.synonyms.get(key).map(Vec::as_slice) {
            Some([term]) => return found(*term, Match::Synonym),
            Some(several) => return Some(Lookup::Ambiguous(several.to_vec())),
            None => {}
        }
        self.abbreviations.get(key).and_then(|&term| found(term, Match::Abbreviation))
    }
}

impl Ontology {
    /// The term that a name means.
    ///
    /// Identifiers come first, then names, synonyms and usual short forms. Case, punctuation and blanks do not count,
    /// `+` reads as "positive", a plural as its singular, and "cell" may be missing or too much. A synonym of several
    /// terms is [`Lookup::Ambiguous`].
    pub fn find(&self, name: &str) -> Lookup {
        if let Some(term) = self.by_id(name) {
            return Lookup::Found { term, how: Match::Id };
        }
        let full = key(name);
        if full.is_empty() {
            return Lookup::Unknown;
        }
        let singular = singular(&full);
        let mut candidates = vec![full.clone(), singular.clone(), format!("{singular}cell")];
        if let Some(short) = singular.strip_suffix("cell").filter(|short| !short.is_empty()) {
            candidates.push(short.to_owned());
        }
        candidates.iter().find_map(|key| self.names.find(key)).unwrap_or(Lookup::Unknown)
    }
}

/// Letters and digits in lower case; `+` as "positive".
pub(super) fn key(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '+' => out.push_str("positive"),
            'α' => out.push_str("alpha"),
            'β' => out.push_str("beta"),
            'γ' => out.push_str("gamma"),
            'δ' => out.push_str("delta"),
            'ï' => out.push('i'),
            _ if c.is_alphanumeric() => out.extend(c.to_lowercase()),
            _ => {}
        }
    }
    out
}

fn singular(key: &str) -> String {
    match key.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => key.strip_suffix('s').unwrap_or(key).to_owned(),
    }
}
