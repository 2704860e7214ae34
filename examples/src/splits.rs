//! The rule by which cells are divided, from a command line or a configuration.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sc_eval::split::{
    GroupShuffleSplit, Size, Split, StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit,
};

use crate::cells::Cells;

/// How cells are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Folds, each tested once.
    Folds(usize),
    /// One test set with this share of the cells.
    TestSize(f64),
}

impl Rule {
    /// The divisions of a data set with one seed; cells of one group stay together if the data set has groups.
    ///
    /// # Errors
    /// As the splitters of [`sc_eval::split`].
    pub fn split(self, cells: &Cells, seed: u64) -> Result<Vec<Split>> {
        match (self, &cells.groups) {
            (Self::Folds(n_splits), None) => {
                Ok(StratifiedKFold { n_splits, seed, ..Default::default() }.split(&cells.labels)?)
            }
            (Self::Folds(n_splits), Some(groups)) => {
                // Not every donor has every type: a class that a fold cannot learn is one that it gets wrong.
                let rule =
                    StratifiedGroupKFold { n_splits, shuffle: true, seed, allow_missing_classes: true };
                Ok(rule.split(&cells.labels, &numbered(groups))?)
            }
            (Self::TestSize(share), None) => {
                let rule =
                    StratifiedShuffleSplit { test_size: Size::Share(share), seed, ..Default::default() };
                Ok(rule.split(&cells.labels)?)
            }
            (Self::TestSize(share), Some(groups)) => {
                let rule = GroupShuffleSplit { test_groups: Size::Share(share), seed, ..Default::default() };
                Ok(rule.split(&numbered(groups))?)
            }
        }
    }

    /// The rule in words.
    pub fn words(self, group: Option<&str>, seeds: &[u64]) -> String {
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let seeds = match seeds.as_slice() {
            [seed] => format!("seed {seed}"),
            _ => format!("seeds {}", seeds.join(", ")),
        };
        match (self, group) {
            (Self::Folds(k), None) => format!("{k}, stratified by label, shuffled with {seeds}"),
            (Self::Folds(k), Some(group)) => {
                format!("{k}, stratified by label, cells of one {group:?} together, shuffled with {seeds}")
            }
            (Self::TestSize(share), Some(group)) => {
                format!(
                    "one test set, {share} of the values of {group:?} with all their cells, drawn with {seeds}"
                )
            }
            (Self::TestSize(share), None) => {
                format!("one test set, {share} of the cells, stratified by label, drawn with {seeds}")
            }
        }
    }
}

/// The groups as numbers, in order of their names.
pub fn numbered(groups: &[String]) -> Vec<u32> {
    let names: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
    let number: BTreeMap<&str, u32> = names.into_iter().zip(0..).collect();
    groups.iter().map(|group| number[group.as_str()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_by_name() {
        let groups = ["d2", "d1", "d2", "d10"].map(str::to_owned);
        assert_eq!(numbered(&groups), [2, 0, 2, 1]);
    }

    #[test]
    fn the_rule_is_told_in_words() {
        assert_eq!(Rule::Folds(5).words(None, &[42]), "5, stratified by label, shuffled with seed 42");
        let grouped = Rule::Folds(3).words(Some("donor"), &[1, 2]);
        assert!(
            grouped.contains("cells of one \"donor\" together") && grouped.ends_with("seeds 1, 2"),
            "{grouped}"
        );
        assert!(Rule::TestSize(0.2).words(None, &[1]).starts_with("one test set, 0.2 of the cells"));
    }
}
