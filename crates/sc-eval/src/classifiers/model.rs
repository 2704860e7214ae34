//! The classifiers by name, for programs and configuration files.

use std::str::FromStr;

use super::{
    AutoencoderClassifierParams, CellTypistParams, Classifier, KnnParams, LinearSvmParams,
    LogisticRegressionParams, Majority, MlpParams, RandomForestParams, RbfSvmParams, SingleRParams,
    XgboostParams,
};
use crate::{Error, Features, Result};

/// A classifier that can be fitted, with its parameters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Model {
    /// [`Majority`].
    Majority,
    /// [`LogisticRegression`](super::LogisticRegression).
    LogisticRegression(LogisticRegressionParams),
    /// [`RandomForest`](super::RandomForest).
    RandomForest(RandomForestParams),
    /// [`Xgboost`](super::Xgboost).
    Xgboost(XgboostParams),
    /// [`LinearSvm`](super::LinearSvm).
    SvmLinear(LinearSvmParams),
    /// [`RbfSvm`](super::RbfSvm).
    SvmRbf(RbfSvmParams),
    /// [`Knn`](super::Knn).
    Knn(KnnParams),
    /// [`Mlp`](super::Mlp).
    Mlp(MlpParams),
    /// [`AutoencoderClassifier`](super::AutoencoderClassifier).
    Autoencoder(AutoencoderClassifierParams),
    /// [`SingleR`](super::SingleR).
    SingleR(SingleRParams),
    /// [`CellTypist`](super::CellTypist).
    CellTypist(CellTypistParams),
}

impl Model {
    /// Every classifier with its default parameters, the baseline first.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Majority,
            Self::LogisticRegression(LogisticRegressionParams::default()),
            Self::RandomForest(RandomForestParams::default()),
            Self::Xgboost(XgboostParams::default()),
            Self::SvmLinear(LinearSvmParams::default()),
            Self::SvmRbf(RbfSvmParams::default()),
            Self::Knn(KnnParams::default()),
            Self::Mlp(MlpParams::default()),
            Self::Autoencoder(AutoencoderClassifierParams::default()),
            Self::SingleR(SingleRParams::default()),
            Self::CellTypist(CellTypistParams::default()),
        ]
    }

    /// Its name in tables and on command lines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::LogisticRegression(_) => "logistic_regression",
            Self::RandomForest(_) => "random_forest",
            Self::Xgboost(_) => "xgboost",
            Self::SvmLinear(_) => "svm_linear",
            Self::SvmRbf(_) => "svm_rbf",
            Self::Knn(_) => "knn",
            Self::Mlp(_) => "mlp",
            Self::Autoencoder(_) => "autoencoder",
            Self::SingleR(_) => "singler",
            Self::CellTypist(_) => "celltypist",
        }
    }

    /// Whether the features should be log-normalised expression as it is, not standardised: the model compares genes within
    /// a cell, or standardises them itself.
    pub fn takes_log_normalized(&self) -> bool {
        matches!(self, Self::SingleR(_) | Self::CellTypist(_))
    }

    /// The same classifier with every random step drawn from `seed`.
    pub fn with_seed(mut self, seed: u64) -> Self {
        match &mut self {
            Self::RandomForest(params) => params.seed = seed,
            Self::SvmLinear(params) => params.seed = seed,
            Self::Mlp(params) => params.seed = seed,
            Self::Autoencoder(params) => params.autoencoder.seed = seed,
            Self::Majority
            | Self::LogisticRegression(_)
            | Self::Xgboost(_)
            | Self::SvmRbf(_)
            | Self::Knn(_)
            | Self::SingleR(_)
            | Self::CellTypist(_) => {}
        }
        self
    }

    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// As the fit of the classifier.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Box<dyn Classifier>> {
        Ok(match self {
            Self::Majority => Box::new(Majority::fit(x, y, n_classes)?),
            Self::LogisticRegression(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::RandomForest(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::Xgboost(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::SvmLinear(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::SvmRbf(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::Knn(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::Mlp(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::Autoencoder(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::SingleR(params) => Box::new(params.fit(x, y, n_classes)?),
            Self::CellTypist(params) => Box::new(params.fit(x, y, n_classes)?),
        })
    }
}

impl FromStr for Model {
    type Err = Error;

    /// A classifier by its name, with default parameters.
    fn from_str(name: &str) -> Result<Self> {
        let known = || Self::all().iter().map(Self::name).collect::<Vec<_>>().join(", ");
        Self::all()
            .into_iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| Error::UnknownModel { name: name.to_owned(), known: known() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_model() {
        for model in Model::all() {
            assert_eq!(model.name().parse::<Model>().unwrap(), model);
        }
        let unknown = "xgbost".parse::<Model>().unwrap_err().to_string();
        assert!(unknown.contains("xgbost") && unknown.contains("logistic_regression"), "{unknown}");
    }
}
