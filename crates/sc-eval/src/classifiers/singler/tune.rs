//! Fine-tuning: labels with close scores, compared again on the markers among them.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::rank::{Ranked, correlations};
use super::scores::{best, quantile};
use super::{BLOCK, SingleR};

impl SingleR {
    /// Replaces the label and delta of every cell by those of its last round.
    ///
    /// The cells are taken by the labels that are still in question, so that the reference is ranked once for all cells
    /// with the same doubt.
    ///
    /// * `cells`: cells × marker genes; `scores`: cells × labels.
    pub(super) fn fine_tune(&self, cells: &[f32], scores: &[f64], labels: &mut [(usize, f64)]) {
        let n_labels = self.classes.n_present();
        let mut rounds: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (cell, scores) in scores.chunks_exact(n_labels).enumerate() {
            let close = self.close(scores);
            // With all labels the markers would be the same again.
            if close.len() > 1 && close.len() < n_labels {
                rounds.entry(close).or_default().push(cell);
            }
        }
        while !rounds.is_empty() {
            let mut next: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
            for (in_question, members) in rounds {
                let scores = self.compare(&in_question, &members, cells);
                for (&cell, scores) in members.iter().zip(scores.chunks_exact(in_question.len())) {
                    let (place, delta) = best(scores);
                    labels[cell] = (in_question[place], delta);
                    let close = self.close(scores);
                    if close.len() > 1 && close.len() < in_question.len() {
                        let close = close.into_iter().map(|place| in_question[place]).collect();
                        next.entry(close).or_default().push(cell);
                    }
                }
            }
            rounds = next;
        }
    }

    /// Places of the scores within the threshold of the best.
    fn close(&self, scores: &[f64]) -> Vec<usize> {
        let bound = scores[best(scores).0] - self.tune_threshold;
        (0..scores.len()).filter(|&place| scores[place] >= bound).collect()
    }

    /// The scores of the `members` among `cells` for the labels `in_question`, over the markers among these.
    fn compare(&self, in_question: &[usize], members: &[usize], cells: &[f32]) -> Vec<f64> {
        let pairs = in_question.iter().flat_map(|&a| in_question.iter().map(move |&b| (a, b)));
        let mut genes: Vec<u32> = pairs.flat_map(|(a, b)| self.markers[a][b].iter().copied()).collect();
        genes.sort_unstable();
        genes.dedup();
        let part = |cells: &[f32], rows: &[usize]| {
            let mut values = Vec::with_capacity(rows.len() * genes.len());
            for &row in rows {
                let cell = &cells[row * self.genes.len()..][..self.genes.len()];
                values.extend(genes.iter().map(|&gene| cell[gene as usize]));
            }
            Ranked::new(&values, rows.len(), genes.len())
        };
        let rows: Vec<usize> =
            in_question.iter().flat_map(|&label| self.start[label]..self.start[label + 1]).collect();
        let (reference, queries) = (part(&self.cells, &rows), part(cells, members));
        let n_labels = in_question.len();
        let mut scores = vec![0f64; members.len() * n_labels];
        scores.par_chunks_mut(BLOCK * n_labels).enumerate().for_each(|(block, scores)| {
            let (first, n) = (block * BLOCK, scores.len() / n_labels);
            let mut found = vec![0f64; n * rows.len()];
            correlations(&queries, first..first + n, &reference, &mut found);
            for (scores, mut found) in
                scores.chunks_exact_mut(n_labels).zip(found.chunks_exact_mut(rows.len()))
            {
                for (score, &label) in scores.iter_mut().zip(in_question) {
                    let (own, rest) = found.split_at_mut(self.start[label + 1] - self.start[label]);
                    *score = quantile(own, self.quantile);
                    found = rest;
                }
            }
        });
        scores
    }
}
