use sc_io::Csr;
use serde::{Deserialize, Serialize};

use super::{Scale, ScgptVocabulary, ValueEncoding, scale};
use crate::tokenize::bins::{N_BINS, Ties, bin_values};
use crate::tokenize::draws::{Purpose, generator, sample};
use crate::tokenize::rows::{Piece, tokenize_rows};
use crate::tokenize::{Coverage, EmptyCells, Error, GeneIds, Report, Result, Tokens, Totals};

/// The input that a scGPT model takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScgptParams {
    /// Most tokens in an input, `<cls>` included. Default 1,200, as `max_seq_len` of the released models; at least 2.
    pub max_length: usize,
    /// Number of bins, the bin of 0 included. Default 51. `None`: values are taken as they are.
    pub n_bins: Option<usize>,
    /// How the model takes in values. Default continuous.
    pub encoding: ValueEncoding,
    /// The value at `<cls>`. `None`, the default: that of padding, as in `embed_data`; the fine-tuning recipe has 0.
    pub cls_value: Option<f32>,
    /// Where a value goes that several bins share. Default: the middle one, which needs no draw.
    pub ties: CellTies,
    /// Seed of the draws, of ties and of the genes of long cells. Default 0.
    pub seed: u64,
    /// What becomes of cells without a gene of the vocabulary. Default: they are left out. Kept, they are `<cls>` alone.
    pub empty: EmptyCells,
    /// Smallest share of the columns that must be genes of the model. Default 0.5.
    pub min_known: f64,
}

/// Where values go that several bins share; [`Ties`] without draws of the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellTies {
    /// To the middle of their bins.
    #[default]
    Middle,
    /// To one of them at random, with draws that belong to the content of the cell.
    Seeded,
}

impl Default for ScgptParams {
    fn default() -> Self {
        Self {
            max_length: 1_200,
            n_bins: Some(N_BINS),
            encoding: ValueEncoding::Continuous,
            cls_value: None,
            ties: CellTies::Middle,
            seed: 0,
            empty: EmptyCells::Drop,
            min_known: 0.5,
        }
    }
}

/// A scGPT vocabulary laid over the columns of one matrix.
#[derive(Clone, Debug)]
pub struct ScgptTokenizer {
    /// For each column, the token of its gene, or [`UNKNOWN`].
    tokens: Vec<u32>,
    cls: u32,
    params: ScgptParams,
    coverage: Coverage,
    report: Report,
}

const UNKNOWN: u32 = u32::MAX;

/// The draws of the reference for one cell, where they were recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crop<'a> {
    /// One uniform draw for each gene, for the bins.
    pub draws: Option<&'a [f64]>,
    /// A permutation of the genes of the cell (`torch.randperm`), of which the first `max_length - 1` stay, in its order.
    pub order: Option<&'a [usize]>,
}

impl ScgptTokenizer {
    /// Finds the gene of each column.
    ///
    /// * `symbols`: gene symbols, one a column, written as in the vocabulary.
    /// * `ensembl_ids`: Ensembl ids, one a column, to find genes that the vocabulary writes `SYMBOL_ENSG...`.
    ///
    /// Columns that share their gene stay apart, as in the reference: the model sees the gene twice.
    ///
    /// # Errors
    /// [`Error::Parameter`], [`Error::Fraction`]; [`Error::Length`] if there are not as many ids as symbols;
    /// [`Error::NoGenes`], [`Error::FewGenes`] and [`Error::OtherSpecies`] if the model knows too little.
    pub fn new<S: AsRef<str>>(
        vocabulary: &ScgptVocabulary,
        symbols: &[S],
        ensembl_ids: Option<&[String]>,
        params: &ScgptParams,
    ) -> Result<Self> {
        if params.max_length < 2 {
            let expected = "at least 2: <cls> and a gene";
            return Err(Error::Parameter { name: "max_length", value: params.max_length, expected });
        }
        if let Some(n_bins) = params.n_bins {
            bin_values::<f32>(&[], n_bins, Ties::Middle)?;
        }
        if let Some(ids) = ensembl_ids.filter(|ids| ids.len() != symbols.len()) {
            return Err(Error::Length { what: "ensembl_ids", found: ids.len(), expected: symbols.len() });
        }
        let gene = |(column, symbol): (usize, &S)| {
            let id = ensembl_ids.map(|ids| ids[column].as_str());
            vocabulary.gene(symbol.as_ref(), id)
        };
        let found: Vec<Option<u32>> = symbols.iter().enumerate().map(gene).collect();
        let coverage = Coverage::of(&found, 0, vocabulary.n_genes());
        coverage.check(symbols, params.min_known)?;
        let report = Report::new(&coverage, symbols, Totals::Unused);
        let tokens = found.into_iter().map(|gene| gene.unwrap_or(UNKNOWN)).collect();
        Ok(Self { tokens, cls: vocabulary.cls(), params: *params, coverage, report })
    }

    /// As [`ScgptTokenizer::new`], with symbols that a finder took from a table; the report names the place.
    ///
    /// # Errors
    /// As [`ScgptTokenizer::new`].
    pub fn with_ids(vocabulary: &ScgptVocabulary, symbols: &GeneIds, params: &ScgptParams) -> Result<Self> {
        let mut tokenizer = Self::new(vocabulary, &symbols.ids, None, params)?;
        tokenizer.report = tokenizer.report.with_source(symbols.source.clone());
        Ok(tokenizer)
    }

    /// Which columns the model knows.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// The model's input for every cell of a matrix, and what the matrix holds.
    ///
    /// * `x`: cells × the columns that the tokeniser was made for: counts, or their logarithms. With bins, both give
    ///   the same input, for bins depend on the order of the values alone.
    /// * returns: tokens of genes; their values are bins, `<cls>` has that of [`ScgptParams::cls_value`].
    ///
    /// A cell with more than `max_length` tokens keeps `<cls>` and a random choice of genes, in the order they were
    /// drawn. The draws come from the seed and the content of the cell, so its company does not matter.
    ///
    /// # Errors
    /// [`Error::Columns`] if the matrix has another width, [`Error::Scaled`] for a negative value or one that is not
    /// finite.
    pub fn tokenize(&self, x: &Csr) -> Result<(Tokens, Scale)> {
        let scale = scale(x, &[], &[])?;
        Ok((self.run(x, |_, _| Crop::default())?, scale))
    }

    /// As [`ScgptTokenizer::tokenize`], with the reference's own draws in place of ours.
    ///
    /// * `crops`: one a row; rows without a gene of the vocabulary need none.
    ///
    /// # Errors
    /// Those of [`ScgptTokenizer::tokenize`]; [`Error::Length`] if there is not one crop a row, [`Error::Draws`],
    /// [`Error::Draw`] and [`Error::Permutation`] if one does not fit its cell.
    pub fn tokenize_as(&self, x: &Csr, crops: &[Crop<'_>]) -> Result<(Tokens, Scale)> {
        if crops.len() != x.n_rows() {
            return Err(Error::Length { what: "crops", found: crops.len(), expected: x.n_rows() });
        }
        let scale = scale(x, &[], &[])?;
        Ok((self.run(x, |row, _| crops[row])?, scale))
    }

    fn run<'a>(&self, x: &Csr, crop: impl Fn(usize, usize) -> Crop<'a> + Sync + Send) -> Result<Tokens> {
        if x.n_cols() != self.tokens.len() {
            return Err(Error::Columns { found: x.n_cols(), expected: self.tokens.len() });
        }
        let none = Tokens::new(self.report.clone(), true, false);
        tokenize_rows(x.n_rows(), none, Scratch::default, |scratch, row, piece| {
            let (columns, values) = x.row(row);
            let sums = scratch.fill(&self.tokens, columns, values);
            piece.sums.push(sums);
            self.row(row, scratch, crop(row, scratch.tokens.len()), piece)
        })
    }

    fn row(&self, row: usize, scratch: &Scratch, crop: Crop<'_>, piece: &mut Piece) -> Result<()> {
        let params = &self.params;
        let n_genes = scratch.tokens.len();
        if n_genes == 0 {
            piece.n_empty += 1;
            if params.empty == EmptyCells::Drop {
                return Ok(());
            }
        }
        let ties = match (crop.draws, params.ties) {
            (Some(draws), _) => Ties::Draws(draws),
            (None, CellTies::Middle) => Ties::Middle,
            (None, CellTies::Seeded) => Ties::Seeded(params.seed),
        };
        let values: Vec<f32> = match params.n_bins {
            Some(n_bins) if n_genes > 0 => {
                bin_values(&scratch.values, n_bins, ties)?.into_iter().map(|bin| bin as f32).collect()
            }
            _ => scratch.values.clone(),
        };
        piece.ids.push(self.cls);
        piece.values.push(params.cls_value.unwrap_or(params.encoding.pad_value()));
        let room = params.max_length - 1;
        if n_genes <= room {
            piece.ids.extend_from_slice(&scratch.tokens);
            piece.values.extend_from_slice(&values);
        } else {
            let drawn;
            let order = match crop.order {
                Some(order) => checked(order, row, n_genes)?,
                None => {
                    drawn =
                        sample(&mut generator(params.seed, Purpose::Crop, scratch.content()), room, n_genes);
                    &drawn
                }
            };
            piece.ids.extend(order[..room].iter().map(|&place| scratch.tokens[place]));
            piece.values.extend(order[..room].iter().map(|&place| values[place]));
        }
        piece.end_cell(row, n_genes, n_genes > room);
        Ok(())
    }
}

/// Genes and values of one cell.
#[derive(Default)]
struct Scratch {
    tokens: Vec<u32>,
    values: Vec<f32>,
}

impl Scratch {
    /// Takes the known genes with values. Returns the sum of their values and that of all.
    fn fill(&mut self, tokens: &[u32], columns: &[u32], values: &[f32]) -> (f64, f64) {
        self.tokens.clear();
        self.values.clear();
        let (mut known, mut all) = (0.0, 0.0);
        for (&column, &value) in columns.iter().zip(values) {
            all += f64::from(value);
            let token = tokens[column as usize];
            if token != UNKNOWN && value != 0.0 {
                known += f64::from(value);
                self.tokens.push(token);
                self.values.push(value);
            }
        }
        (known, all)
    }

    fn content(&self) -> impl Iterator<Item = u64> + '_ {
        self.tokens.iter().zip(&self.values).map(|(&t, &v)| u64::from(t) << 32 | u64::from(v.to_bits()))
    }
}

/// A permutation of `0..n`, proven.
fn checked(order: &[usize], row: usize, n: usize) -> Result<&[usize]> {
    let mut seen = vec![false; n];
    let is_new = |&place: &usize| place < n && !std::mem::replace(&mut seen[place], true);
    match order.len() == n && order.iter().all(is_new) {
        true => Ok(order),
        false => Err(Error::Permutation { row, expected: n }),
    }
}

#[cfg(test)]
mod tests;
