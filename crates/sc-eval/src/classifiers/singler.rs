//! SingleR: labels by rank correlation with reference cells.

mod markers;
mod rank;
mod scores;
mod tune;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Classifier;
use super::training::{Classes, Training};
use crate::{Error, Features, Prediction, Result};
pub use markers::SingleRMarkers;
use markers::find;
use rank::{Ranked, correlations};
pub use scores::SingleRScores;
use scores::{best, quantile};

/// How to fit a [`SingleR`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SingleRParams {
    /// Which genes tell two labels apart. Default [`SingleRMarkers::Classic`].
    pub markers: SingleRMarkers,
    /// Most marker genes of a label against another. Default `None`: `500 (2/3)^log2(number of labels)`, rounded, for
    /// [`SingleRMarkers::Classic`], and 10 for [`SingleRMarkers::CohensD`].
    pub n_markers: Option<usize>,
    /// The score of a label is this quantile of the correlations with its cells, 0 to 1. Default 0.8.
    pub quantile: f64,
    /// Whether labels with close scores are compared again on the markers between them. Default true.
    pub fine_tune: bool,
    /// Labels within this distance of the best score are compared again. Default 0.05.
    pub tune_threshold: f64,
}

impl Default for SingleRParams {
    fn default() -> Self {
        let markers = SingleRMarkers::Classic;
        Self { markers, n_markers: None, quantile: 0.8, fine_tune: true, tune_threshold: 0.05 }
    }
}

/// A SingleR reference (Aran et al., Nature Immunology 2019): the training cells on the marker genes.
///
/// A cell is scored against a label by a quantile of its Spearman correlations with the label's cells, over the markers of
/// all pairs of labels. Then labels that are far from the best are dropped and the rest is scored again, over the markers
/// among them, until one is left or none is dropped.
///
/// The features are log-normalised expression, genes neither standardised nor centred: only their order within a cell
/// counts for scores, but markers are differences of logs. The same markers, scores, labels and deltas as the Bioconductor
/// package and its Python port `singler`. Correlations are computed from whole numbers, so equal ones are equal; the
/// correlation of a cell that has the same value for all markers is 0.5, or 1 with another such cell, as it is there.
///
/// There are no probabilities. [`SingleR::classify`] gives scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleR {
    pub(crate) classes: Classes,
    quantile: f64,
    /// Below 0 for no fine-tuning.
    tune_threshold: f64,
    /// Columns of the marker genes, ascending.
    genes: Vec<u32>,
    /// Markers of each present class over each other one, as positions in `genes`, best first.
    markers: Vec<Vec<Vec<u32>>>,
    /// Training cells by class: the first cell of each, and the end of the last.
    start: Vec<usize>,
    /// Training cells × genes.
    cells: Vec<f32>,
}

/// Cells that one task ranks and compares.
const BLOCK: usize = 4;

impl SingleRParams {
    /// Keeps the rows of `x` with class indices `y`, all below `n_classes`, as the reference.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, a parameter out of its range, or, with
    /// more than one label, no gene that tells any two apart.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<SingleR> {
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let rules = [
            ("quantile", self.quantile.to_string(), share(self.quantile), "0 to 1"),
            ("tune_threshold", self.tune_threshold.to_string(), share(self.tune_threshold), "0 to 1"),
            ("n_markers", "0".to_owned(), self.n_markers != Some(0), "at least 1"),
        ];
        if let Some((name, value, _, expected)) = rules.into_iter().find(|(_, _, holds, _)| !holds) {
            return Err(Error::Parameter { name, value, expected });
        }
        let Training { codes, classes } = Training::new(x, y, n_classes)?;
        let n_present = classes.n_present();
        let markers = find(self.markers, self.n_markers, x, &codes, n_present);
        let mut genes: Vec<u32> = markers.iter().flatten().flatten().copied().collect();
        genes.sort_unstable();
        genes.dedup();
        if genes.is_empty() && n_present > 1 {
            return Err(Error::Empty { what: "the set of marker genes" });
        }
        let place = |gene: u32| genes.binary_search(&gene).expect("every marker is among the genes") as u32;
        let markers = markers
            .into_iter()
            .map(|of| of.into_iter().map(|genes| genes.into_iter().map(place).collect()).collect())
            .collect();
        let mut order: Vec<usize> = (0..codes.len()).collect();
        order.sort_by_key(|&cell| codes[cell]);
        let start = (0..=n_present)
            .map(|code| order.partition_point(|&cell| (codes[cell] as usize) < code))
            .collect();
        let cells = gather(x, &order, &genes);
        let tune_threshold = if self.fine_tune { self.tune_threshold } else { -1.0 };
        let model =
            SingleR { classes, quantile: self.quantile, tune_threshold, genes, markers, start, cells };
        debug_assert_eq!(model.check(), Ok(()));
        Ok(model)
    }
}

/// The values of `rows` in the columns `genes`, row-major.
fn gather(x: &Features, rows: &[usize], genes: &[u32]) -> Vec<f32> {
    let mut values = vec![0f32; rows.len() * genes.len()];
    values.par_chunks_mut(BLOCK * genes.len().max(1)).zip(rows.par_chunks(BLOCK)).for_each(
        |(values, rows)| {
            let mut full = vec![0f32; x.n_cols()];
            for (values, &row) in values.chunks_exact_mut(genes.len()).zip(rows) {
                x.write_row(row, &mut full);
                values.iter_mut().zip(genes).for_each(|(value, &gene)| *value = full[gene as usize]);
            }
        },
    );
    values
}

impl SingleR {
    /// Columns of the genes that are compared, ascending.
    pub fn genes(&self) -> &[u32] {
        &self.genes
    }

    /// Columns of the marker genes of class `label` over class `other`, best first; none if one of the classes did not
    /// occur in training.
    pub fn markers(&self, label: u32, other: u32) -> Vec<u32> {
        let place = |code| self.classes.present().binary_search(&code).ok();
        let (Some(label), Some(other)) = (place(label), place(other)) else { return Vec::new() };
        self.markers[label][other].iter().map(|&at| self.genes[at as usize]).collect()
    }

    /// Scores and labels of every row of `x`.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of features than the training cells had.
    pub fn classify(&self, x: &Features) -> Result<SingleRScores> {
        self.classes.check_features(x)?;
        let n_present = self.classes.n_present();
        let n_reference = self.start[n_present];
        let reference = Ranked::new(&self.cells, n_reference, self.genes.len());
        let rows: Vec<usize> = (0..x.n_rows()).collect();
        let cells = gather(x, &rows, &self.genes);
        let queries = Ranked::new(&cells, rows.len(), self.genes.len());
        let mut present = vec![0f64; rows.len() * n_present];
        present.par_chunks_mut(BLOCK * n_present).enumerate().for_each(|(block, scores)| {
            let first = block * BLOCK;
            let n = scores.len() / n_present;
            let mut found = vec![0f64; n * n_reference];
            correlations(&queries, first..first + n, &reference, &mut found);
            for (scores, found) in scores.chunks_exact_mut(n_present).zip(found.chunks_exact_mut(n_reference))
            {
                for (score, span) in scores.iter_mut().zip(self.start.windows(2)) {
                    *score = quantile(&mut found[span[0]..span[1]], self.quantile);
                }
            }
        });
        let mut labels: Vec<(usize, f64)> = present.chunks_exact(n_present).map(best).collect();
        if self.tune_threshold >= 0.0 {
            self.fine_tune(&cells, &present, &mut labels);
        }
        let mut scores = Array2::from_elem((rows.len(), self.classes.n_classes()), f64::NAN);
        for (mut row, present) in scores.rows_mut().into_iter().zip(present.chunks_exact(n_present)) {
            for (&code, &score) in self.classes.present().iter().zip(present) {
                row[code as usize] = score;
            }
        }
        let codes = self.classes.with_codes(labels.iter().map(|label| label.0)).codes;
        Ok(SingleRScores { codes, scores, delta: labels.into_iter().map(|label| label.1).collect() })
    }

    /// Proves what classification relies on, for a model that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let (n, n_genes) = (self.classes.n_present(), self.genes.len());
        let ascending = self.genes.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || self.genes.last().is_some_and(|&gene| gene as usize >= self.classes.n_features()) {
            return Err(format!(
                "{n_genes} genes are not an ascending choice of {}",
                self.classes.n_features()
            ));
        }
        let squares = self.markers.len() == n && self.markers.iter().all(|of| of.len() == n);
        let mut markers = self.markers.iter().flatten().flatten();
        if !squares || markers.any(|&at| at as usize >= n_genes) {
            return Err(format!("the markers are not those of {n} labels among {n_genes} genes"));
        }
        // Every class that occurs has a cell.
        let rising = self.start.len() == n + 1
            && self.start[0] == 0
            && self.start.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || self.start[n].checked_mul(n_genes) != Some(self.cells.len()) {
            return Err(format!("{} values are not the cells of {n} labels", self.cells.len()));
        }
        let share = |v: f64| v <= 1.0 && (v >= 0.0 || v == -1.0);
        let shares = share(self.quantile) && self.quantile >= 0.0 && share(self.tune_threshold);
        match shares && self.cells.iter().all(|v| v.is_finite()) {
            true => Ok(()),
            false => Err("a value or a threshold is out of its range".to_owned()),
        }
    }
}

impl Classifier for SingleR {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        Ok(Prediction { codes: self.classify(x)?.codes, probabilities: None })
    }
}

#[cfg(test)]
mod tests;
