//! Geneformer's rank value encoding: a cell is the list of its genes, the most telling first.
//!
//! A gene's value is `count / n_counts · 10,000 / median`, with the gene's median over the pretraining cells; the
//! genes with counts are listed by falling value, cut to the model's input size, with `<cls>` and `<eos>` around
//! them in V2 (Theodoris et al., Nature 2023, <https://doi.org/10.1038/s41586-023-06139-9>).

use std::collections::BTreeMap;

use crate::tokenize::vocabulary::{Gene, Vocabulary};
use crate::{Error, Result};

/// The input that a Geneformer model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankParams {
    /// Most tokens in an input, special ones included. Default 4,096; `max_position_embeddings` of the model.
    pub model_input_size: usize,
    /// Whether `<cls>` stands before the genes and `<eos>` behind them. Default true.
    pub special_token: bool,
}

impl RankParams {
    /// The first series (gc30M dictionaries): 2,048 tokens, no special ones.
    pub const V1: Self = Self { model_input_size: 2_048, special_token: false };
    /// The second series (gc95M and gc104M dictionaries): 4,096 tokens, with `<cls>` and `<eos>`.
    pub const V2: Self = Self { model_input_size: 4_096, special_token: true };

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

/// How much of a matrix the model knows: look at it before believing an embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Columns of the matrix.
    pub n_columns: usize,
    /// Different genes of the model among them.
    pub n_genes: usize,
    /// Columns that share their gene with another column; their counts are summed.
    pub collapsed: Vec<usize>,
    /// Columns that are no gene of the model; their counts matter to `n_counts` alone.
    pub unknown: Vec<usize>,
}

impl Coverage {
    fn of(found: &[Option<(&str, Gene)>]) -> Self {
        let mut columns_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (column, gene) in found.iter().enumerate() {
            match gene {
                Some((id, _)) => columns_of.entry(id).or_default().push(column),
                None => unknown.push(column),
            }
        }
        let n_genes = columns_of.len();
        let mut collapsed: Vec<usize> =
            columns_of.into_values().filter(|columns| columns.len() > 1).flatten().collect();
        collapsed.sort_unstable();
        Self { n_columns: found.len(), n_genes, collapsed, unknown }
    }

    /// Share of the columns that are genes of the model, in 0..=1.
    pub fn fraction(&self) -> f64 {
        (self.n_columns - self.unknown.len()) as f64 / self.n_columns as f64
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

/// What the model takes in for a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedCell {
    /// The tokens, special ones included, at most `model_input_size`.
    pub input_ids: Vec<u32>,
    /// Genes of the model with counts in this cell; more than the tokens show if the cell was cropped.
    pub n_genes: usize,
}

/// A Geneformer vocabulary laid over the columns of one matrix.
#[derive(Clone, Debug)]
pub struct RankTokenizer {
    /// For each column, the place of its gene in `genes`.
    slots: Vec<Option<u32>>,
    /// Genes in the order that breaks ties.
    genes: Vec<SlotGene>,
    /// `<cls>` and `<eos>`, if the model wants them.
    specials: Option<(u32, u32)>,
    n_ranks: usize,
    coverage: Coverage,
}

#[derive(Clone, Copy, Debug)]
struct SlotGene {
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
    /// [`Error::Parameter`], [`Error::NoSpecial`] if the vocabulary lacks `<cls>` or `<eos>`, [`Error::NoGenes`] if no
    /// column is known.
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

        let found: Vec<_> = ensembl_ids.iter().map(|id| vocabulary.gene(id.as_ref())).collect();
        let coverage = Coverage::of(&found);
        if coverage.n_genes == 0 {
            let first = ensembl_ids.first().map_or_else(String::new, |id| id.as_ref().to_owned());
            return Err(Error::NoGenes { n_columns: ensembl_ids.len(), first });
        }
        // Shared columns last; a stable sort keeps the order of the matrix within both kinds.
        let mut columns: Vec<usize> = (0..found.len()).collect();
        columns.sort_by_key(|column| coverage.collapsed.binary_search(column).is_ok());
        let mut slots = vec![None; found.len()];
        let mut genes = Vec::with_capacity(coverage.n_genes);
        let mut slot_of: BTreeMap<&str, u32> = BTreeMap::new();
        for column in columns {
            let Some((id, gene)) = found[column] else { continue };
            slots[column] = Some(*slot_of.entry(id).or_insert_with(|| {
                genes.push(SlotGene { token: gene.token, inverse_median: 1.0 / gene.median });
                genes.len() as u32 - 1
            }));
        }
        let n_ranks = params.model_input_size - if specials.is_some() { 2 } else { 0 };
        Ok(Self { slots, genes, specials, n_ranks, coverage })
    }

    /// Which columns the model knows.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Every gene of the model with counts in a cell, by falling value, equal values in column order; nothing is
    /// cropped.
    ///
    /// * `indices`, `counts`: the stored entries of the cell's row, in any order; entries of one column are summed.
    /// * `n_counts`: the cell's total as its `obs` says, unknown genes included; `None` takes the row's sum.
    ///
    /// Computed as the reference does on sparse input, `counts · (1/n_counts) · 10,000 · (1/median)`, in f64. The
    /// reference starts in f32 if both `X` and `n_counts` are f32; values then differ by 1e-7 relative.
    ///
    /// # Errors
    /// [`Error::RowLength`], [`Error::Column`], [`Error::NotCounts`] for any entry that is not finite, whole and at
    /// least 0, [`Error::TotalCounts`] if `n_counts` is below 1 and the cell has counts.
    pub fn rank(&self, indices: &[u32], counts: &[f32], n_counts: Option<f64>) -> Result<Vec<RankedGene>> {
        let (mut entries, total) = self.entries(indices, counts)?;
        if total == 0.0 {
            return Ok(Vec::new());
        }
        let n_counts = n_counts.unwrap_or(total);
        if !(n_counts.is_finite() && n_counts >= 1.0) {
            return Err(Error::TotalCounts { value: n_counts });
        }
        let per_count = 1.0 / n_counts;
        entries.sort_unstable_by_key(|&(slot, _)| slot);
        let mut ranked: Vec<(u32, RankedGene)> = entries
            .chunk_by(|a, b| a.0 == b.0)
            .map(|columns| {
                let SlotGene { token, inverse_median } = self.genes[columns[0].0 as usize];
                let counts = columns.iter().map(|&(_, count)| count).sum::<f64>() * per_count * 10_000.0;
                (columns[0].0, RankedGene { token, counts, value: counts * inverse_median })
            })
            .collect();
        // The slot decides between equal values, so an unstable sort has one outcome.
        ranked.sort_unstable_by(|(a_slot, a), (b_slot, b)| {
            b.value.total_cmp(&a.value).then(a_slot.cmp(b_slot))
        });
        Ok(ranked.into_iter().map(|(_, gene)| gene).collect())
    }

    /// The model's input for a cell; `None` if no gene of the model has counts in it. Arguments and errors of
    /// [`RankTokenizer::rank`].
    pub fn tokenize(
        &self,
        indices: &[u32],
        counts: &[f32],
        n_counts: Option<f64>,
    ) -> Result<Option<RankedCell>> {
        let ranked = self.rank(indices, counts, n_counts)?;
        if ranked.is_empty() {
            return Ok(None);
        }
        let genes = ranked.iter().take(self.n_ranks).map(|gene| gene.token);
        let input_ids = match self.specials {
            Some((cls, eos)) => [cls].into_iter().chain(genes).chain([eos]).collect(),
            None => genes.collect(),
        };
        Ok(Some(RankedCell { input_ids, n_genes: ranked.len() }))
    }

    /// Slots and counts of the known genes with counts, and the total of all columns.
    fn entries(&self, indices: &[u32], counts: &[f32]) -> Result<(Vec<(u32, f64)>, f64)> {
        if indices.len() != counts.len() {
            return Err(Error::RowLength { indices: indices.len(), values: counts.len() });
        }
        let mut entries = Vec::with_capacity(indices.len());
        let mut total = 0.0;
        for (&column, &value) in indices.iter().zip(counts) {
            let Some(&slot) = self.slots.get(column as usize) else {
                return Err(Error::Column { column, n_columns: self.slots.len() });
            };
            if !(value.is_finite() && value >= 0.0 && value.fract() == 0.0) {
                return Err(Error::NotCounts { column, value });
            }
            total += f64::from(value);
            if let (Some(slot), true) = (slot, value > 0.0) {
                entries.push((slot, f64::from(value)));
            }
        }
        Ok((entries, total))
    }
}

#[cfg(test)]
mod tests;
