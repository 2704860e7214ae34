//! Labels of any integers as indices from 0.

use crate::{Error, Result};

/// The rank of each value among the values that occur.
pub(crate) struct Codes {
    /// Rank of each cell's value.
    pub(crate) codes: Vec<u32>,
    /// The values that occur, ascending.
    pub(crate) names: Vec<u32>,
}

impl Codes {
    /// * `what`: what the values are, for the error.
    /// * `n_cells`: how many there must be.
    pub(crate) fn new(what: &'static str, values: &[u32], n_cells: usize) -> Result<Self> {
        if values.len() != n_cells {
            return Err(Error::Length { what, found: values.len(), expected: n_cells });
        }
        if n_cells == 0 {
            return Err(Error::Empty { what });
        }
        Ok(Self::of(values))
    }

    pub(crate) fn of(values: &[u32]) -> Self {
        let mut names = values.to_vec();
        names.sort_unstable();
        names.dedup();
        let codes = values.iter().map(|v| names.partition_point(|name| name < v) as u32).collect();
        Self { codes, names }
    }

    /// Number of values that occur.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The same, with an error if fewer than two values occur.
    pub(crate) fn at_least_two(self, name: &'static str) -> Result<Self> {
        if self.len() < 2 {
            return Err(Error::Parameter { name, value: self.len().to_string(), expected: "at least 2" });
        }
        Ok(self)
    }

    /// The cells of each value, ascending.
    pub(crate) fn cells(&self) -> Vec<Vec<usize>> {
        let mut cells = vec![Vec::new(); self.len()];
        for (cell, &code) in self.codes.iter().enumerate() {
            cells[code as usize].push(cell);
        }
        cells
    }
}
