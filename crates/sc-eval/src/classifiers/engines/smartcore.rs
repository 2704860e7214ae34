//! Models of smartcore.

use smartcore::algorithm::neighbour::KNNAlgorithmName;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};
use smartcore::metrics::distance::euclidian::Euclidian;
use smartcore::neighbors::KNNWeightFunction;
use smartcore::neighbors::knn_classifier::{KNNClassifier, KNNClassifierParameters};
use smartcore::tree::decision_tree_classifier::SplitCriterion;

use super::Engine;
use super::foreign::{Answer, Fit, Fitted, Logistic, by_chunk, rows};
use crate::classifiers::planes::Planes;
use crate::classifiers::training::Training;
use crate::classifiers::{KnnParams, LogisticRegressionParams, Model, NeighborWeights, RandomForestParams};
use crate::{Error, Features, Result};

type Matrix = DenseMatrix<f64>;
type Codes = Vec<u32>;

/// Fits one of the models of [`Engine::models`]; any other one is an error.
pub(super) fn fit(model: &Model, x: &Features, y: &[u32], n_classes: usize) -> Result<Fit> {
    let by = (Engine::Smartcore, model);
    let data = (x, y, n_classes);
    match model {
        Model::LogisticRegression(params) => {
            params.validate()?;
            Fit::new(by, data, |training| logistic(params, x, training))
        }
        Model::RandomForest(params) => {
            let parameters = forest_parameters(params, x.n_cols())?;
            Fit::new(by, data, |training| forest(parameters, x, training))
        }
        Model::Knn(params) => {
            if params.n_neighbors == 0 || params.n_neighbors > x.n_rows() {
                let value = params.n_neighbors.to_string();
                let expected = "at least 1 and at most the number of training cells";
                return Err(Error::Parameter { name: "n_neighbors", value, expected });
            }
            Fit::new(by, data, |training| knn(params, x, training))
        }
        _ => {
            let known = Engine::Smartcore.models().join(", ");
            Err(Error::EngineModel { engine: Engine::Smartcore.name(), model: model.name(), known })
        }
    }
}

fn matrix(n: usize, n_features: usize, values: Vec<f64>) -> Result<Matrix, String> {
    Matrix::new(n, n_features, values, false).map_err(|e| e.to_string())
}

fn training_matrix(x: &Features) -> Result<Matrix, String> {
    matrix(x.n_rows(), x.n_cols(), rows(x, 0, x.n_rows()))
}

fn logistic(
    params: &LogisticRegressionParams,
    x: &Features,
    training: &Training,
) -> Result<Box<dyn Fitted>, String> {
    // smartcore minimises the sum over cells, not their mean, plus `alpha ‖w‖² / 2`.
    let parameters = LogisticRegressionParameters::default().with_alpha(1.0 / params.c);
    let fitted = LogisticRegression::fit(&training_matrix(x)?, &training.codes, parameters)
        .map_err(|e| e.to_string())?;
    let (coefficients, intercepts) = (fitted.coefficients(), fitted.intercept());
    let (n_outputs, n_features) = coefficients.shape();
    let weights: Vec<Vec<f64>> =
        (0..n_outputs).map(|k| (0..n_features).map(|j| *coefficients.get((k, j))).collect()).collect();
    let intercepts = (0..n_outputs).map(|k| *intercepts.get((k, 0))).collect();
    Ok(Box::new(Logistic::new(Planes::from_vectors(&weights, intercepts), training)?))
}

fn forest_parameters(
    params: &RandomForestParams,
    n_features: usize,
) -> Result<RandomForestClassifierParameters> {
    let most = usize::from(u16::MAX);
    let rules = [
        ("n_trees", params.n_trees, 1, most, "from 1 to 65535"),
        ("min_samples_leaf", params.min_samples_leaf, 1, usize::MAX, "at least 1"),
    ];
    for (name, value, least, most, expected) in rules {
        if !(least..=most).contains(&value) {
            return Err(Error::Parameter { name, value: value.to_string(), expected });
        }
    }
    Ok(RandomForestClassifierParameters {
        criterion: SplitCriterion::Gini,
        // A tree that deep has more levels than it could ever have cells on.
        max_depth: Some(u16::try_from(params.max_depth).unwrap_or(u16::MAX)),
        min_samples_leaf: params.min_samples_leaf,
        min_samples_split: params.min_samples_split,
        n_trees: u16::try_from(params.n_trees).unwrap_or(u16::MAX),
        m: Some(params.max_features.of(n_features)?),
        keep_samples: false,
        seed: params.seed,
    })
}

struct Forest {
    model: RandomForestClassifier<f64, u32, Matrix, Codes>,
    n_features: usize,
}

fn forest(
    parameters: RandomForestClassifierParameters,
    x: &Features,
    training: &Training,
) -> Result<Box<dyn Fitted>, String> {
    let model = RandomForestClassifier::fit(&training_matrix(x)?, &training.codes, parameters)
        .map_err(|e| e.to_string())?;
    Ok(Box::new(Forest { model, n_features: x.n_cols() }))
}

impl Fitted for Forest {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        let chunk = |n, values| {
            let codes =
                self.model.predict(&matrix(n, self.n_features, values)?).map_err(|e| e.to_string())?;
            Ok(codes.into_iter().map(|code| code as usize).collect())
        };
        by_chunk(x, chunk).map(Answer::Codes)
    }
}

struct Knn {
    model: KNNClassifier<f64, u32, Matrix, Codes, Euclidian<f64>>,
    n_features: usize,
}

fn knn(params: &KnnParams, x: &Features, training: &Training) -> Result<Box<dyn Fitted>, String> {
    let weight = match params.weights {
        NeighborWeights::Uniform => KNNWeightFunction::Uniform,
        NeighborWeights::Distance => KNNWeightFunction::Distance,
    };
    let parameters = KNNClassifierParameters::default()
        .with_k(params.n_neighbors)
        .with_weight(weight)
        .with_algorithm(KNNAlgorithmName::LinearSearch);
    let model =
        KNNClassifier::fit(&training_matrix(x)?, &training.codes, parameters).map_err(|e| e.to_string())?;
    Ok(Box::new(Knn { model, n_features: x.n_cols() }))
}

impl Fitted for Knn {
    fn answer(&self, x: &Features) -> Result<Answer, String> {
        let chunk = |n, values| {
            let x = matrix(n, self.n_features, values)?;
            Ok(self.model.predict_proba(&x).map_err(|e| e.to_string())?.concat())
        };
        by_chunk(x, chunk).map(Answer::Probabilities)
    }
}
