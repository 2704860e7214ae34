//! The genes of a training with their classes, checked, and the loss of their tokens.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body::Asked;
use super::data::{Cells, check_rows, hash_classes, hash_names, hash_rows, places};
use super::task::{Fit, Objective};
use super::{Error, GeneSplit};
use crate::Result;
use crate::tokenize::Tokens;
use crate::tokenize::vocabulary::Vocabulary;
use crate::train::{Scores, hex, loss};

/// What became of the genes that a classifier was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneReport {
    /// Class of each gene that was trained on: the training cells have it.
    pub train: BTreeMap<String, String>,
    /// Class of each gene of the model that was validated with.
    pub validation: BTreeMap<String, String>,
    /// Training genes of the model that no training cell has.
    pub unseen: Vec<String>,
    /// Ids, of both sets, that the dictionary of the model does not have.
    pub unknown: Vec<String>,
}

/// Genes of one set, and the cells in which they are.
#[derive(Clone, Debug)]
struct Set {
    /// By token.
    classes: Vec<Option<u32>>,
    cells: Cells,
}

/// A class for each of many genes.
#[derive(Clone, Debug)]
pub(super) struct GeneClasses<'t> {
    tokens: &'t Tokens,
    /// Sorted.
    pub(super) names: Vec<String>,
    pub(super) report: GeneReport,
    train: Set,
    validation: Set,
    class_weights: Option<Vec<f32>>,
}

/// Token, id and class of genes.
type Known<'g> = BTreeMap<u32, (&'g str, &'g str)>;

/// Cells whose logits are in memory together; sums are over them in order, so the number has no say in the result.
pub(super) const BLOCK: usize = 256;

impl<'t> GeneClasses<'t> {
    /// * `is_weighted`: whether every class counts alike.
    pub(super) fn new(
        tokens: &'t Tokens,
        vocabulary: &Vocabulary,
        split: &GeneSplit,
        is_weighted: bool,
    ) -> Result<Self, Error> {
        check_rows(&split.train_cells, None, "training")?;
        check_rows(&split.validation_cells, None, "validation")?;
        let mut unknown = vec![];
        let train = known(vocabulary, &split.train, &mut unknown)?;
        let validation = known(vocabulary, &split.validation, &mut unknown)?;
        if train.is_empty() {
            let first = split.train.first().map(|(gene, _)| gene.clone()).unwrap_or_default();
            return Err(Error::NoKnownGenes { n_genes: split.train.len(), first });
        }
        let both: Vec<&str> = train
            .iter()
            .filter(|(token, _)| validation.contains_key(token))
            .map(|(_, (id, _))| *id)
            .collect();
        if let Some(first) = both.first() {
            return Err(Error::GeneOverlap { n_genes: both.len(), first: (*first).to_owned() });
        }

        let places = places(tokens);
        let seen: BTreeSet<u32> = split
            .train_cells
            .iter()
            .filter_map(|row| places.get(row))
            .flat_map(|&cell| tokens.cell(cell).iter().copied())
            .collect();
        let (train, unseen): (Known<'_>, Known<'_>) =
            train.into_iter().partition(|(token, _)| seen.contains(token));
        // A class whose genes are all unseen counts too: with none.
        let mut counts = BTreeMap::<&str, usize>::new();
        unseen.values().for_each(|(_, class)| _ = counts.entry(class).or_default());
        train.values().for_each(|(_, class)| *counts.entry(class).or_default() += 1);
        if let Some((class, &found)) = counts.iter().find(|(_, n)| **n < 2) {
            return Err(Error::RareGeneClass { class: (*class).to_owned(), found });
        }
        if counts.len() < 2 {
            return Err(Error::Classes { found: counts.len(), of: "training genes" });
        }
        let number: BTreeMap<&str, u32> = counts.keys().copied().zip(0..).collect();
        if let Some((_, class)) = validation.values().find(|(_, class)| !number.contains_key(class)) {
            return Err(Error::UnseenGeneClass { class: (*class).to_owned() });
        }
        let set = |genes: &Known<'_>, rows: &[usize]| {
            let mut classes = vec![None; vocabulary.n_tokens()];
            genes.iter().for_each(|(&token, (_, class))| classes[token as usize] = Some(number[class]));
            let mut cells = Cells::default();
            for &row in rows {
                let has_class =
                    |cell: usize| tokens.cell(cell).iter().any(|&token| class_of(&classes, token).is_some());
                if let Some(&cell) = places.get(&row).filter(|&&cell| has_class(cell)) {
                    cells.cells.push(cell);
                    cells.rows.push(row);
                }
            }
            Set { classes, cells }
        };
        let named = |genes: &Known<'_>| {
            genes.values().map(|(id, class)| ((*id).to_owned(), (*class).to_owned())).collect()
        };
        let mut found = Self {
            tokens,
            names: counts.keys().map(|name| (*name).to_owned()).collect(),
            report: GeneReport {
                train: named(&train),
                validation: named(&validation),
                unseen: unseen.values().map(|(id, _)| (*id).to_owned()).collect(),
                unknown,
            },
            train: set(&train, &split.train_cells),
            validation: set(&validation, &split.validation_cells),
            class_weights: None,
        };
        if is_weighted {
            let all: Vec<usize> = (0..found.train.cells.cells.len()).collect();
            found.class_weights = Some(loss::balanced_weights(&found.labels(&all), found.names.len()));
        }
        Ok(found)
    }

    /// The class of each token of some training cells.
    fn labels(&self, items: &[usize]) -> Vec<Option<u32>> {
        let cells = items.iter().map(|&item| self.train.cells.cells[item]);
        cells
            .flat_map(|cell| self.tokens.cell(cell))
            .map(|&token| class_of(&self.train.classes, token))
            .collect()
    }
}

/// The class of a token; none of a token that the dictionary does not have, which the model refuses by itself.
fn class_of(classes: &[Option<u32>], token: u32) -> Option<u32> {
    classes.get(token as usize).copied().flatten()
}

/// Those genes that the model knows; the others are added to `unknown`.
fn known<'g>(
    vocabulary: &Vocabulary,
    genes: &'g [(String, String)],
    unknown: &mut Vec<String>,
) -> Result<Known<'g>, Error> {
    let mut known = Known::new();
    for (id, class) in genes {
        let Some((gene, _)) = vocabulary.gene(id) else {
            unknown.push(id.clone());
            continue;
        };
        let (_, first) = known.entry(gene.token).or_insert((id, class));
        if *first != class {
            let (first, second) = ((*first).to_owned(), class.clone());
            return Err(Error::TwoClasses { gene: id.clone(), first, second });
        }
    }
    Ok(known)
}

impl Objective for GeneClasses<'_> {
    fn name(&self) -> &'static str {
        "classification of genes"
    }

    fn hash(&self) -> String {
        let mut sha = Sha256::new();
        hash_names(&mut sha, &self.names);
        for set in [&self.train, &self.validation] {
            hash_classes(&mut sha, &set.classes);
            hash_rows(&mut sha, &set.cells);
        }
        hex(sha)
    }

    fn train(&self) -> &Cells {
        &self.train.cells
    }

    fn validation(&self) -> &Cells {
        &self.validation.cells
    }

    fn n_logits(&self, _: usize, n_tokens: usize) -> usize {
        n_tokens * self.names.len()
    }

    fn weight(&self, items: &[usize]) -> f64 {
        loss::label_weight(&self.labels(items), self.class_weights.as_deref())
    }

    fn loss(&self, logits: &Tensor, items: &[usize]) -> Result<Tensor> {
        Ok(loss::cross_entropy(logits, &self.labels(items), self.class_weights.as_deref())?)
    }

    fn scores(&self, asked: Asked<'_>) -> Result<Scores> {
        let mut fit = Fit::default();
        for cells in self.validation.cells.cells.chunks(BLOCK) {
            for (&cell, logits) in cells.iter().zip(asked.tokens(cells, self.names.len())?) {
                let tokens = self.tokens.cell(cell).iter();
                let classes: Vec<_> =
                    tokens.map(|&token| class_of(&self.validation.classes, token)).collect();
                fit.add(logits.view(), &classes, self.class_weights.as_deref());
            }
        }
        Ok(fit.scores(self.names.len()))
    }
}
