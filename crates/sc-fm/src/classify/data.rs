//! The cells of a training with their classes, checked.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::Error;
use crate::tokenize::Tokens;

/// Cells that are trained on, or validated with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cells {
    /// Place of each cell among the tokens.
    pub(super) cells: Vec<usize>,
    /// Its row of the data set.
    pub(super) rows: Vec<usize>,
}

/// What is trained on, and what is validated with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sets {
    pub(super) train: Cells,
    pub(super) validation: Cells,
}

/// The classes of the cells of both sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Classes {
    /// Sorted.
    pub(super) names: Vec<String>,
    /// Of each training cell.
    pub(super) train: Vec<Option<u32>>,
    pub(super) validation: Vec<Option<u32>>,
}

const TRAINING: &str = "training";
const VALIDATION: &str = "validation";

impl Sets {
    /// * `n_rows`: of the data set, each of which may have a label.
    pub(super) fn new(
        tokens: &Tokens,
        n_rows: usize,
        train: &[usize],
        validation: &[usize],
    ) -> Result<Self, Error> {
        if let Some(&row) = tokens.rows().iter().max().filter(|&&row| row >= n_rows) {
            return Err(Error::Labels { found: n_rows, expected: row + 1 });
        }
        check_rows(train, Some(n_rows), TRAINING)?;
        check_rows(validation, Some(n_rows), VALIDATION)?;
        let seen: HashSet<usize> = train.iter().copied().collect();
        let both = validation.iter().copied().filter(|row| seen.contains(row));
        none_of(both, |n_rows, first| Error::Overlap { n_rows, first })?;
        let places = places(tokens);
        let cells = |rows: &[usize], set| {
            let without = rows.iter().copied().filter(|row| !places.contains_key(row));
            none_of(without, |n_rows, first| Error::EmptyCells { n_rows, first, set })?;
            Ok::<_, Error>(Cells { cells: rows.iter().map(|row| places[row]).collect(), rows: rows.to_vec() })
        };
        Ok(Self { train: cells(train, TRAINING)?, validation: cells(validation, VALIDATION)? })
    }

    /// Refuses rows for which `is_labelled` does not hold.
    pub(super) fn check_labelled(&self, is_labelled: impl Fn(usize) -> bool) -> Result<(), Error> {
        for (cells, set) in [(&self.train, TRAINING), (&self.validation, VALIDATION)] {
            let without = cells.rows.iter().copied().filter(|&row| !is_labelled(row));
            none_of(without, |n_rows, first| Error::Unlabelled { n_rows, first, set })?;
        }
        Ok(())
    }
}

impl Classes {
    /// The labels of the training cells, sorted, as classes.
    ///
    /// * `labels`: for each row of the data set. Rows without one have no class.
    pub(super) fn new<S: AsRef<str>>(sets: &Sets, labels: &[Option<S>]) -> Result<Self, Error> {
        let named =
            |cells: &Cells| cells.rows.iter().map(|&row| labels[row].as_ref().map(AsRef::as_ref)).collect();
        let (train, validation): (Vec<Option<&str>>, Vec<Option<&str>>) =
            (named(&sets.train), named(&sets.validation));
        let mut counts = BTreeMap::<&str, usize>::new();
        train.iter().flatten().for_each(|name| *counts.entry(name).or_default() += 1);
        if let Some((class, &found)) = counts.iter().find(|(_, n)| **n < 2) {
            return Err(Error::RareClass { class: (*class).to_owned(), found });
        }
        if counts.len() < 2 {
            return Err(Error::Classes { found: counts.len(), of: "training rows" });
        }
        let number: BTreeMap<&str, u32> = counts.keys().copied().zip(0..).collect();
        let numbers = |names: &[Option<&str>]| {
            let class = |name: &str| {
                let unseen = || Error::UnseenClass { class: name.to_owned() };
                number.get(name).copied().ok_or_else(unseen)
            };
            names.iter().map(|name| name.map(class).transpose()).collect::<Result<Vec<_>, Error>>()
        };
        Ok(Self {
            train: numbers(&train)?,
            validation: numbers(&validation)?,
            names: counts.keys().map(|name| (*name).to_owned()).collect(),
        })
    }
}

/// What a number stands for that is no class.
const NO_CLASS: u32 = u32::MAX;

/// Adds names to a hash.
pub(super) fn hash_names(sha: &mut Sha256, names: &[String]) {
    sha.update((names.len() as u64).to_le_bytes());
    for name in names {
        sha.update((name.len() as u64).to_le_bytes());
        sha.update(name);
    }
}

/// Adds the rows of cells to a hash.
pub(super) fn hash_rows(sha: &mut Sha256, cells: &Cells) {
    sha.update((cells.rows.len() as u64).to_le_bytes());
    cells.rows.iter().for_each(|&row| sha.update((row as u64).to_le_bytes()));
}

/// Adds classes to a hash.
pub(super) fn hash_classes(sha: &mut Sha256, classes: &[Option<u32>]) {
    sha.update((classes.len() as u64).to_le_bytes());
    classes.iter().for_each(|class| sha.update(class.unwrap_or(NO_CLASS).to_le_bytes()));
}

/// The place among the tokens of each row that has one.
pub(super) fn places(tokens: &Tokens) -> HashMap<usize, usize> {
    tokens.rows().iter().copied().zip(0..).collect()
}

/// The error of the first of some rows, if there are any.
fn none_of(rows: impl Iterator<Item = usize>, error: impl Fn(usize, usize) -> Error) -> Result<(), Error> {
    let rows: Vec<usize> = rows.collect();
    match rows.iter().min() {
        Some(&first) => Err(error(rows.len(), first)),
        None => Ok(()),
    }
}

/// Refuses rows that are there twice, or, where it is known how many there are, not at all.
pub(super) fn check_rows(rows: &[usize], n_rows: Option<usize>, set: &'static str) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(rows.len());
    for &row in rows {
        if let Some(n_rows) = n_rows.filter(|&n_rows| row >= n_rows) {
            return Err(Error::Row { row, set, n_rows });
        }
        if !seen.insert(row) {
            return Err(Error::Twice { row, set });
        }
    }
    Ok(())
}
