use std::fmt;

use crate::tokenize::Tokens;

/// Tokenised cells, in the order in which their results shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct PerturbCells<'t> {
    pub(super) ids: Vec<&'t [u32]>,
    pub(super) rows: Vec<usize>,
}

impl<'t> PerturbCells<'t> {
    /// Cells as the tokeniser leaves them; the first is row 0 of the data set, and so on.
    pub fn new<C: AsRef<[u32]>>(cells: &'t [C]) -> Self {
        Self { ids: cells.iter().map(AsRef::as_ref).collect(), rows: (0..cells.len()).collect() }
    }
}

impl<'t> From<&'t Tokens> for PerturbCells<'t> {
    fn from(tokens: &'t Tokens) -> Self {
        let ids = (0..tokens.n_cells()).map(|cell| tokens.cell(cell)).collect();
        Self { ids, rows: tokens.rows().to_vec() }
    }
}

/// Which cells were perturbed, and why others were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// Cells given.
    pub n_cells: usize,
    /// Cells that were perturbed.
    pub n_kept: usize,
    /// Cells of other states than the start state.
    pub n_other_state: usize,
    /// Cells of that state that lack a gene of the list, or the anchor.
    pub n_without_genes: usize,
    /// Cells that would have no gene left to compare.
    pub n_too_short: usize,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_cells, n_kept, n_other_state, n_without_genes, n_too_short } = self;
        write!(f, "{n_kept} of {n_cells} cells kept; left out: {n_other_state} of other states, ")?;
        write!(f, "{n_without_genes} without the genes, {n_too_short} with too few genes")
    }
}
