//! How much a term says, and how much two terms have in common.

use super::{Ontology, TermId};

impl Ontology {
    /// What a term says, from the shape of the ontology alone (Seco, Veale and Hayes 2004): `1 - ln d / ln n` with `d`
    /// terms that are a kind of it, itself included, and `n` terms in use. 0 for the root, 1 for a leaf, and 1 for a
    /// term out of use, which nothing is a kind of.
    pub fn information_content(&self, term: TermId) -> f64 {
        let n = self.terms.iter().filter(|term| !term.obsolete).count();
        let descendants = self.term(term).n_descendants.max(1);
        if n < 2 { 1.0 } else { 1.0 - libm::log(f64::from(descendants)) / libm::log(n as f64) }
    }

    /// The most informative common ancestor of two terms; the lower identifier among equals.
    pub fn common_ancestor(&self, a: TermId, b: TermId) -> Option<TermId> {
        // The fewest descendants is the most information, and an integer has no ties by rounding.
        self.common(a, b).map(|(term, ..)| term).min_by_key(|&term| (self.term(term).n_descendants, term))
    }

    /// Resnik's similarity: the information content of the most informative common ancestor; 0 without one.
    pub fn resnik(&self, a: TermId, b: TermId) -> f64 {
        self.common_ancestor(a, b).map_or(0.0, |common| self.information_content(common))
    }

    /// Lin's similarity: `2 IC(common) / (IC(a) + IC(b))`, 1 for the same term, 0 if they share nothing but the root.
    pub fn lin(&self, a: TermId, b: TermId) -> f64 {
        if a == b {
            return 1.0;
        }
        let sum = self.information_content(a) + self.information_content(b);
        if sum > 0.0 { 2.0 * self.resnik(a, b) / sum } else { 0.0 }
    }
}
