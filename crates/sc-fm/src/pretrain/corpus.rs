//! The cells of a pretraining: tokens in memory, or files that are tokenised piece by piece.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sc_io::h5ad::backed::{Backed, Rows};
use sha2::{Digest, Sha256};

use super::Error;
use crate::Result;
use crate::embed::{EmbedParams, FoundationModel, Input, matrix_of_file};
use crate::tokenize::Tokens;
use crate::train::{hash_tokens, hex};

/// Cells in pieces, of which one is in memory at a time.
pub(super) trait Corpus {
    /// Number of cells of each piece.
    fn n_pieces(&self) -> usize;

    /// The cells of a piece.
    fn piece(&self, piece: usize) -> Result<Cow<'_, Tokens>>;

    /// The file that a piece is of, for messages.
    fn path(&self, piece: usize) -> Option<&Path>;
}

/// Tokens in memory are one piece.
impl Corpus for Tokens {
    fn n_pieces(&self) -> usize {
        1
    }

    fn piece(&self, _: usize) -> Result<Cow<'_, Tokens>> {
        Ok(Cow::Borrowed(self))
    }

    fn path(&self, _: usize) -> Option<&Path> {
        None
    }
}

/// Files, opened in the order of their paths.
pub(super) fn open(files: &[PathBuf]) -> Result<Vec<Backed>> {
    let mut files = files.to_vec();
    files.sort();
    if let Some(pair) = files.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::FileTwice { path: pair[0].clone() }.into());
    }
    Ok(files.iter().map(Backed::open).collect::<Result<_, sc_io::Error>>().map_err(Error::from)?)
}

/// Rows of files that go through the model's tokeniser.
pub(super) struct Files<'f> {
    files: Vec<(&'f Path, Rows<'f>, Input<'f>)>,
    /// File and rows of each piece.
    pieces: Vec<(usize, Range<usize>)>,
}

impl<'f> Files<'f> {
    pub(super) fn new(
        model: &FoundationModel,
        files: &'f [Backed],
        params: &EmbedParams,
        piece_rows: usize,
    ) -> Result<Self> {
        let mut opened = vec![];
        let mut pieces = vec![];
        for (number, file) in files.iter().enumerate() {
            let (rows, var) = matrix_of_file(file, &params.matrix)?;
            let input = Input::new(&model.network, file.obs(), var, params)?;
            let n = rows.n_rows();
            pieces.extend((0..n).step_by(piece_rows).map(|from| (number, from..n.min(from + piece_rows))));
            opened.push((file.path(), rows, input));
        }
        Ok(Self { files: opened, pieces })
    }
}

impl Corpus for Files<'_> {
    fn n_pieces(&self) -> usize {
        self.pieces.len()
    }

    fn piece(&self, piece: usize) -> Result<Cow<'_, Tokens>> {
        let (file, rows) = &self.pieces[piece];
        let (_, matrix, input) = &self.files[*file];
        let x = matrix.rows(rows.clone()).map_err(Error::from)?;
        Ok(Cow::Owned(input.part(&x, rows.start)?.0))
    }

    fn path(&self, piece: usize) -> Option<&Path> {
        Some(self.files[self.pieces[piece].0].0)
    }
}

/// What there is to train on, after one look at all cells.
pub(super) struct Contents {
    /// Tokens of each cell, over all pieces.
    pub(super) lengths: Vec<usize>,
    /// The cells of each piece.
    pub(super) pieces: Vec<Range<usize>>,
    /// SHA-256 of all tokens.
    pub(super) hash: String,
}

impl Contents {
    pub(super) fn of(corpus: &dyn Corpus, check: impl Fn(&Tokens) -> Result<()>) -> Result<Self> {
        let (mut lengths, mut pieces, mut sha) = (vec![], vec![], Sha256::new());
        for piece in 0..corpus.n_pieces() {
            let tokens = corpus.piece(piece)?;
            check(&tokens)?;
            let first = lengths.len();
            lengths.extend(tokens.lengths());
            pieces.push(first..lengths.len());
            sha.update(hash_tokens(&tokens));
        }
        Ok(Self { lengths, pieces, hash: hex(sha) })
    }
}
