//! The classes in which labels of the other file and answers of models are compared.

use std::collections::BTreeMap;

use anyhow::Result;
use sc_eval::Labels;
use sc_eval::ontology::{Ontology, TermId, harmonize};

use sc_examples::end::Usage;

/// What labels of the two data sets stand for.
pub(super) struct Comparison {
    /// Classes that models can answer with.
    pub(super) classes: Vec<String>,
    /// The class that each class of the first data set stands for.
    pub(super) of_home: Vec<u32>,
    /// The true class of each cell of the file that is asked about; `None` for a type that the models cannot know.
    pub(super) truth: Vec<Option<u32>>,
    /// Classes that the file has cells of.
    pub(super) shared: Vec<u32>,
    /// Labels of the file, their cells, and the class of each.
    pub(super) labels: Vec<(String, usize, Option<u32>)>,
}

impl Comparison {
    /// * `names`: label of each cell of the file, as it is read.
    /// * `read`: what a label is read as; nothing for one that no label of the file is to be compared with.
    ///
    /// # Errors
    /// [`Usage`] if no label of the file is one that the models can know.
    pub(super) fn new(
        home: &Labels,
        names: &[&str],
        read: impl Fn(&str) -> String,
        ontology: Option<&Ontology>,
        coarse: &[TermId],
    ) -> Result<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        names.iter().for_each(|name| *counts.entry(name).or_default() += 1);
        let home_names: Vec<String> = home.classes().iter().map(|class| read(class)).collect();
        let there: Vec<&str> =
            home_names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let away: Vec<&str> = counts.keys().copied().collect();
        let made = harmonize(ontology, &[&there, &away], coarse);
        let mut classes: Vec<String> = made.class_of[0].values().cloned().collect();
        classes.sort_unstable();
        classes.dedup();
        let code = |class: &String| classes.binary_search(class).ok().map(|code| code as u32);
        let of_names: BTreeMap<&str, Option<u32>> =
            away.iter().map(|&name| (name, code(&made.class_of[1][name]))).collect();
        let mut of_home = Vec::with_capacity(home_names.len());
        let mut alone = Vec::new();
        for (name, own) in home_names.iter().zip(home.classes()) {
            of_home.push(match made.class_of[0].get(name).and_then(code) {
                Some(code) => code,
                None => {
                    alone.push(own.clone());
                    (classes.len() + alone.len() - 1) as u32
                }
            });
        }
        let labels: Vec<(String, usize, Option<u32>)> =
            counts.iter().map(|(&name, &n)| (name.to_owned(), n, of_names[name])).collect();
        let mut shared: Vec<u32> = of_names.values().flatten().copied().collect();
        shared.sort_unstable();
        shared.dedup();
        if shared.is_empty() {
            let list = |names: &[&str]| names.iter().take(20).copied().collect::<Vec<_>>().join(", ");
            let text = format!(
                "no label of --test is one that the models learn: it has {}; they learn {} (--label-map says what to read a \
                 label as, --ontology what is a kind of what)",
                list(&away),
                list(&home.classes().iter().map(String::as_str).collect::<Vec<_>>())
            );
            return Err(Usage(text).into());
        }
        classes.extend(alone);
        Ok(Self {
            classes,
            of_home,
            truth: names.iter().map(|name| of_names[name]).collect(),
            shared,
            labels,
        })
    }

    /// Whether the file has cells of a class.
    pub(super) fn is_shared(&self, class: u32) -> bool {
        self.shared.binary_search(&class).is_ok()
    }

    /// Cells of classes that the models know.
    pub(super) fn n_shared(&self) -> usize {
        self.truth.iter().flatten().count()
    }

    /// Cells of types that the models cannot know.
    pub(super) fn n_unknown(&self) -> usize {
        self.truth.len() - self.n_shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_meet_by_name_and_a_map_decides_before() {
        let home = Labels::new(&["B cell", "T cell", "odd", "T cell"]).unwrap();
        let names = ["b-cell", "neuron", "B cell", "odd"];
        let read = |label: &str| if label == "odd" { String::new() } else { label.to_owned() };
        let made = Comparison::new(&home, &names, read, None, &[]).unwrap();
        assert_eq!(made.classes, ["B cell", "T cell", "odd"]);
        assert_eq!((&made.of_home[..], &made.shared[..]), (&[0, 1, 2][..], &[0][..]));
        // A label of the first data set that is read as nothing is met by none.
        assert_eq!(made.truth, [Some(0), None, Some(0), None]);
        assert_eq!((made.n_shared(), made.n_unknown()), (2, 2));
        let refused =
            Comparison::new(&home, &["neuron"], str::to_owned, None, &[]).err().unwrap().to_string();
        assert!(refused.contains("neuron") && refused.contains("B cell, T cell, odd"), "{refused}");
    }
}
