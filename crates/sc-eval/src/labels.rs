//! Labels of cells: class names in order, and one class index per cell.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// One class per cell. Classes are sorted by name (byte order), as scikit-learn's `LabelEncoder` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    classes: Vec<String>,
    codes: Vec<u32>,
}

impl Labels {
    /// Labels from one name per cell.
    ///
    /// # Errors
    /// [`Error::Empty`] without cells, [`Error::OneClass`] if all names are the same.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let mut index: BTreeMap<&str, u32> = names.iter().map(|name| (name.as_ref(), 0)).collect();
        for (code, value) in index.values_mut().enumerate() {
            *value = code as u32;
        }
        let codes = names.iter().map(|name| index[name.as_ref()]).collect();
        let classes: Vec<String> = index.keys().map(|&name| name.to_owned()).collect();
        match classes.as_slice() {
            [] => Err(Error::Empty { what: "labels" }),
            [label] => Err(Error::OneClass { n_cells: names.len(), label: label.clone() }),
            _ => Ok(Self { classes, codes }),
        }
    }

    /// The same classes for other codes, which the caller knows to be in range.
    pub(crate) fn with_codes(&self, codes: Vec<u32>) -> Self {
        Self { classes: self.classes.clone(), codes }
    }

    /// Labels of no cells: for a report about something else.
    #[cfg(feature = "report")]
    pub(crate) fn none() -> Self {
        Self { classes: Vec::new(), codes: Vec::new() }
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are no cells; never true for a value made by [`Labels::new`].
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Class names, sorted.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// Class index of each cell.
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// Name of the class of cell `i`.
    ///
    /// # Panics
    /// If `i` is out of bounds.
    pub fn name(&self, i: usize) -> &str {
        &self.classes[self.codes[i] as usize]
    }

    /// Number of cells of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &code in &self.codes {
            counts[code as usize] += 1;
        }
        counts
    }

    /// The labels of the cells `rows`, in that order; classes that none of them has are gone.
    ///
    /// # Errors
    /// [`Error::CellOutOfBounds`]; those of [`Labels::new`].
    pub fn subset(&self, rows: &[usize]) -> Result<Self> {
        let n_cells = self.len();
        if let Some(&cell) = rows.iter().find(|&&cell| cell >= n_cells) {
            return Err(Error::CellOutOfBounds { what: "the subset", cell, n_cells });
        }
        Self::new(&rows.iter().map(|&cell| self.name(cell)).collect::<Vec<_>>())
    }

    /// Class indices of the cells `rows`, in that order.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn select(&self, rows: &[usize]) -> Vec<u32> {
        rows.iter().map(|&i| self.codes[i]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_and_codes_point_at_them() {
        let labels = Labels::new(&["NK", "B", "NK", "T"]).unwrap();
        assert_eq!(labels.classes(), ["B", "NK", "T"]);
        assert_eq!(labels.codes(), [1, 0, 1, 2]);
        assert_eq!(labels.counts(), [1, 2, 1]);
        assert_eq!(labels.name(3), "T");
        assert_eq!(labels.select(&[3, 1]), [2, 0]);
    }

    #[test]
    fn a_subset_has_the_classes_of_its_cells_only() {
        let labels = Labels::new(&["NK", "B", "NK", "T"]).unwrap();
        let subset = labels.subset(&[3, 0, 3]).unwrap();
        assert_eq!((subset.classes(), subset.codes()), (&["NK".into(), "T".into()][..], &[1, 0, 1][..]));
        assert!(matches!(labels.subset(&[0, 2]), Err(Error::OneClass { n_cells: 2, .. })));
        let beyond = labels.subset(&[4]).unwrap_err();
        assert_eq!(beyond.to_string(), "the subset holds cell 4, but there are 4 cells");
    }

    #[test]
    fn one_class_or_none_is_refused() {
        assert!(matches!(Labels::new::<&str>(&[]), Err(Error::Empty { .. })));
        let one = Labels::new(&["B", "B"]).unwrap_err();
        assert_eq!(one.to_string(), "all 2 cells have the label \"B\": there is nothing to tell apart");
        assert!(one.help().is_some());
    }
}
