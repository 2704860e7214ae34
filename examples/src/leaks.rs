//! The pipeline of the benchmark under the tests for leaks, and pipelines that leak on purpose, to see the tests fail.

use anyhow::Result;
use indicatif::ProgressBar;
use sc_eval::classifiers::Model;
use sc_eval::protocol::leak::{
    CellRows, DuplicateParams, Finding, LabelShuffleParams, Severity, Step, declared_steps, duplicates,
    label_shuffle, poison,
};
use sc_eval::protocol::{CrossValidation, FoldOutput, cross_validate};
use sc_eval::split::Split;
use sc_eval::{Labels, Prediction};
use sc_io::Csr;
use sc_prep::{Counts, LogNormalized, NormalizeTotalParams, log1p, normalize_total};

use crate::cells::Cells;
use crate::fold::{Failure, FoldParams};
use crate::pipeline::{Pipeline, choose_genes, only_genes};

/// Which cells the steps before the model learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// The training cells: the pipeline of the benchmark.
    OnTrainingCells,
    /// All cells, before they are divided: variable genes, their scale, principal components.
    OnAllCells,
    /// Genes that tell the labels of all cells apart; the rest from the training cells.
    GenesByLabel,
}

impl Prepared {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnTrainingCells => "benchmark",
            Self::OnAllCells => "as published",
            Self::GenesByLabel => "genes by label",
        }
    }

    /// What it does, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OnTrainingCells => "genes and scale learnt from training cells",
            Self::OnAllCells => "genes and scale learnt from all cells, then divided",
            Self::GenesByLabel => "genes chosen by the labels of all cells, then divided",
        }
    }
}

/// Genes of [`Prepared::GenesByLabel`], at most.
pub const CHOSEN_BY_LABEL: usize = 50;

/// Copies that are planted for [`duplicates`].
const PLANTED_COPIES: usize = 10;

/// Cells, and how they are divided and prepared.
pub struct Checked<'a> {
    /// The cells.
    pub cells: &'a Cells,
    /// The divisions.
    pub splits: &'a [Split],
    /// Genes and components.
    pub params: &'a FoldParams,
    /// Number of shuffles.
    pub n_shuffles: usize,
    /// Seed of the tests.
    pub seed: u64,
    /// Moves on by one for each run of a pipeline.
    pub bar: &'a ProgressBar,
}

/// What the tests say of a pipeline.
pub struct Examined {
    /// Where it learns.
    pub prepared: Prepared,
    /// The classifier.
    pub model: &'static str,
    /// Its steps, with the cells of the first fold that they learn from.
    pub steps: Vec<Step>,
    /// What the steps say of themselves.
    pub declared: Vec<Finding>,
    /// The poison test.
    pub poison: Finding,
    /// The control of shuffled labels.
    pub shuffle: Finding,
    /// What it scores.
    pub scores: CrossValidation,
}

impl Examined {
    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.declared.iter().chain([&self.poison, &self.shuffle])
    }
}

impl Checked<'_> {
    /// Runs of the pipeline that one examination takes.
    pub fn n_runs(&self) -> usize {
        self.splits.len() * (self.n_shuffles + 1) + 4
    }

    /// Puts a pipeline to all tests that run it.
    ///
    /// # Errors
    /// As the tests, and as the steps of the pipeline.
    pub fn examine(&self, prepared: Prepared, model: &Model) -> Result<Examined, sc_eval::Error> {
        let (labels, splits) = (&self.cells.labels, self.splits);
        let run = |what: &str, counts: &Csr, labels: &Labels, split: &Split| {
            self.bar.set_message(format!("{}, {}: {what}", prepared.name(), model.name()));
            self.answer(counts, labels, split, prepared, model).inspect(|_| self.bar.inc(1))
        };
        let counts = &self.cells.counts;
        let mut split = splits.iter();
        let scores = cross_validate(labels, splits, |_, _| {
            let split = split.next().expect("a split for each fold");
            let prediction = run("scores", counts, labels, split)?;
            Ok::<_, Failure>(FoldOutput { prediction, fit_seconds: 0.0, predict_seconds: 0.0 })
        })?;
        let shuffles = LabelShuffleParams { n_shuffles: self.n_shuffles, seed: self.seed };
        let shuffle = label_shuffle(labels, splits, &shuffles, |labels, splits| {
            splits
                .iter()
                .map(|split| run("shuffled labels", counts, labels, split))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let n_classes = labels.n_classes();
        let poison = poison(labels.len(), n_classes, &splits[0], self.seed, |cells, split| {
            run("poisoned test cells", &counts.select_rows(cells), labels, split)
        })?;
        let steps = self.steps(prepared, model);
        let declared = declared_steps(&steps, &splits[0].test)?;
        Ok(Examined { prepared, model: model.name(), steps, declared, poison, shuffle, scores })
    }

    /// Looks for copies among the cells as they are.
    ///
    /// # Errors
    /// As [`duplicates`].
    pub fn copies(&self) -> Result<Finding> {
        self.copies_in(&self.cells.counts)
    }

    /// Looks for copies where some test cells of the first fold have become copies of training cells.
    ///
    /// # Errors
    /// As [`duplicates`].
    pub fn planted_copies(&self) -> Result<Finding> {
        let mut rows: Vec<usize> = (0..self.cells.labels.len()).collect();
        let Split { train, test } = &self.splits[0];
        for (&to, &from) in test.iter().zip(train).take(PLANTED_COPIES) {
            rows[to] = from;
        }
        self.copies_in(&self.cells.counts.select_rows(&rows))
    }

    fn copies_in(&self, counts: &Csr) -> Result<Finding> {
        let x = normalized(counts)?;
        let rows = CellRows::sparse(x.csr().indptr(), x.csr().indices(), x.csr().values())?;
        Ok(duplicates(&rows, self.splits, &DuplicateParams { seed: self.seed, ..Default::default() })?
            .finding)
    }

    /// The whole pipeline, from counts to answers about the test cells.
    fn answer(
        &self,
        counts: &Csr,
        labels: &Labels,
        split: &Split,
        prepared: Prepared,
        model: &Model,
    ) -> Result<Prediction, Failure> {
        let x = normalized(counts)?;
        let learnt_from = |at: usize| self.learnt_from(prepared, split, at);
        let genes = match prepared {
            Prepared::GenesByLabel => {
                genes_by_label(&x, labels, CHOSEN_BY_LABEL.min(self.params.genes.n_top_genes))
            }
            _ => choose_genes(&x, &learnt_from(0), self.params)?,
        };
        let x = only_genes(&x, &genes)?;
        let truth = labels.select(&split.train);
        let known = (&truth[..], labels.n_classes());
        let models = std::slice::from_ref(model);
        let pipeline = Pipeline::fit(&x, &learnt_from(1), &split.train, known, models, self.params)?;
        Ok(pipeline.predict(&x, &split.test)?.pop().expect("one model gives one answer"))
    }

    /// The cells that step 0 (genes) and step 1 (scale and components) learn from.
    fn learnt_from(&self, prepared: Prepared, split: &Split, step: usize) -> Vec<usize> {
        match (prepared, step) {
            (Prepared::OnAllCells, _) | (Prepared::GenesByLabel, 0) => (0..self.cells.labels.len()).collect(),
            _ => split.train.clone(),
        }
    }

    fn steps(&self, prepared: Prepared, model: &Model) -> Vec<Step> {
        let split = &self.splits[0];
        let mut steps = vec![
            Step::new("choice of genes", self.learnt_from(prepared, split, 0)),
            Step::new("mean and deviation of genes", self.learnt_from(prepared, split, 1)),
        ];
        if matches!(model, Model::Knn(_)) {
            steps.push(Step::new("principal components", self.learnt_from(prepared, split, 1)));
        }
        steps.push(Step::new(model.name(), split.train.clone()));
        steps
    }
}

/// Whether a finding is a leak.
pub fn is_leak(finding: &Finding) -> bool {
    finding.severity == Severity::Leak
}

fn normalized(counts: &Csr) -> Result<LogNormalized, sc_prep::Error> {
    Ok(log1p(normalize_total(Counts::new(counts)?, &NormalizeTotalParams::to(1e4))?))
}

/// The `n` genes of the highest variance between classes over variance within them, ascending; among those detected in a
/// tenth of the cells, since a gene of a few cells says nothing about the others.
fn genes_by_label(x: &LogNormalized, labels: &Labels, n: usize) -> Vec<usize> {
    let (n_genes, n_classes) = (x.n_vars(), labels.n_classes());
    let mut sums = vec![0.0; n_genes * n_classes];
    let mut squares = vec![0.0; n_genes];
    let mut detected = vec![0usize; n_genes];
    for (row, &class) in labels.codes().iter().enumerate() {
        let (columns, values) = x.csr().row(row);
        for (&gene, &value) in columns.iter().zip(values) {
            let value = f64::from(value);
            sums[gene as usize * n_classes + class as usize] += value;
            squares[gene as usize] += value * value;
            detected[gene as usize] += usize::from(value > 0.0);
        }
    }
    let sizes = labels.counts();
    let n_cells = labels.len() as f64;
    let ratio = |gene: usize| {
        let of_class = &sums[gene * n_classes..(gene + 1) * n_classes];
        let by_class: f64 = of_class.iter().zip(&sizes).map(|(sum, &n)| sum * sum / n.max(1) as f64).sum();
        let total = of_class.iter().sum::<f64>();
        let (between, within) = (by_class - total * total / n_cells, squares[gene] - by_class);
        if within > 1e-9 && detected[gene] * 10 >= labels.len() { between / within } else { 0.0 }
    };
    let mut genes: Vec<(f64, usize)> = (0..n_genes).map(|gene| (ratio(gene), gene)).collect();
    genes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = genes.into_iter().take(n).map(|(_, gene)| gene).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_by_label_are_those_that_tell_the_classes_apart() {
        let names: Vec<&str> = (0..20).map(|i| ["B", "T"][i % 2]).collect();
        let value = |(i, j): (usize, usize)| match j {
            1 => (i % 2 * 3 + i % 3) as f32,
            3 => (5 - i % 2 * 4 + i % 5) as f32,
            _ => ((i / 2 * 7 + j) % 4) as f32,
        };
        let x = ndarray::Array2::from_shape_fn((20, 6), value);
        let x = LogNormalized::new(Csr::from_dense(x.view())).unwrap();
        assert_eq!(genes_by_label(&x, &Labels::new(&names).unwrap(), 2), [1, 3]);
    }
}
