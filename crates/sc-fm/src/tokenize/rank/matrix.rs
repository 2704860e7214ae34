//! Whole matrices, in one sparse pass.

use sc_io::Csr;
use sc_io::expression::{Counts, NotCounts};

use super::order::{Ranked, Sorter};
use super::{ALONE, Column, RankTokenizer};
use crate::tokenize::rows::{Piece, tokenize_rows};
use crate::tokenize::{Cells, EmptyCells, Error, Report, Result, Tokens, Totals};

/// What to make of a matrix besides the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenizeParams {
    /// What becomes of cells without a gene of the model. Default: they are left out.
    pub empty: EmptyCells,
    /// Whether [`Tokens::values`] holds the counts per 10,000 of each token, 0 at special tokens. Default false.
    pub keep_counts: bool,
    /// Whether [`Tokens::cell_uncropped`] holds all ranked tokens. Default false.
    pub keep_uncropped: bool,
}

/// Genes of one cell, in the order that breaks ties, and buffers of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    /// Their tokens.
    pub(super) tokens: Vec<u32>,
    /// Their counts per 10,000.
    pub(super) counts: Vec<f64>,
    /// What they are ranked by.
    ranked: Vec<Ranked>,
    /// Sums of the genes with several columns.
    sums: Vec<f64>,
    sorter: Sorter,
}

impl RankTokenizer {
    /// The model's input for every cell of a matrix.
    ///
    /// * `counts`: cells × the columns that the tokeniser was made for.
    /// * `cells`: totals and filter, one entry a row; [`Cells::default`] takes the sums of the rows and every cell.
    ///
    /// Values are computed as the reference does on sparse input, `counts · (1/n_counts) · 10,000 · (1/median)`, in
    /// f64. The reference starts in f32 if both `X` and `n_counts` are f32; values then differ by 1e-7 relative.
    ///
    /// # Errors
    /// [`Error::Columns`] if the matrix has another width, [`Error::Length`] if `cells` has another length,
    /// [`Error::TotalCounts`] for the first cell with counts whose total is below 1.
    pub fn tokenize(&self, counts: Counts<'_>, cells: &Cells, params: &TokenizeParams) -> Result<Tokens> {
        cells.check_all(counts.n_obs())?;
        self.tokenize_part(counts, 0, cells, params)
    }

    /// As [`RankTokenizer::tokenize`], for a matrix that comes in parts: consecutive rows, all columns. Memory holds
    /// one part and the tokens.
    ///
    /// # Errors
    /// Those of the parts, [`Error::NotCounts`] if one holds something else than counts, and those of
    /// [`RankTokenizer::tokenize`]; rows are numbered over all parts.
    pub fn tokenize_parts<E: From<Error>>(
        &self,
        parts: impl IntoIterator<Item = Result<Csr, E>>,
        cells: &Cells,
        params: &TokenizeParams,
    ) -> Result<Tokens, E> {
        let mut all = self.no_tokens(cells, params);
        let mut first_row = 0;
        for part in parts {
            let part = part?;
            let moved = |mut error: NotCounts| {
                error.obs.index += first_row;
                Error::from(error)
            };
            let counts = Counts::new(&part).map_err(moved)?;
            all.append(&self.tokenize_part(counts, first_row, cells, params)?);
            first_row += part.n_rows();
        }
        cells.check_all(first_row)?;
        Ok(all)
    }

    /// The tokens of some consecutive rows, for callers that store each part before they read the next.
    ///
    /// * `first_row`: row of the whole matrix that the part starts with; [`Tokens::rows`] counts from there.
    ///
    /// # Errors
    /// Those of [`RankTokenizer::tokenize`]; `cells` may be longer than the part.
    pub fn tokenize_part(
        &self,
        counts: Counts<'_>,
        first_row: usize,
        cells: &Cells,
        params: &TokenizeParams,
    ) -> Result<Tokens> {
        self.check_width(counts)?;
        let x = counts.csr();
        cells.check(first_row, x.n_rows())?;
        tokenize_rows(x.n_rows(), self.no_tokens(cells, params), Scratch::default, |scratch, row, piece| {
            let (columns, values) = x.row(row);
            self.row(first_row + row, columns, values, cells, params, scratch, piece)
        })
    }

    fn no_tokens(&self, cells: &Cells, params: &TokenizeParams) -> Tokens {
        let totals = if cells.n_counts.is_some() { Totals::Given } else { Totals::RowSum };
        let report = Report { totals, ..self.report.clone() };
        Tokens::new(report, params.keep_counts, params.keep_uncropped)
    }

    #[expect(clippy::too_many_arguments, reason = "a row, what is known of it, and where it goes")]
    fn row(
        &self,
        row: usize,
        columns: &[u32],
        values: &[f32],
        cells: &Cells,
        params: &TokenizeParams,
        scratch: &mut Scratch,
        piece: &mut Piece,
    ) -> Result<()> {
        if !cells.keeps(row) {
            piece.n_filtered += 1;
            return Ok(());
        }
        let sums = self.entries(row, columns, values, cells.total(row), scratch)?;
        piece.sums.push(sums);
        let n_genes = scratch.tokens.len();
        if n_genes == 0 {
            piece.n_empty += 1;
            if params.empty == EmptyCells::Drop {
                return Ok(());
            }
        }
        let (order, tokens, counts) = scratch.ordered();
        let ranked = &order[..n_genes.min(self.n_ranks)];
        let token = |&(_, place): &Ranked| tokens[place as usize];
        let (first, last) = self.specials.unzip();
        piece.ids.extend(first);
        piece.ids.extend(ranked.iter().map(token));
        piece.ids.extend(last);
        if params.keep_counts {
            piece.values.extend(first.map(|_| 0.0));
            piece.values.extend(ranked.iter().map(|&(_, place)| counts[place as usize] as f32));
            piece.values.extend(last.map(|_| 0.0));
        }
        if params.keep_uncropped {
            piece.uncropped.extend(order.iter().map(token));
        }
        piece.end_cell(row, n_genes, n_genes > self.n_ranks);
        Ok(())
    }

    /// Fills the scratch with the known genes that have counts. Returns the counts of the known genes and of all.
    pub(super) fn entries(
        &self,
        row: usize,
        columns: &[u32],
        values: &[f32],
        total: Option<f64>,
        scratch: &mut Scratch,
    ) -> Result<(f64, f64)> {
        let Scratch { tokens, counts, ranked, sums, .. } = scratch;
        tokens.clear();
        counts.clear();
        ranked.clear();
        sums.clear();
        let all = sum(values);
        if all == 0.0 {
            return Ok((0.0, 0.0));
        }
        let n_counts = total.unwrap_or(all);
        if !(n_counts.is_finite() && n_counts >= 1.0) {
            return Err(Error::TotalCounts { row, value: n_counts });
        }
        let per_count = 1.0 / n_counts;
        sums.resize(self.shared.len(), 0.0);
        let most = columns.len() + sums.len();
        tokens.resize(most, 0);
        counts.resize(most, 0.0);
        ranked.resize(most, (0.0, 0));
        let (mut n, mut known) = (0, 0.0);
        // Written in any case, and overwritten by the next if it is no gene with counts: a branch would often be wrong.
        let mut push = |count: f64, token: u32, inverse_median: f64| {
            let scaled = count * per_count * 10_000.0;
            let value = scaled * inverse_median;
            tokens[n] = token;
            counts[n] = scaled;
            ranked[n] = (value, n as u32);
            let is_gene = value > 0.0;
            known += if is_gene { count } else { 0.0 };
            n += usize::from(is_gene);
        };
        for (&column, &value) in columns.iter().zip(values) {
            let Column { inverse_median, token, shared } = self.columns[column as usize];
            if shared != ALONE {
                sums[shared as usize] += f64::from(value);
            }
            push(value.into(), token, inverse_median);
        }
        for (&count, gene) in sums.iter().zip(&self.shared) {
            push(count, gene.token, gene.inverse_median);
        }
        tokens.truncate(n);
        counts.truncate(n);
        ranked.truncate(n);
        Ok((known, all))
    }
}

/// Sum of counts, in eight interleaved sums: whole numbers, exact in any order below 2^53.
fn sum(counts: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights, rest) = counts.as_chunks::<8>();
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, &count)| *sum += f64::from(count));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&count| f64::from(count)).sum::<f64>()
}

impl Scratch {
    /// The genes, highest value first, and the tokens and counts that their places lead to.
    pub(super) fn ordered(&mut self) -> (&[Ranked], &[u32], &[f64]) {
        (self.sorter.sort(&self.ranked), &self.tokens, &self.counts)
    }
}
