//! Autoencoder, and a classifier on its code.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::design::Design;
use super::nn::{Activation, Descent, Network, Objective, Source, draw};
use super::training::{Classes, Training};
use super::{Classifier, LogisticRegression, LogisticRegressionParams};
use crate::split::RandomState;
use crate::{Error, Features, Prediction, Result};

/// How to fit an [`Autoencoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderParams {
    /// Units of the rectified layers between features and code; the decoder has them in reverse. Default one layer of 256.
    pub hidden_layer_sizes: Vec<usize>,
    /// Dimensions of the code, which is a linear function of the last hidden layer. Default 32.
    pub code_size: usize,
    /// Strength of the L2 penalty: `alpha / 2 ‖w‖²` over the cells of a batch. Default 1e-4.
    pub alpha: f64,
    /// Learning rate of Adam. Default 1e-3.
    pub learning_rate: f64,
    /// Cells of a batch; all of them if there are fewer. Default 128.
    pub batch_size: usize,
    /// Most passes over the cells. Default 20.
    pub max_iter: usize,
    /// What the loss must better to count as an improvement. Default 1e-4.
    pub tolerance: f64,
    /// Passes in a row without improvement after which the fit ends. Default 10.
    pub n_iter_no_change: usize,
    /// Seed of the first weights and of the order of the cells, below 2³². Default 42.
    pub seed: u64,
}

impl Default for AutoencoderParams {
    fn default() -> Self {
        Self {
            hidden_layer_sizes: vec![256],
            code_size: 32,
            alpha: 1e-4,
            learning_rate: 1e-3,
            batch_size: 128,
            max_iter: 20,
            tolerance: 1e-4,
            n_iter_no_change: 10,
            seed: 42,
        }
    }
}

/// A fitted autoencoder: a network that gives its input back through a narrow code.
///
/// Minimises the squared error between features and output, summed over features and averaged over cells, with Adam, and
/// with the penalty, batches and stopping rule of scikit-learn's `MLPRegressor`. Features should be standardised: each
/// counts by its variance. It sees no labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autoencoder {
    n_features: usize,
    hidden_layer_sizes: Vec<usize>,
    code_size: usize,
    network: Network,
    losses: Vec<f64>,
    converged: bool,
}

/// Cells whose reconstruction is in memory at a time.
const BLOCK: usize = 1024;

impl AutoencoderParams {
    /// Fits on the rows of `x`.
    ///
    /// # Errors
    /// No cells or no features, a parameter out of its range, or weights that overflow.
    pub fn fit(&self, x: &Features) -> Result<Autoencoder> {
        let descent = Descent {
            alpha: self.alpha,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            max_iter: self.max_iter,
            shuffle: true,
            // Losses are compared per feature, as in `Autoencoder::loss_curve`.
            tolerance: self.tolerance * x.n_cols() as f64,
            n_iter_no_change: self.n_iter_no_change,
        };
        descent.validate()?;
        let sizes = self.hidden_layer_sizes.iter().map(|&size| ("hidden_layer_sizes", size));
        for (name, size) in sizes.chain([("code_size", self.code_size)]) {
            if !(1..=1 << 20).contains(&size) {
                let expected = "layers of 1 to 1,048,576 units";
                return Err(Error::Parameter { name, value: size.to_string(), expected });
            }
        }
        if x.n_rows() == 0 || x.n_cols() == 0 {
            return Err(Error::Empty { what: "training features" });
        }
        let mut random = RandomState::new(self.seed)?;
        let units = units(x.n_cols(), &self.hidden_layer_sizes, self.code_size);
        let network = draw(&units, activations(&self.hidden_layer_sizes), &mut random);
        let source = Source::new(Design::new(x));
        let rows = source.rows();
        let (network, history) =
            descent.run(network, &source, Objective::Reconstruction(x), rows, None, &mut random)?;
        Ok(Autoencoder {
            n_features: x.n_cols(),
            hidden_layer_sizes: self.hidden_layer_sizes.clone(),
            code_size: self.code_size,
            network,
            losses: history.losses.into_iter().map(|loss| loss / x.n_cols() as f64).collect(),
            converged: history.converged,
        })
    }
}

/// Values before, between and after the layers.
fn units(n_features: usize, hidden: &[usize], code: usize) -> Vec<usize> {
    let back: Vec<usize> = hidden.iter().rev().copied().collect();
    [&[n_features], hidden, &[code], &back, &[n_features]].concat()
}

fn activations(hidden: &[usize]) -> Vec<Activation> {
    let half = [vec![Activation::Relu; hidden.len()], vec![Activation::Identity]].concat();
    half.repeat(2)
}

impl Autoencoder {
    /// The code of every row of `x`, rows × code dimensions.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has another number of features than the training cells had.
    pub fn encode(&self, x: &Features) -> Result<Array2<f32>> {
        let source = self.source(x)?;
        Ok(self.outputs(&source, &source.rows(), self.hidden_layer_sizes.len()))
    }

    /// Every row of `x` as the decoder gives it back, rows × features.
    ///
    /// # Errors
    /// As [`Autoencoder::encode`].
    pub fn reconstruct(&self, x: &Features) -> Result<Array2<f32>> {
        let source = self.source(x)?;
        Ok(self.outputs(&source, &source.rows(), self.network.layers().len() - 1))
    }

    /// Mean squared error of the reconstruction of every row of `x`: high for cells unlike those of the training.
    ///
    /// # Errors
    /// As [`Autoencoder::encode`].
    pub fn reconstruction_error(&self, x: &Features) -> Result<Vec<f64>> {
        let source = self.source(x)?;
        let mut errors = Vec::with_capacity(x.n_rows());
        let mut truth = vec![0.0; self.n_features];
        for rows in source.rows().chunks(BLOCK) {
            let outputs = self.outputs(&source, rows, self.network.layers().len() - 1);
            for (output, &row) in outputs.rows().into_iter().zip(rows) {
                x.write_row(row as usize, &mut truth);
                let squares = output.iter().zip(&truth).map(|(a, b)| f64::from(a - b) * f64::from(a - b));
                errors.push(squares.sum::<f64>() / self.n_features as f64);
            }
        }
        Ok(errors)
    }

    /// In each pass, half the mean squared error over cells and features, with the penalty per feature.
    pub fn loss_curve(&self) -> &[f64] {
        &self.losses
    }

    /// Whether the fit ended because the loss did not improve any more, not at `max_iter`.
    pub fn converged(&self) -> bool {
        self.converged
    }

    fn source(&self, x: &Features) -> Result<Source> {
        if x.n_cols() != self.n_features {
            let what = "a row of features";
            return Err(Error::Length { what, found: x.n_cols(), expected: self.n_features });
        }
        Ok(Source::new(Design::new(x)))
    }

    fn outputs(&self, source: &Source, rows: &[u32], layer: usize) -> Array2<f32> {
        let shape = (rows.len(), self.network.layers()[layer].n_out());
        let values = self.network.outputs(source, rows, layer);
        Array2::from_shape_vec(shape, values).expect("one row of outputs per row")
    }

    /// Proves what the other methods rely on, for a value that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.n_features == 0 {
            return Err("an autoencoder of no features".to_owned());
        }
        let units = units(self.n_features, &self.hidden_layer_sizes, self.code_size);
        self.network.check(&units, &activations(&self.hidden_layer_sizes))
    }
}

/// How to fit an [`AutoencoderClassifier`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderClassifierParams {
    /// The autoencoder, which is fitted first and sees no labels.
    pub autoencoder: AutoencoderParams,
    /// Inverse strength of the L2 penalty of the logistic regression on the code. Default 1.
    pub c: f64,
}

impl Default for AutoencoderClassifierParams {
    fn default() -> Self {
        Self { autoencoder: AutoencoderParams::default(), c: 1.0 }
    }
}

/// A fitted autoencoder with a multinomial logistic regression on its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderClassifier {
    pub(crate) classes: Classes,
    autoencoder: Autoencoder,
    classifier: LogisticRegression,
}

impl AutoencoderClassifierParams {
    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`; the autoencoder on `x` alone.
    ///
    /// # Errors
    /// Those of [`AutoencoderParams::fit`] and [`LogisticRegressionParams::fit`].
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<AutoencoderClassifier> {
        // Before the long fit, so that wrong labels are told at once.
        let Training { classes, .. } = Training::new(x, y, n_classes)?;
        let autoencoder = self.autoencoder.fit(x)?;
        let code = Features::dense(autoencoder.encode(x)?.view())?;
        let logistic = LogisticRegressionParams { c: self.c, ..Default::default() };
        let classifier = logistic.fit(&code, y, n_classes)?;
        let model = AutoencoderClassifier { classes, autoencoder, classifier };
        debug_assert_eq!(model.check(), Ok(()));
        Ok(model)
    }
}

impl AutoencoderClassifier {
    /// The autoencoder: codes and reconstruction errors.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.autoencoder
    }

    /// Proves what prediction relies on, for a model that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.classes.check()?;
        self.autoencoder.check()?;
        self.classifier.check()?;
        let (outer, inner) = (&self.classes, &self.classifier.classes);
        if outer.present() != inner.present() || outer.n_classes() != inner.n_classes() {
            return Err("the classifier has other classes".to_owned());
        }
        if outer.n_features() != self.autoencoder.n_features {
            return Err(format!("the autoencoder does not take {} features", outer.n_features()));
        }
        match self.classifier.classes.n_features() == self.autoencoder.code_size {
            true => Ok(()),
            false => Err(format!("the classifier does not take a code of {}", self.autoencoder.code_size)),
        }
    }
}

impl Classifier for AutoencoderClassifier {
    fn predict(&self, x: &Features) -> Result<Prediction> {
        self.classes.check_features(x)?;
        self.classifier.predict(&Features::dense(self.autoencoder.encode(x)?.view())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve features that follow two hidden numbers.
    fn plane(n: usize, from: usize) -> Features {
        let x = Array2::from_shape_fn((n, 12), |(i, j)| {
            let (a, b) =
                (((from + i) * 7 % 19) as f32 / 19.0 - 0.5, ((from + i) * 11 % 23) as f32 / 23.0 - 0.5);
            a * (j as f32 - 5.0) * 0.4 + b * ((j * j % 7) as f32 - 3.0) * 0.5
        });
        Features::dense(x.view()).unwrap()
    }

    fn params() -> AutoencoderParams {
        AutoencoderParams {
            hidden_layer_sizes: vec![24],
            code_size: 2,
            learning_rate: 0.01,
            batch_size: 32,
            max_iter: 60,
            ..Default::default()
        }
    }

    #[test]
    fn two_numbers_are_enough_for_what_two_numbers_made() {
        let model = params().fit(&plane(200, 0)).unwrap();
        let test = plane(40, 500);
        assert_eq!(model.encode(&test).unwrap().dim(), (40, 2));
        assert_eq!(model.reconstruct(&test).unwrap().dim(), (40, 12));
        let known = model.reconstruction_error(&test).unwrap();
        let strange = Array2::from_shape_fn((40, 12), |(i, j)| if (i + j) % 2 == 0 { 2.0 } else { -2.0 });
        let strange = model.reconstruction_error(&Features::dense(strange.view()).unwrap()).unwrap();
        let largest = known.iter().copied().fold(0.0, f64::max);
        assert!(strange.iter().all(|&error| error > 5.0 * largest), "{largest} {strange:?}");
        model.check().unwrap();
    }

    #[test]
    fn the_code_tells_classes_apart() {
        let x = plane(200, 0);
        // The sign of the first hidden number.
        let y: Vec<u32> = (0..200).map(|i| u32::from(i * 7 % 19 > 9)).collect();
        let params = AutoencoderClassifierParams { autoencoder: params(), c: 100.0 };
        let model = params.fit(&x, &y, 2).unwrap();
        let answer = model.predict(&x).unwrap();
        let right = answer.codes.iter().zip(&y).filter(|(a, b)| a == b).count();
        assert!(right >= 190, "{right} of 200");
        assert_eq!(model.autoencoder().encode(&x).unwrap().dim(), (200, 2));
        model.check().unwrap();
        assert!(matches!(params.fit(&x, &[7; 200], 2), Err(Error::ClassCode { code: 7, .. })));
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let none = Features::dense(Array2::zeros((0, 3)).view()).unwrap();
        assert_eq!(params().fit(&none).unwrap_err().to_string(), "training features is empty");
        let flat = AutoencoderParams { code_size: 0, ..params() }.fit(&plane(9, 0)).unwrap_err();
        assert_eq!(flat.to_string(), "`code_size` is 0, expected layers of 1 to 1,048,576 units");
        let model = AutoencoderParams { max_iter: 1, ..params() }.fit(&plane(9, 0)).unwrap();
        let narrow = Features::dense(Array2::zeros((2, 3)).view()).unwrap();
        let error = model.encode(&narrow).unwrap_err();
        assert_eq!(error.to_string(), "a row of features has 3 entries, expected 12");
    }

    #[test]
    fn a_model_that_lies_about_its_shape_is_found() {
        let model = AutoencoderParams { max_iter: 1, ..params() }.fit(&plane(9, 0)).unwrap();
        let text = serde_json::to_string(&model).unwrap();
        let read: Autoencoder = serde_json::from_str(&text).unwrap();
        assert_eq!(read, model);
        for (from, to) in [
            ("\"code_size\":2", "\"code_size\":3"),
            ("\"n_features\":12", "\"n_features\":0"),
            ("\"identity\"", "\"relu\""),
        ] {
            let lying: Autoencoder = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
            assert!(lying.check().is_err(), "{to}");
        }
    }
}
