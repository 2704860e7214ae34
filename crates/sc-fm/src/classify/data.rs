//! The cells of a training with their classes, checked.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

use super::Error;
use crate::tokenize::Tokens;
use crate::train::hex;

/// Cells with the numbers of their classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labelled {
    /// Place of each cell among the tokens.
    pub(super) cells: Vec<usize>,
    /// Its row of the data set.
    pub(super) rows: Vec<usize>,
    /// Its class.
    pub(super) classes: Vec<u32>,
}

/// What is trained on, and what is validated with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Split {
    /// The classes, sorted.
    pub(super) names: Vec<String>,
    pub(super) train: Labelled,
    pub(super) validation: Labelled,
}

impl Split {
    /// * `labels`: for each row of the data set.
    pub(super) fn new<S: AsRef<str>>(
        tokens: &Tokens,
        labels: &[Option<S>],
        train: &[usize],
        validation: &[usize],
    ) -> Result<Self, Error> {
        let n_rows = labels.len();
        if let Some(&row) = tokens.rows().iter().max().filter(|&&row| row >= n_rows) {
            return Err(Error::Labels { found: n_rows, expected: row + 1 });
        }
        check_rows(train, n_rows, "training")?;
        check_rows(validation, n_rows, "validation")?;
        let seen: HashSet<usize> = train.iter().copied().collect();
        let both: Vec<usize> = validation.iter().copied().filter(|row| seen.contains(row)).collect();
        if let Some(&first) = both.iter().min() {
            return Err(Error::Overlap { n_rows: both.len(), first });
        }
        let named = |rows: &[usize], set| -> Result<Vec<&str>, Error> {
            let without = rows.iter().copied().filter(|&row| labels[row].is_none());
            none_of(without, |n_rows, first| Error::Unlabelled { n_rows, first, set })?;
            Ok(rows.iter().filter_map(|&row| labels[row].as_ref().map(AsRef::as_ref)).collect())
        };
        let (train_names, validation_names) = (named(train, "training")?, named(validation, "validation")?);
        let mut counts = BTreeMap::<&str, usize>::new();
        train_names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
        if let Some((class, &found)) = counts.iter().find(|(_, n)| **n < 2) {
            return Err(Error::RareClass { class: (*class).to_owned(), found });
        }
        if counts.len() < 2 {
            return Err(Error::Classes { found: counts.len() });
        }
        let number: BTreeMap<&str, u32> = counts.keys().copied().zip(0..).collect();
        let place: BTreeMap<usize, usize> = tokens.rows().iter().copied().zip(0..).collect();
        let labelled = |rows: &[usize], names: &[&str], set| {
            let without = rows.iter().copied().filter(|row| !place.contains_key(row));
            none_of(without, |n_rows, first| Error::EmptyCells { n_rows, first, set })?;
            let class = |name: &&str| {
                let unseen = || Error::UnseenClass { class: (*name).to_owned() };
                number.get(name).copied().ok_or_else(unseen)
            };
            Ok::<_, Error>(Labelled {
                cells: rows.iter().map(|row| place[row]).collect(),
                rows: rows.to_vec(),
                classes: names.iter().map(class).collect::<Result<_, _>>()?,
            })
        };
        Ok(Self {
            train: labelled(train, &train_names, "training")?,
            validation: labelled(validation, &validation_names, "validation")?,
            names: counts.keys().map(|name| (*name).to_owned()).collect(),
        })
    }

    /// SHA-256 of classes, rows and labels.
    pub(super) fn hash(&self) -> String {
        let mut sha = Sha256::new();
        for name in &self.names {
            sha.update((name.len() as u64).to_le_bytes());
            sha.update(name);
        }
        for part in [&self.train, &self.validation] {
            sha.update((part.rows.len() as u64).to_le_bytes());
            part.rows.iter().for_each(|&row| sha.update((row as u64).to_le_bytes()));
            part.classes.iter().for_each(|class| sha.update(class.to_le_bytes()));
        }
        hex(sha)
    }
}

/// The error of the first of some rows, if there are any.
fn none_of(rows: impl Iterator<Item = usize>, error: impl Fn(usize, usize) -> Error) -> Result<(), Error> {
    let rows: Vec<usize> = rows.collect();
    match rows.iter().min() {
        Some(&first) => Err(error(rows.len(), first)),
        None => Ok(()),
    }
}

fn check_rows(rows: &[usize], n_rows: usize, set: &'static str) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(rows.len());
    for &row in rows {
        if row >= n_rows {
            return Err(Error::Row { row, set, n_rows });
        }
        if !seen.insert(row) {
            return Err(Error::Twice { row, set });
        }
    }
    Ok(())
}
