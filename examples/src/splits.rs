//! The rule by which cells are divided, from a command line or a configuration.

use std::collections::BTreeMap;

use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::Labels;
use sc_eval::split::{Size, Split, StratifiedKFold, StratifiedShuffleSplit};

use crate::cells::Cells;
use crate::end::Usage;

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
    /// As the splitters of [`sc_eval::split`]; if there are fewer groups than folds.
    pub fn split(self, cells: &Cells, seed: u64) -> Result<Vec<Split>> {
        match (self, &cells.groups) {
            (Self::Folds(n_splits), None) => {
                Ok(StratifiedKFold { n_splits, seed, ..Default::default() }.split(&cells.labels)?)
            }
            (Self::Folds(n_splits), Some(groups)) => by_group(&cells.labels, groups, n_splits, seed),
            (Self::TestSize(share), None) => {
                let rule =
                    StratifiedShuffleSplit { test_size: Size::Share(share), seed, ..Default::default() };
                Ok(rule.split(&cells.labels)?)
            }
            (Self::TestSize(_), Some(_)) => {
                Err(Usage("cells of one group stay together in folds: use --cv, not --test-size".into())
                    .into())
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
            (Self::TestSize(share), _) => {
                format!("one test set, {share} of the cells, stratified by label, drawn with {seeds}")
            }
        }
    }
}

/// Folds of whole groups with nearly the class shares of all cells. Groups whose cells differ most between classes are
/// placed first, each into the fold that leaves the shares of every class over the folds most even.
fn by_group(labels: &Labels, groups: &[String], n_splits: usize, seed: u64) -> Result<Vec<Split>> {
    let n_classes = labels.n_classes();
    let mut counts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (group, &code) in groups.iter().zip(labels.codes()) {
        counts.entry(group).or_insert_with(|| vec![0.0; n_classes])[code as usize] += 1.0;
    }
    if n_splits < 2 || counts.len() < n_splits {
        let text = format!(
            "{n_splits} folds of {} groups: there must be 2 folds, and a group for each",
            counts.len()
        );
        return Err(Usage(text).into());
    }
    let mut order: Vec<(&str, &Vec<f64>)> = counts.iter().map(|(group, counts)| (*group, counts)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for i in (1..order.len()).rev() {
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    order.sort_by(|a, b| spread(b.1).total_cmp(&spread(a.1)));
    let of_class: Vec<f64> = labels.counts().iter().map(|&n| n as f64).collect();
    let mut folds = vec![vec![0.0; n_classes]; n_splits];
    let mut fold_of = BTreeMap::new();
    for (group, counts) in order {
        let mut best = (f64::INFINITY, f64::INFINITY, 0);
        for fold in 0..n_splits {
            let share = |other: usize, class: usize| {
                let added = if other == fold { counts[class] } else { 0.0 };
                (folds[other][class] + added) / of_class[class]
            };
            let uneven = |class| spread(&(0..n_splits).map(|other| share(other, class)).collect::<Vec<_>>());
            let uneven = (0..n_classes).map(uneven).sum::<f64>() / n_classes as f64;
            let n_cells: f64 = folds[fold].iter().sum();
            if (uneven, n_cells) < (best.0, best.1) {
                best = (uneven, n_cells, fold);
            }
        }
        folds[best.2].iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        fold_of.insert(group, best.2);
    }
    let side = |fold: usize, tested: bool| {
        (0..labels.len()).filter(|&cell| (fold_of[groups[cell].as_str()] == fold) == tested).collect()
    };
    Ok((0..n_splits).map(|fold| Split { train: side(fold, false), test: side(fold, true) }).collect())
}

/// Standard deviation.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_together_and_every_cell_is_tested_once() {
        let names: Vec<&str> = (0..120).map(|cell| ["B", "T", "T"][cell % 3]).collect();
        let labels = Labels::new(&names).unwrap();
        let groups: Vec<String> = (0..120).map(|cell| format!("donor {}", cell / 15)).collect();
        let splits = by_group(&labels, &groups, 4, 42).unwrap();
        let mut tested = [0; 120];
        for split in &splits {
            assert_eq!(split.train.len() + split.test.len(), 120);
            assert_eq!(split.test.len(), 30);
            split.test.iter().for_each(|&cell| tested[cell] += 1);
            let of = |side: &[usize]| side.iter().map(|&cell| groups[cell].clone()).collect::<Vec<_>>();
            let train = of(&split.train);
            assert!(of(&split.test).iter().all(|group| !train.contains(group)));
        }
        assert_eq!(tested, [1; 120]);
        assert_eq!(splits, by_group(&labels, &groups, 4, 42).unwrap());
        assert!(by_group(&labels, &groups, 9, 42).unwrap_err().to_string().contains("9 folds of 8 groups"));
    }
}
