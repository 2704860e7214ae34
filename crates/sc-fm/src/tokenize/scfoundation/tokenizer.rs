use sc_io::{Counts, Csr};
use serde::{Deserialize, Serialize};

use super::GeneList;
use crate::tokenize::rows::{Piece, tokenize_rows};
use crate::tokenize::scgpt::{Scale, scale};
use crate::tokenize::{Coverage, Error, GeneIds, Report, Result, Tokens, Totals};

/// Values that the model takes for something else than a value.
const RESERVED: [(f32, &str); 2] = [(102.0, "a mask"), (103.0, "padding")];

/// What a matrix holds, and with it how the totals are found: `pre_normalized` of the reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Raw counts (`F`): `ln(1 + count / total · 1e4)`; the total is the cell's sum over the genes of the list.
    #[default]
    Counts,
    /// Log-normalised values (`T`), taken as they are; the total is their sum over the genes of the list.
    LogNormalized,
    /// Log-normalised values with the total of each cell besides (`A`).
    LogNormalizedWithTotals(Vec<f64>),
    /// Counts of bulk samples (`F` of bulk): scaled to the median total of the samples, `ln(1 + x)`; T and S are both
    /// the decimal logarithm of the sum of those.
    BulkCounts,
    /// Log-normalised bulk samples (`T` of bulk), taken as they are; T and S are both their sum.
    BulkLogNormalized,
}

/// The depth that the model should see the cell at: `tgthighres` of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// T is this number (`t4`: a total of 10⁴).
    Target(f64),
    /// T is the decimal logarithm of this many times the total (`f5`).
    Fold(f64),
    /// T is the decimal logarithm of the total, plus this number (`a5`).
    Add(f64),
}

/// How cells become input of scFoundation.
#[derive(Clone, Debug, PartialEq)]
pub struct ScfoundationParams {
    /// What the matrix holds. Default raw counts.
    pub input: Input,
    /// The depth to see cells at; bulk samples have none. Default `Target(4.0)`.
    pub resolution: Resolution,
    /// Smallest share of the columns that must be genes of the model. Default 0.5.
    pub min_known: f64,
}

impl Default for ScfoundationParams {
    fn default() -> Self {
        Self { input: Input::Counts, resolution: Resolution::Target(4.0), min_known: 0.5 }
    }
}

/// scFoundation's genes laid over the columns of one matrix.
#[derive(Clone, Debug)]
pub struct ScfoundationTokenizer {
    /// For each column, the position of its gene, or [`UNKNOWN`].
    positions: Vec<u32>,
    /// Position of T; S is behind it.
    target: u32,
    params: ScfoundationParams,
    coverage: Coverage,
    report: Report,
}

const UNKNOWN: u32 = u32::MAX;

impl ScfoundationTokenizer {
    /// Finds the gene of each column.
    ///
    /// * `symbols`: gene symbols, one a column, written as in the list.
    ///
    /// Counts of columns that share their gene are summed.
    ///
    /// # Errors
    /// [`Error::SharedGene`] if columns share their gene and hold logarithms; [`Error::Number`] for a resolution that
    /// is no number, or no positive one; [`Error::Fraction`]; [`Error::NoGenes`], [`Error::FewGenes`] and
    /// [`Error::OtherSpecies`] if the model knows too little.
    pub fn new<S: AsRef<str>>(genes: &GeneList, symbols: &[S], params: &ScfoundationParams) -> Result<Self> {
        let value = match params.resolution {
            Resolution::Target(value) | Resolution::Fold(value) | Resolution::Add(value) => value,
        };
        if !(value.is_finite() && value > 0.0) {
            return Err(Error::Number { name: "resolution", value, expected: "a finite number above 0" });
        }
        let found: Vec<Option<u32>> = symbols.iter().map(|symbol| genes.position(symbol.as_ref())).collect();
        let coverage = Coverage::of(&found, 0, genes.n_genes());
        coverage.check(symbols, params.min_known)?;
        if let (
            Some(&first),
            Input::LogNormalized | Input::LogNormalizedWithTotals(_) | Input::BulkLogNormalized,
        ) = (coverage.shared.first(), &params.input)
        {
            let gene = symbols[first].as_ref().to_owned();
            let is_same = |&column: &usize| column > first && found[column] == found[first];
            let second =
                (0..found.len()).find(is_same).expect("the first shared column shares with a later one");
            return Err(Error::SharedGene { gene, first, second });
        }
        let report = Report::new(&coverage, symbols, Totals::RowSum);
        let positions = found.into_iter().map(|position| position.unwrap_or(UNKNOWN)).collect();
        Ok(Self { positions, target: genes.target_position(), params: params.clone(), coverage, report })
    }

    /// As [`ScfoundationTokenizer::new`], with symbols that a finder took from a table; the report names the place.
    ///
    /// # Errors
    /// As [`ScfoundationTokenizer::new`].
    pub fn with_ids(genes: &GeneList, symbols: &GeneIds, params: &ScfoundationParams) -> Result<Self> {
        let mut tokenizer = Self::new(genes, &symbols.ids, params)?;
        tokenizer.report = tokenizer.report.with_source(symbols.source.clone());
        Ok(tokenizer)
    }

    /// Which columns the model knows.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// The model's input for every cell of a matrix.
    ///
    /// * `x`: cells × the columns that the tokeniser was made for, as [`ScfoundationParams::input`] says.
    /// * returns: positions in the gene list with values above 0, rising, then T and S; and their values.
    ///
    /// Cells without a gene of the list are left out. The arithmetic is f64, rounded once to f32.
    ///
    /// # Errors
    /// [`Error::Columns`] if the matrix has another width, [`Error::NotCounts`] if counts were promised,
    /// [`Error::Scaled`] for a negative value or one that is not finite, [`Error::Length`] if there is not one total a
    /// row; [`Error::FewCounts`] for a cell whose T or S is not above 0, which the reference leaves out in silence and
    /// reads another gene in their place; [`Error::Reserved`] for a value that the model takes for a mask or padding.
    pub fn tokenize(&self, x: &Csr) -> Result<Tokens> {
        if x.n_cols() != self.positions.len() {
            return Err(Error::Columns { found: x.n_cols(), expected: self.positions.len() });
        }
        match &self.params.input {
            Input::Counts | Input::BulkCounts => drop(Counts::new(x)?),
            Input::LogNormalizedWithTotals(totals) if totals.len() != x.n_rows() => {
                return Err(Error::Length { what: "totals", found: totals.len(), expected: x.n_rows() });
            }
            _ => drop::<Scale>(scale(x, &[], &[])?),
        }
        let median = match self.params.input {
            Input::BulkCounts => self.median_total(x),
            _ => 1e4,
        };
        let totals = match self.params.input {
            Input::LogNormalizedWithTotals(_) => Totals::Given,
            _ => Totals::RowSum,
        };
        let none = Tokens::new(Report { totals, ..self.report.clone() }, true, false);
        let scratch = || Scratch::new(self.target as usize);
        tokenize_rows(x.n_rows(), none, scratch, |scratch, row, piece| {
            let sums = self.gather(x, row, scratch);
            piece.sums.push(sums);
            self.row(row, &mut scratch.entries, sums.0, median, piece)
        })
    }

    /// The genes of the list with values in a row, by rising position. Returns the sum of their values and of all.
    fn gather(&self, x: &Csr, row: usize, scratch: &mut Scratch) -> (f64, f64) {
        let (columns, values) = x.row(row);
        let mut all = 0.0;
        for (&column, &value) in columns.iter().zip(values) {
            all += f64::from(value);
            let position = self.positions[column as usize];
            if position != UNKNOWN && value > 0.0 {
                scratch.add(position, value.into());
            }
        }
        (scratch.drain(), all)
    }

    fn row(
        &self,
        row: usize,
        entries: &mut [(u32, f64)],
        sum: f64,
        scaled_to: f64,
        piece: &mut Piece,
    ) -> Result<()> {
        if entries.is_empty() {
            piece.n_empty += 1;
            return Ok(());
        }
        if let Input::Counts | Input::BulkCounts = self.params.input {
            let mut log = Recent::new(|count: f64| libm::log1p(count / sum * scaled_to));
            entries.iter_mut().for_each(|(_, value)| *value = log.get(*value));
        }
        let deepened = |total: f64| match self.params.resolution {
            Resolution::Target(target) => target,
            Resolution::Fold(fold) => libm::log10(total * fold),
            Resolution::Add(more) => libm::log10(total) + more,
        };
        let (target, total) = match &self.params.input {
            Input::Counts | Input::LogNormalized => (deepened(sum), libm::log10(sum)),
            Input::LogNormalizedWithTotals(totals) => (deepened(totals[row]), libm::log10(totals[row])),
            Input::BulkCounts => {
                let total = libm::log10(entries.iter().map(|&(_, value)| value).sum());
                (total, total)
            }
            Input::BulkLogNormalized => (sum, sum),
        };
        if !(target > 0.0 && total > 0.0 && target.is_finite() && total.is_finite()) {
            return Err(Error::FewCounts { row, total, target });
        }
        let depth = [(self.target, target), (self.target + 1, total)];
        for (position, value) in entries.iter().copied().chain(depth) {
            let value = value as f32;
            if let Some(&(_, meaning)) = RESERVED.iter().find(|(reserved, _)| *reserved == value) {
                return Err(Error::Reserved { row, position: position as usize, value, meaning });
            }
            piece.ids.push(position);
            piece.values.push(value);
        }
        piece.end_cell(row, entries.len(), false);
        Ok(())
    }

    /// Median of the samples' totals over the genes of the list, those of 0 left aside; of an even number, the mean of
    /// the middle two.
    fn median_total(&self, x: &Csr) -> f64 {
        let mut scratch = Scratch::new(self.target as usize);
        let totals = (0..x.n_rows()).map(|row| self.gather(x, row, &mut scratch).0);
        let mut totals: Vec<f64> = totals.filter(|&total| total > 0.0).collect();
        totals.sort_unstable_by(f64::total_cmp);
        match totals.len() {
            0 => 1.0,
            n => (totals[(n - 1) / 2] + totals[n / 2]) / 2.0,
        }
    }
}

/// Genes of one cell. A bit a position puts them in order without a sort.
struct Scratch {
    values: Vec<f64>,
    used: Vec<u64>,
    /// Positions, rising, and values.
    entries: Vec<(u32, f64)>,
}

impl Scratch {
    fn new(n_positions: usize) -> Self {
        Self { values: vec![0.0; n_positions], used: vec![0; n_positions.div_ceil(64)], entries: Vec::new() }
    }

    fn add(&mut self, position: u32, value: f64) {
        self.values[position as usize] += value;
        self.used[position as usize / 64] |= 1 << (position % 64);
    }

    /// Moves everything into the entries. Returns the sum, added up by rising position.
    fn drain(&mut self) -> f64 {
        self.entries.clear();
        for (word, used) in self.used.iter_mut().enumerate() {
            while *used != 0 {
                let position = word as u32 * 64 + used.trailing_zeros();
                *used &= *used - 1;
                let value = std::mem::take(&mut self.values[position as usize]);
                self.entries.push((position, value));
            }
        }
        self.entries.iter().map(|&(_, value)| value).sum()
    }
}

/// A function with the results that were asked for lately: a cell repeats few counts many times.
struct Recent<F> {
    function: F,
    results: [(f64, f64); 64],
}

impl<F: Fn(f64) -> f64> Recent<F> {
    fn new(function: F) -> Self {
        // No argument is NaN, so none is found before it was put in.
        Self { function, results: [(f64::NAN, 0.0); 64] }
    }

    fn get(&mut self, x: f64) -> f64 {
        let result = &mut self.results[(x.to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize];
        if result.0 != x {
            *result = (x, (self.function)(x));
        }
        result.1
    }
}

#[cfg(test)]
mod tests;
