//! One number for a prediction, and the mean over cells with nothing left out.

use std::collections::BTreeMap;

use super::{Ontology, Relation, TermId};
use crate::{Error, Result};

/// What each relation is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRule {
    /// The same term. Default 1.
    pub same: f64,
    /// Right, but says less than the truth. Default 0.5.
    pub broader: f64,
    /// A kind of the truth: more than the truth can confirm. Default 1; [`ScoreRule::strict`] has 0.5.
    pub narrower: f64,
    /// Another type of the same broad class. Default 0.5.
    pub shared_class: f64,
}

impl Default for ScoreRule {
    fn default() -> Self {
        Self { same: 1.0, broader: 0.5, narrower: 1.0, shared_class: 0.5 }
    }
}

impl ScoreRule {
    /// A prediction that says more than the truth gets half.
    pub fn strict() -> Self {
        Self { narrower: 0.5, ..Self::default() }
    }

    /// Only the same term counts.
    pub fn exact() -> Self {
        Self { same: 1.0, broader: 0.0, narrower: 0.0, shared_class: 0.0 }
    }

    /// The worth of a relation; an unrelated term is worth 0.
    pub fn score(&self, relation: Relation) -> f64 {
        match relation {
            Relation::Same => self.same,
            Relation::Broader { .. } => self.broader,
            Relation::Narrower { .. } => self.narrower,
            Relation::SharedClass { .. } => self.shared_class,
            Relation::Unrelated => 0.0,
        }
    }
}

/// Predictions against truths over all cells; every cell is in exactly one of the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OntologyScores {
    /// Number of cells.
    pub n_cells: usize,
    /// Mean score over all cells, those without a term included.
    pub score: f64,
    /// Cells whose prediction is the true term (or, where a name has no term, the same name).
    pub same: usize,
    /// Cells whose prediction is an ancestor of the truth.
    pub broader: usize,
    /// Cells whose prediction is a kind of the truth.
    pub narrower: usize,
    /// Cells whose prediction shares a broad class with the truth.
    pub shared_class: usize,
    /// Cells whose prediction is a term that has nothing to do with the truth.
    pub unrelated: usize,
    /// Cells whose predicted or true name leads to no term, or to several; they score 1 for the same name, else 0, and
    /// count here only where they score 0.
    pub unmapped: usize,
    /// Mean of Lin's similarity over cells whose names both have a term; NaN if there are none.
    pub lin: f64,
    /// Mean is-a steps between prediction and truth over those cells; NaN if there are none.
    pub hops: f64,
}

impl Ontology {
    /// Scores predicted names against true names, a cell each.
    ///
    /// * `classes`: the broad classes, such as `ontology.terms(BROAD_CLASSES)?`; none if a confusion is never forgiven.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one prediction per truth; [`Error::Empty`] without cells.
    pub fn scores<S: AsRef<str>, T: AsRef<str>>(
        &self,
        predicted: &[S],
        truth: &[T],
        classes: &[TermId],
        rule: &ScoreRule,
    ) -> Result<OntologyScores> {
        if predicted.len() != truth.len() {
            let (found, expected) = (predicted.len(), truth.len());
            return Err(Error::Length { what: "the list of predicted names", found, expected });
        }
        // There are few names and many cells: each pair of names is compared once.
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (predicted, truth) in predicted.iter().zip(truth) {
            *pairs.entry((predicted.as_ref(), truth.as_ref())).or_default() += 1;
        }
        if pairs.is_empty() {
            return Err(Error::Empty { what: "the list of predicted names" });
        }
        let mut out = OntologyScores { n_cells: truth.len(), ..OntologyScores::default() };
        let (mut score, mut lin, mut hops, mut mapped, mut linked) = (0.0, 0.0, 0.0, 0usize, 0usize);
        for ((predicted, truth), n) in pairs {
            let (Some(a), Some(b)) = (self.find(predicted).term(), self.find(truth).term()) else {
                if super::names::key(predicted) == super::names::key(truth) {
                    out.same += n;
                    score += rule.same * n as f64;
                } else {
                    out.unmapped += n;
                }
                continue;
            };
            let relation = self.relation(a, b, classes);
            *match relation {
                Relation::Same => &mut out.same,
                Relation::Broader { .. } => &mut out.broader,
                Relation::Narrower { .. } => &mut out.narrower,
                Relation::SharedClass { .. } => &mut out.shared_class,
                Relation::Unrelated => &mut out.unrelated,
            } += n;
            score += rule.score(relation) * n as f64;
            lin += self.lin(a, b) * n as f64;
            mapped += n;
            if let Some(steps) = self.hops(a, b) {
                hops += f64::from(steps) * n as f64;
                linked += n;
            }
        }
        out.score = score / truth.len() as f64;
        out.lin = lin / mapped as f64;
        out.hops = hops / linked as f64;
        Ok(out)
    }
}

/// The agreement rule of GPTCelltype (Hou and Ji 2024): 1 for the same term, 0.5 if the lists of broad types share one,
/// else 0. A name without a term can still agree by its broad type.
///
/// * `predicted`, `truth`: the term, if the name has one, and the broad types of the cell type.
pub fn gptcelltype_agreement<T: PartialEq>(
    predicted: (Option<T>, &[&str]),
    truth: (Option<T>, &[&str]),
) -> f64 {
    let same = predicted.0.is_some() && predicted.0 == truth.0;
    let related = || predicted.1.iter().any(|broad| truth.1.contains(broad));
    match same {
        true => 1.0,
        false if related() => 0.5,
        false => 0.0,
    }
}
