//! A bootstrap that scores several answers about the same test cells on the same draws.
//!
//! Differences between answers then have intervals of their own: the luck of which cells were drawn is shared, and
//! cancels.

use super::{Estimate, Estimates};
use crate::metrics::classification::ConfusionMatrix;
use crate::statistics::{BootstrapParams, below};
use crate::{Error, Result};

/// Accuracy, balanced accuracy and macro F1.
pub(super) type Trio = [f64; 3];

/// The answers about the test cells of one fold.
pub(super) struct PairedFold {
    /// True class of each test cell.
    pub(super) truth: Vec<u32>,
    /// For each variant, the class given to each test cell.
    pub(super) answers: Vec<Vec<u32>>,
}

/// Mean scores over folds of every variant, as observed and in every replicate.
pub(super) struct Replicates {
    observed: Vec<Trio>,
    drawn: Vec<Vec<Trio>>,
    params: BootstrapParams,
}

impl Replicates {
    /// Draws each fold's test cells again, `params.n_replicates` times.
    pub(super) fn new(folds: &[PairedFold], params: &BootstrapParams) -> Result<Self> {
        params.validate()?;
        let n_variants = folds.first().ok_or(Error::Empty { what: "splits" })?.answers.len();
        let mut tables = folds.iter().map(Table::new).collect::<Result<Vec<_>>>()?;
        let mut mean = |mut draw: Option<&mut dyn FnMut(u32) -> u32>| {
            let mut sums = vec![[0.0; 3]; n_variants];
            for table in &mut tables {
                table.draw(draw.as_mut().map(|draw| &mut **draw as &mut dyn FnMut(u32) -> u32));
                for (variant, sum) in sums.iter_mut().enumerate() {
                    let scores = table.scores(variant);
                    sum.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
                }
            }
            sums.iter_mut().flatten().for_each(|sum| *sum /= folds.len() as f64);
            sums
        };
        let observed = mean(None);
        let replicate = |index| {
            let mut rng = params.rng(index);
            mean(Some(&mut |bound| below(&mut rng, bound)))
        };
        let drawn = (0..params.n_replicates).map(replicate).collect();
        Ok(Self { observed, drawn, params: params.clone() })
    }

    /// A figure computed from one score of all variants, for each of the three scores.
    pub(super) fn estimates(&self, figure: impl Fn(&dyn Fn(usize) -> f64) -> f64) -> Estimates {
        Estimates::from_array(std::array::from_fn(|score| {
            let of = |scores: &[Trio]| figure(&|variant| scores[variant][score]);
            let replicates = self.drawn.iter().map(|scores| of(scores)).collect();
            Estimate { value: of(&self.observed), interval: self.params.interval(replicates) }
        }))
    }
}

/// One fold, ready to be drawn from.
struct Table {
    /// For each variant, the place of each cell in the confusion matrix.
    places: Vec<Vec<u32>>,
    /// How often each cell was drawn.
    weights: Vec<u32>,
    n_cells: u32,
    matrix: ConfusionMatrix,
}

impl Table {
    fn new(fold: &PairedFold) -> Result<Self> {
        // Classes that nobody has or is given are left out, so that the matrix is small.
        let mut classes: Vec<u32> = fold.truth.iter().chain(fold.answers.iter().flatten()).copied().collect();
        classes.sort_unstable();
        classes.dedup();
        let slot = |code: &u32| classes.binary_search(code).expect("every class was listed") as u32;
        let k = classes.len() as u32;
        let matrix = ConfusionMatrix::zeros(classes.len())?;
        let rows: Vec<u32> = fold.truth.iter().map(|code| slot(code) * k).collect();
        let place =
            |answers: &Vec<u32>| rows.iter().zip(answers).map(|(row, code)| row + slot(code)).collect();
        let n_cells = u32::try_from(rows.len()).map_err(|_| Error::Parameter {
            name: "splits",
            value: format!("a test set of {} cells", rows.len()),
            expected: "at most 4294967295 cells",
        })?;
        Ok(Self {
            places: fold.answers.iter().map(place).collect(),
            weights: vec![1; rows.len()],
            n_cells,
            matrix,
        })
    }

    /// Draws as many cells as there are, with replacement; without a generator, every cell once.
    fn draw(&mut self, below: Option<&mut dyn FnMut(u32) -> u32>) {
        let Some(below) = below else {
            self.weights.fill(1);
            return;
        };
        self.weights.fill(0);
        for _ in 0..self.n_cells {
            self.weights[below(self.n_cells) as usize] += 1;
        }
    }

    fn scores(&mut self, variant: usize) -> Trio {
        let counts = self.matrix.counts_mut();
        counts.fill(0);
        for (&place, &weight) in self.places[variant].iter().zip(&self.weights) {
            counts[place as usize] += u64::from(weight);
        }
        [self.matrix.accuracy(), self.matrix.balanced_accuracy(), self.matrix.f1_macro()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classification::confusion_matrix;
    use crate::statistics::bootstrap_folds;

    fn fold(n: u32, salt: u32) -> PairedFold {
        let truth: Vec<u32> = (0..n).map(|i| i * 7 % 3 * 2).collect();
        let good =
            truth.iter().zip(0..).map(|(&t, i)| if (i + salt).is_multiple_of(9) { 5 } else { t }).collect();
        let bad =
            truth.iter().zip(0..).map(|(&t, i)| if (i * salt).is_multiple_of(4) { 2 } else { t }).collect();
        PairedFold { truth, answers: vec![good, bad] }
    }

    #[test]
    fn a_single_variant_has_the_scores_and_about_the_intervals_of_the_bootstrap_over_folds() {
        let folds = [fold(200, 1), fold(150, 3)];
        let replicates = Replicates::new(&folds, &BootstrapParams::default()).unwrap();
        for variant in 0..2 {
            let matrices =
                folds.each_ref().map(|f| confusion_matrix(&f.truth, &f.answers[variant], 6).unwrap());
            let metrics =
                [ConfusionMatrix::accuracy, ConfusionMatrix::balanced_accuracy, ConfusionMatrix::f1_macro];
            let intervals = bootstrap_folds(&matrices, &BootstrapParams::default(), metrics).unwrap();
            let found = replicates.estimates(|score| score(variant));
            for (((_, found), metric), interval) in found.iter().zip(metrics).zip(intervals) {
                let mean = (metric(&matrices[0]) + metric(&matrices[1])) / 2.0;
                assert!((found.value - mean).abs() < 1e-15);
                assert!((found.interval.low - interval.low).abs() < 0.015, "{found:?} {interval:?}");
                assert!((found.interval.high - interval.high).abs() < 0.015, "{found:?} {interval:?}");
            }
        }
    }

    #[test]
    fn the_difference_of_an_answer_to_itself_is_certain_and_to_another_is_narrower_than_both() {
        let folds = [fold(400, 1)];
        let replicates = Replicates::new(&folds, &BootstrapParams::default()).unwrap();
        let none = replicates.estimates(|score| score(0) - score(0)).accuracy;
        assert_eq!((none.value, none.interval.low, none.interval.high), (0.0, 0.0, 0.0));
        let width = |e: Estimate| e.interval.high - e.interval.low;
        let [a, b] = [0, 1].map(|variant| width(replicates.estimates(|score| score(variant)).accuracy));
        let drop = replicates.estimates(|score| score(0) - score(1)).accuracy;
        assert!(width(drop) < a + b, "{drop:?}");
        assert!(drop.interval.low <= drop.value && drop.value <= drop.interval.high);
    }
}
