//! Data sets of several tissues, brought together: the genes that all have, the classes that they can be compared in.

use std::collections::BTreeMap;

use anyhow::Result;
use ndarray::s;
use sc_eval::ontology::{Harmonized, Ontology, TermId, harmonize};
use sc_eval::protocol::{FoldOutput, Target};
use sc_eval::split::{Split, StratifiedKFold};
use sc_eval::{Labels, Prediction};
use sc_io::Csr;
use sc_prep::simulate::{BatchEffectParams, ThinParams, batch_effect_counts, thin_counts};
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, Subset, log1p, normalize_total};

use crate::cells::Cells;
use crate::genes::{GeneTable, shared_genes};
use crate::progress::{say, thousands};

/// A source and the targets that a model is taken to, in one matrix of shared genes: the source's cells first.
pub struct Tissues {
    /// Raw counts of all cells, in the shared genes.
    pub counts: Csr,
    /// Class of each cell of the source.
    pub source: Labels,
    /// Rows of each target in `counts`.
    pub rows: Vec<Vec<usize>>,
    /// True class of each cell of each target; `None` for a class that the source does not have.
    pub truth: Vec<Vec<Option<u32>>>,
    /// What each cell of each target is called in its own data set.
    pub names: Vec<Vec<String>>,
    /// Classes and labels.
    pub harmonized: Harmonized,
    /// Name and number of cells of each label of each data set, the source first.
    pub labels: Vec<BTreeMap<String, usize>>,
    /// Why cells were left out here, and how many.
    pub left_out: Vec<(String, usize)>,
}

impl Tissues {
    /// Brings data sets together.
    ///
    /// * `sets`: the source, then the targets; each with the name of every cell's label.
    ///
    /// # Errors
    /// If they share too few genes, or the source has fewer than two classes.
    pub fn new(
        sets: &[Cells],
        genes: &GeneTable,
        ontology: Option<&Ontology>,
        classes: &[TermId],
        label_names: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let read = |label: &str| label_names.get(label).map_or(label, String::as_str).to_owned();
        let all: Vec<(&str, &[String])> =
            sets.iter().map(|set| (set.dataset.as_str(), set.genes.as_slice())).collect();
        let columns = shared_genes(&all, genes)?;
        let (mut parts, mut names, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
        for (set, columns) in sets.iter().zip(&columns) {
            let part = set.counts.select_columns(columns);
            // A label that the map reads as nothing leaves its cells out; so does having none of the shared genes.
            let (mapped, unmapped): (Vec<usize>, Vec<usize>) =
                (0..part.n_rows()).partition(|&i| !read(set.labels.name(i)).is_empty());
            let (kept, empty): (Vec<usize>, Vec<usize>) =
                mapped.into_iter().partition(|&i| part.row(i).1.iter().any(|&v| v > 0.0));
            for (reason, n) in
                [("label mapped to nothing", unmapped.len()), ("no count in the shared genes", empty.len())]
            {
                if n > 0 {
                    left_out.push((format!("{}: {reason}", set.dataset), n));
                }
            }
            names.push(kept.iter().map(|&i| read(set.labels.name(i))).collect::<Vec<String>>());
            parts.push(part.select_rows(&kept));
        }
        let labels: Vec<BTreeMap<String, usize>> = names.iter().map(|names| count(names)).collect();
        let distinct: Vec<Vec<&str>> =
            labels.iter().map(|labels| labels.keys().map(String::as_str).collect()).collect();
        let distinct: Vec<&[&str]> = distinct.iter().map(Vec::as_slice).collect();
        let harmonized = harmonize(ontology, &distinct, classes);

        let class = |set: usize, name: &String| harmonized.class_of[set][name].clone();
        let source: Vec<String> = names[0].iter().map(|name| class(0, name)).collect();
        let source = Labels::new(&source)?;
        let code = |class: String| source.classes().binary_search(&class).ok().map(|code| code as u32);
        let truth = (1..sets.len())
            .map(|set| names[set].iter().map(|name| code(class(set, name))).collect())
            .collect();

        let mut begin = 0;
        let mut rows = Vec::with_capacity(parts.len());
        for part in &parts {
            rows.push((begin..begin + part.n_rows()).collect::<Vec<usize>>());
            begin += part.n_rows();
        }
        rows.remove(0);
        let counts = stack(&parts)?;
        names.remove(0);
        Ok(Self { counts, source, rows, truth, names, harmonized, labels, left_out })
    }

    /// Each cell alone: 10,000 counts of the shared genes, log1p.
    ///
    /// # Errors
    /// If the counts are none, which they were proven to be.
    pub fn log_normalized(&self) -> Result<LogNormalized> {
        Ok(log1p(normalize_total(Counts::new(&self.counts)?, &NormalizeTotalParams::to(1e4))?))
    }

    /// The targets as a protocol takes them, by the names of the data sets.
    pub fn targets<'a>(&'a self, sets: &'a [Cells]) -> Vec<Target<'a>> {
        let named = self.truth.iter().zip(&sets[1..]);
        named.map(|(truth, set)| Target { name: &set.dataset, truth }).collect()
    }

    /// The part of an answer about the cells of all targets that is about one of them.
    pub fn answer_about(&self, target: usize, all: &FoldOutput) -> FoldOutput {
        let begin: usize = self.rows[..target].iter().map(Vec::len).sum();
        let cells = begin..begin + self.rows[target].len();
        let share = cells.len() as f64 / all.prediction.codes.len().max(1) as f64;
        let probabilities = all.prediction.probabilities.as_ref();
        FoldOutput {
            prediction: Prediction {
                codes: all.prediction.codes[cells.clone()].to_vec(),
                probabilities: probabilities.map(|p| p.slice(s![cells, ..]).to_owned()),
            },
            predict_seconds: all.predict_seconds * share,
            ..all.clone()
        }
    }

    /// What was left out of the data sets, a sentence each.
    pub fn notes(&self, sets: &[Cells]) -> Vec<String> {
        let before = sets.iter().flat_map(|set| {
            let about = |(reason, n): &(String, usize)| (format!("{}: {reason}", set.dataset), *n);
            set.dropped.iter().map(about)
        });
        let sentence =
            |(reason, n): (String, usize)| format!("{} cells were left out. {reason}.", thousands(n));
        before.chain(self.left_out.iter().cloned()).map(sentence).collect()
    }

    /// Says what came together.
    pub fn tell(&self, sets: &[Cells]) {
        say(&format!("{} genes are in all {} data sets", thousands(self.counts.n_cols()), sets.len()));
        for (reason, n) in &self.left_out {
            say(&format!("  left out {} cells of {reason}", thousands(*n)));
        }
        say(&format!("  classes to compare in: {}", self.harmonized.shared.join(", ")));
        for (set, truth) in sets[1..].iter().zip(&self.truth) {
            let unseen = truth.iter().filter(|code| code.is_none()).count();
            let (of, unseen) = (thousands(truth.len()), thousands(unseen));
            say(&format!(
                "  {}: {unseen} of {of} cells are of types that the source does not have",
                set.dataset
            ));
        }
    }
}

/// For a run without files: half of the cells as they are, and the other half as another laboratory might have measured
/// them, at 40 % of the depth and with a factor for each gene.
///
/// # Errors
/// If a half has fewer than two classes.
pub fn made_strange(cells: &Cells, seed: u64) -> Result<Vec<Cells>> {
    let halves = StratifiedKFold { n_splits: 2, seed, ..Default::default() }.split(&cells.labels)?;
    let half = |name: &str, rows: &[usize], counts: Csr| -> Result<Cells> {
        let names: Vec<&str> = rows.iter().map(|&i| cells.labels.name(i)).collect();
        Ok(Cells {
            dataset: name.to_owned(),
            label_column: cells.label_column.clone(),
            names: rows.iter().map(|&i| cells.names[i].clone()).collect(),
            genes: cells.genes.clone(),
            var: cells.var.clone(),
            counts,
            labels: Labels::new(&names)?,
            groups: None,
            n_read: rows.len(),
            dropped: Vec::new(),
            inputs: cells.inputs.clone(),
        })
    };
    let Split { train, test } = &halves[0];
    let thin = ThinParams { share: 0.4, seed };
    let thinned = thin_counts(Counts::new(&cells.counts)?, Subset::rows(test), &thin)?;
    let batch = BatchEffectParams { sigma: 0.5, share: 1.0, seed };
    let strange = batch_effect_counts(thinned.counts(), Subset::all(), &batch)?.x.into_csr();
    Ok(vec![
        half("half of the embedded PBMCs", train, cells.counts.select_rows(train))?,
        half("the other half, made strange", test, strange)?,
    ])
}

fn count(names: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.clone()).or_default() += 1;
    }
    counts
}

/// Matrices of the same columns, one below the other.
///
/// # Errors
/// If their columns are not the same.
pub fn stack(parts: &[Csr]) -> Result<Csr> {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    let mut n_rows = 0;
    for part in parts {
        let begin = indices.len();
        indptr.extend(part.indptr()[1..].iter().map(|end| begin + end));
        indices.extend_from_slice(part.indices());
        values.extend_from_slice(part.values());
        n_rows += part.n_rows();
    }
    let n_cols = parts.first().map_or(0, Csr::n_cols);
    Ok(Csr::new(n_rows, n_cols, indptr, indices, values)?)
}
