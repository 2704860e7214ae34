//! What is asked: evidence of training and test items, and the labels to choose from.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sc_eval::split::Split;
use sc_examples::cells::Cells;
use sc_llm::evidence::{self, Disguise, Evidence, TopParams, barcode, top_values};
use sc_llm::prompt;
use sc_prep::LogNormalized;

use super::args::{LlmArgs, TaskName};
use super::clusters::clusters;
use super::markers::ranked;

/// Draws from the training cells that markers are learnt from, and the cells of a draw at most.
const DRAWS: u64 = 24;
const MOST_OF_A_DRAW: f64 = 2000.0;
/// Cells that a cluster needs.
const LEAST_CELLS: usize = 3;
/// Markers of a type that an answer is compared with.
const KNOWN_MARKERS: usize = 50;

/// Something to be named.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) evidence: Evidence,
    /// Number of the right label.
    pub(super) truth: usize,
    /// The cells that it is: one, or those of a cluster.
    pub(super) cells: Vec<usize>,
}

/// A task with its items.
pub(super) struct Task {
    pub(super) name: TaskName,
    pub(super) labels: Vec<String>,
    pub(super) train: Vec<Asked>,
    pub(super) test: Vec<Asked>,
    /// Number of the right label of each cell of the data.
    pub(super) of_cells: Vec<usize>,
    /// Genes of each type among the training cells, the most specific first.
    pub(super) markers: Vec<Vec<String>>,
    /// Test cells in clusters that are too small to be asked about.
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
    pub(super) fn new(
        name: TaskName,
        cells: &Cells,
        x: &LogNormalized,
        split: &Split,
        args: &LlmArgs,
    ) -> Result<Self> {
        match name {
            TaskName::Markers => of_clusters(cells, x, split, args),
            TaskName::Expression => {
                let say = |row: usize| highest(&cells.genes, x.csr().row(row), args.n_genes);
                let of_cells = types(cells);
                Self::of_cells(name, cells, cells.labels.classes().to_vec(), of_cells, (x, split), &say)
            }
            TaskName::BarcodeCluster => {
                // As published: of all cells, which no barcode can tell.
                let all: Vec<usize> = (0..x.n_obs()).collect();
                let found = clusters(x, &all, args.resolution, args.run.seed)?;
                let mut of_cells = vec![0; all.len()];
                for (cluster, rows) in found.iter().enumerate() {
                    rows.iter().for_each(|&row| of_cells[row] = cluster);
                }
                let labels = (0..found.len()).map(|cluster| cluster.to_string()).collect();
                let say = |row: usize| Ok(barcode(&cells.names[row]));
                Self::of_cells(name, cells, labels, of_cells, (x, split), &say)
            }
        }
    }

    /// A task whose items are cells.
    fn of_cells(
        name: TaskName,
        cells: &Cells,
        labels: Vec<String>,
        of_cells: Vec<usize>,
        (x, split): (&LogNormalized, &Split),
        say: &dyn Fn(usize) -> Result<Evidence>,
    ) -> Result<Self> {
        let ids = unique(&cells.names);
        let asked = |&row: &usize| {
            let id = ids[row].clone();
            let evidence = say(row).with_context(|| format!("cell {id:?}"))?;
            Ok(Asked { id, evidence, truth: of_cells[row], cells: vec![row] })
        };
        let items = |rows: &[usize]| rows.iter().map(asked).collect::<Result<Vec<_>>>();
        let (train, test) = (items(&split.train)?, items(&split.test)?);
        let markers = match name {
            TaskName::BarcodeCluster => Vec::new(),
            _ => known_markers(cells, x, split),
        };
        Ok(Self { name, labels, train, test, of_cells, markers, n_small: 0 })
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

    /// The share of the cells of a test item that are of its label; 1 for a cell.
    pub(super) fn purity(&self, asked: &Asked) -> f64 {
        let own = asked.cells.iter().filter(|&&cell| self.of_cells[cell] == asked.truth).count();
        own as f64 / asked.cells.len().max(1) as f64
    }
}

/// Clusters and their types: for tests, Leiden clusters of the test cells; for training, Leiden clusters of draws from
/// the training cells, and the cells of each type in these draws, so that rare types are learnt too.
fn of_clusters(cells: &Cells, x: &LogNormalized, split: &Split, args: &LlmArgs) -> Result<Task> {
    let of_cells = types(cells);
    let n_labels = cells.labels.n_classes();
    let seed = args.run.seed;
    // The most frequent type; of equals the first.
    let type_of = |rows: &[usize]| {
        let mut counts = vec![0usize; n_labels];
        rows.iter().for_each(|&row| counts[of_cells[row]] += 1);
        (0..n_labels).max_by_key(|&label| (counts[label], std::cmp::Reverse(label))).unwrap_or(0)
    };
    let items = |groups: Vec<Vec<usize>>, what: &str| -> Result<Vec<Asked>> {
        let found = ranked(x.csr(), &groups, args.n_markers);
        let mut asked = Vec::new();
        for ((number, rows), genes) in groups.into_iter().enumerate().zip(found) {
            if genes.is_empty() {
                continue;
            }
            let evidence = evidence::markers(&names(cells, &genes), args.n_markers)?;
            asked.push(Asked {
                id: format!("{what} {number}"),
                evidence,
                truth: type_of(&rows),
                cells: rows,
            });
        }
        Ok(asked)
    };
    let mut train = Vec::new();
    for draw in 0..DRAWS {
        let rows = drawn(&split.train, seed, draw);
        train.extend(items(by_type(&rows, &of_cells, n_labels), &format!("draw {draw}, type"))?);
        let found = clusters(x, &rows, args.resolution, seed)?;
        train.extend(items(found, &format!("draw {draw}, cluster"))?);
    }
    let (large, small): (Vec<_>, Vec<_>) = clusters(x, &split.test, args.resolution, seed)?
        .into_iter()
        .partition(|rows| rows.len() >= LEAST_CELLS);
    let test = items(large, "cluster")?;
    let n_small = small.iter().map(Vec::len).sum();
    let labels = cells.labels.classes().to_vec();
    let markers = known_markers(cells, x, split);
    Ok(Task { name: TaskName::Markers, labels, train, test, of_cells, markers, n_small })
}

/// Number of the type of each cell.
fn types(cells: &Cells) -> Vec<usize> {
    cells.labels.codes().iter().map(|&code| code as usize).collect()
}

/// The genes of each type among the training cells.
fn known_markers(cells: &Cells, x: &LogNormalized, split: &Split) -> Vec<Vec<String>> {
    let groups = by_type(&split.train, &types(cells), cells.labels.n_classes());
    ranked(x.csr(), &groups, KNOWN_MARKERS).iter().map(|genes| names(cells, genes)).collect()
}

/// The names, with the row behind one that was there before.
fn unique(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let name = |(row, name): (usize, &String)| match seen.insert(name.clone()) {
        true => name.clone(),
        false => format!("{name} (row {row})"),
    };
    names.iter().enumerate().map(name).collect()
}

fn names(cells: &Cells, genes: &[usize]) -> Vec<String> {
    genes.iter().map(|&gene| cells.genes[gene].clone()).collect()
}

fn by_type(rows: &[usize], of_cells: &[usize], n_labels: usize) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new(); n_labels];
    rows.iter().for_each(|&row| groups[of_cells[row]].push(row));
    groups
}

/// The highest genes of a cell with their values, without those that every cell has. A cell that has nothing else is still
/// asked about.
fn highest(genes: &[String], (columns, values): (&[u32], &[f32]), n_genes: usize) -> Result<Evidence> {
    let values = || columns.iter().map(|&gene| gene as usize).zip(values.iter().copied());
    let informative = TopParams { n_genes, drop_uninformative: true };
    let all = TopParams { drop_uninformative: false, ..informative };
    let top = top_values(genes, values(), &informative).or_else(|_| top_values(genes, values(), &all));
    Ok(top.map_err(sc_llm::Error::from)?)
}

/// Each row or not, by chance: half of them, fewer where these are too many.
fn drawn(rows: &[usize], seed: u64, draw: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(draw);
    let share = (MOST_OF_A_DRAW / rows.len().max(1) as f64).min(0.5);
    let below = (share * f64::from(u32::MAX)) as u32;
    rows.iter().copied().filter(|_| rng.next_u32() <= below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_half_of_few_cells_and_a_limited_number_of_many() {
        let n = |cells: usize| drawn(&(0..cells).collect::<Vec<_>>(), 7, 0).len();
        assert!((450..550).contains(&n(1000)), "{}", n(1000));
        assert!((1800..2200).contains(&n(40_000)), "{}", n(40_000));
        let rows: Vec<usize> = (0..1000).collect();
        assert_eq!(drawn(&rows, 7, 0), drawn(&rows, 7, 0));
        assert_ne!(drawn(&rows, 7, 0), drawn(&rows, 7, 1));
    }

    #[test]
    fn a_cell_of_ribosomes_alone_is_still_asked_about() {
        let genes = ["RPL3".to_owned(), "CD3D".to_owned()];
        let said = |columns: &[u32], values: &[f32]| highest(&genes, (columns, values), 5).unwrap();
        assert_eq!(said(&[0, 1], &[9.0, 1.0]), Evidence::Values(vec![("CD3D".into(), 1.0)]));
        assert_eq!(said(&[0], &[9.0]), Evidence::Values(vec![("RPL3".into(), 9.0)]));
    }
}
