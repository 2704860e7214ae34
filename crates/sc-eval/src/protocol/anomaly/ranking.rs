//! Cells in the order of their scores, and the areas that follow from it for any weights.

/// One cell: score, index, whether it is of the unseen type.
type Scored = (f32, usize, bool);

/// Scored cells, highest score first. Holds at least one known and one unseen cell.
pub(super) struct Ranking {
    cells: Vec<Scored>,
    n_unseen: usize,
}

impl Ranking {
    /// `None` without a known or without an unseen cell; no score is NaN.
    pub(super) fn new(mut cells: Vec<Scored>) -> Option<Self> {
        // Adding 0 turns -0 into 0, which the total order would tell apart.
        cells.sort_unstable_by(|a, b| (b.0 + 0.0).total_cmp(&(a.0 + 0.0)).then(a.1.cmp(&b.1)));
        let n_unseen = cells.iter().filter(|cell| cell.2).count();
        (n_unseen > 0 && n_unseen < cells.len()).then_some(Self { cells, n_unseen })
    }

    pub(super) fn n_known(&self) -> usize {
        self.cells.len() - self.n_unseen
    }

    pub(super) fn prevalence(&self) -> f64 {
        self.n_unseen as f64 / self.cells.len() as f64
    }

    pub(super) fn observed(&self) -> [f64; 3] {
        self.areas(|_| 1)
    }

    /// With weights of all cells, for the known and for the unseen ones.
    pub(super) fn weighted(&self, known: &[u32], unseen: &[u32]) -> [f64; 3] {
        self.areas(|&(_, cell, is_unseen)| u64::from(if is_unseen { unseen[cell] } else { known[cell] }))
    }

    /// AUROC, AUPR and FPR at 95 % TPR, unseen cells positive; equal scores pass a threshold together. NaN if the
    /// weights leave no known or no unseen cell.
    fn areas(&self, weight: impl Fn(&Scored) -> u64) -> [f64; 3] {
        let (mut positives, mut negatives) = (0u64, 0u64);
        for cell in &self.cells {
            *(if cell.2 { &mut positives } else { &mut negatives }) += weight(cell);
        }
        if positives == 0 || negatives == 0 {
            return [f64::NAN; 3];
        }
        let (mut found, mut mistaken, mut twice_won, mut precision_sum) = (0u64, 0u64, 0u128, 0f64);
        let mut at_95 = None;
        for tied in self.cells.chunk_by(|a, b| a.0 == b.0) {
            let (mut more_found, mut more_mistaken) = (0, 0);
            for cell in tied {
                *(if cell.2 { &mut more_found } else { &mut more_mistaken }) += weight(cell);
            }
            let below = negatives - mistaken - more_mistaken;
            twice_won += u128::from(more_found) * u128::from(2 * below + more_mistaken);
            found += more_found;
            mistaken += more_mistaken;
            if more_found > 0 {
                precision_sum += more_found as f64 * (found as f64 / (found + mistaken) as f64);
            }
            if at_95.is_none() && u128::from(found) * 20 >= u128::from(positives) * 19 {
                at_95 = Some(mistaken as f64 / negatives as f64);
            }
        }
        let pairs = 2 * u128::from(positives) * u128::from(negatives);
        [twice_won as f64 / pairs as f64, precision_sum / positives as f64, at_95.unwrap_or(1.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classification::roc_auc;

    fn ranking(scores: &[f32], unseen: &[bool]) -> Ranking {
        let cells = scores.iter().zip(unseen).enumerate().map(|(i, (&score, &unseen))| (score, i, unseen));
        Ranking::new(cells.collect()).unwrap()
    }

    #[test]
    fn areas_are_those_of_scikit_learn() {
        let scores = [0.1, 0.4, 0.35, 0.8, 0.8, 0.2, 0.4, 0.9];
        let unseen = [false, false, true, true, false, false, true, true];
        let [auroc, aupr, fpr] = ranking(&scores, &unseen).observed();
        // roc_auc_score, average_precision_score, and the first point of roc_curve with a TPR of .95 or more.
        assert!((auroc - 0.75).abs() < 1e-15);
        assert!((aupr - 0.733_333_333_333_333_3).abs() < 1e-15, "{aupr}");
        assert_eq!(fpr, 0.5);
        assert_eq!(auroc, roc_auc(&unseen, &scores).unwrap());
    }

    #[test]
    fn weights_stand_for_repeated_cells_and_zeros_have_no_sign() {
        let (scores, unseen) = ([0.0, -0.0, 1.0, 2.0, -1.0], [true, false, true, false, false]);
        let weights = [2, 3, 1, 0, 4];
        let weighted = ranking(&scores, &unseen).weighted(&weights, &weights);
        let repeat = |i: usize| std::iter::repeat_n(i, weights[i] as usize);
        let at: Vec<usize> = (0..5).flat_map(repeat).collect();
        let scores: Vec<f32> = at.iter().map(|&i| scores[i]).collect();
        let unseen: Vec<bool> = at.iter().map(|&i| unseen[i]).collect();
        assert_eq!(weighted, ranking(&scores, &unseen).observed());
    }

    #[test]
    fn one_kind_of_cell_has_no_ranking() {
        assert!(Ranking::new(vec![(1.0, 0, true)]).is_none());
        assert!(Ranking::new(vec![(1.0, 0, false)]).is_none());
        let none = ranking(&[0.0, 1.0], &[true, false]).weighted(&[0, 0], &[1, 0]);
        assert!(none.iter().all(|area| area.is_nan()));
    }
}
