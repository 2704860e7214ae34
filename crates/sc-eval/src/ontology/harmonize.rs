//! Two label spaces made one: the classes in which the labels of several data sets can be compared.

use std::collections::BTreeMap;

use super::names::key;
use super::{Ontology, TermId};

/// The common class of each label of each data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Harmonized {
    /// Names of the classes that at least two data sets have, sorted.
    pub shared: Vec<String>,
    /// For each data set, its label names and the class that each stands for. A label that no other data set has a
    /// counterpart of stands for itself.
    pub class_of: Vec<BTreeMap<String, String>>,
}

impl Harmonized {
    /// Whether a class occurs in at least two data sets.
    pub fn is_shared(&self, class: &str) -> bool {
        self.shared.binary_search_by(|shared| shared.as_str().cmp(class)).is_ok()
    }
}

/// Finds the classes in which the labels of several data sets can be compared.
///
/// A label stands for the broadest label, of any of the data sets, that it is a kind of, provided that labels of two data
/// sets come together under it: with "CD4 T", "CD8 T" and "B" here and "T cell", "naive B" and "neuron" there, the shared
/// classes are "T cell" and "B cell", and "neuron" remains alone. A class is named as its term is. If two broadest labels
/// qualify (terms have several parents), the fewest steps decide, then the identifier.
///
/// Labels without a term, and all labels where no ontology is given, are matched by name: letters and digits, whatever
/// their case.
///
/// * `classes`: coarser classes to prefer, if any: every label that is a kind of one stands for the nearest of them.
pub fn harmonize<S: AsRef<str>>(
    ontology: Option<&Ontology>,
    datasets: &[&[S]],
    classes: &[TermId],
) -> Harmonized {
    let term = |label: &str| ontology.and_then(|ontology| ontology.find(label).term());
    let labels: Vec<Vec<(&str, Option<TermId>)>> = datasets
        .iter()
        .map(|names| names.iter().map(|name| (name.as_ref(), term(name.as_ref()))).collect())
        .collect();
    let broadest = match ontology {
        Some(ontology) => broadest(ontology, &labels),
        None => Vec::new(),
    };
    let class = |label: &str, term: Option<TermId>| -> (String, String) {
        let by_term = ontology.zip(term).map(|(ontology, term)| {
            let class = nearest(ontology, term, classes)
                .or_else(|| nearest(ontology, term, &broadest))
                .unwrap_or(term);
            ontology.name(class).to_owned()
        });
        let name = by_term.unwrap_or_else(|| label.to_owned());
        (key(&name), name)
    };
    // Names that differ in case only are one class, under the first spelling.
    let mut spelling: BTreeMap<String, String> = BTreeMap::new();
    let mut owners: BTreeMap<String, std::collections::BTreeSet<usize>> = BTreeMap::new();
    let mut class_of = Vec::with_capacity(labels.len());
    for (dataset, names) in labels.iter().enumerate() {
        let mut map = BTreeMap::new();
        for &(label, term) in names {
            let (key, name) = class(label, term);
            let name = spelling.entry(key).or_insert(name).clone();
            owners.entry(name.clone()).or_default().insert(dataset);
            map.insert(label.to_owned(), name);
        }
        class_of.push(map);
    }
    let shared = owners.into_iter().filter(|(_, sets)| sets.len() > 1).map(|(name, _)| name).collect();
    Harmonized { shared, class_of }
}

/// Labels that labels of at least two data sets are a kind of, and that are no kind of another such label.
fn broadest(ontology: &Ontology, labels: &[Vec<(&str, Option<TermId>)>]) -> Vec<TermId> {
    let all: std::collections::BTreeSet<TermId> =
        labels.iter().flatten().filter_map(|&(_, term)| term).collect();
    let under = |set: &[(&str, Option<TermId>)], class: TermId| {
        set.iter().filter_map(|&(_, term)| term).any(|term| ontology.steps_up(term, class).is_some())
    };
    let joins = |&class: &TermId| labels.iter().filter(|set| under(set, class)).count() > 1;
    let joining: Vec<TermId> = all.into_iter().filter(joins).collect();
    let topmost = |&class: &TermId| {
        !joining.iter().any(|&other| other != class && ontology.steps_up(class, other).is_some())
    };
    joining.iter().copied().filter(topmost).collect()
}

/// The class that `term` is a kind of in the fewest steps; the lower identifier among equals.
fn nearest(ontology: &Ontology, term: TermId, classes: &[TermId]) -> Option<TermId> {
    let steps = |&class: &TermId| Some((ontology.steps_up(term, class)?, class));
    classes.iter().filter_map(steps).min().map(|(_, class)| class)
}
