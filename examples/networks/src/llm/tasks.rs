//! What is asked: evidence of training and test items, and the labels to choose from.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::split::Split;
use sc_examples::cells::Cells;
use sc_io::Csr;
use sc_llm::evidence::{self, Disguise, Evidence, TopParams, barcode, top_values};
use sc_llm::prompt;

use super::args::{LlmArgs, TaskName};
use super::markers::ranked;

/// Random halves of the training cells that markers are learnt from.
const HALVES: u64 = 24;
/// Test cells that a cluster needs.
const LEAST_CELLS: usize = 3;

/// Something to be named.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) evidence: Evidence,
    /// Number of the right label.
    pub(super) truth: usize,
}

/// A task with its items.
pub(super) struct Task {
    pub(super) name: TaskName,
    pub(super) labels: Vec<String>,
    pub(super) train: Vec<Asked>,
    pub(super) test: Vec<Asked>,
    /// Genes of each label among the training cells, the most specific first.
    pub(super) markers: Vec<Vec<String>>,
    /// Clusters that were too small to be asked about.
    pub(super) n_small: usize,
}

impl TaskName {
    /// Its name in tables.
    pub(super) fn word(self) -> &'static str {
        self.prompt().name()
    }

    /// As prompts know it.
    pub(super) fn prompt(self) -> prompt::Task {
        match self {
            Self::Markers => prompt::Task::Markers,
            Self::Expression => prompt::Task::Expression,
            Self::BarcodeCluster => prompt::Task::BarcodeCluster,
        }
    }
}

impl Task {
    /// Evidence of training and test items; nothing of a test cell enters that of a training item.
    pub(super) fn new(name: TaskName, cells: &Cells, x: &Csr, split: &Split, args: &LlmArgs) -> Result<Self> {
        let codes = cells.labels.codes();
        let n_labels = cells.labels.n_classes();
        let groups = |rows: &[usize]| -> Vec<Vec<usize>> {
            let of =
                |label: usize| rows.iter().copied().filter(|&row| codes[row] as usize == label).collect();
            (0..n_labels).map(of).collect()
        };
        let names = |genes: &[usize]| -> Vec<String> {
            genes.iter().map(|&gene| cells.genes[gene].clone()).collect()
        };
        let markers = ranked(x, &groups(&split.train), 50).iter().map(|genes| names(genes)).collect();
        let of_cells = |rows: &[usize], say: &dyn Fn(usize) -> Result<Evidence>| -> Result<Vec<Asked>> {
            let asked = |&row: &usize| {
                let id = cells.names[row].clone();
                let evidence = say(row).with_context(|| format!("cell {id:?}"))?;
                Ok(Asked { id, evidence, truth: codes[row] as usize })
            };
            rows.iter().map(asked).collect()
        };
        let labels = match name {
            // Numbers say nothing of biology; those of the types are as good as any.
            TaskName::BarcodeCluster => (0..n_labels).map(|label| label.to_string()).collect(),
            _ => cells.labels.classes().to_vec(),
        };
        let mut n_small = 0;
        let (train, test) = match name {
            TaskName::BarcodeCluster => {
                let say = |row: usize| Ok(barcode(&cells.names[row]));
                (of_cells(&split.train, &say)?, of_cells(&split.test, &say)?)
            }
            TaskName::Expression => {
                let say = |row: usize| {
                    let (genes, values) = x.row(row);
                    let values = || genes.iter().map(|&gene| gene as usize).zip(values.iter().copied());
                    let informative = TopParams { n_genes: args.n_genes, drop_uninformative: true };
                    let all = TopParams { drop_uninformative: false, ..informative };
                    // A cell that has nothing else is still asked about.
                    let top = top_values(&cells.genes, values(), &informative);
                    let top = top.or_else(|_| top_values(&cells.genes, values(), &all));
                    Ok(top.map_err(sc_llm::Error::from)?)
                };
                (of_cells(&split.train, &say)?, of_cells(&split.test, &say)?)
            }
            TaskName::Markers => {
                let mut train = Vec::new();
                for half in 0..HALVES {
                    let rows = half_of(&split.train, args.run.seed, half);
                    train.extend(clusters(
                        x,
                        &groups(&rows),
                        &names,
                        args.n_markers,
                        &format!("half {half}"),
                    )?);
                }
                let (large, small): (Vec<_>, Vec<_>) =
                    groups(&split.test).into_iter().partition(|rows| rows.len() >= LEAST_CELLS);
                n_small = small.iter().filter(|rows| !rows.is_empty()).count();
                let kept: Vec<usize> = large.concat();
                (train, clusters(x, &groups(&kept), &names, args.n_markers, "cluster")?)
            }
        };
        Ok(Self { name, labels, train, test, markers, n_small })
    }

    /// The test items under other names of genes; none where no gene is named.
    pub(super) fn disguised(&self, genes: &[String], seed: u64) -> Result<Option<Vec<Asked>>> {
        if self.name == TaskName::BarcodeCluster {
            return Ok(None);
        }
        let mut seen = BTreeSet::new();
        let genes: Vec<&String> = genes.iter().filter(|gene| seen.insert(*gene)).collect();
        let disguise = Disguise::shuffled(&genes, seed)?;
        let other = |asked: &Asked| Ok(Asked { evidence: disguise.apply(&asked.evidence)?, ..asked.clone() });
        self.test.iter().map(other).collect::<Result<_>>().map(Some)
    }
}

/// An item for each group that has markers.
fn clusters(
    x: &Csr,
    groups: &[Vec<usize>],
    names: &dyn Fn(&[usize]) -> Vec<String>,
    n: usize,
    what: &str,
) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for (truth, genes) in ranked(x, groups, n).iter().enumerate().filter(|(_, genes)| !genes.is_empty()) {
        let evidence = evidence::markers(&names(genes), n)?;
        asked.push(Asked { id: format!("{what} of type {truth}"), evidence, truth });
    }
    Ok(asked)
}

/// Each row or not, by a toss.
fn half_of(rows: &[usize], seed: u64, half: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(half);
    rows.iter().copied().filter(|_| rng.next_u32() & 1 == 1).collect()
}
