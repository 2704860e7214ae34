//! Geneformer's rank value encoding: a cell is the list of its genes, the most telling first.
//!
//! A gene's value is `count / n_counts · 10,000 / median`, with the gene's median over the pretraining cells; the
//! genes with counts are listed by falling value, cut to the model's input size, with `<cls>` and `<eos>` around
//! them in V2 (Theodoris et al., Nature 2023, <https://doi.org/10.1038/s41586-023-06139-9>).

mod matrix;
mod order;

pub use matrix::TokenizeParams;

use std::collections::HashMap;

use matrix::Scratch;
use sc_io::Counts;

use super::vocabulary::{Gene, Series, Vocabulary};
use super::{Coverage, Error, GeneIds, Report, Result, Totals};

/// The input that a Geneformer model takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankParams {
    /// Most tokens in an input, special ones included. Default 4,096; `max_position_embeddings` of the model.
    pub model_input_size: usize,
    /// Whether `<cls>` stands before the genes and `<eos>` behind them. Default true.
    pub special_token: bool,
    /// Smallest share of the columns that must be genes of the model. Default 0.5. With 0, any matrix is taken that has
    /// a gene of the model, of whatever species.
    pub min_known: f64,
}

impl RankParams {
    /// The first series (gc30M dictionaries): 2,048 tokens, no special ones.
    pub const V1: Self = Self { model_input_size: 2_048, special_token: false, min_known: 0.5 };
    /// The second series (gc95M and gc104M dictionaries): 4,096 tokens, with `<cls>` and `<eos>`.
    pub const V2: Self = Self { model_input_size: 4_096, special_token: true, min_known: 0.5 };

    /// The input of the released models of a series.
    pub fn of(series: Series) -> Self {
        match series {
            Series::V1 => Self::V1,
            Series::V2 => Self::V2,
        }
    }

    fn validate(&self) -> Result<()> {
        let value = self.model_input_size;
        match (self.special_token, value) {
            (true, 0..3) => {
                let expected = "at least 3: <cls>, a gene and <eos>";
                Err(Error::Parameter { name: "model_input_size", value, expected })
            }
            (false, 0) => Err(Error::Parameter { name: "model_input_size", value, expected: "at least 1" }),
            _ => Ok(()),
        }
    }
}

impl Default for RankParams {
    fn default() -> Self {
        Self::V2
    }
}

/// A gene of a cell, ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedGene {
    /// Its token.
    pub token: u32,
    /// Its counts per 10,000 of the cell's `n_counts`.
    pub counts: f64,
    /// `counts` divided by the gene's median: what the genes are ranked by.
    pub value: f64,
}

/// A Geneformer vocabulary laid over the columns of one matrix.
#[derive(Clone, Debug)]
pub struct RankTokenizer {
    columns: Vec<Column>,
    /// Genes that several columns share, by their first column.
    shared: Vec<SharedGene>,
    /// `<cls>` and `<eos>`, if the model wants them.
    specials: Option<(u32, u32)>,
    n_ranks: usize,
    coverage: Coverage,
    report: Report,
}

/// What a column is to the model.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// 0 for a column that is no gene, or not alone with it: its counts then have no value of their own.
    inverse_median: f64,
    token: u32,
    /// Place among the genes of several columns, or [`ALONE`].
    shared: u32,
}

const ALONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct SharedGene {
    token: u32,
    inverse_median: f64,
}

impl RankTokenizer {
    /// Finds the gene of each column.
    ///
    /// * `ensembl_ids`: one id per column of the matrix; with [`Vocabulary::with_mapping`], symbols do as well.
    ///
    /// Columns are ranked in this order where values are equal: first those that are alone with their gene, as they
    /// stand in the matrix, then the genes of several columns, by their first column. That is the order of the
    /// reference after it has summed such columns.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Fraction`], [`Error::NoSpecial`] if the vocabulary lacks `<cls>` or `<eos>`,
    /// [`Error::NoGenes`] if no column is known; [`Error::FewGenes`] and [`Error::OtherSpecies`] unless
    /// [`RankParams::min_known`] allows it.
    pub fn new<S: AsRef<str>>(
        vocabulary: &Vocabulary,
        ensembl_ids: &[S],
        params: &RankParams,
    ) -> Result<Self> {
        params.validate()?;
        let special = |name: &'static str| vocabulary.token(name).ok_or(Error::NoSpecial { name });
        let specials = match params.special_token {
            true => Some((special("<cls>")?, special("<eos>")?)),
            false => None,
        };

        let found: Vec<Option<(Gene, bool)>> =
            ensembl_ids.iter().map(|id| vocabulary.gene(id.as_ref())).collect();
        let tokens: Vec<Option<u32>> = found.iter().map(|gene| gene.map(|(gene, _)| gene.token)).collect();
        let n_versions = found.iter().flatten().filter(|(_, versioned)| *versioned).count();
        let coverage = Coverage::of(&tokens, n_versions, vocabulary.n_genes());
        coverage.check(ensembl_ids, params.min_known)?;

        let mut shared = Vec::new();
        let mut place_of: HashMap<u32, u32> = HashMap::new();
        let column = |(column, found): (usize, &Option<(Gene, bool)>)| {
            let none = Column { inverse_median: 0.0, token: 0, shared: ALONE };
            let Some((Gene { token, median }, _)) = *found else { return none };
            let inverse_median = 1.0 / median;
            if coverage.shared.binary_search(&column).is_err() {
                return Column { inverse_median, token, shared: ALONE };
            }
            let place = *place_of.entry(token).or_insert_with(|| {
                shared.push(SharedGene { token, inverse_median });
                shared.len() as u32 - 1
            });
            Column { shared: place, ..none }
        };
        let columns: Vec<Column> = found.iter().enumerate().map(column).collect();
        let n_ranks = params.model_input_size - if specials.is_some() { 2 } else { 0 };
        let report = Report::new(&coverage, ensembl_ids, Totals::RowSum);
        Ok(Self { columns, shared, specials, n_ranks, coverage, report })
    }

    /// As [`RankTokenizer::new`], with ids that a finder took from a table; the report names the place.
    ///
    /// # Errors
    /// As [`RankTokenizer::new`].
    pub fn with_ids(vocabulary: &Vocabulary, ids: &GeneIds, params: &RankParams) -> Result<Self> {
        let mut tokenizer = Self::new(vocabulary, &ids.ids, params)?;
        tokenizer.report = tokenizer.report.with_source(ids.source.clone());
        Ok(tokenizer)
    }

    /// Which columns the model knows.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Every gene of the model with counts in a cell, by falling value, equal values in column order; nothing is
    /// cropped.
    ///
    /// * `counts`, `row`: the matrix and the cell's row in it.
    /// * `n_counts`: the cell's total as its `obs` says, unknown genes included; `None` takes the row's sum.
    ///
    /// The values are those of [`RankTokenizer::tokenize`], which takes whole matrices and is faster.
    ///
    /// # Errors
    /// [`Error::Columns`] if the matrix has another width, [`Error::TotalCounts`] if `n_counts` is below 1 and the cell
    /// has counts.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn rank_cell(
        &self,
        counts: Counts<'_>,
        row: usize,
        n_counts: Option<f64>,
    ) -> Result<Vec<RankedGene>> {
        self.check_width(counts)?;
        let mut scratch = Scratch::default();
        let (columns, values) = counts.csr().row(row);
        self.entries(row, columns, values, n_counts, &mut scratch)?;
        let (order, tokens, counts) = scratch.ordered();
        let gene = |&(value, place): &(f64, u32)| {
            let place = place as usize;
            RankedGene { token: tokens[place], counts: counts[place], value }
        };
        Ok(order.iter().map(gene).collect())
    }

    fn check_width(&self, counts: Counts<'_>) -> Result<()> {
        match (counts.n_vars(), self.columns.len()) {
            (found, expected) if found != expected => Err(Error::Columns { found, expected }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
