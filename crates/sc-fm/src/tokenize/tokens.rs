use super::Report;
use super::rows::Piece;
use crate::nn::Packing;

/// Tokenised cells, one after another without padding, in the order of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    offsets: Vec<usize>,
    ids: Vec<u32>,
    values: Option<Vec<f32>>,
    rows: Vec<usize>,
    n_genes: Vec<u32>,
    uncropped: Option<(Vec<usize>, Vec<u32>)>,
    report: Report,
}

impl Tokens {
    pub(crate) fn new(report: Report, with_values: bool, with_uncropped: bool) -> Self {
        Self {
            offsets: vec![0],
            ids: Vec::new(),
            values: with_values.then(Vec::new),
            rows: Vec::new(),
            n_genes: Vec::new(),
            uncropped: with_uncropped.then(|| (vec![0], Vec::new())),
            report,
        }
    }

    pub(crate) fn push(&mut self, piece: Piece) {
        let base = self.ids.len();
        self.offsets.extend(piece.ends.iter().map(|end| base + end));
        self.ids.extend_from_slice(&piece.ids);
        if let Some(values) = &mut self.values {
            values.extend_from_slice(&piece.values);
        }
        self.rows.extend_from_slice(&piece.rows);
        self.n_genes.extend_from_slice(&piece.n_genes);
        if let Some((offsets, ids)) = &mut self.uncropped {
            let base = ids.len();
            offsets.extend(piece.uncropped_ends.iter().map(|end| base + end));
            ids.extend_from_slice(&piece.uncropped);
        }
        self.report.add(&piece);
    }

    /// Puts the cells of a later part of the same matrix behind these, made by the same tokeniser and parameters.
    ///
    /// # Panics
    /// If one of the two has values or uncropped ids and the other has not.
    pub fn append(&mut self, later: &Self) {
        assert_eq!(self.values.is_some(), later.values.is_some(), "both with values or both without");
        assert_eq!(self.uncropped.is_some(), later.uncropped.is_some(), "both with uncropped ids or without");
        let shifted = |base: usize, offsets: &[usize]| -> Vec<usize> {
            offsets[1..].iter().map(|offset| base + offset).collect()
        };
        self.offsets.extend(shifted(self.ids.len(), &later.offsets));
        self.ids.extend_from_slice(&later.ids);
        if let (Some(values), Some(more)) = (&mut self.values, &later.values) {
            values.extend_from_slice(more);
        }
        self.rows.extend_from_slice(&later.rows);
        self.n_genes.extend_from_slice(&later.n_genes);
        if let (Some((offsets, ids)), Some((more_offsets, more_ids))) =
            (&mut self.uncropped, &later.uncropped)
        {
            offsets.extend(shifted(ids.len(), more_offsets));
            ids.extend_from_slice(more_ids);
        }
        self.report.append(&later.report);
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.rows.len()
    }

    /// Where each cell begins in [`Tokens::ids`], and behind them the end of the last: `n_cells + 1` numbers.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The tokens of all cells (positions of the gene list, for scFoundation).
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// One value a token, if the model takes values or they were asked for; see the tokeniser for what they are.
    pub fn values(&self) -> Option<&[f32]> {
        self.values.as_deref()
    }

    /// Row of the matrix of each cell: which rows were kept.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Genes of the model with counts in each cell, before any cropping.
    pub fn n_genes(&self) -> &[u32] {
        &self.n_genes
    }

    /// Number of tokens of each cell, special ones included.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// The tokens of a cell.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn cell(&self, cell: usize) -> &[u32] {
        &self.ids[self.offsets[cell]..self.offsets[cell + 1]]
    }

    /// The values of a cell, if there are any.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn cell_values(&self, cell: usize) -> Option<&[f32]> {
        self.values.as_ref().map(|values| &values[self.offsets[cell]..self.offsets[cell + 1]])
    }

    /// All ranked tokens of a cell, without special ones and uncropped, if they were asked for.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn cell_uncropped(&self, cell: usize) -> Option<&[u32]> {
        self.uncropped.as_ref().map(|(offsets, ids)| &ids[offsets[cell]..offsets[cell + 1]])
    }

    /// The cells as the layers of a model see them.
    pub fn packing(&self) -> Packing {
        Packing::new(self.lengths())
    }

    /// What was known, kept, left out and cropped.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
