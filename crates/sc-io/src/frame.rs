//! `obs` and `var`: row names and typed columns, in order.

mod column;

pub use column::{Categorical, Column, NO_CATEGORY};

use crate::nearest::nearest;
use crate::{Error, Result};

/// A table: one name a row, and named columns of the same length, in the order in which they were inserted.
///
/// Row names need not be unique (AnnData allows repeats, with a warning); column names are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFrame {
    index: Vec<String>,
    index_name: Option<String>,
    columns: Vec<(String, Column)>,
}

impl DataFrame {
    /// A table of these row names, without columns.
    pub fn new(index: Vec<String>) -> Self {
        Self { index, index_name: None, columns: Vec::new() }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.index.len()
    }

    /// The row names (`obs_names`, `var_names`).
    pub fn index(&self) -> &[String] {
        &self.index
    }

    /// What the row names are called, if they have a name.
    pub fn index_name(&self) -> Option<&str> {
        self.index_name.as_deref()
    }

    /// Names the row names; `None` takes the name away.
    ///
    /// # Errors
    /// [`Error::DuplicateColumn`] if a column has that name: on disk both would be one element.
    pub fn set_index_name(&mut self, name: Option<&str>) -> Result<()> {
        match name {
            Some(name) if self.get(name).is_some() => Err(Error::DuplicateColumn { column: name.to_owned() }),
            _ => {
                self.index_name = name.map(str::to_owned);
                Ok(())
            }
        }
    }

    /// Replaces the row names.
    ///
    /// # Errors
    /// [`Error::ColumnLength`] if there are not as many as rows.
    pub fn set_index(&mut self, index: Vec<String>) -> Result<()> {
        if index.len() != self.n_rows() {
            let (found, expected) = (index.len(), self.n_rows());
            return Err(Error::ColumnLength { column: "index".to_owned(), found, expected });
        }
        self.index = index;
        Ok(())
    }

    /// The names of the columns, in order.
    pub fn column_names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The columns with their names, in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Column)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// The column `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, column)| column)
    }

    /// The column that was probably meant: a third of the name may differ.
    fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.columns.iter().map(|(name, _)| name.as_str());
        nearest(name, names, (name.chars().count() / 3).max(1))
    }

    /// The column `name`.
    ///
    /// # Errors
    /// [`Error::NoColumn`], which lists the columns that are there and suggests the one with the nearest name.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.get(name).ok_or_else(|| Error::NoColumn {
            column: name.to_owned(),
            nearest: self.nearest(name).map(str::to_owned),
            columns: self.columns.iter().map(|(n, _)| n.clone()).collect(),
        })
    }

    /// The column `name` as labels: [`Column::labels`], with the column named in the error.
    ///
    /// # Errors
    /// [`Error::NoColumn`], or [`Error::NotLabels`] for a column of real numbers.
    pub fn labels(&self, name: &str) -> Result<Vec<Option<String>>> {
        self.column(name)?.labels().map_err(|e| match e {
            Error::NotLabels { kind, .. } => Error::NotLabels { column: Some(name.to_owned()), kind },
            other => other,
        })
    }

    /// Adds a column behind the others, or replaces the one of that name where it stands.
    ///
    /// # Errors
    /// [`Error::ColumnLength`] if it is not as long as the table; [`Error::DuplicateColumn`] if the index has that
    /// name.
    pub fn insert(&mut self, name: impl Into<String>, column: Column) -> Result<()> {
        let name = name.into();
        if column.len() != self.n_rows() {
            let (found, expected) = (column.len(), self.n_rows());
            return Err(Error::ColumnLength { column: name, found, expected });
        }
        if self.index_name.as_ref() == Some(&name) {
            return Err(Error::DuplicateColumn { column: name });
        }
        match self.columns.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = column,
            None => self.columns.push((name, column)),
        }
        Ok(())
    }

    /// Takes a column out.
    pub fn remove(&mut self, name: &str) -> Option<Column> {
        let at = self.columns.iter().position(|(n, _)| n == name)?;
        Some(self.columns.remove(at).1)
    }

    /// The rows `rows`, in that order; a row may be asked for more than once.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            index: rows.iter().map(|&i| self.index[i].clone()).collect(),
            index_name: self.index_name.clone(),
            columns: self.columns.iter().map(|(name, c)| (name.clone(), c.select(rows))).collect(),
        }
    }
}

/// Makes names unique as anndata's `var_names_make_unique` does: the second `A` becomes `A-1`, the third `A-2`, and a
/// number that is taken already is passed over. The first of equal names keeps its own.
pub fn make_unique(names: &mut [String]) {
    use std::collections::{HashMap, HashSet};
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    if taken.len() == names.len() {
        return;
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    for name in names {
        if seen.insert(name.clone()) {
            continue;
        }
        let number = next.entry(name.clone()).or_insert(1);
        let unique = loop {
            let candidate = format!("{name}-{number}");
            *number += 1;
            if taken.insert(candidate.clone()) {
                break candidate;
            }
        };
        *name = unique;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> DataFrame {
        let mut frame = DataFrame::new(vec!["a".into(), "b".into(), "c".into()]);
        frame.insert("louvain", Column::I64(vec![1, 2, 3])).unwrap();
        frame.insert("n_genes", Column::F64(vec![0.5, 1.5, 2.5])).unwrap();
        frame
    }

    #[test]
    fn a_missing_column_is_answered_with_the_nearest_name_and_with_all_names() {
        let e = frame().column("Louvian").unwrap_err();
        assert!(e.help().is_some());
        let Error::NoColumn { nearest, columns, .. } = e else { panic!("{e}") };
        assert_eq!(nearest.as_deref(), Some("louvain"));
        assert_eq!(columns, ["louvain", "n_genes"]);
    }

    #[test]
    fn a_column_is_replaced_where_it_stands() {
        let mut frame = frame();
        frame.insert("louvain", Column::Bool(vec![true, false, true])).unwrap();
        assert_eq!(frame.column_names(), ["louvain", "n_genes"]);
        assert_eq!(frame.remove("louvain"), Some(Column::Bool(vec![true, false, true])));
        assert_eq!(frame.column_names(), ["n_genes"]);
    }

    #[test]
    fn a_column_must_be_as_long_as_the_table() {
        let e = frame().insert("x", Column::Bool(vec![true])).unwrap_err();
        assert!(matches!(e, Error::ColumnLength { found: 1, expected: 3, .. }));
    }

    #[test]
    fn the_index_and_a_column_cannot_share_a_name() {
        let mut frame = frame();
        assert!(matches!(frame.set_index_name(Some("n_genes")), Err(Error::DuplicateColumn { .. })));
        frame.set_index_name(Some("barcode")).unwrap();
        let e = frame.insert("barcode", Column::I64(vec![0; 3])).unwrap_err();
        assert!(matches!(e, Error::DuplicateColumn { .. }));
    }

    #[test]
    fn rows_are_selected_in_the_order_asked_for() {
        let picked = frame().select(&[2, 0, 2]);
        assert_eq!(picked.index(), ["c", "a", "c"]);
        assert_eq!(picked.get("louvain"), Some(&Column::I64(vec![3, 1, 3])));
    }

    #[test]
    fn labels_of_real_numbers_are_refused_with_the_name_of_the_column() {
        let e = frame().labels("n_genes").unwrap_err();
        assert!(e.help().is_some());
        assert!(matches!(e, Error::NotLabels { column: Some(c), .. } if c == "n_genes"));
        assert_eq!(frame().labels("louvain").unwrap()[1].as_deref(), Some("2"));
    }

    #[test]
    fn repeated_names_are_numbered_and_taken_numbers_are_passed_over() {
        let mut names = ["a", "b", "a", "a-1", "a", "b"].map(String::from);
        make_unique(&mut names);
        assert_eq!(names, ["a", "b", "a-2", "a-1", "a-3", "b-1"]);
    }
}
