//! Epochs of a training, and when it ends.

use super::network::{Network, Source, Trainer};
use super::{Activation, Layer, Objective};
use crate::split::RandomState;
use crate::{Error, Result};

/// How to train. The rules and their order are those of scikit-learn's `MLPClassifier` with Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Descent {
    pub(crate) alpha: f64,
    pub(crate) learning_rate: f64,
    pub(crate) batch_size: usize,
    pub(crate) max_iter: usize,
    pub(crate) shuffle: bool,
    pub(crate) tolerance: f64,
    pub(crate) n_iter_no_change: usize,
}

/// How a training went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    /// Mean objective of each epoch.
    pub(crate) losses: Vec<f64>,
    /// Score on the validation rows after each epoch.
    pub(crate) scores: Vec<f64>,
    /// Whether it ended before the last epoch allowed.
    pub(crate) converged: bool,
}

impl Descent {
    /// # Errors
    /// [`Error::Parameter`] for a value out of its range.
    pub(crate) fn validate(&self) -> Result<()> {
        let finite = |v: f64| v.is_finite() && v >= 0.0;
        let rules = [
            ("alpha", self.alpha.to_string(), finite(self.alpha), "at least 0"),
            (
                "learning_rate",
                self.learning_rate.to_string(),
                finite(self.learning_rate) && self.learning_rate > 0.0,
                "above 0",
            ),
            ("batch_size", self.batch_size.to_string(), self.batch_size > 0, "at least 1"),
            ("max_iter", self.max_iter.to_string(), self.max_iter > 0, "at least 1"),
            ("tolerance", self.tolerance.to_string(), finite(self.tolerance), "at least 0"),
        ];
        match rules.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((name, value, _, expected)) => Err(Error::Parameter { name, value, expected }),
            None => Ok(()),
        }
    }

    /// Trains `network` on `rows`.
    ///
    /// * `score`: how good a network is, on rows kept out; the training then ends by it, and keeps the best network.
    ///
    /// # Errors
    /// [`Error::Parameter`] if weights overflow.
    pub(crate) fn run(
        &self,
        network: Network,
        source: &Source,
        objective: Objective<'_>,
        mut rows: Vec<u32>,
        score: Option<&dyn Fn(&Network) -> f64>,
        random: &mut RandomState,
    ) -> Result<(Network, History)> {
        let mut history = History::default();
        let mut best = score.map(|_| network.clone());
        let (mut best_loss, mut best_score) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut training = Trainer::new(network, source, objective);
        let mut n_no_change = 0;
        for _ in 0..self.max_iter {
            if self.shuffle {
                let order = random.permutation(rows.len());
                rows = order.into_iter().map(|i| rows[i]).collect();
            }
            let mut sum = 0.0;
            for batch in rows.chunks(self.batch_size) {
                sum += training.step(batch, self.learning_rate, self.alpha) * batch.len() as f64;
            }
            let loss = sum / rows.len() as f64;
            history.losses.push(loss);
            let improved = if let Some(score) = score {
                let score = score(&training.network);
                history.scores.push(score);
                let improved = score >= best_score + self.tolerance;
                if score > best_score {
                    best_score = score;
                    best = Some(training.network.clone());
                }
                improved
            } else {
                let improved = loss <= best_loss - self.tolerance;
                best_loss = best_loss.min(loss);
                improved
            };
            n_no_change = if improved { 0 } else { n_no_change + 1 };
            if n_no_change > self.n_iter_no_change {
                history.converged = true;
                break;
            }
        }
        let network = best.unwrap_or(training.network);
        if network.is_finite() {
            return Ok((network, history));
        }
        let expected = "so small that the weights stay finite";
        Err(Error::Parameter { name: "learning_rate", value: self.learning_rate.to_string(), expected })
    }
}

/// Layers from each number of values to the next, drawn one after the other.
pub(crate) fn draw(units: &[usize], activations: Vec<Activation>, random: &mut RandomState) -> Network {
    let layers = units.windows(2).map(|pair| Layer::glorot(pair[0], pair[1], random)).collect();
    Network::new(layers, activations)
}

/// Rectified layers, and a last one that is not.
pub(crate) fn rectified(n_layers: usize) -> Vec<Activation> {
    let mut activations = vec![Activation::Relu; n_layers];
    activations[n_layers - 1] = Activation::Identity;
    activations
}
