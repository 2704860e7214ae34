//! The rounds of boosting, whatever the loss's second derivative and the leaves are.

use std::sync::Mutex;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::ensemble::{BoostedTree, Ensemble, n_outputs, probabilities};
use super::grow::{Grower, Target};
use super::histogram::Histograms;
use super::search::{Rules, Search, Sums};
use super::sorted::Sorted;
use crate::classifiers::binned::{Packed, Table};
use crate::classifiers::draw::choose;
use crate::classifiers::training::{Training, by_row, softmax};
use crate::{Error, Features, Result};

/// Value of a leaf with these sums and rows, given all derivatives.
pub(super) type Leaf<'a> = dyn Fn(&Sums, &[u32], &[[f32; 2]]) -> f64 + Sync + 'a;

/// What XGBoost's and scikit-learn's boosting differ in, and what their parameters say.
pub(super) struct Boosting<'a> {
    pub(super) n_rounds: usize,
    pub(super) rules: Rules,
    pub(super) max_bin: usize,
    /// Share of the rows, and of the columns, that a tree is grown on.
    pub(super) subsample: f64,
    pub(super) colsample: f64,
    /// Whether the trees of a round are grown on the same rows.
    pub(super) one_sample_a_round: bool,
    pub(super) seed: u64,
    /// Second derivative of a row of weight 1 whose class has probability `p`.
    pub(super) second: fn(p: f64) -> f64,
    pub(super) leaf: &'a Leaf<'a>,
}

/// Cells that are not trained on and decide how many rounds are kept.
pub(super) struct Validation<'a> {
    pub(super) x: &'a Features,
    pub(super) y: &'a [u32],
    /// Rounds without a smaller loss after which boosting stops.
    pub(super) patience: usize,
}

/// One class while it is fitted.
struct Output {
    /// Sum of leaves of each row.
    margins: Vec<f64>,
    /// First and second derivative of the loss by the margin of each row.
    derivatives: Vec<[f32; 2]>,
}

/// Smallest second derivative, as in XGBoost: no leaf value may divide by zero.
const MIN_SECOND: f64 = 1e-16;

impl Boosting<'_> {
    /// Fits on rows that weigh `weights`, from the margins `base`.
    pub(super) fn fit(
        &self,
        x: &Features,
        training: &Training,
        weights: &[f64],
        base: Vec<f64>,
        validation: Option<Validation<'_>>,
    ) -> Result<Ensemble> {
        let progress = match &validation {
            Some(validation) => Some(Progress::new(validation, training, &base)?),
            None => None,
        };
        let table = Table::<Packed>::new(x, self.max_bin);
        let trees = match &table {
            Table::Runs(binned) => self.rounds(|| Sorted::new(binned), training, weights, &base, progress),
            Table::Dense(packed) => {
                // With fewer trees to a round than threads, a tree's own work is parted, too.
                let parallel = base.len() < rayon::current_num_threads();
                self.rounds(|| Histograms::new(packed, parallel), training, weights, &base, progress)
            }
        };
        Ok(Ensemble { base, trees })
    }

    fn rounds<S: Search + Send>(
        &self,
        search: impl Fn() -> S + Sync,
        training: &Training,
        weights: &[f64],
        base: &[f64],
        mut progress: Option<Progress<'_>>,
    ) -> Vec<BoostedTree> {
        let n = training.codes.len();
        let output = |&base: &f64| Output { margins: vec![base; n], derivatives: vec![[0.0; 2]; n] };
        let mut outputs: Vec<Output> = base.iter().map(output).collect();
        // As many growers as threads ask for one at a time; what is in their buffers is of no consequence.
        let growers: Mutex<Vec<Grower<S>>> = Mutex::default();
        let mut trees = Vec::with_capacity(self.n_rounds * base.len());
        for round in 0..self.n_rounds {
            self.derive(&mut outputs, &training.codes, weights);
            let n_outputs = outputs.len();
            let grown: Vec<BoostedTree> = outputs
                .par_iter_mut()
                .enumerate()
                .map(|(k, output)| {
                    let spare = growers.lock().ok().and_then(|mut growers| growers.pop());
                    let mut grower = spare.unwrap_or_else(|| Grower::new(search()));
                    let tree = self.grow(&mut grower, training, output, k, round * n_outputs + k);
                    if let Ok(mut growers) = growers.lock() {
                        growers.push(grower);
                    }
                    tree
                })
                .collect();
            trees.extend(grown);
            if let Some(progress) = &mut progress
                && !progress.goes_on(&trees[round * n_outputs..], round)
            {
                break;
            }
        }
        if let Some(progress) = progress {
            trees.truncate((progress.best_round + 1) * base.len());
        }
        trees
    }

    fn grow<S: Search>(
        &self,
        grower: &mut Grower<S>,
        training: &Training,
        output: &mut Output,
        k: usize,
        tree: usize,
    ) -> BoostedTree {
        let Output { margins, derivatives } = output;
        let stream = if self.one_sample_a_round { tree - k } else { tree };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream as u64);
        if self.subsample < 1.0 {
            let taken = choose(&mut rng, derivatives.len(), self.subsample);
            derivatives.iter_mut().zip(taken).filter(|(_, taken)| !taken).for_each(|(d, _)| *d = [0.0; 2]);
        }
        let columns =
            (self.colsample < 1.0).then(|| choose(&mut rng, training.classes.n_features(), self.colsample));
        let target =
            Target { rules: &self.rules, derivatives, columns: columns.as_deref(), output: k as u32 };
        grower.grow(&target, |sums, rows| (self.leaf)(sums, rows, derivatives), margins)
    }

    /// Derivatives of the cross-entropy at the current margins.
    fn derive(&self, outputs: &mut [Output], codes: &[u32], weights: &[f64]) {
        let both = |p: f64, truth: bool, weight: f64| {
            let first = (p - if truth { 1.0 } else { 0.0 }) * weight;
            [first as f32, ((self.second)(p) * weight).max(MIN_SECOND) as f32]
        };
        if let [output] = outputs {
            let rows = output.derivatives.iter_mut().zip(&output.margins);
            for (((d, &margin), &code), &weight) in rows.zip(codes).zip(weights) {
                *d = both(1.0 / (1.0 + libm::exp(-margin)), code == 1, weight);
            }
            return;
        }
        let mut p = vec![0.0; outputs.len()];
        for (i, (&code, &weight)) in codes.iter().zip(weights).enumerate() {
            p.iter_mut().zip(&*outputs).for_each(|(p, output)| *p = output.margins[i]);
            softmax(&mut p);
            for (k, (output, &p)) in outputs.iter_mut().zip(&p).enumerate() {
                output.derivatives[i] = both(p, k == code as usize, weight);
            }
        }
    }
}

/// The loss on the validation cells, round by round.
struct Progress<'a> {
    validation: &'a Validation<'a>,
    /// The class of each cell among those that occur in training; `None` for one that does not.
    truth: Vec<Option<usize>>,
    n_classes: usize,
    n_outputs: usize,
    margins: Vec<f64>,
    best_loss: f64,
    best_round: usize,
}

impl<'a> Progress<'a> {
    fn new(validation: &'a Validation<'a>, training: &Training, base: &[f64]) -> Result<Self> {
        let Validation { x, y, patience } = *validation;
        let classes = &training.classes;
        if x.n_rows() == 0 {
            return Err(Error::Empty { what: "validation features" });
        }
        if y.len() != x.n_rows() {
            return Err(Error::Length { what: "validation labels", found: y.len(), expected: x.n_rows() });
        }
        classes.check_features(x)?;
        let n_classes = classes.n_classes();
        if let Some(&code) = y.iter().find(|&&code| code as usize >= n_classes) {
            return Err(Error::ClassCode { what: "validation labels", code, n_classes });
        }
        if patience == 0 {
            let expected = "at least 1";
            return Err(Error::Parameter { name: "early_stopping_rounds", value: "0".into(), expected });
        }
        Ok(Self {
            validation,
            truth: y.iter().map(|code| classes.present().binary_search(code).ok()).collect(),
            n_classes: classes.n_present(),
            n_outputs: n_outputs(classes.n_present()),
            margins: base.repeat(y.len()),
            best_loss: f64::INFINITY,
            best_round: 0,
        })
    }

    /// Adds the trees of a round and says whether there should be another.
    fn goes_on(&mut self, trees: &[BoostedTree], round: usize) -> bool {
        let added = by_row(
            self.validation.x,
            self.n_outputs,
            || (),
            |(), row, out| {
                trees.iter().for_each(|boosted| out[boosted.output as usize] += boosted.value(row));
            },
        );
        self.margins.iter_mut().zip(added).for_each(|(margin, added)| *margin += added);
        let mut p = vec![0.0; self.n_classes];
        let mut loss = 0.0;
        for (margins, truth) in self.margins.chunks_exact(self.n_outputs).zip(&self.truth) {
            probabilities(&mut margins.to_vec(), &mut p);
            // A class that training never saw costs the same whatever the trees say.
            loss -= libm::log(truth.map_or(0.0, |truth| p[truth]).max(MIN_SECOND));
        }
        if loss < self.best_loss {
            (self.best_loss, self.best_round) = (loss, round);
        }
        round - self.best_round < self.validation.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifiers::ClassWeight;
    use crate::classifiers::binned::{Binned, dense};

    fn made_up(n: usize, p: usize, zeros: usize) -> (Features, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let y: Vec<u32> = (0..n).map(|_| crate::classifiers::draw::below(&mut rng, 3) as u32).collect();
        let x = ndarray::Array2::from_shape_fn((n, p), |(i, j)| {
            let value = crate::classifiers::draw::below(&mut rng, 100_000) as f32 / 1e4;
            let shift = if j % 3 == y[i] as usize { 2.0 } else { 0.0 };
            if crate::classifiers::draw::below(&mut rng, 100) < zeros { 0.0 } else { value + shift }
        });
        (Features::dense(x.view()).unwrap(), y)
    }

    fn boosting<'a>(leaf: &'a Leaf<'a>) -> Boosting<'a> {
        Boosting {
            n_rounds: 8,
            rules: Rules {
                max_depth: 6,
                lightest: 0.5,
                lambda: 1.0,
                alpha: 0.1,
                gain_above: 1e-6,
                gain_at_least: 0.0,
            },
            max_bin: 64,
            subsample: 1.0,
            colsample: 1.0,
            one_sample_a_round: false,
            seed: 1,
            second: |p| 2.0 * p * (1.0 - p),
            leaf,
        }
    }

    #[test]
    fn histograms_and_sorted_runs_grow_the_same_trees() {
        for (n, p, zeros) in [(700, 9, 0), (400, 14, 60), (150, 6, 80)] {
            let (x, y) = made_up(n, p, zeros);
            let training = Training::new(&x, &y, 3).unwrap();
            let weights = ClassWeight::Balanced.of_rows(&training).unwrap();
            for (subsample, colsample) in [(1.0, 1.0), (0.7, 0.5)] {
                let leaf = |sums: &Sums, _: &[u32], _: &[[f32; 2]]| -0.3 * sums.first / (sums.second + 1.0);
                let boosting = Boosting { subsample, colsample, ..boosting(&leaf) };
                let binned = Binned::new(&x, boosting.max_bin);
                let packed: Packed = dense(&x, boosting.max_bin);
                let base = [0.0, 0.1, -0.1];
                let sorted = boosting.rounds(|| Sorted::new(&binned), &training, &weights, &base, None);
                let in_parallel =
                    boosting.rounds(|| Histograms::new(&packed, true), &training, &weights, &base, None);
                let serial =
                    boosting.rounds(|| Histograms::new(&packed, false), &training, &weights, &base, None);
                assert_eq!(in_parallel, serial);
                assert!(sorted.iter().any(|boosted| boosted.values.len() > 4));
                for (a, b) in sorted.iter().zip(&serial) {
                    assert_eq!(a.tree.nodes(), b.tree.nodes());
                    assert!(a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() < 1e-6));
                }
            }
        }
    }
}
