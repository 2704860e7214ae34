//! How two terms stand to each other.

use super::{Ontology, TermId};

/// How a predicted term stands to the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same term.
    Same,
    /// The prediction is right and says less: it is an ancestor of the truth.
    Broader {
        /// Is-a steps between them.
        hops: u32,
    },
    /// The prediction says more than the truth: it is a kind of it.
    Narrower {
        /// Is-a steps between them.
        hops: u32,
    },
    /// Both are of one of the given broad classes.
    SharedClass {
        /// The class; the one nearest to both, the first in the list among equally near ones.
        class: TermId,
    },
    /// None of these.
    Unrelated,
}

/// Names of classes that are broad enough to forgive a confusion within, and narrow enough to mean something. For
/// [`Ontology::terms`]; any other list may be used.
pub const BROAD_CLASSES: &[&str] = &[
    "T cell",
    "innate lymphoid cell",
    "lymphocyte of B lineage",
    "monocyte",
    "macrophage",
    "dendritic cell",
    "granulocyte",
    "mast cell",
    "megakaryocyte",
    "platelet",
    "erythroid lineage cell",
    "hematopoietic precursor cell",
    "epithelial cell",
    "endothelial cell",
    "fibroblast",
    "stromal cell",
    "muscle cell",
    "pericyte",
    "adipocyte",
    "neuron",
    "macroglial cell",
    "germ cell",
];

impl Ontology {
    /// How `predicted` stands to `truth`, with `classes` as the broad classes, if any.
    pub fn relation(&self, predicted: TermId, truth: TermId, classes: &[TermId]) -> Relation {
        if predicted == truth {
            return Relation::Same;
        }
        if let Some(hops) = self.steps_up(truth, predicted) {
            return Relation::Broader { hops };
        }
        if let Some(hops) = self.steps_up(predicted, truth) {
            return Relation::Narrower { hops };
        }
        let both =
            |&class: &TermId| Some((self.steps_up(predicted, class)? + self.steps_up(truth, class)?, class));
        match classes.iter().filter_map(both).min_by_key(|&(steps, _)| steps) {
            Some((_, class)) => Relation::SharedClass { class },
            None => Relation::Unrelated,
        }
    }

    /// The fewest is-a steps from `a` up to a common ancestor and down to `b`: 0 for the same term, `None` if they have
    /// no ancestor in common.
    pub fn hops(&self, a: TermId, b: TermId) -> Option<u32> {
        self.common(a, b).map(|(_, up, down)| up + down).min()
    }

    /// Common ancestors of two terms, with the steps to each from either side.
    pub(super) fn common(&self, a: TermId, b: TermId) -> impl Iterator<Item = (TermId, u32, u32)> {
        self.ancestors(a).iter().filter_map(move |&(ancestor, up)| {
            let down = self.steps_up(b, ancestor)?;
            Some((ancestor, up, down))
        })
    }
}
