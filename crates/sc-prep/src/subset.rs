//! Part of a matrix, named by the rows and columns to look at; nothing is copied.

use crate::{Error, Result};

/// The cells and genes that a step looks at; by default all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subset<'a> {
    rows: Option<&'a [usize]>,
    genes: Option<&'a [bool]>,
}

impl<'a> Subset<'a> {
    /// Every cell and every gene.
    pub fn all() -> Self {
        Self::default()
    }

    /// The cells `rows`, for example those of the training folds, and every gene.
    pub fn rows(rows: &'a [usize]) -> Self {
        Self { rows: Some(rows), genes: None }
    }

    /// As before, but only the genes whose entry in `mask` is true.
    pub fn genes(self, mask: &'a [bool]) -> Self {
        Self { genes: Some(mask), ..self }
    }

    /// The subset, proven to lie in a matrix of `n_rows × n_cols`.
    pub(crate) fn within(self, n_rows: usize, n_cols: usize) -> Result<Checked<'a>> {
        if let Some(mask) = self.genes
            && mask.len() != n_cols
        {
            return Err(Error::Length { what: "the gene mask", found: mask.len(), expected: n_cols });
        }
        Ok(Checked { rows: Rows::new(self.rows, n_rows)?, genes: self.genes, n_cols })
    }
}

/// A [`Subset`] whose rows and genes exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) rows: Rows<'a>,
    genes: Option<&'a [bool]>,
    n_cols: usize,
}

impl Checked<'_> {
    pub(crate) fn has_gene(&self, gene: usize) -> bool {
        self.genes.is_none_or(|mask| mask[gene])
    }

    /// The genes looked at, ascending.
    pub(crate) fn gene_indices(&self) -> Vec<usize> {
        (0..self.n_cols).filter(|&gene| self.has_gene(gene)).collect()
    }
}

/// Rows that exist: all of them, or a list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    All(usize),
    Listed(&'a [usize]),
}

impl<'a> Rows<'a> {
    pub(crate) fn new(rows: Option<&'a [usize]>, n_rows: usize) -> Result<Self> {
        let Some(rows) = rows else { return Ok(Self::All(n_rows)) };
        match rows.iter().find(|&&row| row >= n_rows) {
            Some(&index) => Err(Error::OutOfBounds { what: "cell", index, bound: n_rows }),
            None => Ok(Self::Listed(rows)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(n) => *n,
            Self::Listed(rows) => rows.len(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, i: usize) -> usize {
        match self {
            Self::All(_) => i,
            Self::Listed(rows) => rows[i],
        }
    }
}

/// Where each column of a matrix goes in a list of chosen columns.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    /// [`Slots::ABSENT`] for a column that is not chosen.
    slot_of: Vec<u32>,
    len: usize,
}

impl Slots {
    const ABSENT: u32 = u32::MAX;

    pub(crate) fn all(n_cols: usize) -> Self {
        Self { slot_of: (0..n_cols as u32).collect(), len: n_cols }
    }

    /// Slots for `chosen`, each a column of `0..n_cols` and listed once.
    pub(crate) fn new(chosen: &[usize], n_cols: usize) -> Self {
        let mut slot_of = vec![Self::ABSENT; n_cols];
        chosen.iter().enumerate().for_each(|(slot, &column)| slot_of[column] = slot as u32);
        Self { slot_of, len: chosen.len() }
    }

    /// Number of chosen columns.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, column: u32) -> Option<usize> {
        let slot = self.slot_of[column as usize];
        (slot != Self::ABSENT).then_some(slot as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_or_a_mask_that_does_not_fit_is_refused() {
        let outside = Subset::rows(&[0, 3]).within(3, 2).unwrap_err();
        assert_eq!(outside.to_string(), "cell 3 is outside 0..3");
        let short = Subset::all().genes(&[true]).within(3, 2).unwrap_err();
        assert_eq!(short.to_string(), "the gene mask has 1 entries, expected 2");
    }
}
