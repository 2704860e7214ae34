//! The classifiers by name, for programs and configuration files.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    AutoencoderClassifierParams, CellTypistParams, Fitted, GaussianNaiveBayesParams, GradientBoostingParams,
    KnnParams, LinearSvmParams, LogisticRegressionParams, Majority, MlpParams, NearestCentroidParams,
    RandomByPriorParams, RandomForestParams, RbfSvmParams, SingleRParams, XgboostParams,
};
use crate::{Error, Features, Result};

/// A classifier that can be fitted, with its parameters.
///
/// In a configuration file it is its name (`svm_linear`), or a table of `name` and parameters, where those that are not
/// named keep their defaults:
///
/// ```
/// use sc_eval::classifiers::Model;
///
/// let models: Vec<Model> =
///     serde_json::from_str(r#"["knn", {"name": "logistic_regression", "c": 0.5, "class_weight": "balanced"}]"#)?;
/// assert_eq!(models[1].name(), "logistic_regression");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Model {
    /// [`Majority`].
    #[serde(deserialize_with = "no_parameters")]
    Majority,
    /// [`LogisticRegression`](super::LogisticRegression).
    LogisticRegression(LogisticRegressionParams),
    /// [`RandomForest`](super::RandomForest).
    RandomForest(RandomForestParams),
    /// [`Xgboost`](super::Xgboost).
    Xgboost(XgboostParams),
    /// [`GradientBoosting`](super::GradientBoosting).
    GradientBoosting(GradientBoostingParams),
    /// [`LinearSvm`](super::LinearSvm).
    SvmLinear(LinearSvmParams),
    /// [`RbfSvm`](super::RbfSvm).
    SvmRbf(RbfSvmParams),
    /// [`Knn`](super::Knn).
    Knn(KnnParams),
    /// [`RandomByPrior`](super::RandomByPrior).
    RandomByPrior(RandomByPriorParams),
    /// [`GaussianNaiveBayes`](super::GaussianNaiveBayes).
    GaussianNaiveBayes(GaussianNaiveBayesParams),
    /// [`NearestCentroid`](super::NearestCentroid).
    NearestCentroid(NearestCentroidParams),
    /// [`Mlp`](super::Mlp).
    Mlp(MlpParams),
    /// [`AutoencoderClassifier`](super::AutoencoderClassifier).
    Autoencoder(AutoencoderClassifierParams),
    /// [`SingleR`](super::SingleR).
    #[serde(rename = "singler")]
    SingleR(SingleRParams),
    /// [`CellTypist`](super::CellTypist).
    #[serde(rename = "celltypist")]
    CellTypist(CellTypistParams),
}

impl Model {
    /// The seven of a benchmark with their default parameters, the baseline first.
    pub fn standard() -> Vec<Self> {
        vec![
            Self::Majority,
            Self::LogisticRegression(LogisticRegressionParams::default()),
            Self::RandomForest(RandomForestParams::default()),
            Self::Xgboost(XgboostParams::default()),
            Self::SvmLinear(LinearSvmParams::default()),
            Self::SvmRbf(RbfSvmParams::default()),
            Self::Knn(KnnParams::default()),
        ]
    }

    /// Every classifier with its default parameters, [`Model::standard`] first.
    pub fn all() -> Vec<Self> {
        let mut all = Self::standard();
        all.extend([
            Self::GradientBoosting(GradientBoostingParams::default()),
            Self::RandomByPrior(RandomByPriorParams::default()),
            Self::GaussianNaiveBayes(GaussianNaiveBayesParams::default()),
            Self::NearestCentroid(NearestCentroidParams::default()),
            Self::Mlp(MlpParams::default()),
            Self::Autoencoder(AutoencoderClassifierParams::default()),
            Self::SingleR(SingleRParams::default()),
            Self::CellTypist(CellTypistParams::default()),
        ]);
        all
    }

    /// Its name in tables, in files and on command lines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::LogisticRegression(_) => "logistic_regression",
            Self::RandomForest(_) => "random_forest",
            Self::Xgboost(_) => "xgboost",
            Self::GradientBoosting(_) => "gradient_boosting",
            Self::SvmLinear(_) => "svm_linear",
            Self::SvmRbf(_) => "svm_rbf",
            Self::Knn(_) => "knn",
            Self::RandomByPrior(_) => "random_by_prior",
            Self::GaussianNaiveBayes(_) => "gaussian_naive_bayes",
            Self::NearestCentroid(_) => "nearest_centroid",
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
            Self::Xgboost(params) => params.seed = seed,
            Self::GradientBoosting(params) => params.seed = seed,
            Self::SvmLinear(params) => params.seed = seed,
            Self::SvmRbf(params) => params.seed = seed,
            Self::RandomByPrior(params) => params.seed = seed,
            Self::Mlp(params) => params.seed = seed,
            Self::Autoencoder(params) => params.autoencoder.seed = seed,
            Self::Majority
            | Self::LogisticRegression(_)
            | Self::Knn(_)
            | Self::GaussianNaiveBayes(_)
            | Self::NearestCentroid(_)
            | Self::SingleR(_)
            | Self::CellTypist(_) => {}
        }
        self
    }

    /// Fits on the rows of `x` with class indices `y`, all below `n_classes`.
    ///
    /// # Errors
    /// As the fit of the classifier.
    pub fn fit(&self, x: &Features, y: &[u32], n_classes: usize) -> Result<Fitted> {
        Ok(match self {
            Self::Majority => Majority::fit(x, y, n_classes)?.into(),
            Self::LogisticRegression(params) => params.fit(x, y, n_classes)?.into(),
            Self::RandomForest(params) => params.fit(x, y, n_classes)?.into(),
            Self::Xgboost(params) => params.fit(x, y, n_classes)?.into(),
            Self::GradientBoosting(params) => params.fit(x, y, n_classes)?.into(),
            Self::SvmLinear(params) => params.fit(x, y, n_classes)?.into(),
            Self::SvmRbf(params) => params.fit(x, y, n_classes)?.into(),
            Self::Knn(params) => params.fit(x, y, n_classes)?.into(),
            Self::RandomByPrior(params) => params.fit(x, y, n_classes)?.into(),
            Self::GaussianNaiveBayes(params) => params.fit(x, y, n_classes)?.into(),
            Self::NearestCentroid(params) => params.fit(x, y, n_classes)?.into(),
            Self::Mlp(params) => params.fit(x, y, n_classes)?.into(),
            Self::Autoencoder(params) => params.fit(x, y, n_classes)?.into(),
            Self::SingleR(params) => params.fit(x, y, n_classes)?.into(),
            Self::CellTypist(params) => params.fit(x, y, n_classes)?.into(),
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

/// A table without entries: parameters of a model that has none.
fn no_parameters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

impl Serialize for Model {
    /// The table of name and parameters.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived function of the same name, which `remote = "Self"` keeps apart from this trait's.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Model {
    /// The name alone, or the table of name and parameters.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Model;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the name of a classifier, or a table of `name` and parameters")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Model, E> {
                name.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Model, A::Error> {
                Model::deserialize(MapAccessDeserializer::new(table)).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Model, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn every_name_leads_back_to_its_model() {
        for model in Model::all() {
            assert_eq!(model.name().parse::<Model>().unwrap(), model);
            assert_eq!(read(&format!("{:?}", model.name())).unwrap(), model);
        }
        let unknown = "xgbost".parse::<Model>().unwrap_err().to_string();
        assert!(unknown.contains("xgbost") && unknown.contains("logistic_regression"), "{unknown}");
    }

    #[test]
    fn a_model_reads_what_it_writes() {
        for model in Model::all() {
            let json = serde_json::to_value(&model).unwrap();
            assert_eq!(json["name"], model.name());
            assert_eq!(serde_json::from_value::<Model>(json).unwrap(), model);
        }
    }

    #[test]
    fn named_parameters_are_set_and_the_others_keep_their_defaults() {
        let expected = LogisticRegressionParams {
            c: 0.5,
            class_weight: super::super::ClassWeight::Given(vec![1.0, 2.0]),
            ..Default::default()
        };
        let json = r#"{"name": "logistic_regression", "c": 0.5, "class_weight": {"given": [1, 2]}}"#;
        assert_eq!(read(json).unwrap(), Model::LogisticRegression(expected));
        let expected = KnnParams {
            weights: super::super::NeighborWeights::Distance,
            metric: super::super::Metric::Cosine,
            ..Default::default()
        };
        let json = r#"{"weights": "distance", "name": "knn", "metric": "cosine"}"#;
        assert_eq!(read(json).unwrap(), Model::Knn(expected));
    }

    #[test]
    fn what_no_model_understands_is_refused_by_name() {
        let refused = |json: &str| read(json).unwrap_err();
        assert!(refused(r#"{"name": "knn", "k": 3}"#).contains("unknown field `k`, expected one of"));
        assert!(refused(r#"{"name": "majority", "c": 3}"#).contains("unknown field `c`"));
        assert!(refused(r#"{"name": "xgbost"}"#).contains("unknown variant `xgbost`"));
        assert!(refused(r#"{"c": 1}"#).contains("missing field `name`"));
        assert!(refused(r#""xgbost""#).contains("no classifier is called \"xgbost\""));
        assert!(refused("7").contains("the name of a classifier, or a table"));
    }
}
