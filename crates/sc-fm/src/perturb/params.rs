use std::fmt;

use crate::models::Layer;
use crate::models::geneformer::Pooling;

/// What is done to a gene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Perturbation {
    /// Its token is taken out.
    #[default]
    Delete,
    /// Its token moves to the front (behind `<cls>`), or is put there if the cell does not have it.
    Overexpress,
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "delete",
            Self::Overexpress => "overexpress",
        })
    }
}

/// Which genes are perturbed, by ids that the dictionary of the model knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Genes {
    /// Each gene of each cell in turn. The gene at the top is not overexpressed: it would stay where it is.
    #[default]
    Each,
    /// These genes at once in every cell. Cells that lack one of them are left out for [`Perturbation::Delete`].
    /// Overexpressed genes stand in front in the order given.
    Together(Vec<String>),
    /// This gene together with each other gene of each cell in turn. Cells that lack it are left out. Overexpressed, the
    /// two stand in front in the order of their ranks.
    Anchored(String),
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct PerturbParams {
    /// What is done to genes. Default: deletion.
    pub perturbation: Perturbation,
    /// Which genes. Default: each in turn.
    pub genes: Genes,
    /// What stands for a cell. Default: `cls` for V2, `cell` for V1.
    pub pooling: Option<Pooling>,
    /// The layer whose states are compared. Default: second to last.
    pub layer: Layer,
    /// Whether the cosine of every remaining gene is kept too: the reference's `cls_and_gene` and `cell_and_gene`. A row
    /// for each pair of genes of a cell. Default no.
    pub affected: bool,
    /// Bytes for hidden values, those of original cells among them. Default 1 GiB. A cell that needs more is computed
    /// all the same.
    pub memory: usize,
}

impl Default for PerturbParams {
    fn default() -> Self {
        Self {
            perturbation: Perturbation::default(),
            genes: Genes::default(),
            pooling: None,
            layer: Layer::SecondToLast,
            affected: false,
            memory: 1 << 30,
        }
    }
}
