//! Where the files of a grid lie.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Key, Plan};

/// Characters of a name that reach the name of a file.
const MOST: usize = 60;
/// Names that some systems keep for devices.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// The paths of a plan's files.
pub(super) struct Layout {
    dir: PathBuf,
    datasets: Vec<String>,
    models: Vec<String>,
}

/// The kinds of files that each cell may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cell,
    Time,
    Error,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Cell, Self::Time, Self::Error];

    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Cell => "cells",
            Self::Time => "times",
            Self::Error => "errors",
        }
    }
}

impl Layout {
    pub(super) fn new(dir: &Path, plan: &Plan) -> Self {
        Self {
            dir: dir.to_owned(),
            datasets: slugs(plan.datasets.iter().map(|dataset| dataset.name.as_str())),
            models: slugs(plan.models.iter().map(|model| model.name.as_str())),
        }
    }

    pub(super) fn of(&self, kind: Kind, key: &Key) -> PathBuf {
        let [dataset, model] = [&self.datasets[key.dataset], &self.models[key.model]];
        self.dir.join(kind.folder()).join(dataset).join(model).join(file_name(key.seed, key.fold))
    }

    /// The times of what models share.
    pub(super) fn shared_time(&self, dataset: usize, seed: u64, fold: usize) -> PathBuf {
        self.dir.join(Kind::Time.folder()).join(&self.datasets[dataset]).join(file_name(seed, fold))
    }

    /// The name of a data set in names of files.
    pub(super) fn slug(&self, dataset: usize) -> &str {
        &self.datasets[dataset]
    }

    /// The folders that files of this kind and data set lie in, the deeper first.
    pub(super) fn folders(&self, kind: Kind, dataset: usize) -> impl Iterator<Item = PathBuf> {
        let folder = self.dir.join(kind.folder()).join(&self.datasets[dataset]);
        let models: Vec<_> = self.models.iter().map(|model| folder.join(model)).collect();
        models.into_iter().chain([folder])
    }

    pub(super) fn dataset(&self, dataset: usize) -> PathBuf {
        self.dir.join("datasets").join(format!("{}.json", self.datasets[dataset]))
    }
}

pub(super) fn plan(dir: &Path) -> PathBuf {
    dir.join("plan.json")
}

fn file_name(seed: u64, fold: usize) -> String {
    format!("seed{seed}-fold{fold}.json")
}

/// Whether a file may be called so by [`file_name`].
pub(super) fn is_file_name(name: &str) -> bool {
    let parts = || {
        let (seed, fold) = name.strip_prefix("seed")?.strip_suffix(".json")?.split_once("-fold")?;
        Some(file_name(seed.parse().ok()?, fold.parse().ok()?) == name)
    };
    parts().unwrap_or(false)
}

/// A name each that is safe on every system: lowercase letters, digits, `-` and `_`; numbered where two fall together.
fn slugs<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    names
        .map(|name| {
            let fold = |c: char| match c.to_ascii_lowercase() {
                c if c.is_ascii_alphanumeric() || c == '-' => c,
                _ => '_',
            };
            let mut base: String = name.chars().take(MOST).map(fold).collect();
            if DEVICES.contains(&base.trim_end_matches(|c: char| c.is_ascii_digit())) {
                base.push('_');
            }
            let numbered = (2..).map(|n| format!("{base}_{n}"));
            let free = std::iter::once(base.clone()).chain(numbered).find(|slug| !taken.contains(slug));
            let slug = free.expect("there is always another number");
            taken.insert(slug.clone());
            slug
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_cell_is_known_by_its_name() {
        assert!(is_file_name(&file_name(u64::MAX, 12)));
        for other in
            ["seed1-fold0.json~", "seed+1-fold0.json", "seed1-fold.json", "notes.txt", "seed01-fold0.json"]
        {
            assert!(!is_file_name(other), "{other}");
        }
    }

    #[test]
    fn names_of_files_are_safe_and_each_once() {
        let names = ["k NN", "k/nn", "../..", "K NN", "CON", "com1", "γ"];
        assert_eq!(slugs(names.into_iter()), ["k_nn", "k_nn_2", "_____", "k_nn_3", "con_", "com1_", "_"]);
        assert_eq!(slugs(["a".repeat(300).as_str()].into_iter())[0].len(), MOST);
    }
}
