//! Multi-layer perceptron.

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::nn::{Descent, History, Layer, Network, Objective, Source, draw, logistic, rectified};
use super::training::{Classes, Training, argmax, softmax};
use super::{ClassWeight, Classifier};
use crate::split::{RandomState, draw_split};
use crate::{Error, Features, Prediction, Result};

/// How to fit an [`Mlp`].
///
/// Names, defaults and meaning are those of scikit-learn's `MLPClassifier`, with `batch_size="auto"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpParams {
    /// Units of each hidden layer, every one rectified (`max(0, z)`). Default one layer of 100.
    pub hidden_layer_sizes: Vec<usize>,
    /// Strength of the L2 penalty: `alpha / 2 ‖w‖²` over the cells of a batch. Default 1e-4.
    pub alpha: f64,
    /// Learning rate of Adam. Default 1e-3.
    pub learning_rate: f64,
    /// Cells of a batch; all of them if there are fewer. Default 200.
    pub batch_size: usize,
    /// Most passes over the cells. Default 200.
    pub max_iter: usize,
    /// Whether each pass takes the cells in a new random order. Default true.
    pub shuffle: bool,
    /// What the loss (or the score of the validation cells) must better to count as an improvement. Default 1e-4.
    pub tolerance: f64,
    /// Passes in a row without improvement after which the fit ends. Default 10.
    pub n_iter_no_change: usize,
    /// Whether to keep some training cells out, to end by the accuracy on them, and to return the weights of the best
    /// pass. Default false: the training loss ends the fit.
    pub early_stopping: bool,
    /// Share of the training cells that are kept out with `early_stopping`. Default 0.1.
    pub validation_fraction: f64,
    /// How much the cells of each class count. Default uniform.
    pub class_weight: ClassWeight,
    /// Seed of the first weights, of the validation cells and of the order of the cells, below 2³². Default 42.
    pub seed: u64,
}

impl Default for MlpParams {
    fn default() -> Self {
        Self {
            hidden_layer_sizes: vec![100],
            alpha: 1e-4,
            learning_rate: 1e-3,
            batch_size: 200,
            max_iter: 200,
            shuffle: true,
            tolerance: 1e-4,
            n_iter_no_change: 10,
            early_stopping: false,
            validation_fraction: 0.1,
            class_weight: ClassWeight::Uniform,
            seed: 42,
        }
    }
}

/// A fitted multi-layer perceptron: softmax over classes on top of rectified hidden layers.
///
/// scikit-learn's `MLPClassifier(activation="relu", solver="adam", random_state=seed)` on `f32` features, draw for draw:
/// the same first weights, validation cells and batches, so the loss curves agree until rounding drives them apart. Two
/// classes share one output with a logistic function. The loss is reported before clipping probabilities, which differs
/// only for cells with a probability below 1.2e-7.
///
/// The products of the first layer run over what the features write out, not over their background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mlp {
    pub(crate) classes: Classes,
    hidden_layer_sizes: Vec<usize>,
    network: Network,
    losses: Vec<f64>,
    scores: Vec<f64>,
    converged: bool,
}

/// The weights of one layer of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpLayer {
    /// Inputs × outputs, as scikit-learn's `coefs_`.
    pub weights: Array2<f32>,
    /// One per output.
    pub intercepts: Array1<f32>,
}

impl MlpParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// No cells, a wrong number of labels, a label that is not below `n_classes`, a parameter out of its range, or weights
    /// that overflow.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Mlp> {
        self.fit_from(x, y, n_classes, &[])
    }

    /// As [`MlpParams::fit`], from the weights `start` instead of random ones; the seed then draws only what comes after
    /// them. No layers mean random weights.
    ///
    /// # Errors
    /// As [`MlpParams::fit`]; [`Error::Length`] or [`Error::Parameter`] if the layers do not lead from the features over
    /// the hidden layers to the classes that occur in `y` (one output for two classes), or hold a value that is not finite.
    pub fn fit_from(&self, x: &Features, y: &[u32], n_classes: usize, start: &[MlpLayer]) -> Result<Mlp> {
        let descent = self.descent();
        descent.validate()?;
        let fraction = self.validation_fraction;
        if self.early_stopping && !(fraction > 0.0 && fraction < 1.0) {
            let value = fraction.to_string();
            return Err(Error::Parameter { name: "validation_fraction", value, expected: "between 0 and 1" });
        }
        if let Some(size) = self.hidden_layer_sizes.iter().find(|size| !(1..=1 << 20).contains(*size)) {
            let (name, value) = ("hidden_layer_sizes", size.to_string());
            return Err(Error::Parameter { name, value, expected: "layers of 1 to 1,048,576 units" });
        }
        let training = Training::new(x, y, n_classes)?;
        let weights = self.class_weight.of_rows(&training)?;
        let Training { codes, classes } = training;
        let mut random = RandomState::new(self.seed)?;
        let units = units(&classes, &self.hidden_layer_sizes);
        let network = match start {
            [] => draw(&units, rectified(units.len() - 1), &mut random),
            _ => given(start, &units)?,
        };
        let source = Source::new(Design::new(x));
        let objective = Objective::Classes { codes: &codes, weights: &weights };
        let (rows, kept_out) = self.sides(&codes, classes.n_present(), &mut random)?;
        let kept = Kept { source: &source, cells: &kept_out, codes: &codes, weights: &weights };
        let score = |network: &Network| kept.accuracy(network);
        let score: Option<&dyn Fn(&Network) -> f64> = self.early_stopping.then_some(&score);
        let (network, history) = descent.run(network, &source, objective, rows, score, &mut random)?;
        let History { losses, scores, converged } = history;
        let hidden_layer_sizes = self.hidden_layer_sizes.clone();
        let model = Mlp { classes, hidden_layer_sizes, network, losses, scores, converged };
        debug_assert_eq!(model.check(), Ok(()));
        Ok(model)
    }

    fn descent(&self) -> Descent {
        Descent {
            alpha: self.alpha,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            max_iter: self.max_iter,
            shuffle: self.shuffle,
            tolerance: self.tolerance,
            n_iter_no_change: self.n_iter_no_change,
        }
    }

    /// Rows to train on, and rows to end by. As in scikit-learn, two classes are split by class, more are not.
    fn sides(
        &self,
        codes: &[u32],
        n_present: usize,
        random: &mut RandomState,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let n = codes.len();
        if !self.early_stopping {
            return Ok(((0..n as u32).collect(), Vec::new()));
        }
        let n_kept = (self.validation_fraction * n as f64).ceil() as usize;
        if n_kept < 2 || n_kept >= n {
            return Err(Error::Parameter {
                name: "validation_fraction",
                value: format!("{} of {n} cells", self.validation_fraction),
                expected: "at least 2 cells, and not all",
            });
        }
        let split = draw_split(n, n_kept, (n_present == 2).then_some(codes), random);
        let rows = |cells: Vec<usize>| cells.into_iter().map(|cell| cell as u32).collect();
        Ok((rows(split.train), rows(split.test)))
    }
}

/// Values before, between and after the layers.
fn units(classes: &Classes, hidden: &[usize]) -> Vec<usize> {
    // Two classes share one output.
    let n_out = if classes.n_present() == 2 { 1 } else { classes.n_present() };
    [&[classes.n_features()], hidden, &[n_out]].concat()
}

/// The network of the given layers, if they fit.
fn given(start: &[MlpLayer], units: &[usize]) -> Result<Network> {
    if start.len() + 1 != units.len() {
        let (found, expected) = (start.len(), units.len() - 1);
        return Err(Error::Length { what: "the list of first layers", found, expected });
    }
    let mut layers = Vec::new();
    for (layer, pair) in start.iter().zip(units.windows(2)) {
        let shape = [
            ("the inputs of a first layer", layer.weights.nrows(), pair[0]),
            ("the outputs of a first layer", layer.weights.ncols(), pair[1]),
            ("the intercepts of a first layer", layer.intercepts.len(), pair[1]),
        ];
        if let Some((what, found, expected)) =
            shape.into_iter().find(|(_, found, expected)| found != expected)
        {
            return Err(Error::Length { what, found, expected });
        }
        let layer = Layer::new(layer.weights.view(), layer.intercepts.view());
        if !layer.is_finite() {
            let value = "NaN or an infinity".to_owned();
            return Err(Error::Parameter { name: "start", value, expected: "finite weights" });
        }
        layers.push(layer);
    }
    let activations = rectified(layers.len());
    Ok(Network::new(layers, activations))
}

/// Training cells that are kept out.
struct Kept<'a> {
    source: &'a Source,
    cells: &'a [u32],
    codes: &'a [u32],
    weights: &'a [f64],
}

impl Kept<'_> {
    /// Weighted share of the cells whose class the network says.
    fn accuracy(&self, network: &Network) -> f64 {
        let outputs = network.outputs(self.source, self.cells, network.layers().len() - 1);
        let width = outputs.len() / self.cells.len();
        let (mut right, mut all) = (0.0, 0.0);
        for (z, &cell) in outputs.chunks_exact(width).zip(self.cells) {
            let weight = self.weights[cell as usize];
            all += weight;
            if class(z) == self.codes[cell as usize] as usize {
                right += weight;
            }
        }
        right / all
    }
}

/// The class of one cell's outputs; the lower index wins a tie.
fn class(z: &[f32]) -> usize {
    match z {
        // scikit-learn asks for a probability above one half.
        [z] => usize::from(*z > 0.0),
        _ => argmax(&z.iter().map(|&z| f64::from(z)).collect::<Vec<_>>()),
    }
}

impl Mlp {
    /// Mean loss of the training cells, penalty included, in each pass: scikit-learn's `loss_curve_`.
    pub fn loss_curve(&self) -> &[f64] {
        &self.losses
    }

    /// Accuracy on the validation cells after each pass; empty without early stopping.
    pub fn validation_scores(&self) -> &[f64] {
        &self.scores
    }

    /// Passes over the training cells.
    pub fn n_iter(&self) -> usize {
        self.losses.len()
    }

    /// Whether the fit ended because nothing improved any more, not at `max_iter`.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// The weights, from the features to the classes that occur in training.
    pub fn layers(&self) -> Vec<MlpLayer> {
        let layer = |layer: &Layer| MlpLayer { weights: layer.weights(), intercepts: layer.intercepts() };
        self.network.layers().iter().map(layer).collect()
    }

    /// Proves what prediction relies on, for a model that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        let units = units(&self.classes, &self.hidden_layer_sizes);
        self.network.check(&units, &rectified(units.len() - 1))
    }
}

impl Classifier for Mlp {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        let width = self.classes.n_present();
        let source = Source::new(Design::new(x));
        let outputs = self.network.outputs(&source, &source.rows(), self.hidden_layer_sizes.len());
        let mut probabilities = Vec::with_capacity(x.n_rows() * width);
        if width == 2 {
            for &z in &outputs {
                let second = f64::from(logistic(z));
                probabilities.extend([1.0 - second, second]);
            }
        } else {
            probabilities.extend(outputs.iter().map(|&z| f64::from(z)));
            probabilities.chunks_exact_mut(width).for_each(softmax);
        }
        Ok(self.classes.with_probabilities(&probabilities))
    }
}

#[cfg(test)]
mod tests;
