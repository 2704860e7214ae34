//! Rows of a matrix, tokenised in parallel and put together in their order.

use rayon::prelude::*;

use super::{Report, Result, Tokens};

/// What becomes of a cell without any gene of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyCells {
    /// It is left out; [`Tokens::rows`] tells which cells are there.
    #[default]
    Drop,
    /// It stays, with its special tokens alone or with none.
    Keep,
}

/// Rows tokenised by one thread before it takes the next: enough to make the hand-over free.
const BLOCK: usize = 64;

/// Some tokenised rows in a row.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) ids: Vec<u32>,
    pub(crate) values: Vec<f32>,
    /// Length of `ids` after each cell.
    pub(crate) ends: Vec<usize>,
    pub(crate) rows: Vec<usize>,
    pub(crate) n_genes: Vec<u32>,
    pub(crate) uncropped: Vec<u32>,
    pub(crate) uncropped_ends: Vec<usize>,
    /// Rows looked at, filtered, empty and cropped.
    pub(crate) n_seen: usize,
    pub(crate) n_filtered: usize,
    pub(crate) n_empty: usize,
    pub(crate) n_cropped: usize,
    /// Sum of the known genes and of all genes, for each row that was not filtered.
    pub(crate) sums: Vec<(f64, f64)>,
}

impl Piece {
    /// Closes a cell whose tokens have been pushed to `ids`.
    pub(crate) fn end_cell(&mut self, row: usize, n_genes: usize, cropped: bool) {
        self.ends.push(self.ids.len());
        self.uncropped_ends.push(self.uncropped.len());
        self.rows.push(row);
        self.n_genes.push(n_genes as u32);
        self.n_cropped += usize::from(cropped);
    }
}

/// Every row through `tokenize(scratch, row, piece)`, with one scratch a thread; the error of the first row that has
/// one.
pub(crate) fn tokenize_rows<S>(
    n_rows: usize,
    mut tokens: Tokens,
    scratch: impl Fn() -> S + Sync + Send,
    tokenize: impl Fn(&mut S, usize, &mut Piece) -> Result<()> + Sync + Send,
) -> Result<Tokens> {
    let pieces: Vec<Result<Piece>> = (0..n_rows.div_ceil(BLOCK))
        .into_par_iter()
        .map_init(scratch, |scratch, block| {
            let mut piece = Piece::default();
            for row in block * BLOCK..n_rows.min((block + 1) * BLOCK) {
                piece.n_seen += 1;
                tokenize(scratch, row, &mut piece)?;
            }
            Ok(piece)
        })
        .collect();
    for piece in pieces {
        tokens.push(piece?);
    }
    Ok(tokens)
}

impl Report {
    /// Adds the rows of a piece. Sums are folded row by row, so chunks of any size give the same bits.
    pub(crate) fn add(&mut self, piece: &Piece) {
        self.cells.n_seen += piece.n_seen;
        self.cells.n_filtered += piece.n_filtered;
        self.cells.n_empty += piece.n_empty;
        self.cells.n_cropped += piece.n_cropped;
        self.cells.n_tokenized += piece.rows.len();
        for (known, all) in &piece.sums {
            self.known_sum += known;
            self.sum += all;
        }
    }
}
