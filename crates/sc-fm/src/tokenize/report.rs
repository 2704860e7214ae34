use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Coverage, IdSource};

/// Names shown of a long list.
const SHOWN: usize = 10;

/// What a tokeniser knew of a matrix and what it left out: look at it before believing an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The columns.
    pub genes: GeneReport,
    /// The rows.
    pub cells: CellTally,
    /// Where the total of each cell came from.
    pub totals: Totals,
    /// Sum of the values in columns that are genes of the model, over the cells that passed the filter.
    pub known_sum: f64,
    /// The same over all columns.
    pub sum: f64,
}

/// The columns of a matrix, as a model sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GeneReport {
    /// Where the ids were found, if a finder took them from a table.
    pub ids: Option<IdSource>,
    /// Columns of the matrix.
    pub n_columns: usize,
    /// Columns that are genes of the model.
    pub n_known: usize,
    /// Different genes of the model among them.
    pub n_genes: usize,
    /// Genes that the model has.
    pub n_model_genes: usize,
    /// Columns known only without the version behind their Ensembl id.
    pub n_versions: usize,
    /// Columns that share their gene with another.
    pub n_shared: usize,
    /// The first of them.
    pub first_shared: Vec<String>,
    /// Columns that are no gene of the model.
    pub n_unknown: usize,
    /// The first of them.
    pub first_unknown: Vec<String>,
}

/// How many rows of a matrix became cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CellTally {
    /// Rows looked at.
    pub n_seen: usize,
    /// Rows that `filter_pass` left out.
    pub n_filtered: usize,
    /// Rows without a gene of the model, kept or not.
    pub n_empty: usize,
    /// Cells with more genes than the model takes.
    pub n_cropped: usize,
    /// Cells in the result.
    pub n_tokenized: usize,
}

/// Where the total of a cell came from, that its counts are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Totals {
    /// Given with the cells, as the column `n_counts` of `obs`.
    Given,
    /// The sum of the row.
    RowSum,
    /// The model takes no total.
    Unused,
}

impl Report {
    pub(crate) fn new<S: AsRef<str>>(coverage: &Coverage, ids: &[S], totals: Totals) -> Self {
        let names = |columns: &[usize]| -> Vec<String> {
            columns.iter().take(SHOWN).map(|&column| ids[column].as_ref().to_owned()).collect()
        };
        let genes = GeneReport {
            ids: None,
            n_columns: coverage.n_columns,
            n_known: coverage.n_columns - coverage.unknown.len(),
            n_genes: coverage.n_genes,
            n_model_genes: coverage.n_model_genes,
            n_versions: coverage.n_versions,
            n_shared: coverage.shared.len(),
            first_shared: names(&coverage.shared),
            n_unknown: coverage.unknown.len(),
            first_unknown: names(&coverage.unknown),
        };
        Self { genes, cells: CellTally::default(), totals, known_sum: 0.0, sum: 0.0 }
    }

    /// The same report with the source of the ids.
    #[must_use]
    pub fn with_source(mut self, source: IdSource) -> Self {
        self.genes.ids = Some(source);
        self
    }

    /// Share of all counts (of all values, where the matrix holds no counts) that lies in genes of the model, in
    /// 0..=1; 1 without any.
    pub fn share_of_counts(&self) -> f64 {
        if self.sum > 0.0 { self.known_sum / self.sum } else { 1.0 }
    }

    pub(crate) fn append(&mut self, later: &Self) {
        let (cells, more) = (&mut self.cells, &later.cells);
        cells.n_seen += more.n_seen;
        cells.n_filtered += more.n_filtered;
        cells.n_empty += more.n_empty;
        cells.n_cropped += more.n_cropped;
        cells.n_tokenized += more.n_tokenized;
        self.known_sum += later.known_sum;
        self.sum += later.sum;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (genes, cells) = (&self.genes, &self.cells);
        if let Some(source) = &genes.ids {
            writeln!(f, "gene ids from {source}")?;
        }
        writeln!(
            f,
            "{} of {} columns are genes of the model ({} of its {} genes), with {:.1} % of the counts",
            genes.n_known,
            genes.n_columns,
            genes.n_genes,
            genes.n_model_genes,
            100.0 * self.share_of_counts()
        )?;
        list(f, genes.n_unknown, "unknown", &genes.first_unknown)?;
        list(f, genes.n_shared, "share their gene with another column", &genes.first_shared)?;
        if genes.n_versions > 0 {
            writeln!(f, "{} are known without the version behind their id", genes.n_versions)?;
        }
        match self.totals {
            Totals::Given => writeln!(f, "totals of the cells: `n_counts`, as given")?,
            Totals::RowSum => writeln!(f, "totals of the cells: sums of their rows")?,
            Totals::Unused => {}
        }
        write!(f, "{} of {} cells tokenised", cells.n_tokenized, cells.n_seen)?;
        let notes = [
            (cells.n_filtered, "left out by the filter"),
            (cells.n_empty, "without a gene of the model"),
            (cells.n_cropped, "cropped"),
        ];
        for (n, what) in notes.iter().filter(|(n, _)| *n > 0) {
            write!(f, "; {n} {what}")?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, n: usize, what: &str, names: &[String]) -> fmt::Result {
    if n == 0 {
        return Ok(());
    }
    let more = if n > names.len() { ", ..." } else { "" };
    writeln!(f, "{n} {what}: {}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let coverage = Coverage::of(&[Some(4), None, Some(4), Some(7)], 1, 20_271);
        let mut report = Report::new(&coverage, &["A.1", "ERCC-1", "a", "B"], Totals::RowSum);
        report.cells = CellTally { n_seen: 9, n_filtered: 1, n_empty: 2, n_cropped: 3, n_tokenized: 6 };
        (report.known_sum, report.sum) = (3.0, 4.0);
        report.with_source(IdSource::Column("gene_ids".into()))
    }

    #[test]
    fn the_text_tells_all_that_was_left_out() {
        let text = "gene ids from var[\"gene_ids\"]\n\
            3 of 4 columns are genes of the model (2 of its 20271 genes), with 75.0 % of the counts\n\
            1 unknown: ERCC-1\n\
            2 share their gene with another column: A.1, a\n\
            1 are known without the version behind their id\n\
            totals of the cells: sums of their rows\n\
            6 of 9 cells tokenised; 1 left out by the filter; 2 without a gene of the model; 3 cropped";
        assert_eq!(report().to_string(), text);
    }

    #[test]
    fn a_report_survives_json() {
        let json = serde_json::to_string(&report()).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report());
    }
}
