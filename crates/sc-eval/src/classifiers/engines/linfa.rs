//! Models of linfa.

use linfa::Dataset;
use linfa::traits::Fit as _;
use linfa_bayes::{GaussianNb, NaiveBayes};
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use linfa_svm::Svm;
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

use super::Engine;
use super::foreign::{Answer, Fit, Fitted, Logistic, by_chunk, rows};
use crate::classifiers::design::Design;
use crate::classifiers::planes::Planes;
use crate::classifiers::training::{Training, softmax};
use crate::classifiers::{GaussianNaiveBayesParams, LogisticRegressionParams, Model};
use crate::{Error, Features, Result};

/// Fits one of the models of [`Engine::models`]; any other one is an error.
pub(super) fn fit(model: &Model, x: &Features, y: &[u32], n_classes: usize) -> Result<Fit> {
    let by = (Engine::Linfa, model);
    let data = (x, y, n_classes);
    match model {
        Model::LogisticRegression(params) => {
            params.validate()?;
            above_0("tolerance", params.tolerance)?;
            Fit::new(by, data, |training| logistic(params, x, training))
        }
        Model::GaussianNaiveBayes(GaussianNaiveBayesParams { var_smoothing }) => {
            above_0("var_smoothing", *var_smoothing)?;
            Fit::new(by, data, |training| bayes(*var_smoothing, x, training))
        }
        Model::SvmLinear(params) => {
            above_0("c", params.c)?;
            above_0("tolerance", params.tolerance)?;
            let svm =
                || Svm::params().pos_neg_weights(params.c, params.c).eps(params.tolerance).linear_kernel();
            Fit::new(by, data, |training| pairs(x, training, &svm))
        }
        Model::SvmRbf(params) => {
            above_0("c", params.c)?;
            above_0("tolerance", params.tolerance)?;
            params.gamma.map_or(Ok(()), |gamma| above_0("gamma", gamma))?;
            let width = 1.0 / params.gamma_for(&Design::new(x));
            let svm = || {
                Svm::params().pos_neg_weights(params.c, params.c).eps(params.tolerance).gaussian_kernel(width)
            };
            Fit::new(by, data, |training| pairs(x, training, &svm))
        }
        _ => {
            let known = Engine::Linfa.models().join(", ");
            Err(Error::EngineModel { engine: Engine::Linfa.name(), model: model.name(), known })
        }
    }
}

/// All cells and features.
fn matrix(x: &Features) -> Result<Array2<f64>, String> {
    Array2::from_shape_vec((x.n_rows(), x.n_cols()), rows(x, 0, x.n_rows())).map_err(|e| e.to_string())
}

fn logistic(
    params: &LogisticRegressionParams,
    x: &Features,
    training: &Training,
) -> Result<Box<dyn Fitted>, String> {
    // linfa minimises the sum over cells, not their mean, plus `alpha ‖w‖² / 2`.
    let alpha = 1.0 / params.c;
    let tolerance = params.tolerance * x.n_rows() as f64;
    let max_iterations = params.max_iter as u64;
    let codes = Array1::from(training.codes.clone());
    let data = Dataset::new(matrix(x)?, codes);
    let planes = if training.classes.n_present() == 2 {
        let model = LogisticRegression::default();
        let model = model.alpha(alpha).gradient_tolerance(tolerance).max_iterations(max_iterations);
        let fitted = model.fit(&data).map_err(|e| e.to_string())?;
        // The positive class is the one that occurs more often.
        let sign = if fitted.labels().pos.class == 1 { 1.0 } else { -1.0 };
        let weights = fitted.params().mapv(|w| sign * w).to_vec();
        Planes::from_vectors(&[weights], vec![sign * fitted.intercept()])
    } else {
        let model = MultiLogisticRegression::default();
        let model = model.alpha(alpha).gradient_tolerance(tolerance).max_iterations(max_iterations);
        let fitted = model.fit(&data).map_err(|e| e.to_string())?;
        let weights: Vec<Vec<f64>> = fitted.params().columns().into_iter().map(|w| w.to_vec()).collect();
        Planes::from_vectors(&weights, fitted.intercept().to_vec())
    };
    Ok(Box::new(Logistic::new(planes, training)?))
}

struct Bayes {
    model: GaussianNb<f64, usize>,
    n_features: usize,
    n_classes: usize,
}

fn bayes(var_smoothing: f64, x: &Features, training: &Training) -> Result<Box<dyn Fitted>, String> {
    let codes: Array1<usize> = training.codes.iter().map(|&code| code as usize).collect();
    let data = Dataset::new(matrix(x)?, codes);
    let model = GaussianNb::params().var_smoothing(var_smoothing).fit(&data).map_err(|e| e.to_string())?;
    let n_classes = training.classes.n_present();
    let fitted = Bayes { model, n_features: x.n_cols(), n_classes };
    // Where all features are constant, there is nothing to smooth with, and nothing can be said of any cell.
    fitted.chunk(1, rows(x, 0, 1))?;
    Ok(Box::new(fitted))
}

impl Bayes {
    /// Probabilities of `n` rows. linfa's own do not survive the many features of expression data: they are sums of
    /// exponentials that are all 0. So they are made from its log-likelihoods here.
    fn chunk(&self, n: usize, values: Vec<f64>) -> Result<Vec<f64>, String> {
        let x = Array2::from_shape_vec((n, self.n_features), values).map_err(|e| e.to_string())?;
        let logs = self.model.joint_log_likelihood(x.view());
        let mut all = Vec::with_capacity(n * self.n_classes);
        for row in 0..n {
            let start = all.len();
            for class in 0..self.n_classes {
                let log = logs.get(&class).map_or(f64::NAN, |logs| logs[row]);
                if !log.is_finite() {
                    return Err(format!("the log-likelihood of a class is {log}"));
                }
                all.push(log);
            }
            softmax(&mut all[start..]);
        }
        Ok(all)
    }
}

impl Fitted for Bayes {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        by_chunk(x, |n, values| self.chunk(n, values)).map(Answer::Probabilities)
    }
}

/// A support vector machine for every pair of classes, of which linfa fits two at a time.
struct Pairs {
    n_features: usize,
    n_classes: usize,
    /// By first class, then by second; at or above 0 is the first.
    machines: Vec<(usize, usize, Svm<f64, bool>)>,
}

fn pairs(
    x: &Features,
    training: &Training,
    params: &(dyn Fn() -> linfa_svm::SvmParams<f64, bool> + Sync),
) -> Result<Box<dyn Fitted>, String> {
    let n_classes = training.classes.n_present();
    let all = matrix(x)?;
    let members = |class: usize| {
        training.codes.iter().enumerate().filter(move |(_, code)| **code as usize == class).map(|(i, _)| i)
    };
    let order: Vec<(usize, usize)> =
        (0..n_classes).flat_map(|a| (a + 1..n_classes).map(move |b| (a, b))).collect();
    let machine = |&(first, second): &(usize, usize)| {
        let cells: Vec<usize> = members(first).chain(members(second)).collect();
        let n_first = members(first).count();
        let is_first: Array1<bool> = (0..cells.len()).map(|i| i < n_first).collect();
        let data = Dataset::new(all.select(Axis(0), &cells), is_first);
        let fitted = params().fit(&data).map_err(|e| e.to_string())?;
        Ok((first, second, fitted))
    };
    let machines = order.par_iter().map(machine).collect::<Result<Vec<_>, String>>()?;
    Ok(Box::new(Pairs { n_features: x.n_cols(), n_classes, machines }))
}

impl Fitted for Pairs {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        let chunk = |n: usize, values: Vec<f64>| {
            let x = Array2::from_shape_vec((n, self.n_features), values).map_err(|e| e.to_string())?;
            let mut votes = vec![0u32; self.n_classes];
            x.rows()
                .into_iter()
                .map(|row| {
                    votes.fill(0);
                    for (first, second, machine) in &self.machines {
                        let value = machine.weighted_sum(&row) - machine.rho;
                        if !value.is_finite() {
                            return Err(format!("a decision value is {value}"));
                        }
                        votes[if value >= 0.0 { *first } else { *second }] += 1;
                    }
                    let most = votes.iter().copied().max().unwrap_or_default();
                    Ok(votes.iter().position(|&n| n == most).unwrap_or_default())
                })
                .collect()
        };
        by_chunk(x, chunk).map(Answer::Codes)
    }
}

/// That `value` is finite and above 0.
fn above_0(name: &'static str, value: f64) -> Result<()> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(Error::Parameter { name, value: value.to_string(), expected: "above 0" }),
    }
}
