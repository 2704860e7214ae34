use std::fmt;

use sc_io::DataFrame;
use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// Columns that hold Ensembl ids, in the order they are looked for.
const ENSEMBL: [&str; 4] = ["ensembl_id", "gene_ids", "feature_id", "gene_id"];
/// Columns that hold symbols.
const SYMBOLS: [&str; 5] = ["feature_name", "gene_symbols", "gene_name", "gene_names", "symbol"];
/// A column that the reference tokeniser writes after it has summed columns.
const COLLAPSED: &str = "ensembl_id_collapsed";

/// What names the columns of a matrix, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneIds {
    /// One id a column.
    pub ids: Vec<String>,
    /// Where they were.
    pub source: IdSource,
}

/// A place of a `var` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdSource {
    /// A column.
    Column(String),
    /// The index.
    Index,
}

impl fmt::Display for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => write!(f, "var[{name:?}]"),
            Self::Index => f.write_str("the index of var"),
        }
    }
}

impl GeneIds {
    /// Ensembl ids: the first of the columns `ensembl_id`, `gene_ids`, `feature_id` and `gene_id`, else the index.
    ///
    /// # Errors
    /// [`Error::CollapsedBefore`] if the table has a column `ensembl_id_collapsed`; [`Error::MissingId`] for a column
    /// with gaps, [`Error::Io`] for one that holds no labels.
    pub fn ensembl(var: &DataFrame) -> Result<Self> {
        if var.get(COLLAPSED).is_some() {
            return Err(Error::CollapsedBefore);
        }
        Self::first_of(var, &ENSEMBL)
    }

    /// Gene symbols: the first of the columns `feature_name`, `gene_symbols`, `gene_name`, `gene_names` and `symbol`,
    /// else the index.
    ///
    /// # Errors
    /// [`Error::MissingId`] and [`Error::Io`], as [`GeneIds::ensembl`].
    pub fn symbols(var: &DataFrame) -> Result<Self> {
        Self::first_of(var, &SYMBOLS)
    }

    /// The ids in a column of that name.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such column or it holds no labels, [`Error::MissingId`] if it has gaps.
    pub fn column(var: &DataFrame, name: &str) -> Result<Self> {
        let labels = var.labels(name)?;
        let missing = |row| Error::MissingId { column: name.to_owned(), row };
        let ids = labels
            .into_iter()
            .enumerate()
            .map(|(row, id)| id.ok_or_else(|| missing(row)))
            .collect::<Result<_>>()?;
        Ok(Self { ids, source: IdSource::Column(name.to_owned()) })
    }

    /// The index.
    pub fn index(var: &DataFrame) -> Self {
        Self { ids: var.index().to_vec(), source: IdSource::Index }
    }

    fn first_of(var: &DataFrame, names: &[&str]) -> Result<Self> {
        match names.iter().find(|name| var.get(name).is_some()) {
            Some(name) => Self::column(var, name),
            None => Ok(Self::index(var)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sc_io::Column;

    fn table(columns: &[&str]) -> DataFrame {
        let mut var = DataFrame::new(vec!["a".into(), "b".into()]);
        for name in columns {
            let column = Column::Strings(vec![format!("{name}0"), format!("{name}1")]);
            var.insert(*name, column).unwrap();
        }
        var
    }

    #[test]
    fn the_finder_says_what_it_took() {
        let found = GeneIds::ensembl(&table(&["feature_name", "gene_ids"])).unwrap();
        assert_eq!(
            (found.ids[1].as_str(), found.source.to_string()),
            ("gene_ids1", "var[\"gene_ids\"]".into())
        );
        let found = GeneIds::symbols(&table(&["feature_name", "gene_ids"])).unwrap();
        assert_eq!(found.source, IdSource::Column("feature_name".into()));
        let found = GeneIds::ensembl(&table(&[])).unwrap();
        assert_eq!(
            (found.ids, found.source.to_string()),
            (vec!["a".into(), "b".into()], "the index of var".into())
        );
    }

    #[test]
    fn tables_that_were_tokenised_before_and_columns_with_gaps_are_refused() {
        let error = GeneIds::ensembl(&table(&["ensembl_id", "ensembl_id_collapsed"])).unwrap_err();
        assert_eq!(error.to_string(), "var already has a column \"ensembl_id_collapsed\"");
        assert!(error.help().unwrap().contains("by name"));
        let mut var = table(&[]);
        var.insert("gene_ids", Column::NullableStrings(vec![Some("x".into()), None])).unwrap();
        let error = GeneIds::ensembl(&var).unwrap_err();
        assert_eq!(error.to_string(), "var[\"gene_ids\"] has no id in row 1");
        let error = GeneIds::column(&var, "gene_idz").unwrap_err();
        assert!(matches!(&error, Error::Io(_)) && error.help().is_some(), "{error}");
    }
}
