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
    fn one_class_or_none_is_refused() {
        assert!(matches!(Labels::new::<&str>(&[]), Err(Error::Empty { .. })));
        let one = Labels::new(&["B", "B"]).unwrap_err();
        assert_eq!(one.to_string(), "all 2 cells have the label \"B\": there is nothing to tell apart");
        assert!(one.help().is_some());
    }
}
