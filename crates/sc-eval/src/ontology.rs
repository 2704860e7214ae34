//! The Cell Ontology: terms, what is a kind of what, and scores of one cell-type name against another.
//!
//! "CD4 T cell" for a cell that is labelled "T cell" is no error, and "B cell" is one; a string comparison sees no
//! difference. Read a release of the ontology ([`Ontology::from_json`], [`Ontology::from_obo`]), map names to terms
//! ([`Ontology::find`]), and compare terms: [`Ontology::relation`], [`Ontology::hops`], [`Ontology::lin`],
//! [`ScoreRule`], [`harmonize`]. The release is the caller's; none is part of this crate.
//!
//! ```
//! use sc_eval::ontology::{Ontology, Relation};
//!
//! let obo = "[Term]\nid: CL:0000084\nname: T cell\n\n\
//!            [Term]\nid: CL:0000624\nname: CD4-positive, alpha-beta T cell\nis_a: CL:0000084 ! T cell\n";
//! let ontology = Ontology::from_obo(obo)?;
//! let t = ontology.find("T cells").term().expect("a plural is the same name");
//! let cd4 = ontology.find("CD4 T").term().expect("a usual abbreviation");
//! assert_eq!(ontology.relation(cd4, t, &[]), Relation::Narrower { hops: 1 });
//! # Ok::<(), sc_eval::Error>(())
//! ```

mod abbreviations;
mod harmonize;
mod information;
mod json;
mod names;
mod obo;
mod relation;
mod score;

use std::collections::BTreeMap;

pub use harmonize::{Harmonized, harmonize};
pub use names::{Lookup, Match};
pub use relation::{BROAD_CLASSES, Relation};
pub use score::{OntologyScores, ScoreRule, gptcelltype_agreement};

use crate::{Error, Result};

/// A term of one [`Ontology`], by its place in it. Terms are in the order of their identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermId(u32);

/// A term as a release writes it down.
#[derive(Clone, Debug, Default, PartialEq)]
struct RawTerm {
    id: String,
    name: String,
    synonyms: Vec<String>,
    /// Identifiers of terms that this one is a kind of, and the number of steps to each; 1 for parents.
    ancestors: Vec<(String, u32)>,
    obsolete: bool,
    replaced_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    id: String,
    name: String,
    synonyms: Vec<String>,
    /// The term itself at 0 steps, then its ancestors; ascending by place.
    ancestors: Ancestors,
    obsolete: bool,
    replaced_by: Option<TermId>,
    /// Terms in use that are a kind of this one, itself included.
    n_descendants: u32,
}

/// Terms that another is a kind of, with the steps to each.
type Ancestors = Vec<(TermId, u32)>;

/// Terms and their is-a relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ontology {
    terms: Vec<Term>,
    by_id: BTreeMap<String, TermId>,
    names: names::Index,
}

/// No release comes near; a file that claims more is not one.
const MOST_TERMS: usize = 1_000_000;
const MOST_STEPS: usize = 200_000_000;

impl Ontology {
    /// Builds the closure of the is-a relation.
    fn new(mut raw: Vec<RawTerm>) -> Result<Self> {
        let invalid = |term: &str, reason: String| Error::Ontology { term: term.to_owned(), reason };
        if raw.is_empty() {
            return Err(Error::Empty { what: "the ontology" });
        }
        if raw.len() > MOST_TERMS {
            return Err(invalid("", format!("{} terms, expected at most {MOST_TERMS}", raw.len())));
        }
        raw.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = raw.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(invalid(&pair[0].id, "is defined twice".to_owned()));
        }
        let by_id: BTreeMap<String, TermId> =
            raw.iter().enumerate().map(|(at, term)| (term.id.clone(), TermId(at as u32))).collect();
        // Ancestors in another ontology (an anatomical entity, say) say nothing about cell types and are left out.
        let given: Vec<Ancestors> = raw
            .iter()
            .map(|term| {
                let known = |(id, hops): &(String, u32)| Some((*by_id.get(id)?, *hops));
                term.ancestors.iter().filter_map(known).collect()
            })
            .collect();
        let closed = closure(&given).map_err(|(at, reason)| invalid(&raw[at].id, reason))?;
        let mut n_descendants = vec![0u32; raw.len()];
        for (_, ancestors) in raw.iter().zip(&closed).filter(|(term, _)| !term.obsolete) {
            for (ancestor, _) in ancestors {
                n_descendants[ancestor.0 as usize] += 1;
            }
        }
        let terms: Vec<Term> = raw
            .into_iter()
            .zip(closed)
            .zip(n_descendants)
            .map(|((raw, ancestors), n_descendants)| Term {
                replaced_by: raw.replaced_by.and_then(|id| by_id.get(&id).copied()),
                id: raw.id,
                name: raw.name,
                synonyms: raw.synonyms,
                ancestors,
                obsolete: raw.obsolete,
                n_descendants,
            })
            .collect();
        let names = names::Index::new(&terms);
        Ok(Self { terms, by_id, names })
    }

    /// Number of terms, those no longer in use included.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there are no terms; never true for an ontology that was read.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The identifier of a term, such as `CL:0000084`.
    pub fn id(&self, term: TermId) -> &str {
        &self.term(term).id
    }

    /// The name of a term, such as `T cell`.
    pub fn name(&self, term: TermId) -> &str {
        &self.term(term).name
    }

    /// Other names of a term that mean the same.
    pub fn synonyms(&self, term: TermId) -> &[String] {
        &self.term(term).synonyms
    }

    /// The term with an identifier, such as `CL:0000084`; one out of use leads to its replacement, where it names one.
    pub fn by_id(&self, id: &str) -> Option<TermId> {
        self.by_id.get(id.trim()).map(|&term| self.in_use(term))
    }

    /// The term itself at 0 steps and everything that it is a kind of, each with the fewest is-a steps to it.
    pub fn ancestors(&self, term: TermId) -> &[(TermId, u32)] {
        &self.term(term).ancestors
    }

    /// Is-a steps from `term` up to `ancestor`: 0 for the same term, `None` if it is not a kind of it.
    pub fn steps_up(&self, term: TermId, ancestor: TermId) -> Option<u32> {
        let ancestors = &self.term(term).ancestors;
        ancestors.binary_search_by_key(&ancestor, |&(id, _)| id).ok().map(|at| ancestors[at].1)
    }

    /// The terms of several names, for a list of classes.
    ///
    /// # Errors
    /// [`Error::Ontology`] with the first name that leads to no term.
    pub fn terms<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<TermId>> {
        let one = |name: &S| {
            let name = name.as_ref();
            self.find(name).term().ok_or_else(|| Error::Ontology {
                term: name.to_owned(),
                reason: "is not a name in the ontology".to_owned(),
            })
        };
        names.iter().map(one).collect()
    }

    fn in_use(&self, mut term: TermId) -> TermId {
        // A replacement may itself be replaced; a ring of them ends after as many steps as there are terms.
        for _ in 0..self.terms.len() {
            match self.term(term) {
                Term { obsolete: true, replaced_by: Some(next), .. } => term = *next,
                _ => break,
            }
        }
        term
    }

    fn term(&self, term: TermId) -> &Term {
        &self.terms[term.0 as usize]
    }
}

/// The fewest steps from each term to each of its ancestors, from those that the file gives; or the term that is a kind
/// of itself.
fn closure(given: &[Ancestors]) -> Result<Vec<Ancestors>, (usize, String)> {
    let mut all = Vec::with_capacity(given.len());
    let mut n_steps = 0usize;
    for at in 0..given.len() {
        let mut steps: BTreeMap<TermId, u32> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([(TermId(at as u32), 0u32)]);
        while let Some((term, hops)) = queue.pop_front() {
            if steps.get(&term).is_some_and(|&known| known <= hops) {
                continue;
            }
            steps.insert(term, hops);
            n_steps += 1 + given[term.0 as usize].len();
            if n_steps > MOST_STEPS {
                return Err((at, format!("has a hierarchy that takes over {MOST_STEPS} steps to follow")));
            }
            for &(ancestor, more) in &given[term.0 as usize] {
                if ancestor.0 as usize == at {
                    return Err((at, "is a kind of itself".to_owned()));
                }
                queue.push_back((ancestor, hops.saturating_add(more)));
            }
        }
        all.push(steps.into_iter().collect());
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
